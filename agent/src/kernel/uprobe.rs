//! Probes on functions of processes: all of a file in a process at once, where the kernel can; else one by one.

use std::{
    collections::HashMap,
    fs::File,
    io,
    num::NonZeroU32,
    os::{fd::AsRawFd as _, unix::fs::MetadataExt as _},
    thread::JoinHandle,
};

use abi::{alloc::SKIP_NULL, names};
use aya::{
    Ebpf,
    programs::{
        UProbe,
        uprobe::{UProbeAttachLocation, UProbeAttachPoint, UProbeLinkId, UProbeScope},
    },
};

use super::{
    Cost, KernelError,
    attach::{attach_error, loaded, program},
    cost,
    uprobe_load::Loader,
    uprobe_multi::{Attachment, Multi},
};
use crate::place::Returns;

/// Attachments that are waited for at once.
const MAX_CLOSING: usize = 64;

/// What probes run, and what they are put into.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Programs {
    pub(super) entry: &'static str,
    pub(super) returned: &'static str,
    /// What `returned` is, at an instruction before the return: where it is put in by itself, its section says what it is for.
    passed: Option<&'static str>,
    /// Both in one.
    pub(super) session: Option<&'static str>,
    to: &'static str,
}

/// Of allocators.
pub(super) static ALLOCATORS: Programs = Programs {
    entry: names::PROGRAM_ALLOC,
    returned: names::PROGRAM_ALLOCATED,
    passed: None,
    session: Some(names::PROGRAM_HEAP),
    to: "an allocator",
};

/// Of libraries for TLS.
pub(super) static TLS: Programs = Programs {
    entry: names::PROGRAM_TLS,
    returned: names::PROGRAM_TLS_DONE,
    passed: Some(names::PROGRAM_TLS_PASSED),
    session: None,
    to: "a library for TLS",
};

/// A place to probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Point {
    /// Where in the file.
    pub file_offset: u64,
    /// What the program is told (`abi::alloc`, `abi::tls`).
    pub cookie: u64,
    /// Where the return of the function is probed as well.
    pub returns: Returns,
}

impl Point {
    /// Of a function whose return is stopped at each time. The kernel then puts an address of its own in place of the
    /// return address, and leaves it there if the function jumps to another that has a probe: there no caller is found.
    /// So the first counts, and nobody is left out.
    pub(super) fn always_returning(&self) -> Spot {
        let cookie = if self.has_return() { self.cookie & !SKIP_NULL } else { self.cookie };
        Spot { cookie, ..self.spot() }
    }

    /// Its beginning.
    pub(super) fn spot(&self) -> Spot {
        Spot { file_offset: self.file_offset, cookie: self.cookie }
    }

    /// Whether the kernel is to stop it where it returns.
    pub(super) fn has_return(&self) -> bool {
        self.returns == Returns::Probed
    }

    /// Instructions at which it is as if it returned.
    pub(super) fn passed(&self) -> impl Iterator<Item = Spot> {
        let at: &[u64] = if let Returns::At(at) = &self.returns { at } else { &[] };
        at.iter().map(|file_offset| Spot { file_offset: *file_offset, cookie: self.cookie })
    }
}

/// One probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Spot {
    pub(super) file_offset: u64,
    pub(super) cookie: u64,
}

/// Probes that were put in together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ProbeId(u64);

/// Probes of one kind that are in place.
pub(super) struct Uprobes {
    programs: &'static Programs,
    /// Until it is known how probes are put in.
    loader: Option<io::Result<Loader>>,
    multi: Option<Multi>,
    attached: HashMap<ProbeId, Attached>,
    n_attached: u64,
    closing: Vec<JoinHandle<()>>,
}

struct Attached {
    place: Place,
    link: Link,
}

/// What probes were put into, and where.
struct Place {
    pid: NonZeroU32,
    file: File,
    inode: (u64, u64),
    points: Vec<Point>,
}

