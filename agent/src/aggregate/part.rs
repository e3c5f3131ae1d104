//! Parts of what was counted, with the stacks that they need and no others; and a count that begins anew.

use std::collections::HashMap;

use super::{Aggregate, Counted, Key};

/// Distinct stacks that are kept in any case, user and kernel; some hundred bytes each.
const FEW_STACKS: usize = 2048;
/// Above them, as many are kept for each that a window needed.
const KEPT_PER_SAMPLED: usize = 4;

impl Aggregate {
    /// What was counted of some keys.
    #[must_use]
    pub fn part(&self, is_wanted: impl Fn(&Key) -> bool) -> Self {
        self.part_of(&self.counted, is_wanted)
    }

    /// What was counted of long iterations of event loops.
    #[must_use]
    pub fn stalled(&self) -> Self {
        self.part_of(&self.stalled, |_| true)
    }

    fn part_of(&self, counted: &HashMap<Key, Counted>, is_wanted: impl Fn(&Key) -> bool) -> Self {
        let mut part = Self::default();
        for (key, counted) in counted.iter().filter(|(key, _)| is_wanted(key)) {
            let user = key.user.and_then(|index| self.user_stacks.values.get(index as usize));
            let kernel = key.kernel.and_then(|index| self.kernel_stacks.values.get(index as usize));
            let key = Key {
                user: user.map(|stack| part.user_stacks.share(stack)),
                kernel: kernel.map(|stack| part.kernel_stacks.share(stack)),
                waker: key.waker.and_then(|waker| part.share_waker(self, waker)),
                ..*key
            };
            let sum = part.counted.entry(key).or_default();
            sum.n_samples += counted.n_samples;
            sum.n_events += counted.n_events;
            sum.weight = sum.weight.saturating_add(counted.weight);
            sum.variance += counted.variance;
            part.n_samples += counted.n_samples;
        }
        part
    }

    /// Hands over what was counted since the last call. Stacks that are known stay known.
    #[must_use]
    pub fn cut(&mut self) -> Self {
        let part = self.part(|_| true);
        self.n_stacks_cut = part.user_stacks.values.len() + part.kernel_stacks.values.len();
        self.arrived.note_cut();
        self.stalled.clear();
        self.counted.clear();
        self.counted.shrink_to(2 * part.counted.len());
        part
    }

    /// Whether it is time to [forget](Self::forget_stacks) stacks: many more are kept than are sampled. Each that is
    /// sampled again crosses once more, so that it is not done for less.
    #[must_use]
    pub fn has_many_stacks(&self) -> bool {
        let kept = self.user_stacks.values.len() + self.kernel_stacks.values.len();
        kept.max(self.arrived.len()) > FEW_STACKS.max(KEPT_PER_SAMPLED * self.n_stacks_cut)
    }

    /// Forgets all stacks, right after a [cut](Self::cut). The kernel side must have been told to send them again.
    pub fn forget_stacks(&mut self) {
        debug_assert!(self.counted.is_empty(), "{} counted keys refer to stacks", self.counted.len());
        self.last_uses_ns = self.last_uses_ns();
        self.arrived.forget(&self.user_stacks, &self.kernel_stacks);
        self.user_stacks = Default::default();
        self.kernel_stacks = Default::default();
        self.wakers = Default::default();
        self.woken.clear();
        self.last_sampled_ns.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::{Aggregate, FEW_STACKS};
    use crate::aggregate::tests::{add_at, processes, stack};
    use abi::frame::PackedFrame;

    fn n_samples(aggregate: &Aggregate) -> u64 {
        aggregate.counted().map(|(_, counted)| counted.n_samples).sum()
    }

    #[test]
    fn each_window_has_its_own_samples_and_the_stacks_of_those() {
        let (mut aggregate, processes) = (Aggregate::default(), processes());
        for id in 1..=3 {
            aggregate.add_user_stack(stack(id, &[PackedFrame::file(1, 0x400 + id)]));
        }
        for (tgid, id) in [(1, 1), (1, 1), (2, 2)] {
            add_at(&mut aggregate, &processes, tgid, id, 9);
        }
        let first = aggregate.cut();
        add_at(&mut aggregate, &processes, 2, 2, 10);
        add_at(&mut aggregate, &processes, 2, 3, 10);
        let second = aggregate.cut();
        let seen = [&first, &second].map(|window| (n_samples(window), window.user_stacks().len()));
        assert_eq!(seen, [(3, 2), (2, 2)]);
        assert_eq!((n_samples(&aggregate), aggregate.n_samples(), aggregate.n_stacks_missing()), (0, 5, 0));

        let image = processes.image_at(1, 9).expect("an image");
        let part = first.part(|key| key.image == image);
        assert_eq!((n_samples(&part), part.n_samples(), part.user_stacks().len()), (2, 2, 1));
        let is_shared = |stack| first.user_stacks().iter().any(|it| std::sync::Arc::ptr_eq(it, stack));
        assert!(part.user_stacks().iter().all(is_shared), "a stack was copied");
    }

    #[test]
    fn stacks_that_are_forgotten_come_again_and_those_on_their_way_are_known() {
        let (mut aggregate, processes) = (Aggregate::default(), processes());
        for id in 0..=FEW_STACKS as u64 {
            aggregate.add_user_stack(stack(id + 1, &[PackedFrame::file(1, 0x400 + id)]));
        }
        add_at(&mut aggregate, &processes, 1, 1, 9);
        let _ = aggregate.cut();
        assert!(aggregate.has_many_stacks());
        let file = processes.files().by_number(1).expect("the file");
        aggregate.forget_stacks();
        assert_eq!(aggregate.last_uses_ns().get(&file), Some(&9));
        // Two that were under way: of a stack that was asked for before, and of one that was not.
        add_at(&mut aggregate, &processes, 1, 1, 10);
        add_at(&mut aggregate, &processes, 1, 2, 10);
        aggregate.add_user_stack(stack(1 << 20, &[PackedFrame::file(1, 0x300)]));
        add_at(&mut aggregate, &processes, 1, 1 << 20, 10);
        assert!(!aggregate.has_many_stacks());
        let window = aggregate.cut();
        assert_eq!((n_samples(&window), window.user_stacks().len()), (3, 3));
        assert_eq!(aggregate.n_stacks_missing(), 0);
        // After another window nothing is on its way.
        let _ = aggregate.cut();
        add_at(&mut aggregate, &processes, 1, 3, 10);
        assert_eq!(aggregate.n_stacks_missing(), 1);
    }

    #[test]
    fn stacks_of_which_each_window_needs_many_are_kept() {
        let (mut aggregate, processes) = (Aggregate::default(), processes());
        for id in 1..=4 * FEW_STACKS as u64 {
            aggregate.add_user_stack(stack(id, &[PackedFrame::file(1, 0x400 + id)]));
            add_at(&mut aggregate, &processes, 1, id, 9);
        }
        let _ = aggregate.cut();
        assert!(!aggregate.has_many_stacks());
        let _ = aggregate.cut();
        assert!(aggregate.has_many_stacks());
    }
}
