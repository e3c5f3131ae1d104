//! The table of processes: kept right by events, asked by samples.

mod part;
mod past;

use std::{
    collections::{HashMap, HashSet},
    path::Path,
    sync::Arc,
};

use profile::Labels;

use super::{Backing, FileId, FileKey, Files, Image, ImageId, Mapping};
use crate::decode::{MappedRegion, ProcessEvent, ProcessEventKind};

/// Within this time of its exec, a process is likely to wait for its table.
const FRESH_NS: u64 = 20_000_000;

/// Times after an exec at which its table is written again. What lies between our date of an exec and that of the
/// kernel side is the loading of an ELF file: mostly less than the first, less than the last even from a slow disk.
const REWRITE_NS: [u64; 3] = [5_000_000, 50_000_000, 500_000_000];

/// Which processes are followed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Interest {
    /// All there are.
    pub everything: bool,
    /// Those that execute an image of this name.
    pub name: Option<String>,
    /// Children of those that are followed.
    pub children: bool,
}

/// What /proc said of a process at one moment.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// Process ID.
    pub pid: u32,
    /// Its name.
    pub name: String,
    /// Thread IDs and names.
    pub threads: Vec<(u32, String)>,
    /// Executable mappings.
    pub regions: Vec<MappedRegion>,
}

/// Something that an event asks the caller to do, at once: a short-lived process is gone in a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// A file was mapped that was never seen before: open it, for its symbols.
    OpenFile {
        /// Its new ID.
        file: FileId,
        /// Who maps it.
        pid: u32,
        /// Where and what.
        region: MappedRegion,
    },
    /// A process makes code at run time: hold on to where it would describe it.
    HoldRoot {
        /// Which.
        image: ImageId,
        /// Its process ID.
        pid: u32,
    },
}

/// One process ID: its images, oldest first, each with the time from which it counts.
#[derive(Debug, Default)]
struct Process {
    images: Vec<(u64, ImageId)>,
}

/// An image that began a moment ago.
#[derive(Clone, Copy, Debug)]
struct Fresh {
    since_ns: u64,
    pid: u32,
    /// How many of [`REWRITE_NS`] are over.
    n_rewritten: usize,
}

/// All processes that are followed.
#[derive(Debug, Default)]
pub struct Processes {
    interest: Interest,
    live: HashMap<u32, Process>,
    images: Vec<Image>,
    /// Places of images that are forgotten.
    free: Vec<ImageId>,
    files: Files,
    changed: HashSet<u32>,
    ended: HashSet<u32>,
    runtime_code: HashSet<ImageId>,
    /// Images that began a moment ago.
    fresh: Vec<Fresh>,
    n_mappings_refused: u64,
}

impl Processes {
    /// Mappings that an image had too many of.
    #[must_use]
    pub fn n_mappings_refused(&self) -> u64 {
        self.n_mappings_refused
    }

    /// An empty table.
    #[must_use]
    pub fn new(interest: Interest) -> Self {
        Self { interest, ..Self::default() }
    }

    /// Takes in what /proc says of a process at `time_ns`.
    pub fn insert(&mut self, snapshot: Snapshot, time_ns: u64, effects: &mut Vec<Effect>) -> ImageId {
        let known =
            self.live.get(&snapshot.pid).and_then(|process| process.images.last()).map(|image| image.1);
        let id = known.unwrap_or_else(|| self.add_image(snapshot.pid, snapshot.name.clone(), time_ns));
        let image = &mut self.images[id.0 as usize];
        image.name = snapshot.name;
        if !snapshot.threads.is_empty() {
            image.running = snapshot.threads.iter().map(|(tid, _)| *tid).collect();
        }
        image.threads.extend(snapshot.threads);
        for region in snapshot.regions {
            self.map(id, snapshot.pid, &region, effects);
        }
        self.changed.insert(snapshot.pid);
        id
    }

    /// Takes in an event. Events come in the order of their times.
    pub fn apply(&mut self, event: ProcessEvent, effects: &mut Vec<Effect>) {
        let ProcessEvent { time_ns, kind } = event;
        match kind {
            ProcessEventKind::Exec { pid, name } => self.exec(pid, name, time_ns),
            ProcessEventKind::Mmap { pid, region } => {
                if let Some(id) = self.present(pid) {
                    self.map(id, pid, &region, effects);
                    self.changed.insert(pid);
                }
            }
            ProcessEventKind::Name { pid, tid, name } => {
                if let Some(id) = self.present(pid) {
                    let image = &mut self.images[id.0 as usize];
                    if pid == tid {
                        image.name.clone_from(&name);
                    }
                    image.threads.insert(tid, name);
                }
            }
            ProcessEventKind::Fork { pid, tid, parent_pid, parent_tid } if pid == parent_pid => {
                // A thread begins with the name of the thread that made it.
                if let Some(id) = self.present(pid) {
                    let image = &mut self.images[id.0 as usize];
                    let name = image.thread_name(parent_tid).to_owned();
                    image.threads.insert(tid, name);
                    image.running.insert(tid);
                }
            }
            ProcessEventKind::Fork { pid, parent_pid, .. } => self.fork(pid, parent_pid, time_ns, effects),
            ProcessEventKind::Exit { pid, tid } => {
                if let Some(id) = self.present(pid) {
                    let image = &mut self.images[id.0 as usize];
                    image.running.remove(&tid);
                    if image.has_ended() {
                        self.end(pid, id);
                    }
                }
            }
        }
    }

