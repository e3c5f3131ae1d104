//! How soon the stacks of a process are whole: of each that begins while it is recorded, and of the recording itself.

use std::{collections::HashMap, time::Duration};

use crate::process::ImageId;

/// What is kept of one image.
#[derive(Clone, Copy, Debug)]
struct Beginning {
    first_sample_ns: u64,
    is_first_whole: bool,
    first_whole_ns: Option<u64>,
}

/// The first samples of all images.
#[derive(Debug, Default)]
pub(super) struct Beginnings {
    /// When sampling began.
    began_ns: u64,
    images: HashMap<ImageId, Beginning>,
    first_whole_ns: Option<u64>,
}

/// The sum of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FirstStacks {
    /// From the start of sampling to the first whole stack of any process; `None` if there was none.
    pub until_first_whole: Option<Duration>,
    /// Images that began while they were recorded and have a user stack in some sample.
    pub n_images: u64,
    /// Of these, those whose first user stack is whole.
    pub n_whole_at_once: u64,
    /// Of these, those that have no whole stack at all.
    pub n_never_whole: u64,
    /// Where the first user stack is not whole, from it to the first that is: half of them sooner.
    pub median: Option<Duration>,
    /// The longest of those times.
    pub longest: Option<Duration>,
}

impl Beginnings {
    /// Forgets what was before sampling.
    pub(super) fn start(&mut self, now_ns: u64) {
        *self = Self { began_ns: now_ns, ..Self::default() };
    }

    /// Takes in a sample with a user stack, in whatever order.
    pub(super) fn note(&mut self, image: ImageId, since_ns: u64, time_ns: u64, is_whole: bool) {
        let earlier = |old: Option<u64>| Some(old.map_or(time_ns, |old| old.min(time_ns)));
        if is_whole {
            self.first_whole_ns = earlier(self.first_whole_ns);
        }
        // What ran before has no first sample of its own.
        if since_ns <= self.began_ns {
            return;
        }
        let first = Beginning { first_sample_ns: time_ns, is_first_whole: is_whole, first_whole_ns: None };
        let beginning = self.images.entry(image).or_insert(first);
        if time_ns < beginning.first_sample_ns {
            (beginning.first_sample_ns, beginning.is_first_whole) = (time_ns, is_whole);
        }
        if is_whole {
            beginning.first_whole_ns = earlier(beginning.first_whole_ns);
        }
    }

    /// Forgets an image; what it was like stays in no sum.
    pub(super) fn forget(&mut self, image: ImageId) {
        self.images.remove(&image);
    }

    pub(super) fn sum(&self) -> FirstStacks {
        let since = |from_ns: u64, to_ns: u64| Duration::from_nanos(to_ns.saturating_sub(from_ns));
        let count = |is: fn(&&Beginning) -> bool| self.images.values().filter(is).count() as u64;
        let late = self.images.values().filter(|it| !it.is_first_whole);
        let mut times: Vec<Duration> =
            late.filter_map(|it| Some(since(it.first_sample_ns, it.first_whole_ns?))).collect();
        times.sort_unstable();
        FirstStacks {
            until_first_whole: self.first_whole_ns.map(|first_ns| since(self.began_ns, first_ns)),
            n_images: self.images.len() as u64,
            n_whole_at_once: count(|it| it.is_first_whole),
            n_never_whole: count(|it| it.first_whole_ns.is_none()),
            median: times.get(times.len() / 2).copied(),
            longest: times.last().copied(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Beginnings, FirstStacks};
    use crate::process::{Interest, Processes, Snapshot};
    use std::time::Duration;

    #[test]
    fn each_image_is_judged_by_its_earliest_sample_and_old_ones_are_not() {
        let mut processes = Processes::new(Interest::default());
        let mut image = |pid| processes.insert(Snapshot { pid, ..Snapshot::default() }, 0, &mut Vec::new());
        let (old, at_once, later, never) = (image(1), image(2), image(3), image(4));
        let mut beginnings = Beginnings::default();
        beginnings.start(1000);
        for (image, since_ns, time_ns, is_whole) in [
            (old, 900, 1005, true),
            (at_once, 1100, 1150, false),
            (at_once, 1100, 1120, true), // came later, and is earlier
            (later, 1200, 1210, false),
            (later, 1200, 1290, true),
            (later, 1200, 1300, true),
            (never, 1300, 1310, false),
        ] {
            beginnings.note(image, since_ns, time_ns, is_whole);
        }
        let ns = |ns| Some(Duration::from_nanos(ns));
        let expected = FirstStacks {
            until_first_whole: ns(5),
            n_images: 3,
            n_whole_at_once: 1,
            n_never_whole: 1,
            median: ns(80),
            longest: ns(80),
        };
        assert_eq!(beginnings.sum(), expected);
    }
}
