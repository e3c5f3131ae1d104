//! What crossed once and is referred to by its ID from then on, until the kernel side sends everything anew.

use std::{collections::HashMap, sync::Arc};

use super::{Interned, KernelStack, StackIndex, UserStack};
use crate::{decode::RawStack, process::ImageId};

/// Cuts after which no sample can be on its way any more that was taken before stacks were forgotten.
const N_CUTS_REMEMBERED: u32 = 2;

/// A stack without absolute frames is the same whatever the image, and stands under `None`.
type UserId = (u64, Option<ImageId>);

/// What IDs stand for. A stack is here either as it crossed or as it was resolved, mostly.
#[derive(Debug, Default)]
pub(super) struct Arrived {
    /// As they crossed: those that no sample has asked for yet, and those that mean something else in each image.
    raw: HashMap<u64, RawStack>,
    user: HashMap<UserId, StackIndex>,
    kernel: HashMap<u64, StackIndex>,
    before: Before,
}

/// Under the IDs from before the last time that stacks were forgotten: samples of them may be on their way.
#[derive(Debug, Default)]
struct Before {
    raw: HashMap<u64, RawStack>,
    user: HashMap<UserId, Arc<UserStack>>,
    kernel: HashMap<u64, Arc<KernelStack>>,
    n_cuts: u32,
}

impl Arrived {
    pub(super) fn insert_user(&mut self, stack: RawStack) {
        self.raw.insert(stack.id, stack);
    }

    pub(super) fn insert_kernel(&mut self, id: u64, stack: StackIndex) {
        self.kernel.insert(id, stack);
    }

    /// The user stack that an ID stands for in an image; one that is asked for the first time is resolved.
    pub(super) fn user(
        &mut self,
        id: u64,
        image: ImageId,
        stacks: &mut Interned<UserStack>,
        resolve: impl FnOnce(&RawStack) -> UserStack,
    ) -> Option<StackIndex> {
        let ids = [(id, None), (id, Some(image))];
        if let Some(index) = ids.iter().find_map(|id| self.user.get(id)) {
            return Some(*index);
        }
        if let Some((id, stack)) = ids.into_iter().find_map(|id| Some((id, self.before.user.get(&id)?))) {
            let index = stacks.share(stack);
            self.user.insert(id, index);
            return Some(index);
        }
        let raw = self.raw.get(&id).or_else(|| self.before.raw.get(&id))?;
        let index = stacks.intern(resolve(raw));
        let is_portable = raw.is_portable();
        if is_portable {
            self.raw.remove(&id);
        }
        self.user.insert((id, (!is_portable).then_some(image)), index);
        Some(index)
    }

    /// The kernel stack that an ID stands for.
    pub(super) fn kernel(&mut self, id: u64, stacks: &mut Interned<KernelStack>) -> Option<StackIndex> {
        if let Some(index) = self.kernel.get(&id) {
            return Some(*index);
        }
        let index = stacks.share(self.before.kernel.get(&id)?);
        self.kernel.insert(id, index);
        Some(index)
    }

    /// Forgets an ID that no other sample will have.
    pub(super) fn remove_user(&mut self, id: u64, image: ImageId) {
        self.raw.remove(&id);
        self.user.remove(&(id, None));
        self.user.remove(&(id, Some(image)));
    }

    /// Forgets an ID that no other sample will have.
    pub(super) fn remove_kernel(&mut self, id: u64) {
        self.kernel.remove(&id);
    }

    /// How many stacks are here.
    pub(super) fn len(&self) -> usize {
        self.raw.len() + self.user.len() + self.kernel.len()
    }

    /// Has IDs stand for what they did for a while, but not for good; what they stood for before that is gone.
    pub(super) fn forget(&mut self, users: &Interned<UserStack>, kernels: &Interned<KernelStack>) {
        let Self { raw, user, kernel, .. } = std::mem::take(self);
        let user = user.into_iter().filter_map(|(id, index)| Some((id, users.get(index)?))).collect();
        let kernel = kernel.into_iter().filter_map(|(id, index)| Some((id, kernels.get(index)?))).collect();
        self.before = Before { raw, user, kernel, n_cuts: 0 };
    }

    /// Notes that a window is over.
    pub(super) fn note_cut(&mut self) {
        self.before.n_cuts = self.before.n_cuts.saturating_add(1);
        if self.before.n_cuts == N_CUTS_REMEMBERED {
            self.before = Before { n_cuts: N_CUTS_REMEMBERED, ..Before::default() };
        }
    }
}
