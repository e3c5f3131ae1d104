//! Samples whose stacks crossed unwalked, until they can be walked.

use std::collections::HashMap;

use abi::sample::{Sample, UNREPEATED_STACK};

use crate::{
    decode::{Capture, RawStack},
    kernel::Kernel,
    late_walk,
    process::{FileId, ImageId, Mappings},
};

/// Samples that may wait for the unwind table of a file; each holds up to 16 KiB. What is past it stays cut.
const MAX_WAITING: usize = 1024;

/// Stacks that may wait for their samples, which follow them at once unless the ring is full.
const MAX_ARRIVED: usize = 1024;

/// A sample, what its process had mapped at that moment, and the stack.
pub(super) struct Waiting {
    pub(super) sample: Sample,
    pub(super) image: ImageId,
    pub(super) mappings: Mappings,
    capture: Capture,
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
    /// Arrived before their samples.
    captures: HashMap<u64, Capture>,
    waiting: Vec<Waiting>,
    /// Stacks that waited too long for their samples.
    pub(super) n_dropped: u64,
    /// Stacks walked by the agent.
    pub(super) n_walked: u64,
}

impl Late {
    /// Takes in a stack; its sample follows it in the ring. Those whose samples were lost there (and are counted as
    /// such) make room in the end.
    pub(super) fn add(&mut self, capture: Capture) {
        if self.captures.len() >= MAX_ARRIVED {
            self.n_dropped += self.captures.len() as u64;
            self.captures.clear();
        }
        self.captures.insert(capture.id, capture);
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
        mappings: &Mappings,
        kernel: &Kernel,
    ) -> Taken {
        let Some(capture) = self.captures.remove(&(sample.user_stack & !UNREPEATED_STACK)) else {
            return Taken::ByKernel;
        };
        let (stack, missing) =
            late_walk::walk(&capture, mappings, |file, offset| kernel.rule_of(file, offset));
        if let Some(file) = missing.filter(|_| self.waiting.len() < MAX_WAITING) {
            self.waiting.push(Waiting { sample: *sample, image, mappings: mappings.clone(), capture });
            return Taken::Waits(file);
        }
        self.n_walked += 1;
        Taken::Walked(stack)
    }

    /// Those that can be walked now; all that are left, if nothing more will become known.
    pub(super) fn take_ready(&mut self, kernel: &Kernel, is_last: bool) -> Vec<(Waiting, RawStack)> {
        let mut ready = Vec::new();
        for it in std::mem::take(&mut self.waiting) {
            let (stack, missing) =
                late_walk::walk(&it.capture, &it.mappings, |file, offset| kernel.rule_of(file, offset));
            if missing.is_some() && !is_last {
                self.waiting.push(it);
            } else {
                ready.push((it, stack));
            }
        }
        self.n_walked += ready.len() as u64;
        ready
    }
}
