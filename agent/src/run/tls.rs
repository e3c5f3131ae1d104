//! Probes on the libraries for TLS of targets, put in where a process maps one, for whatever follows requests. They have no budget:
//! without one of them, the connections that go through it would be read wrong.

mod ledger;

use std::{
    borrow::Cow,
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
    requests::{TlsReport, UnreadConnections},
    tls,
};
use ledger::{Ledger, Outcome};

const NOT_ASKED: &str = "--tls was not given";
const NO_PROBES: &str = "there are no probes";

/// Probes under way.
pub(super) struct TlsProbing {
    /// For a control group: where its members are.
    group: Option<PathBuf>,
    /// Why there are none, if the kernel takes none.
    refused: Option<String>,
    /// Where to probe the files that were seen so far.
    files: HashMap<FileId, Arc<[Point]>>,
    /// A probe stays with its process over an exec: the kernel puts it into whatever maps the file.
    ledger: Ledger<ProbeId>,
    libraries: BTreeMap<String, u64>,
}

impl TlsProbing {
    /// Loads what probes run; without them, requests in clear are followed.
    pub(super) fn start(kernel: &mut Kernel, group: Option<PathBuf>, follow_children: bool) -> Self {
        let refused = kernel.load_tls_probes(follow_children).err().map(|error| causes(&error));
        Self { group, refused, files: HashMap::new(), ledger: Ledger::default(), libraries: BTreeMap::new() }
    }

    /// Finds processes that map a library and have no probes.
    pub(super) fn arm(&mut self, kernel: &mut Kernel, world: &World) -> Result<(), KernelError> {
        if self.refused.is_some() {
            return Ok(());
        }
        let live: HashSet<u32> = world.processes.live_pids().into_iter().collect();
        for id in self.ledger.end(|pid| live.contains(&pid)) {
            kernel.detach_tls_probes(id)?;
        }
        for pid in live {
            let Some(image) = world.processes.present_image(pid) else { continue };
            for mapping in image.mappings.as_slice() {
                let Backing::File(file) = mapping.backing else { continue };
                let Some(object) = world.objects.get(&file) else { continue };
                let points = self.files.entry(file).or_insert_with(|| points(object));
                if points.is_empty() || self.ledger.is_known(pid, file) {
                    continue;
                }
                let points = Arc::clone(points);
                let outcome = self.arm_file(kernel, object, pid, &points);
                self.ledger.note(pid, file, outcome);
            }
        }
        Ok(())
    }

    fn arm_file(
        &mut self,
        kernel: &mut Kernel,
        object: &ObjectFile,
        pid: u32,
        points: &[Point],
    ) -> Outcome<ProbeId> {
        let Some(number) = NonZeroU32::new(pid) else { return Outcome::LeftAlone };
        if !cgroup::is_member(pid, self.group.as_deref()) {
            return Outcome::LeftAlone;
        }
        if !self.ledger.has_room() {
            return Outcome::NoRoom;
        }
        let path = object.path.to_string_lossy().into_owned();
        match kernel.attach_tls_probes(number, &object.file, points) {
            Ok(id) => {
                *self.libraries.entry(path).or_default() += 1;
                Outcome::Probed(id)
            }
            Err(error) if error.is_of_ended_process() => Outcome::LeftAlone,
            Err(error) => Outcome::Refused(format!("{path}: {}", causes(&error))),
        }
    }

    /// What became of them, and why so many connections of processes were not read.
    pub(super) fn report(&self, unread: &UnreadConnections, name_of: impl Fn(u32) -> String) -> TlsReport {
        let reason_of = |pid| match &self.refused {
            Some(_) => Cow::Borrowed(NO_PROBES),
            None => self.ledger.reason(pid),
        };
        TlsReport::new(&self.libraries, self.refused.clone(), unread, name_of, reason_of)
    }
}

/// What is said where TLS was left alone.
pub(super) fn not_probed(unread: &UnreadConnections, name_of: impl Fn(u32) -> String) -> TlsReport {
    let no_libraries = BTreeMap::new();
    TlsReport::new(&no_libraries, Some(NOT_ASKED.to_owned()), unread, name_of, |_| NO_PROBES.into())
}

fn points(object: &ObjectFile) -> Arc<[Point]> {
    let point = |function: tls::TlsFunction| Point {
        file_offset: function.file_offset,
        cookie: function.what,
        returns: function.returns,
    };
    tls::search(object).into_iter().map(point).collect()
}
