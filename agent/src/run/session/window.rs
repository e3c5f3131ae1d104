//! Windows of a recording that goes on, and what is forgotten after each.

use std::{
    collections::{BTreeMap, HashSet},
    time::Duration,
};

use super::{Session, World};
use crate::{
    aggregate::UserFrame,
    clock,
    kernel::{Clock, KernelError, Source},
    process::ImageId,
    run::{StreamFigures, Window},
    table_op::TableOp,
};

impl Session {
    /// Hands over what was counted since the last time, and forgets what nothing refers to any more.
    pub(in crate::run) fn cut(&mut self, clocks: &[Clock]) -> Window {
        let end_ns = clock::monotonic_ns();
        let duration = Duration::from_nanos(end_ns.saturating_sub(self.cut_ns));
        self.cut_ns = end_ns;
        let aggregate = self.aggregate.cut();
        let requests = self.cut_requests(&aggregate, duration);
        let images: HashSet<ImageId> = aggregate.counted().map(|(key, _)| key.image).collect();
        let World { processes, objects, functions, jit, .. } = &self.world;
        let mut window = Window {
            sources: self.kernel.sources().iter().copied().zip(clocks.iter().copied()).collect(),
            processes: processes.part(&images),
            objects: Default::default(),
            functions: Default::default(),
            jit: images.iter().filter_map(|id| Some((*id, jit.get(id)?.clone()))).collect(),
            probed: self.probing.as_ref().map(|probing| probing.functions().to_vec()).unwrap_or_default(),
            start_unix_ns: clock::unix_ns().saturating_sub(nanos(duration)),
            duration,
            end_ns,
            requests,
            aggregate,
        };
        for frame in window.aggregate.user_stacks().iter().flat_map(|stack| &stack.frames) {
            if let UserFrame::File { file, .. } = frame
                && !window.objects.contains_key(file)
            {
                window.objects.extend(objects.get(file).map(|object| (*file, object.clone())));
                window.functions.extend(functions.get(file).map(|functions| (*file, functions.clone())));
            }
        }
        self.forget_past();
        window
    }

    /// Samples CPU time at another rate. What was counted before is to be [cut](Self::cut) first: it stands for
    /// stretches of another length.
    pub(in crate::run) fn set_frequency(&mut self, frequency_hz: u64) -> Result<(), KernelError> {
        self.kernel.set_frequency(frequency_hz)
    }

    /// Samples growth of resident memory at another distance.
    pub(in crate::run) fn set_growth_interval(&mut self, interval_bytes: u64) -> Result<(), KernelError> {
        self.kernel.set_growth_interval(interval_bytes)
    }

    /// What is sampled, with what it has cost so far.
    pub(in crate::run) fn costs(&self) -> Vec<(Source, Option<crate::kernel::Cost>)> {
        self.kernel.sources().iter().map(|source| (*source, self.kernel.cost_of(*source))).collect()
    }

    pub(in crate::run) fn world(&self) -> &World {
        &self.world
    }

    /// Finds out to whom processes belong that nothing was sampled of, some at a time.
    pub(in crate::run) fn judge_some(&mut self, n_at_most: usize) {
        for id in self.world.processes.unjudged(n_at_most) {
            self.world.judge(id);
        }
    }

    /// What is known of the recording so far; at its end, also what was lost on the way.
    pub(in crate::run) fn figures(&mut self, has_ended: bool) -> Result<StreamFigures, KernelError> {
        let counters = self.kernel.counters()?;
        self.settle_losses(&counters);
        if !has_ended {
            // On their way.
            self.losses.unexplained = 0;
        }
        let processes = &self.world.processes;
        let mut groups: BTreeMap<_, Vec<u32>> = BTreeMap::new();
        for pid in processes.live_pids() {
            let group = processes.present_image(pid).and_then(|image| image.group.clone());
            groups.entry(group).or_default().push(pid);
        }
        Ok(StreamFigures {
            n_samples: self.aggregate.n_samples(),
            n_growth_samples: self.n_growth_samples,
            losses: self.losses,
            first_table_error: self.first_table_error.as_ref().map(ToString::to_string),
            first_stacks: self.beginnings.sum(),
            usage: self.usage(),
            costs: self.costs(),
            n_files: processes.files().n_files(),
            groups,
            counters,
        })
    }

    fn forget_past(&mut self) {
        let kept: HashSet<_> = self.late.images().collect();
        for image in self.world.processes.forget_past(&kept) {
            self.world.jit.remove(&image);
            self.beginnings.forget(image);
        }
        if self.aggregate.has_many_stacks() {
            // Told first: what the kernel side still refers to has come, or is kept until the next time.
            if let Err(error) = self.kernel.apply(&TableOp::ForgetStacks) {
                self.note_table_error(error);
            }
            self.aggregate.forget_stacks();
        }
    }
}

pub(super) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