enum Link {
    Multi(Attachment),
    Perf(Vec<(&'static str, UProbeLinkId)>),
}

impl Uprobes {
    /// Makes ready, if there is to be any; aya must still have all its maps.
    pub(super) fn new(programs: &'static Programs, ebpf: Option<&Ebpf>) -> Self {
        Self {
            programs,
            loader: ebpf.map(Loader::new),
            multi: None,
            attached: HashMap::new(),
            n_attached: 0,
            closing: Vec::new(),
        }
    }

    /// Loads what is attached. Gives why probes are put in one by one, if they are.
    pub(super) fn load(
        &mut self,
        ebpf: &mut Ebpf,
        children_are_followed: bool,
        has_returns: bool,
    ) -> Result<Option<String>, KernelError> {
        let loader = self.loader.take().unwrap_or_else(|| Err(io::ErrorKind::NotFound.into()));
        // A child has a copy of its parent's probes. Those put in one by one go as it runs into them; the others stay
        // as long as its parent's.
        let multi = if children_are_followed {
            loader.and_then(|loader| Multi::new(loader, self.programs))
        } else {
            Err(io::Error::other("children are not followed, and would keep them"))
        };
        match multi {
            Ok(multi) => {
                self.multi = Some(multi);
                Ok(None)
            }
            Err(reason) => {
                if has_returns {
                    for name in [Some(self.programs.returned), self.programs.passed].into_iter().flatten() {
                        loaded(ebpf, name, UProbe::load)?;
                    }
                }
                loaded(ebpf, self.programs.entry, UProbe::load)?;
                Ok(Some(reason.to_string()))
            }
        }
    }

    /// Puts probes into a file of a process: all of them or none.
    pub(super) fn attach(
        &mut self,
        ebpf: &mut Ebpf,
        pid: NonZeroU32,
        file: &File,
        points: &[Point],
    ) -> Result<ProbeId, KernelError> {
        let of = file.metadata().and_then(|metadata| Ok((metadata, file.try_clone()?)));
        let (metadata, file) = of.map_err(|source| KernelError::Probe { source })?;
        let inode = (metadata.dev(), metadata.ino());
        let place = Place { pid, file, inode, points: points.to_vec() };
        let link = match &mut self.multi {
            Some(multi) => {
                let mut others = self.attached.values_mut().filter(|other| other.place.inode == inode);
                let is_alone = others.next().is_none();
                let link = place.attach(multi, is_alone).map_err(|source| KernelError::Probe { source })?;
                Link::Multi(link)
            }
            None => Link::Perf(place.attach_one_by_one(ebpf, self.programs)?),
        };
        self.end_sessions(inode);
        let id = ProbeId(self.n_attached);
        self.n_attached += 1;
        self.attached.insert(id, Attached { place, link });
        Ok(id)
    }

    /// Has the only process in which a file was probed so far make room for another: a session would stop both at each
    /// return.
    fn end_sessions(&mut self, inode: (u64, u64)) {
        let Some(multi) = &mut self.multi else { return };
        for Attached { place, link } in self.attached.values_mut() {
            if place.inode != inode || !matches!(link, Link::Multi(Attachment { is_session: true, .. })) {
                continue;
            }
            // In this order, so that no free is missed. A process that has gone meanwhile has no returns.
            if let Ok(apart) = place.attach(multi, false)
                && let Link::Multi(session) = std::mem::replace(link, Link::Multi(apart))
            {
                close(session, &mut self.closing);
            }
        }
    }

    /// Takes probes out. Where they were put in together, they are out when this returns, and the kernel's wait for
    /// those that are being run into goes on behind it.
    pub(super) fn detach(&mut self, ebpf: &mut Ebpf, id: ProbeId) -> Result<(), KernelError> {
        match self.attached.remove(&id).map(|attached| attached.link) {
            None => Ok(()),
            Some(Link::Multi(attachment)) => {
                close(attachment, &mut self.closing);
                Ok(())
            }
            Some(Link::Perf(links)) => detach_one_by_one(ebpf, self.programs, links),
        }
    }

    /// Takes all of them out, and waits until they are.
    pub(super) fn detach_all(&mut self, ebpf: &mut Ebpf) -> Result<(), KernelError> {
        let ids: Vec<ProbeId> = self.attached.keys().copied().collect();
        let first_error = ids.into_iter().filter_map(|id| self.detach(ebpf, id).err()).next();
        for closing in self.closing.drain(..) {
            // It closes descriptors, which does not panic.
            let _ = closing.join();
        }
        first_error.map_or(Ok(()), Err)
    }

    /// Run time of what is attached.
    pub(super) fn cost(&self, ebpf: &Ebpf) -> Option<Cost> {
        match &self.multi {
            Some(multi) => multi.programs().map(cost::of_descriptor).sum(),
            None => {
                let entry = cost::of_program(ebpf, self.programs.entry)?;
                // Where they are loaded.
                let others = [Some(self.programs.returned), self.programs.passed].into_iter().flatten();
                let others = others.filter_map(|name| cost::of_program(ebpf, name));
                Some([entry].into_iter().chain(others).sum())
            }
        }
    }
}

impl Place {
    fn attach(&self, multi: &mut Multi, is_alone: bool) -> io::Result<Attachment> {
        multi.attach(self.pid, &self.file, &self.points, is_alone)
    }

    fn attach_one_by_one(
        &self,
        ebpf: &mut Ebpf,
        programs: &'static Programs,
    ) -> Result<Vec<(&'static str, UProbeLinkId)>, KernelError> {
        // The file that was read, whatever its path stands for by now, and in whatever mount namespace.
        let path = format!("/proc/self/fd/{}", self.file.as_raw_fd());
        let mut links = Vec::with_capacity(self.points.len());
        for point in &self.points {
            let entry = point.always_returning();
            // The return first: the entry counts on it.
            let returned = point.has_return().then_some((programs.returned, entry));
            let passed =
                programs.passed.into_iter().flat_map(|name| point.passed().map(move |it| (name, it)));
            for (name, spot) in returned.into_iter().chain(passed).chain([(programs.entry, entry)]) {
                let program: &mut UProbe = program(ebpf, name)?;
                // Those for returns are loaded when a return is first wanted.
                if program.fd().is_err() {
                    program
                        .load()
                        .map_err(|source| KernelError::Load { program: name, source: Box::new(source) })?;
                }
                let location = UProbeAttachLocation::AbsoluteOffset(spot.file_offset);
                let point = UProbeAttachPoint { location, cookie: Some(spot.cookie) };
                match program.attach(point, &path, UProbeScope::OneProcess(self.pid)) {
                    Ok(link) => links.push((name, link)),
                    Err(source) => {
                        detach_one_by_one(ebpf, programs, links)?;
                        return Err(attach_error(name, programs.to)(source));
                    }
                }
            }
        }
        Ok(links)
    }
}

fn detach_one_by_one(
    ebpf: &mut Ebpf,
    programs: &Programs,
    links: Vec<(&'static str, UProbeLinkId)>,
) -> Result<(), KernelError> {
    for (name, link) in links {
        let program: &mut UProbe = program(ebpf, name)?;
        program.detach(link).map_err(attach_error(name, programs.to))?;
    }
    Ok(())
}

/// Probes are out when the first step of this is done; what takes long is the wait for those that are being run into.
fn close(attachment: Attachment, closing: &mut Vec<JoinHandle<()>>) {
    closing.retain(|thread| !thread.is_finished());
    if closing.len() < MAX_CLOSING {
        closing.push(std::thread::spawn(move || drop(attachment)));
    }
}
