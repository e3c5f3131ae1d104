//! What keeps the tables of a recording that may last for days within bounds.

use std::collections::HashSet;

use super::Session;
use crate::{aggregate::Aggregate, clock, table_op::TableOp};

/// Images (a process from one exec to the next) remembered at once, unless more are alive: 300 bytes each, or
/// thereabouts. Of those that are no more, only the ones stay that something was counted of.
const MAX_IMAGES: usize = 65_536;

impl Session {
    /// From now on, keeps when something was counted, in bounded tables.
    pub(in crate::run) fn keep_over_time(&mut self) {
        self.aggregate = Aggregate::over_time(clock::monotonic_ns());
        self.max_images = MAX_IMAGES;
    }

    /// Makes room where a table is full.
    pub(super) fn keep_bounds(&mut self) {
        let n_images = self.world.processes.n_images();
        if !self.aggregate.is_full() && n_images < self.max_images {
            return;
        }
        // Told first: what the kernel side still refers to has come, or is kept until the next time.
        if let Err(error) = self.kernel.apply(&TableOp::ForgetStacks) {
            self.note_table_error(error);
        }
        self.aggregate.fold(|image| self.world.processes.is_past(image));
        let kept: HashSet<_> = self.aggregate.images().chain(self.late.images()).collect();
        for image in self.world.processes.forget_past(&kept) {
            self.world.jit.remove(&image);
            self.beginnings.forget(image);
        }
        self.max_images = MAX_IMAGES.max(2 * self.world.processes.n_images());
    }
}
