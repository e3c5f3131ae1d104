//! The same by going through a list: what the tables are held against.

use super::Place;
use crate::{aggregate::Key, estimate::Estimate, process::ImageId};

struct Known {
    place: Place,
    estimate: Estimate,
    key: Option<Key>,
}

#[derive(Default)]
pub(super) struct Naive {
    objects: Vec<Known>,
    held: Vec<ImageId>,
}

impl Naive {
    pub(super) fn allocated(&mut self, place: Place, estimate: Estimate) {
        self.objects.retain(|it| (it.place.image, it.place.address) != (place.image, place.address));
        self.objects.push(Known { place, estimate, key: None });
    }

    pub(super) fn attribute(&mut self, place: Place, key: Key) {
        for object in self.objects.iter_mut().filter(|it| it.place == place) {
            object.key.get_or_insert(key);
        }
    }

    pub(super) fn freed(&mut self, image: ImageId, address: u64, time_ns: u64) {
        self.objects.retain(|it| {
            (it.place.image, it.place.address) != (image, address) || it.place.since_ns > time_ns
        });
    }

    pub(super) fn settle(&mut self, alive: &[ImageId]) -> Vec<Place> {
        let is_new = |it: &&Known| !alive.contains(&it.place.image) && !self.held.contains(&it.place.image);
        let ended: Vec<Place> = self.objects.iter().filter(is_new).map(|it| it.place).collect();
        if alive.is_empty() {
            self.held.extend(ended.iter().map(|place| place.image));
        } else {
            self.objects.retain(|it| alive.contains(&it.place.image) && !self.held.contains(&it.place.image));
            self.held.clear();
        }
        ended
    }

    /// Bytes by what they are counted by, smallest key first.
    pub(super) fn in_use(&self) -> Vec<(Key, u64)> {
        let mut sums: Vec<(Key, u64)> = Vec::new();
        for object in &self.objects {
            let Some(key) = object.key else { continue };
            match sums.iter_mut().find(|(known, _)| *known == key) {
                Some((_, sum)) => *sum += object.estimate.weight,
                None => sums.push((key, object.estimate.weight)),
            }
        }
        sums.sort_unstable();
        sums
    }
}
