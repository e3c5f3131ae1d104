//! Which of the sampled allocations live: by image, address and stack, with their ages and how the sums went. Pure.
//!
//! An object stands for `n / p` bytes, where `p` is the probability with which an allocation of its size is sampled;
//! the sum over what lives is, on average, the sum over all that lives and was allocated since the recording began.

mod levels;
mod stack;

#[cfg(test)]
mod naive;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet, hash_map::Entry};

use abi::limits::MAX_LIVE;

use crate::{
    aggregate::{Key, StackIndex},
    estimate::Estimate,
    process::ImageId,
};
use levels::Levels;

pub use stack::{Ages, InUse, LiveStack};

/// Objects at once, at most. The kernel side follows no more; frees that got lost may leave more here.
const MAX_OBJECTS: usize = 2 * MAX_LIVE as usize;

/// The user stack of an allocation; `None` if it has none.
pub type Stack = Option<StackIndex>;

/// A sampled allocation that lives.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Object {
    since_ns: u64,
    estimate: Estimate,
    /// What it is counted by; `None` while its stack is not walked yet.
    key: Option<Key>,
}

/// Where an object is, and since when: what tells it from others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    /// Whose.
    pub image: ImageId,
    /// Where.
    pub address: u64,
    /// Since when.
    pub since_ns: u64,
}

/// Everything that lives.
#[derive(Debug, Default)]
pub struct Heap {
    images: HashMap<ImageId, HashMap<u64, Object>>,
    n_objects: usize,
    levels: Levels,
    /// Images that had ended when no other was left: what they held then is kept.
    held: HashSet<ImageId>,
    n_refused: u64,
}

impl Heap {
    /// Something was allocated. What stood at that place was freed unseen.
    pub fn allocated(&mut self, place: Place, estimate: Estimate) {
        let Place { image, address, since_ns } = place;
        let object = Object { since_ns, estimate, key: None };
        match self.images.entry(image).or_default().entry(address) {
            Entry::Occupied(mut entry) => {
                let old = entry.insert(object);
                self.levels.lower(&old);
            }
            Entry::Vacant(entry) if self.n_objects < MAX_OBJECTS => {
                entry.insert(object);
                self.n_objects += 1;
            }
            Entry::Vacant(_) => self.n_refused += 1,
        }
    }

    /// The stack of an object is known. It may have been freed meanwhile.
    pub fn attribute(&mut self, place: Place, key: Key) {
        let object = self.images.get_mut(&place.image).and_then(|objects| objects.get_mut(&place.address));
        if let Some(object) = object.filter(|it| it.since_ns == place.since_ns && it.key.is_none()) {
            object.key = Some(key);
            self.levels.raise(object);
        }
    }

    /// Something was freed at `time_ns`; what came there later is another object.
    pub fn freed(&mut self, image: ImageId, address: u64, time_ns: u64) {
        let Some(objects) = self.images.get_mut(&image) else { return };
        if let Entry::Occupied(entry) = objects.entry(address)
            && entry.get().since_ns <= time_ns
        {
            self.levels.lower(&entry.remove());
            self.n_objects -= 1;
        }
    }

    /// Drops what images held that have ended, unless no image is left: then it is kept until another one allocates.
    /// Gives the objects of images that have ended since the last call.
    pub fn settle(&mut self, is_alive: impl Fn(ImageId) -> bool, is_any_alive: bool) -> Vec<Place> {
        let known = self.images.keys().copied();
        let ended: Vec<ImageId> =
            known.filter(|image| !self.held.contains(image) && !is_alive(*image)).collect();
        let places = ended.iter().flat_map(|image| self.places_of(*image)).collect();
        if is_any_alive {
            let held = std::mem::take(&mut self.held);
            ended.iter().chain(&held).for_each(|image| self.drop_image(*image));
        } else {
            self.held.extend(ended);
        }
        places
    }

    /// Drops what ended images held: there was an end of its own to the recording.
    pub fn drop_held(&mut self) {
        for image in std::mem::take(&mut self.held) {
            self.drop_image(image);
        }
    }

    /// Drops what is not there, as another account tells: some frees got lost.
    pub fn retain(&mut self, is_there: impl Fn(Place) -> bool) {
        for (image, objects) in &mut self.images {
            if self.held.contains(image) {
                continue;
            }
            objects.retain(|address, object| {
                let is_kept = is_there(Place { image: *image, address: *address, since_ns: object.since_ns });
                if !is_kept {
                    self.levels.lower(object);
                    self.n_objects -= 1;
                }
                is_kept
            });
        }
    }

    /// Notes how much lives now, `time_ns` after the start.
    pub fn tick(&mut self, time_ns: u64) {
        self.levels.tick(time_ns);
    }

    /// What lives, by what it is counted by.
    #[must_use]
    pub fn in_use(&self) -> HashMap<Key, InUse> {
        let mut sums: HashMap<Key, InUse> = HashMap::new();
        for object in self.objects() {
            if let Some(key) = object.key {
                sums.entry(key).or_default().add(&object.estimate);
            }
        }
        sums
    }

    /// What became of each stack that any object came from; ages are those at `now_ns`, in the time of samples.
    #[must_use]
    pub fn stacks(&self, now_ns: u64) -> HashMap<Stack, LiveStack> {
        let mut stacks: HashMap<Stack, LiveStack> = self
            .levels
            .points()
            .map(|(stack, points)| (stack, LiveStack { points, ..LiveStack::default() }))
            .collect();
        for object in self.objects() {
            if let Some(key) = object.key {
                let stack = stacks.entry(key.user).or_default();
                stack.in_use.add(&object.estimate);
                stack.ages.add(now_ns.saturating_sub(object.since_ns), object.estimate.weight);
            }
        }
        stacks
    }

    /// Objects that could not be kept: there were too many.
    #[must_use]
    pub fn n_refused(&self) -> u64 {
        self.n_refused
    }

    /// Stacks whose sums could not be followed over time: there were too many.
    #[must_use]
    pub fn n_without_history(&self) -> u64 {
        self.levels.n_without_history()
    }

    fn objects(&self) -> impl Iterator<Item = &Object> {
        self.images.values().flat_map(HashMap::values)
    }

    fn places_of(&self, image: ImageId) -> Vec<Place> {
        let objects = self.images.get(&image).into_iter().flatten();
        objects
            .map(|(address, object)| Place { image, address: *address, since_ns: object.since_ns })
            .collect()
    }

    fn drop_image(&mut self, image: ImageId) {
        for object in self.images.remove(&image).unwrap_or_default().values() {
            self.levels.lower(object);
            self.n_objects -= 1;
        }
    }
}
