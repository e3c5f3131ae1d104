//! From samples that were read to what is counted.

use std::time::Instant;

use abi::{event::Event, sample::Sample};

use super::Session;
use crate::{
    aggregate::Added,
    estimate::Estimate,
    off_cpu::{kind_of, kind_of_ended},
    process::FileId,
    requests::{RouteIndex, Whose},
    run::late::Taken,
};

impl Session {
    pub(super) fn count(&mut self, sample: &Sample, whose: Option<Whose>) {
        if sample.event == Event::WOKEN {
            return self.woken(sample);
        }
        let pid = sample.tgid;
        // The event that would have told of this process was lost, or it moved into the control group.
        if self.world.processes.present_image(pid).is_none() {
            self.world.look_at(pid);
        }
        self.n_growth_samples += u64::from(sample.event.is_of_resident_memory());
        let estimate = self.estimate(sample);
        let image_id = self.world.processes.image_at(pid, sample.time_ns);
        image_id.into_iter().for_each(|id| self.world.judge(id));
        let processes = &self.world.processes;
        let Some((id, image)) = image_id.and_then(|id| Some((id, processes.image(id)?))) else {
            // Only samples are lost: whose free this is, nothing is known of either.
            let is_sample = !matches!(sample.event, Event::FREED | Event::STALLED)
                && kind_of_ended(sample.event).is_none();
            self.losses.unknown_process += u64::from(is_sample);
            self.late.forget(sample);
            return;
        };
        if sample.event == Event::FREED {
            return self.living.freed(sample, id);
        }
        if kind_of_ended(sample.event).is_some() {
            return self.thread_ended(sample, id);
        }
        if sample.event == Event::STALLED {
            return self.stalled(id, sample.tid, sample.context, sample.weight);
        }
        self.living.allocated(sample, id, estimate);
        let rule_of = |file, offset| self.kernel.rule_of(file, offset);
        match self.late.take(sample, id, &image.mappings, rule_of) {
            Taken::Walked(stack) => self.aggregate.add_user_stack(stack),
            Taken::Waits(file) => {
                self.late.is_for(whose);
                return self.ask_for_table(file, sample.time_ns);
            }
            Taken::ByKernel => {}
        }
        let (aggregate, files) = (&mut self.aggregate, processes.files());
        let added = aggregate.add(sample, route_of(whose), estimate, id, &image.mappings, files);
        if let Some(stalls) = self.stalls.as_mut().filter(|_| is_of_time(sample.event)) {
            stalls.sample(added.key, sample.context, sample.weight);
        }
        let since_ns = image.since_ns;
        self.note_request(whose, &added, sample);
        if let Some(file) = self.note(added, sample, since_ns) {
            self.ask_for_table(file, sample.time_ns);
        }
    }

    /// What a sample stands for.
    fn estimate(&self, sample: &Sample) -> Estimate {
        let source = self.kernel.sources().iter().find(|source| source.gives(sample.event));
        match source.and_then(|source| source.interval_bytes()) {
            Some(interval_bytes) => {
                // Of growth, the distance may have changed since.
                let interval_bytes =
                    if sample.event.is_of_resident_memory() { sample.context } else { interval_bytes };
                let estimate = Estimate::of_bytes(sample.weight, interval_bytes);
                self.probing.as_ref().map_or(estimate, |it| estimate.times(it.weight_at(sample.time_ns)))
            }
            None => Estimate::whole(sample.weight),
        }
    }

    /// Counts samples that waited for the unwind table of a file. They have asked for it, and do not ask again.
    pub(super) fn count_late(&mut self, is_last: bool) {
        let rule_of = |file, offset| self.kernel.rule_of(file, offset);
        for (it, stack) in self.late.take_ready(rule_of, Instant::now(), is_last) {
            self.aggregate.add_user_stack(stack);
            let estimate = self.estimate(&it.sample);
            let processes = &self.world.processes;
            let (aggregate, files) = (&mut self.aggregate, processes.files());
            let route = route_of(it.whose);
            let added = aggregate.add(&it.sample, route, estimate, it.image, &it.mappings, files);
            // Too late for its iteration, mostly, which then stands on the others.
            if let Some(stalls) = self.stalls.as_mut().filter(|_| is_of_time(it.sample.event)) {
                stalls.sample(added.key, it.sample.context, it.sample.weight);
            }
            let since_ns = processes.image(it.image).map_or(0, |image| image.since_ns);
            self.note_request(it.whose, &added, &it.sample);
            self.note(added, &it.sample, since_ns);
        }
    }

    /// A sample of time belongs to a request, if its thread was busy with one.
    fn note_request(&mut self, whose: Option<Whose>, added: &Added, sample: &Sample) {
        if let (Some(whose), Some(requests), true) = (whose, &mut self.requests, is_of_time(sample.event)) {
            requests.seen(whose, added.key, sample.weight);
        }
    }

    /// Gives the file whose table is missing for the sample to be whole.
    fn note(&mut self, added: Added, sample: &Sample, since_ns: u64) -> Option<FileId> {
        self.living.attribute(sample, added.key);
        let walked = added.walked?;
        self.beginnings.note(added.key.image, since_ns, sample.time_ns, walked.is_complete);
        walked.missing
    }

    /// A stack waits for the table of a file: it may have been evicted.
    fn ask_for_table(&mut self, file: FileId, time_ns: u64) {
        if self.table_use.asks_again(file, time_ns) {
            self.world.request_table(file);
        }
    }
}

fn route_of(whose: Option<Whose>) -> Option<RouteIndex> {
    whose.map(|whose| whose.route)
}

/// Whether a sample is of time: then it carries when the iteration began that it was taken in.
fn is_of_time(event: Event) -> bool {
    event == Event::CPU || kind_of(event).is_some()
}
