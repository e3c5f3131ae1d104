//! A part of the table, for who names what was sampled while the table goes on changing.

use std::{collections::HashSet, sync::Arc};

use super::Processes;
use crate::process::{Image, ImageId};

impl Processes {
    /// A copy with what names need: these images, without what they map, and every file.
    #[must_use]
    pub fn part(&self, wanted: &HashSet<ImageId>) -> Self {
        let n_images = wanted.iter().map(|id| id.0 as usize + 1).max().unwrap_or(0);
        let mut images = vec![Image::default(); n_images];
        for id in wanted {
            if let Some(image) = self.image(*id) {
                images[id.0 as usize] = Image { mappings: Arc::default(), ..image.clone() };
            }
        }
        Self { images, files: self.files.without_keys(), ..Self::default() }
    }
}
