//! Where the time of threads went that no sample tells of: short waits, and what was under way at the end. Pure.

use std::collections::HashMap;

use abi::{
    event::Event,
    off_cpu::{BLOCKED, IDLE, N_KINDS, ON_CPU, RUNNABLE, Thread, UNSEEN},
};
use ebpf::off_cpu::{KERNEL_THREAD, Leaving, NO_SYSTEM_CALL};

use crate::{process::ImageId, procfs::system_call::Doing};

/// Of one thread, by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Untold {
    /// Stretches that are over.
    pub over_ns: [u64; N_KINDS],
    /// The one that was not over at the end.
    pub under_way_ns: [u64; N_KINDS],
}

impl Untold {
    /// Adds what another image of the same process has.
    pub fn add(&mut self, other: &Self) {
        let pairs = self.over_ns.iter_mut().zip(other.over_ns);
        for (sum, n_ns) in pairs.chain(self.under_way_ns.iter_mut().zip(other.under_way_ns)) {
            *sum = sum.saturating_add(n_ns);
        }
    }
}

/// Of all threads.
#[derive(Clone, Debug, Default)]
pub struct ThreadTimes {
    by_thread: HashMap<(ImageId, u32), Untold>,
}

impl ThreadTimes {
    /// Takes in what was left to be told of a thread that has ended; gives `false` for any other event.
    pub fn ended(&mut self, event: Event, image: ImageId, tid: u32, n_ns: u64) -> bool {
        let Some(kind) = kind_of_ended(event) else { return false };
        let sum = &mut self.by_thread.entry((image, tid)).or_default().over_ns[kind];
        *sum = sum.saturating_add(n_ns);
        true
    }

    /// Takes in a thread as it stands at the end; of one that has never left or got a CPU, it must be known what it is
    /// `doing`.
    pub fn stands(&mut self, image: ImageId, tid: u32, thread: &Thread, until_ns: u64, doing: Doing) {
        let untold = self.by_thread.entry((image, tid)).or_default();
        for (sum, n_ns) in untold.over_ns.iter_mut().zip(thread.sums_ns) {
            *sum = sum.saturating_add(n_ns);
        }
        let over = &mut untold.over_ns[thread.over_kind as usize % N_KINDS];
        *over = over.saturating_add(thread.over_ns);
        untold.over_ns[RUNNABLE] = untold.over_ns[RUNNABLE].saturating_add(thread.over_runnable_ns);
        let kind = match thread.kind as usize {
            UNSEEN if doing.is_running => ON_CPU,
            UNSEEN => {
                let none = if doing.is_of_kernel { KERNEL_THREAD } else { NO_SYSTEM_CALL };
                let (system_call, second) = (doing.system_call.unwrap_or(none), doing.second);
                Leaving { is_preempted: false, state: 1, system_call, second }.kind()
            }
            kind => kind % N_KINDS,
        };
        let (n_ns, runnable_ns) = thread.parts_ns(kind, until_ns);
        let sums = if kind == ON_CPU { &mut untold.over_ns } else { &mut untold.under_way_ns };
        sums[kind] = sums[kind].saturating_add(n_ns);
        sums[RUNNABLE] = sums[RUNNABLE].saturating_add(runnable_ns);
    }

    /// Every thread that was followed, in no order.
    pub fn all(&self) -> impl Iterator<Item = (ImageId, u32, &Untold)> {
        self.by_thread.iter().map(|((image, tid), untold)| (*image, *tid, untold))
    }
}

/// The kind of time that an event is of, if it is one of a thread that has ended.
#[must_use]
pub fn kind_of_ended(event: Event) -> Option<usize> {
    match event {
        Event::ENDED_ON_CPU => Some(ON_CPU),
        Event::ENDED_BLOCKED => Some(BLOCKED),
        Event::ENDED_IDLE => Some(IDLE),
        Event::ENDED_RUNNABLE => Some(RUNNABLE),
        _ => None,
    }
}

/// The kind of time that a sample is of, if it is of time off the CPU.
#[must_use]
pub fn kind_of(event: Event) -> Option<usize> {
    match event {
        Event::BLOCKED => Some(BLOCKED),
        Event::IDLE => Some(IDLE),
        Event::RUNNABLE => Some(RUNNABLE),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{ThreadTimes, Untold};
    use crate::{process::ImageId, procfs::system_call::Doing};
    use abi::{
        event::Event,
        off_cpu::{BLOCKED, IDLE, ON_CPU, Thread},
    };

    const ASLEEP: Doing = Doing { is_running: false, is_of_kernel: false, system_call: Some(232), second: 0 };

    fn of(thread: Thread, doing: Doing) -> Untold {
        let mut times = ThreadTimes::default();
        times.stands(ImageId::default(), 7, &thread, 1000, doing);
        let all: Vec<Untold> = times.all().map(|(_, _, untold)| *untold).collect();
        assert_eq!(all.len(), 1, "{all:?}");
        all[0]
    }

    #[test]
    fn what_a_thread_does_at_the_end_counts_up_to_the_end() {
        let thread =
            Thread { since_ns: 400, kind: BLOCKED as u32, sums_ns: [5, 6, 7, 8], ..Thread::default() };
        let untold = of(thread, ASLEEP);
        assert_eq!((untold.over_ns, untold.under_way_ns), ([5, 6, 7, 8], [0, 600, 0, 0]));
        let untold = of(Thread { kind: ON_CPU as u32, ..thread }, ASLEEP);
        assert_eq!((untold.over_ns, untold.under_way_ns), ([605, 6, 7, 8], [0; 4]));
        // Its stack could not be walked any more.
        let untold = of(Thread { over_ns: 300, over_kind: BLOCKED as u32, ..thread }, ASLEEP);
        assert_eq!(untold.over_ns, [5, 306, 7, 8]);
    }

    #[test]
    fn a_thread_that_never_moved_ran_or_slept_all_the_time() {
        let thread = Thread::unseen(1, 100);
        assert_eq!(of(thread, ASLEEP).under_way_ns[IDLE], 900);
        let running = Doing { is_running: true, ..ASLEEP };
        assert_eq!(of(thread, running).over_ns[ON_CPU], 900);
        assert_eq!(of(thread, Doing { system_call: Some(0), ..ASLEEP }).under_way_ns[BLOCKED], 900);
    }

    #[test]
    fn only_what_a_thread_left_behind_is_taken_in() {
        let mut times = ThreadTimes::default();
        assert!(times.ended(Event::ENDED_IDLE, ImageId::default(), 7, 5));
        assert!(times.ended(Event::ENDED_IDLE, ImageId::default(), 7, 6));
        assert!(!times.ended(Event::BLOCKED, ImageId::default(), 7, 7));
        let sums: Vec<_> = times.all().map(|(_, tid, untold)| (tid, untold.over_ns)).collect();
        assert_eq!(sums, [(7, [0, 0, 11, 0])]);
    }
}
