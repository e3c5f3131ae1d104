//! Which samples fell into iterations of event loops that took long. Pure.
//!
//! A sample carries when the iteration began in which it was taken. Whether that iteration takes long is known when it is
//! over: until then, its samples are held.

use std::collections::HashMap;

use abi::event::Event;

use crate::aggregate::Key;

/// Samples of one iteration that are held, at most: those of ten seconds at 99 Hz. What is past it is left out, and the
/// others stand for it.
const MAX_HELD: usize = 1024;

/// The samples of an iteration.
#[derive(Debug)]
struct Held {
    /// When it began.
    since_ns: u64,
    /// What was sampled, and how long the thread was off the CPU; `None` for a sample of CPU time.
    samples: Vec<(Key, Option<u64>)>,
}

/// The iterations under way, by thread.
#[derive(Debug, Default)]
pub struct Stalls {
    held: HashMap<u32, Held>,
}

impl Stalls {
    /// Takes in a sample that was taken in the iteration that began at `since_ns`; 0 for none.
    pub fn sample(&mut self, key: Key, since_ns: u64, weight: u64) {
        if since_ns == 0 {
            return;
        }
        let held = self.held.entry(key.tid).or_insert_with(|| Held { since_ns, samples: Vec::new() });
        if held.since_ns != since_ns {
            held.since_ns = since_ns;
            held.samples.clear();
        }
        if held.samples.len() < MAX_HELD {
            held.samples.push((key, (key.event != Event::CPU).then_some(weight)));
        }
    }

    /// An iteration took `n_ns`: shares that time out among its samples. Time off the CPU was measured; the rest is that of the
    /// samples of CPU time, in equal parts, or of `nobody`, if there are none.
    pub fn stalled(&mut self, nobody: Key, since_ns: u64, n_ns: u64) -> Vec<(Key, u64)> {
        let held = self.held.remove(&nobody.tid).filter(|held| held.since_ns == since_ns);
        let samples = held.map(|held| held.samples).unwrap_or_default();
        let mut left_ns = n_ns;
        let mut shares = Vec::with_capacity(samples.len() + 1);
        for (key, off_cpu_ns) in &samples {
            if let Some(off_cpu_ns) = off_cpu_ns {
                let share_ns = left_ns.min(*off_cpu_ns);
                left_ns -= share_ns;
                shares.push((*key, share_ns));
            }
        }
        let on_cpu = || samples.iter().filter(|(_, off_cpu_ns)| off_cpu_ns.is_none());
        match u64::try_from(on_cpu().count()).unwrap_or(u64::MAX) {
            0 if left_ns > 0 => shares.push((nobody, left_ns)),
            0 => {}
            n_samples => {
                // What does not divide is the first one's.
                let rest_ns = left_ns % n_samples;
                let share_ns = |index: usize| left_ns / n_samples + if index == 0 { rest_ns } else { 0 };
                shares.extend(on_cpu().enumerate().map(|(index, (key, _))| (*key, share_ns(index))));
            }
        }
        shares
    }
}

#[cfg(test)]
mod tests {
    use super::{MAX_HELD, Stalls};
    use crate::{aggregate::Key, process::ImageId};
    use abi::event::Event;

    fn key(event: Event, user: u32) -> Key {
        Key {
            event,
            image: ImageId::default(),
            tid: 7,
            user: Some(user),
            kernel: None,
            waker: None,
            route: None,
        }
    }

    fn nobody() -> Key {
        Key { user: None, ..key(Event::STALLED, 0) }
    }

    #[test]
    fn the_time_of_an_iteration_is_shared_out_among_its_samples() {
        let mut stalls = Stalls::default();
        stalls.sample(key(Event::CPU, 1), 100, 1);
        stalls.sample(key(Event::BLOCKED, 2), 100, 30);
        stalls.sample(key(Event::CPU, 3), 100, 1);
        let shares = stalls.stalled(nobody(), 100, 51);
        let expected = [(key(Event::BLOCKED, 2), 30), (key(Event::CPU, 1), 11), (key(Event::CPU, 3), 10)];
        assert_eq!(shares, expected);
        assert_eq!(stalls.stalled(nobody(), 100, 51), [(nobody(), 51)], "they are gone");
    }

    #[test]
    fn samples_of_an_iteration_that_was_short_count_for_nothing() {
        let mut stalls = Stalls::default();
        stalls.sample(key(Event::CPU, 1), 100, 1);
        stalls.sample(key(Event::CPU, 2), 0, 1);
        stalls.sample(key(Event::CPU, 3), 200, 1);
        assert_eq!(stalls.stalled(nobody(), 200, 20), [(key(Event::CPU, 3), 20)]);
        stalls.sample(key(Event::CPU, 1), 300, 1);
        assert_eq!(stalls.stalled(nobody(), 400, 20), [(nobody(), 20)]);
    }

    #[test]
    fn no_iteration_holds_more_than_the_limit_and_no_time_is_shared_out_twice() {
        let mut stalls = Stalls::default();
        for _ in 0..2 * MAX_HELD {
            stalls.sample(key(Event::BLOCKED, 1), 100, u64::MAX);
        }
        let shares = stalls.stalled(nobody(), 100, 1000);
        assert_eq!((shares.len(), shares.iter().map(|(_, ns)| ns).sum::<u64>()), (MAX_HELD, 1000));
    }
}
