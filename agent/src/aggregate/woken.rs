//! Who ends the waits of threads. Pure.

use std::sync::Arc;

use abi::{
    event::Event,
    limits::MAX_THREADS,
    sample::{Sample, UNREPEATED_STACK},
};

use super::{Aggregate, StackIndex};

/// Who ended a wait, and where in the kernel.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Waker {
    /// Of the thread that had the CPU.
    pub name: Arc<str>,
    /// Into [`Aggregate::kernel_stacks`].
    pub kernel: Option<StackIndex>,
}

impl Aggregate {
    /// Takes in who ends the wait of the sample's thread. The sample of that wait is still to come.
    pub fn add_waker(&mut self, sample: &Sample, name: Arc<str>) {
        let kernel = self.arrived.kernel(sample.kernel_stack & !UNREPEATED_STACK, &mut self.kernel_stacks);
        if sample.kernel_stack & UNREPEATED_STACK != 0 {
            self.arrived.remove_kernel(sample.kernel_stack & !UNREPEATED_STACK);
        }
        // The kernel side follows no more threads than that.
        if self.woken.len() >= MAX_THREADS as usize {
            self.woken.clear();
        }
        self.woken.insert(sample.tid, self.wakers.intern(Waker { name, kernel }));
    }

    /// Everybody who ended a wait.
    #[must_use]
    pub fn wakers(&self) -> &[Arc<Waker>] {
        &self.wakers.values
    }

    /// Who ended the wait that a sample tells of.
    pub(super) fn waker_of(&mut self, sample: &Sample) -> Option<StackIndex> {
        match sample.event {
            Event::BLOCKED | Event::IDLE => self.woken.remove(&sample.tid),
            _ => None,
        }
    }

    /// The same waker as one of another.
    pub(super) fn share_waker(&mut self, other: &Self, waker: StackIndex) -> Option<StackIndex> {
        let waker = other.wakers.values.get(waker as usize)?;
        let kernel = waker.kernel.and_then(|index| other.kernel_stacks.values.get(index as usize));
        let kernel = kernel.map(|stack| self.kernel_stacks.share(stack));
        Some(self.wakers.intern(Waker { name: Arc::clone(&waker.name), kernel }))
    }
}

#[cfg(test)]
mod tests {
    use abi::{
        event::Event,
        fault::Fault,
        sample::{KIND_SAMPLE, NO_STACK, Sample},
    };

    use super::Aggregate;
    use crate::{
        aggregate::{Waker, tests::processes},
        decode::RawStack,
        estimate::Estimate,
    };

    fn sample(event: Event, tid: u32, kernel_stack: u64) -> Sample {
        Sample {
            kind: KIND_SAMPLE,
            cpu: 0,
            event,
            time_ns: 9,
            tgid: 1,
            tid,
            user_stack: NO_STACK,
            kernel_stack,
            weight: 1,
            context: 0,
        }
    }

    #[test]
    fn a_wait_has_the_waker_that_came_before_it_and_the_next_has_none() {
        let (mut aggregate, processes) = (Aggregate::default(), processes());
        let image_id = processes.image_at(1, 9).expect("an image");
        let image = processes.image(image_id).expect("an image");
        for id in [7, 8] {
            let words = vec![0xffff_ffff_8100_0000 + id];
            aggregate.add_kernel_stack(RawStack {
                id,
                fault: Fault::COMPLETE,
                has_frame_pointer_steps: false,
                words,
            });
        }
        aggregate.add_waker(&sample(Event::WOKEN, 1, 7), "redis".into());
        aggregate.add_waker(&sample(Event::WOKEN, 2, 7), "php".into());
        for (event, tid) in [(Event::RUNNABLE, 1), (Event::BLOCKED, 1), (Event::BLOCKED, 1), (Event::IDLE, 2)]
        {
            let sample = sample(event, tid, 8);
            aggregate.add(&sample, None, Estimate::whole(1), image_id, &image.mappings, processes.files());
        }
        let part = aggregate.part(|_| true);
        for counted in [&aggregate, &part] {
            let mut found: Vec<_> = counted
                .counted()
                .map(|(key, _)| {
                    let waker = key.waker.and_then(|index| counted.wakers().get(index as usize));
                    let stack =
                        |it: &Waker| Some(counted.kernel_stacks().get(it.kernel? as usize)?.addresses[0]);
                    (key.event, key.tid, waker.map(|it| it.name.to_string()), waker.and_then(|it| stack(it)))
                })
                .collect();
            found.sort_unstable();
            let at = Some(0xffff_ffff_8100_0007);
            assert_eq!(
                found,
                [
                    (Event::BLOCKED, 1, None, None),
                    (Event::BLOCKED, 1, Some("redis".to_owned()), at),
                    (Event::IDLE, 2, Some("php".to_owned()), at),
                    (Event::RUNNABLE, 1, None, None),
                ]
            );
        }
    }
}
