//! Probes on the libraries for TLS of targets, put in where a process maps one. They have no budget: without one of them, the
//! connections that go through it would be read wrong.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    num::NonZeroU32,
    path::PathBuf,
    sync::Arc,
};

use super::world::World;
use crate::{
    causes::causes,
    kernel::{Kernel, KernelError, Point, ProbeId},
    object::ObjectFile,
    process::{Backing, FileId},
    procfs::cgroup,
    requests::{TlsLibrary, TlsReport, UnreadTls},
    tls,
};

/// Libraries in processes at once. Above this, whoever comes is not probed, which the report says.
const MAX_ARMED: usize = 4096;
/// Processes of which the report says why they were not read.
const MAX_UNREAD: usize = 32;

const NO_LIBRARY: &str =
    "none of its files has the functions SSL_read and SSL_write by name, as OpenSSL and BoringSSL have";
const UNREAD: &str = "nothing was said that is HTTP, or its beginning was before the probes were there";

/// Probes under way.
pub(super) struct TlsProbing {
    /// For a control group: where its members are.
    group: Option<PathBuf>,
    /// Why there are none, if the kernel takes none.
    refused: Option<String>,
    /// Where to probe the files that were seen so far.
    files: HashMap<FileId, Arc<[Point]>>,
    /// A probe stays with its process over an exec: the kernel puts it into whatever maps the file.
    armed: HashMap<(u32, FileId), Option<ProbeId>>,
    n_armed: usize,
    /// Processes that have a library: `None`, or why that has no probes.
    found: HashMap<u32, Option<String>>,
    libraries: BTreeMap<String, u64>,
}

impl TlsProbing {
    /// Loads what probes run; without them, requests in clear are followed.
    pub(super) fn start(kernel: &mut Kernel, group: Option<PathBuf>, follow_children: bool) -> Self {
        let refused = kernel.load_tls_probes(follow_children).err().map(|error| causes(&error));
        Self {
            group,
            refused,
            files: HashMap::new(),
            armed: HashMap::new(),
            n_armed: 0,
            found: HashMap::new(),
            libraries: BTreeMap::new(),
        }
    }

    /// Finds processes that map a library and have no probes.
    pub(super) fn arm(&mut self, kernel: &mut Kernel, world: &World) -> Result<(), KernelError> {
        if self.refused.is_some() {
            return Ok(());
        }
        let live: HashSet<u32> = world.processes.live_pids().into_iter().collect();
        for (_, id) in self.armed.extract_if(|(pid, _), _| !live.contains(pid)) {
            if let Some(id) = id {
                self.n_armed -= 1;
                kernel.detach_tls_probes(id)?;
            }
        }
        for pid in live {
            let Some(image) = world.processes.present_image(pid) else { continue };
            for mapping in image.mappings.as_slice() {
                if let Backing::File(file) = mapping.backing
                    && !self.armed.contains_key(&(pid, file))
                    && let Some(object) = world.objects.get(&file)
                {
                    let id = self.arm_file(kernel, object, pid, file);
                    self.armed.insert((pid, file), id);
                }
            }
        }
        Ok(())
    }

    fn arm_file(
        &mut self,
        kernel: &mut Kernel,
        object: &ObjectFile,
        pid: u32,
        file: FileId,
    ) -> Option<ProbeId> {
        let points = Arc::clone(self.files.entry(file).or_insert_with(|| points(object)));
        let number = NonZeroU32::new(pid)?;
        if points.is_empty() || !cgroup::is_member(pid, self.group.as_deref()) {
            return None;
        }
        let path = object.path.to_string_lossy().into_owned();
        if self.n_armed == MAX_ARMED {
            let reason =
                format!("libraries of {MAX_ARMED} processes have probes already: follow fewer processes");
            self.found.insert(pid, Some(reason));
            return None;
        }
        match kernel.attach_tls_probes(number, &object.file, &points) {
            Ok(id) => {
                self.n_armed += 1;
                self.found.insert(pid, None);
                *self.libraries.entry(path).or_default() += 1;
                Some(id)
            }
            Err(error) if error.is_of_ended_process() => None,
            Err(error) => {
                self.found.insert(pid, Some(format!("{path}: {}", causes(&error))));
                None
            }
        }
    }

    /// What became of them, and why of so many connections of processes nothing was read.
    pub(super) fn report(&self, unread: &BTreeMap<u32, u64>, name_of: impl Fn(u32) -> String) -> TlsReport {
        let reason = |pid: u32| match (&self.refused, self.found.get(&pid)) {
            (Some(_), _) => "there are no probes".to_owned(),
            (None, Some(Some(reason))) => reason.clone(),
            (None, Some(None)) => UNREAD.to_owned(),
            (None, None) => NO_LIBRARY.to_owned(),
        };
        let mut all: Vec<UnreadTls> = unread
            .iter()
            .map(|(pid, n)| UnreadTls {
                pid: *pid,
                process: name_of(*pid),
                connections: *n,
                reason: reason(*pid),
            })
            .collect();
        all.sort_by_key(|it| (std::cmp::Reverse(it.connections), it.pid));
        all.truncate(MAX_UNREAD);
        let library = |(path, n): (&String, &u64)| TlsLibrary { path: path.clone(), processes: *n };
        TlsReport {
            libraries: self.libraries.iter().map(library).collect(),
            refused: self.refused.clone(),
            unread: all,
        }
    }
}

fn points(object: &ObjectFile) -> Arc<[Point]> {
    let point = |function: tls::TlsFunction| Point {
        file_offset: function.file_offset,
        cookie: function.what,
        has_return: function.has_return(),
    };
    tls::search(object).into_iter().map(point).collect()
}
