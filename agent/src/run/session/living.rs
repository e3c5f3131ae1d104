//! Live heap of a recording under way: samples in, and what the kernel side may forget out.

use abi::{counter::Counter, sample::Sample};

use super::Session;
use crate::{
    aggregate::Key,
    estimate::Estimate,
    heap::{Heap, Place},
    kernel::{KernelError, LiveObject},
    process::{Image, ImageId, Processes},
    run::End,
};

/// How often it is noted how much lives.
const TICK_NS: u64 = 100_000_000;

/// Live heap, if it is wanted.
pub(super) struct Living {
    heap: Option<Heap>,
    began_ns: u64,
    ticked_ns: u64,
    /// What comes later does not count: probes on frees may be gone by then. 0 until there are any.
    until_ns: u64,
    /// Sampled calls of allocators that ended with their processes.
    n_calls_left: u64,
}

impl Living {
    pub(super) fn new(is_wanted: bool) -> Self {
        Self { heap: is_wanted.then(Heap::default), began_ns: 0, ticked_ns: 0, until_ns: 0, n_calls_left: 0 }
    }

    pub(super) fn start(&mut self, now_ns: u64) {
        self.began_ns = now_ns;
        self.until_ns = u64::MAX;
    }

    pub(super) fn end(&mut self, now_ns: u64) {
        self.until_ns = now_ns;
    }

    /// When sampling ended.
    pub(super) fn until_ns(&self) -> u64 {
        self.until_ns
    }

    /// Takes in the sample of an allocation, whose stack may not be walked yet.
    pub(super) fn allocated(&mut self, sample: &Sample, image: ImageId, estimate: Estimate) {
        if let (Some(heap), Some(place)) = (&mut self.heap, place(sample, image, self.until_ns)) {
            heap.allocated(place, estimate);
        }
    }

    /// The stack of that sample is known.
    pub(super) fn attribute(&mut self, sample: &Sample, key: Key) {
        if let (Some(heap), Some(place)) = (&mut self.heap, place(sample, key.image, self.until_ns)) {
            heap.attribute(place, key);
        }
    }

    /// Takes in a free.
    pub(super) fn freed(&mut self, sample: &Sample, image: ImageId) {
        if let (Some(heap), Some(place)) = (&mut self.heap, place(sample, image, self.until_ns)) {
            heap.freed(image, place.address, place.since_ns);
        }
    }

    pub(super) fn into_heap(self) -> Option<Heap> {
        self.heap
    }

    fn tick(&mut self, now_ns: u64) {
        let now_ns = now_ns.min(self.until_ns);
        if let Some(heap) = &mut self.heap
            && now_ns > 0
            && now_ns >= self.ticked_ns.saturating_add(TICK_NS)
        {
            self.ticked_ns = now_ns;
            heap.tick(now_ns.saturating_sub(self.began_ns));
        }
    }
}

/// What is followed has an address.
fn place(sample: &Sample, image: ImageId, until_ns: u64) -> Option<Place> {
    (sample.context != 0 && sample.time_ns <= until_ns).then_some(Place {
        image,
        address: sample.context,
        since_ns: sample.time_ns,
    })
}

impl Session {
    /// Notes how much lives, and has the kernel side forget what processes held that have ended.
    pub(super) fn settle_living(&mut self, now_ns: u64) {
        let processes = &self.world.processes;
        let Some(heap) = &mut self.living.heap else { return };
        let ended = heap.settle(|image| is_alive(processes, image), processes.any_alive());
        self.living.tick(now_ns);
        if ended.is_empty() {
            return;
        }
        let has_ended = |pid| processes.present_image(pid).is_none_or(Image::has_ended);
        let forgotten = self.kernel.forget_live(&objects(processes, &ended));
        match forgotten.and_then(|()| self.kernel.forget_calls(has_ended)) {
            Ok(n_calls) => self.living.n_calls_left += n_calls,
            Err(error) => self.note_table_error(error),
        }
    }

    /// Puts right what got lost on the way, and adds the calls that never returned to what the kernel side counted.
    pub(super) fn finish_living(
        &mut self,
        end: End,
        counters: &mut [(Counter, u64)],
    ) -> Result<(), KernelError> {
        let Some(heap) = &mut self.living.heap else { return Ok(()) };
        if end != End::TargetsEnded {
            heap.drop_held();
        }
        let n_left = self.living.n_calls_left + self.kernel.forget_calls(|_| true)?;
        for (counter, count) in counters {
            match counter {
                Counter::CallsUnreturned => *count += n_left,
                Counter::LiveFull => *count += heap.n_refused(),
                Counter::FreesLost if *count > 0 => {
                    let (processes, kernel) = (&self.world.processes, &self.kernel);
                    heap.retain(|place| {
                        objects(processes, &[place]).iter().all(|object| kernel.is_live(object))
                    });
                }
                _ => {}
            }
        }
        self.living.ticked_ns = 0;
        self.living.tick(u64::MAX);
        Ok(())
    }
}

fn is_alive(processes: &Processes, id: ImageId) -> bool {
    processes.is_present(id) && processes.image(id).is_some_and(|image| !image.has_ended())
}

fn objects(processes: &Processes, places: &[Place]) -> Vec<LiveObject> {
    let object = |place: &Place| {
        let pid = processes.image(place.image)?.pid;
        Some(LiveObject { pid, address: place.address, since_ns: place.since_ns })
    };
    places.iter().filter_map(object).collect()
}
