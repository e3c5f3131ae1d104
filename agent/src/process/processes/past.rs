//! Images that are no more, which a recording that lasts for days must not gather.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use super::Processes;
use crate::process::{Image, ImageId};

impl Processes {
    /// The images that are remembered, and some that were.
    pub fn images(&self) -> impl Iterator<Item = &Image> {
        self.images.iter()
    }

    /// Whether its process has ended, or is another image now.
    #[must_use]
    pub fn is_past(&self, id: ImageId) -> bool {
        self.image(id).is_none_or(|image| image.has_ended() || self.present(image.pid) != Some(id))
    }

    /// How many images are remembered.
    #[must_use]
    pub fn n_images(&self) -> usize {
        self.images.len() - self.free.len()
    }

    /// Forgets images that are no more, but for those to be kept, and gives them: their IDs will be those of others.
    pub fn forget_past(&mut self, kept: &HashSet<ImageId>) -> Vec<ImageId> {
        let Self { live, images, changed, ended, .. } = self;
        let mut forgotten = Vec::new();
        live.retain(|pid, process| {
            let present = process.images.last().map(|(_, id)| *id);
            let has_ended = present.is_none_or(|id| images[id.0 as usize].has_ended());
            // What is still to be told of its end is told first.
            let is_busy = changed.contains(pid) || ended.contains(pid);
            process.images.retain(|(_, id)| {
                let stays = kept.contains(id) || Some(*id) == present && (is_busy || !has_ended);
                if !stays {
                    forgotten.push(*id);
                }
                stays
            });
            !process.images.is_empty()
        });
        for id in &forgotten {
            self.runtime_code.remove(id);
            self.images[id.0 as usize].threads = HashMap::new();
            self.images[id.0 as usize].mappings = Arc::default();
        }
        self.free.extend(&forgotten);
        forgotten
    }
}