    /// The image that a process was at a moment; the oldest known, if the moment lies before it.
    #[must_use]
    pub fn image_at(&self, pid: u32, time_ns: u64) -> Option<ImageId> {
        let images = &self.live.get(&pid)?.images;
        let after = images.partition_point(|(since_ns, _)| *since_ns <= time_ns);
        images.get(after.saturating_sub(1)).map(|(_, id)| *id)
    }

    /// An image by ID.
    #[must_use]
    pub fn image(&self, id: ImageId) -> Option<&Image> {
        self.images.get(id.0 as usize)
    }

    /// The image that a process is now, if it is followed.
    #[must_use]
    pub fn present_image(&self, pid: u32) -> Option<&Image> {
        self.image(self.present(pid)?)
    }

    /// Whether a process is this image now, or was when it ended.
    #[must_use]
    pub fn is_present(&self, id: ImageId) -> bool {
        self.image(id).is_some_and(|image| self.present(image.pid) == Some(id))
    }

    /// Every file seen.
    #[must_use]
    pub fn files(&self) -> &Files {
        &self.files
    }

    /// Images of which it is not known to whom they belong, some of them.
    #[must_use]
    pub fn unjudged(&self, n_at_most: usize) -> Vec<ImageId> {
        let is_unjudged = |id: &ImageId| self.image(*id).is_some_and(|it| !it.is_judged && !it.has_ended());
        self.live.keys().filter_map(|pid| self.present(*pid)).filter(is_unjudged).take(n_at_most).collect()
    }

    /// To whom an image belongs; `None` if that is not to be found out, and it stays with whom it came from.
    pub fn judged(&mut self, id: ImageId, group: Option<Arc<Labels>>) {
        if let Some(image) = self.images.get_mut(id.0 as usize) {
            image.is_judged = true;
            image.group = group.or_else(|| image.group.take());
        }
    }

    /// Whether any process that is followed still runs.
    #[must_use]
    pub fn any_alive(&self) -> bool {
        !self.live_pids().is_empty()
    }

    /// The processes that are followed and have not ended.
    #[must_use]
    pub fn live_pids(&self) -> Vec<u32> {
        let is_alive = |pid: &&u32| self.present_image(**pid).is_some_and(|image| !image.has_ended());
        self.live.keys().filter(is_alive).copied().collect()
    }

    /// The files that processes which have not ended map now.
    #[must_use]
    pub fn mapped_files(&self) -> HashSet<FileId> {
        let images = self.live.keys().filter_map(|pid| self.live_image(*pid));
        let mappings = images.flat_map(|image| image.mappings.as_slice());
        mappings
            .filter_map(|mapping| match mapping.backing {
                Backing::File(file) => Some(file),
                Backing::Anonymous => None,
            })
            .collect()
    }

    /// A process that is not there any more, though nothing said that it ended.
    pub fn vanished(&mut self, pid: u32) {
        if let Some(id) = self.present(pid) {
            self.images[id.0 as usize].running.clear();
            self.end(pid, id);
        }
    }

    /// Whether an image is so new that its table should be looked at again soon.
    #[must_use]
    pub fn has_fresh_images(&self, now_ns: u64) -> bool {
        self.fresh.iter().any(|image| now_ns < image.since_ns + FRESH_NS)
    }

    /// Processes that changed and processes that ended since the last call.
    ///
    /// An exec is dated twice: by the event that we get, and some time later by the kernel side, which refuses a
    /// table from between the two. So the table of a new image is written again until that time is surely over.
    pub(super) fn take_changes(&mut self, as_of_ns: u64) -> (HashSet<u32>, HashSet<u32>) {
        let mut changed = std::mem::take(&mut self.changed);
        let ended = std::mem::take(&mut self.ended);
        self.fresh.retain_mut(|image| {
            let is_due = |after_ns: &&u64| as_of_ns >= image.since_ns + **after_ns;
            let n_due = REWRITE_NS.iter().take_while(is_due).count();
            if n_due > image.n_rewritten {
                image.n_rewritten = n_due;
                changed.insert(image.pid);
            }
            n_due < REWRITE_NS.len() && !ended.contains(&image.pid)
        });
        (changed, ended)
    }

