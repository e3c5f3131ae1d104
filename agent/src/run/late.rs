//! Samples whose stacks crossed unwalked, until they can be walked.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use abi::{
    sample::{Sample, UNREPEATED_STACK},
    unwind::UnwindRule,
};

use crate::{
    decode::{Capture, RawStack},
    late_walk,
    process::{FileId, ImageId, Mappings},
    requests::Whose,
};

/// Samples that may wait for the unwind table of a file; each holds up to 16 KiB. What is past it stays cut.
const MAX_WAITING: usize = 1024;

/// For so long, as a table that is in use keeps its place: one for which there was no room by then may find none.
const MAX_WAIT: Duration = Duration::from_secs(10);

/// Stacks that may wait for their samples, which follow them at once unless the ring is full.
const MAX_ARRIVED: usize = 1024;

/// A sample, what its process had mapped at that moment, and the stack.
pub(super) struct Waiting {
    pub(super) sample: Sample,
    pub(super) image: ImageId,
    pub(super) mappings: Arc<Mappings>,
    /// What its thread was busy with.
    pub(super) whose: Option<Whose>,
    capture: Capture,
    since: Instant,
}

/// What has become of the stack of a sample.
pub(super) enum Taken {
    /// The kernel side walked it.
    ByKernel,
    /// The agent did.
    Walked(RawStack),
    /// It waits, with its sample, for the unwind table of a file.
    Waits(FileId),
}

/// Captures on their way.
#[derive(Default)]
pub(super) struct Late {
    /// Arrived before their samples, and how many had arrived by then.
    arrived: HashMap<u64, (u64, Capture)>,
    n_arrived: u64,
    /// Their samples have been read, and are not counted yet.
    paired: HashMap<u64, Capture>,
    waiting: Vec<Waiting>,
    /// A table was written since those that wait were walked.
    has_new_table: bool,
    /// Stacks whose samples did not come.
    pub(super) n_dropped: u64,
    /// Stacks walked to their end by the agent.
    pub(super) n_walked: u64,
    /// Stacks that the agent could not walk to their end.
    pub(super) n_cut: u64,
}

impl Late {
    /// Takes in a stack; its sample follows it in the ring. Those whose samples were lost there (and are counted as
    /// such) make room in the end, the oldest first.
    pub(super) fn add(&mut self, capture: Capture) {
        if self.arrived.len() >= MAX_ARRIVED
            && let Some(oldest) =
                self.arrived.iter().min_by_key(|(_, (number, _))| *number).map(|(id, _)| *id)
        {
            self.arrived.remove(&oldest);
            self.n_dropped += 1;
        }
        self.n_arrived += 1;
        self.arrived.insert(capture.id, (self.n_arrived, capture));
    }

    /// A sample has been read: its stack no longer waits for it.
    pub(super) fn pair(&mut self, sample: &Sample) {
        if let Some((_, capture)) = self.arrived.remove(&id_of(sample)) {
            self.paired.insert(capture.id, capture);
        }
    }

    /// A sample is not counted, for another reason.
    pub(super) fn forget(&mut self, sample: &Sample) {
        self.paired.remove(&id_of(sample));
    }

    /// Those that wait can be walked further.
    pub(super) fn table_written(&mut self) {
        self.has_new_table = true;
    }

    /// Images that samples wait for.
    pub(super) fn images(&self) -> impl Iterator<Item = ImageId> {
        self.waiting.iter().map(|it| it.image)
    }

    /// Walks the stack of a sample if it crossed unwalked.
    pub(super) fn take(
        &mut self,
        sample: &Sample,
        image: ImageId,
        mappings: &Arc<Mappings>,
        rule_of: impl Fn(FileId, u64) -> UnwindRule,
    ) -> Taken {
        let Some(capture) = self.paired.remove(&id_of(sample)) else { return Taken::ByKernel };
        let (stack, missing) = late_walk::walk(&capture, mappings, rule_of);
        if let Some(file) = missing.filter(|_| self.waiting.len() < MAX_WAITING) {
            let mappings = Arc::clone(mappings);
            let since = Instant::now();
            self.waiting.push(Waiting { sample: *sample, image, mappings, whose: None, capture, since });
            return Taken::Waits(file);
        }
        self.note(&stack);
        Taken::Walked(stack)
    }

    /// The sample that has begun to wait just now is of this request.
    pub(super) fn is_for(&mut self, whose: Option<Whose>) {
        if let Some(last) = self.waiting.last_mut() {
            last.whose = whose;
        }
    }

    /// Those that can be walked now, and those that have waited long enough; all that are left, if nothing more will
    /// become known.
    pub(super) fn take_ready(
        &mut self,
        rule_of: impl Fn(FileId, u64) -> UnwindRule,
        now: Instant,
        is_last: bool,
    ) -> Vec<(Waiting, RawStack)> {
        let has_waited = |it: &Waiting| is_last || now.saturating_duration_since(it.since) >= MAX_WAIT;
        // The first has waited the longest.
        let is_any_over = self.waiting.first().is_some_and(has_waited);
        if !std::mem::take(&mut self.has_new_table) && !is_any_over {
            return Vec::new();
        }
        let mut ready = Vec::new();
        for it in std::mem::take(&mut self.waiting) {
            let (stack, missing) = late_walk::walk(&it.capture, &it.mappings, &rule_of);
            if missing.is_some() && !has_waited(&it) {
                self.waiting.push(it);
            } else {
                self.note(&stack);
                ready.push((it, stack));
            }
        }
        ready
    }

    fn note(&mut self, stack: &RawStack) {
        let count = if stack.fault.is_complete() { &mut self.n_walked } else { &mut self.n_cut };
        *count += 1;
    }
}

fn id_of(sample: &Sample) -> u64 {
    sample.user_stack & !UNREPEATED_STACK
}

#[cfg(test)]
mod tests {
    use std::{
        cell::Cell,
        sync::Arc,
        time::{Duration, Instant},
    };

    use abi::{
        event::Event,
        sample::{KIND_SAMPLE, NO_STACK, Sample, UNREPEATED_STACK},
        unwind::{CFA_ROOT, RSP, UnwindRule},
    };

    use super::{Late, MAX_ARRIVED, MAX_WAIT, Taken};
    use crate::{
        decode::{Capture, MappedRegion},
        process::{ImageId, Interest, Mappings, Processes, Snapshot},
    };

    const CODE: u64 = 0x40_0000;

    /// A process with one mapping of a file.
    fn image() -> (ImageId, Arc<Mappings>) {
        let region = MappedRegion {
            start: CODE,
            end: CODE + 0x1000,
            file_offset: 0,
            device: (8, 1),
            inode: 7,
            path: "/bin/x".into(),
        };
        let mut processes = Processes::new(Interest::default());
        let snapshot = Snapshot { pid: 1, regions: vec![region], ..Snapshot::default() };
        let id = processes.insert(snapshot, 0, &mut Vec::new());
        (id, Arc::clone(&processes.image(id).expect("inserted").mappings))
    }

    fn capture(id: u64) -> Capture {
        let mut registers = [0; 16];
        registers[usize::from(RSP)] = 0x7000;
        Capture { id, ip: CODE + 0x10, registers, words: vec![0] }
    }

    fn sample(id: u64) -> Sample {
        Sample {
            kind: KIND_SAMPLE,
            cpu: 0,
            event: Event::CPU,
            time_ns: 0,
            tgid: 1,
            tid: 1,
            user_stack: id | UNREPEATED_STACK,
            kernel_stack: NO_STACK,
            weight: 1,
            context: 0,
        }
    }

    #[test]
    fn of_more_stacks_than_may_wait_for_their_samples_only_those_without_one_go_oldest_first() {
        let (image, mappings) = image();
        let mut late = Late::default();
        for id in 0..2 * MAX_ARRIVED as u64 {
            late.add(capture(2 * id));
            late.pair(&sample(2 * id));
            late.add(capture(2 * id + 1));
        }
        assert_eq!((late.n_dropped, late.arrived.len()), (MAX_ARRIVED as u64, MAX_ARRIVED));
        let root = UnwindRule { cfa: CFA_ROOT, ..UnwindRule::NONE };
        let mut is_walked = |id| {
            late.pair(&sample(id));
            matches!(late.take(&sample(id), image, &mappings, |_, _| root), Taken::Walked(_))
        };
        assert!(
            (0..2 * MAX_ARRIVED as u64).all(|id| is_walked(2 * id)),
            "a stack whose sample was read is gone"
        );
        let newest = 4 * MAX_ARRIVED as u64 - 1;
        assert_eq!([is_walked(1), is_walked(newest)], [false, true]);
    }

    #[test]
    fn what_waits_is_walked_again_only_for_a_new_table_and_not_for_ever() {
        let (image, mappings) = image();
        let mut late = Late::default();
        let n_asked = Cell::new(0);
        let pending = |_, _| {
            n_asked.set(n_asked.get() + 1);
            UnwindRule::PENDING
        };
        for id in [1, 2] {
            late.add(capture(id));
            late.pair(&sample(id));
            assert!(matches!(late.take(&sample(id), image, &mappings, pending), Taken::Waits(_)));
        }
        let shared = Arc::strong_count(&mappings);
        assert_eq!((n_asked.replace(0), shared), (2, 3), "mappings are shared, not copied");
        let now = Instant::now();
        assert_eq!((late.take_ready(pending, now, false).len(), n_asked.get()), (0, 0));
        late.table_written();
        assert_eq!((late.take_ready(pending, now, false).len(), n_asked.replace(0)), (0, 2));
        assert_eq!((late.take_ready(pending, now, false).len(), n_asked.get()), (0, 0));
        let over = late.take_ready(pending, now + MAX_WAIT + Duration::from_secs(1), false);
        assert_eq!((over.len(), late.waiting.len()), (2, 0));
        assert_eq!((late.n_walked, late.n_cut), (0, 2), "cut is not walked");
    }
}