    fn present(&self, pid: u32) -> Option<ImageId> {
        self.live.get(&pid)?.images.last().map(|(_, id)| *id)
    }

    fn exec(&mut self, pid: u32, name: String, time_ns: u64) {
        let wanted = self.interest.everything
            || self.live_image(pid).is_some()
            || self.interest.name.as_deref() == Some(name.as_str());
        if wanted {
            self.add_image(pid, name, time_ns);
            self.changed.insert(pid);
            self.fresh.push(Fresh { since_ns: time_ns, pid, n_rewritten: 0 });
        }
    }

    fn live_image(&self, pid: u32) -> Option<&Image> {
        self.present_image(pid).filter(|image| !image.has_ended())
    }

    /// What comes after the end needs no mappings: samples are counted in order of time.
    fn end(&mut self, pid: u32, id: ImageId) {
        // Images are kept for their names; of thousands that end, little else should stay.
        let image = &mut self.images[id.0 as usize];
        image.mappings = Arc::default();
        image.running = HashSet::new();
        self.ended.insert(pid);
    }

    fn fork(&mut self, pid: u32, parent_pid: u32, time_ns: u64, effects: &mut Vec<Effect>) {
        let parent = self.present(parent_pid).map(|id| &self.images[id.0 as usize]);
        let (name, mappings) = match parent {
            Some(parent) if self.interest.children || self.interest.everything => {
                (parent.name.clone(), Arc::clone(&parent.mappings))
            }
            _ if self.interest.everything => (String::new(), Arc::default()),
            _ => return,
        };
        let (group, is_judged) =
            parent.map_or((None, false), |parent| (parent.group.clone(), parent.is_judged));
        let had_runtime_code = self.present(parent_pid).is_some_and(|id| self.runtime_code.contains(&id));
        let id = self.add_image(pid, name, time_ns);
        let image = &mut self.images[id.0 as usize];
        (image.mappings, image.group, image.is_judged) = (mappings, group, is_judged);
        if had_runtime_code {
            self.runtime_code.insert(id);
            effects.push(Effect::HoldRoot { image: id, pid });
        }
        self.changed.insert(pid);
    }

    fn add_image(&mut self, pid: u32, name: String, time_ns: u64) -> ImageId {
        let image = Image {
            pid,
            since_ns: time_ns,
            name,
            threads: HashMap::new(),
            mappings: Arc::default(),
            group: self.present_image(pid).and_then(|before| before.group.clone()),
            is_judged: false,
            running: HashSet::from([pid]),
        };
        let id = match self.free.pop() {
            Some(id) => {
                self.images[id.0 as usize] = image;
                id
            }
            None => {
                self.images.push(image);
                ImageId(u32::try_from(self.images.len() - 1).unwrap_or(u32::MAX))
            }
        };
        self.live.entry(pid).or_default().images.push((time_ns, id));
        self.ended.remove(&pid);
        id
    }

    fn map(&mut self, id: ImageId, pid: u32, region: &MappedRegion, effects: &mut Vec<Effect>) {
        let backing = match file_key(region) {
            Some(key) => match self.files.intern(key, &region.path) {
                Some((file, true)) => {
                    effects.push(Effect::OpenFile { file, pid, region: region.clone() });
                    Backing::File(file)
                }
                Some((file, false)) => Backing::File(file),
                // More files than IDs: such code keeps its addresses.
                None => Backing::Anonymous,
            },
            None => Backing::Anonymous,
        };
        if backing == Backing::Anonymous && self.runtime_code.insert(id) {
            effects.push(Effect::HoldRoot { image: id, pid });
        }
        let MappedRegion { start, end, file_offset, .. } = *region;
        let mapping = Mapping { start, end, file_offset, backing };
        let mappings = Arc::make_mut(&mut self.images[id.0 as usize].mappings);
        self.n_mappings_refused += u64::from(!mappings.insert(mapping));
    }
}

/// The file behind a region; `None` if its code was made at run time.
fn file_key(region: &MappedRegion) -> Option<FileKey> {
    if region.path == Path::new("[vdso]") {
        return Some(FileKey { device: (0, 0), inode: 0, label: region.path.clone() });
    }
    // Shared anonymous memory has an inode in a file system of the kernel's own, and a made-up path.
    let made_up = [&b"/memfd:"[..], b"/dev/zero", b"/SYSV", b"//anon", b"anon_inode:", b"/anon_hugepage"];
    let path = region.path.as_os_str().as_encoded_bytes();
    if region.inode == 0 || made_up.iter().any(|prefix| path.starts_with(prefix)) {
        return None;
    }
    Some(FileKey { device: region.device, inode: region.inode, label: Default::default() })
}

#[cfg(test)]
mod tests;
