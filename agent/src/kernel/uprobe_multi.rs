//! Probes of a file in a process as one attachment: put in and taken out together, for the price of one
//! (`uprobe_multi`, kernel 6.6).
//!
//! A *session* (kernel 6.13) is entry and return in one program, and the entry says each time whether its return is
//! stopped at. But the kernel asks every attachment to a place, whichever process runs into it, and takes the silence
//! of one that is for another process for a wish to see the return (`uprobe_multi_link_handler` in
//! `kernel/trace/bpf_trace.c`). So a session is for a file that is probed in one process alone.

use std::{
    ffi::CString,
    fs::File,
    io,
    num::NonZeroU32,
    os::fd::{AsRawFd as _, OwnedFd},
};

use aya_obj::generated::{
    BPF_F_UPROBE_MULTI_RETURN, bpf_attach_type::BPF_TRACE_UPROBE_MULTI, bpf_attr, bpf_cmd,
};

use super::{
    uprobe::{Point, Programs, Spot},
    uprobe_load::{Loader, bpf},
};

/// `BPF_TRACE_UPROBE_SESSION`, which aya does not name.
const SESSION: u32 = 57;
const MULTI: u32 = BPF_TRACE_UPROBE_MULTI as u32;

/// A kind of attachment: its program, and how it is attached.
struct Kind {
    program: OwnedFd,
    attach_type: u32,
    flags: u32,
}

/// Programs that are attached to many places at once.
pub(super) struct Multi {
    loader: Loader,
    programs: &'static Programs,
    entry: Kind,
    /// Loaded when a return is first wanted.
    returns: Option<Ends>,
}

/// What sees the end of functions.
struct Ends {
    /// Where the kernel stops them as they return.
    returned: Kind,
    /// The same program, at an instruction.
    passed: Kind,
    /// Both ends in one; it may not be there.
    session: Option<Kind>,
}

impl Multi {
    /// Loads the program for entries and tries what this kernel takes.
    pub(super) fn new(loader: Loader, programs: &'static Programs) -> io::Result<Self> {
        let entry = Kind { program: loader.load(programs.entry, MULTI)?, attach_type: MULTI, flags: 0 };
        if !entry.is_known() {
            return Err(io::Error::other("this kernel has no attachment to many places (it came with 6.6)"));
        }
        if !entry.means_processes() {
            return Err(io::Error::other(
                "this kernel takes a process for its first thread (mended in 6.10)",
            ));
        }
        Ok(Self { loader, programs, entry, returns: None })
    }

    /// Attaches to both ends of functions in a process, as a session if it is to be one and can be.
    pub(super) fn attach(
        &mut self,
        pid: NonZeroU32,
        file: &File,
        points: &[Point],
        is_alone: bool,
    ) -> io::Result<Attachment> {
        let returned: Vec<Spot> =
            points.iter().filter(|point| point.has_return()).map(Point::always_returning).collect();
        let passed: Vec<Spot> = points.iter().flat_map(Point::passed).collect();
        if returned.is_empty() && passed.is_empty() {
            let entries: Vec<Spot> = points.iter().map(Point::spot).collect();
            let entries = self.entry.attach(pid, file, &entries)?;
            return Ok(Attachment { is_session: false, _links: vec![entries] });
        }
        if self.returns.is_none() {
            self.returns = Some(Ends::load(&self.loader, self.programs)?);
        }
        match &self.returns {
            Some(Ends { session: Some(session), .. }) if is_alone && passed.is_empty() => {
                let both: Vec<Spot> = points.iter().map(Point::spot).collect();
                Ok(Attachment { is_session: true, _links: vec![session.attach(pid, file, &both)?] })
            }
            // Ends first: the entry counts on them.
            Some(ends) => {
                let entries: Vec<Spot> = points.iter().map(Point::always_returning).collect();
                let kinds = [(&ends.returned, returned), (&ends.passed, passed), (&self.entry, entries)];
                let links = kinds.iter().filter(|(_, spots)| !spots.is_empty());
                let links =
                    links.map(|(kind, spots)| kind.attach(pid, file, spots)).collect::<io::Result<_>>();
                Ok(Attachment { is_session: false, _links: links? })
            }
            None => Err(io::Error::from(io::ErrorKind::NotFound)),
        }
    }

    /// The programs that are loaded.
    pub(super) fn programs(&self) -> impl Iterator<Item = &OwnedFd> {
        let returns =
            self.returns.iter().flat_map(|ends| std::iter::once(&ends.returned).chain(&ends.session));
        std::iter::once(&self.entry).chain(returns).map(|kind| &kind.program)
    }
}

/// An attachment: gone when it is dropped.
pub(super) struct Attachment {
    /// Entry and return in one.
    pub(super) is_session: bool,
    /// Entries, and returns if they are wanted.
    _links: Vec<OwnedFd>,
}

impl Ends {
    fn load(loader: &Loader, programs: &Programs) -> io::Result<Self> {
        let program = loader.load(programs.returned, MULTI)?;
        let passed = Kind { program: program.try_clone()?, attach_type: MULTI, flags: 0 };
        let returned = Kind { program, attach_type: MULTI, flags: BPF_F_UPROBE_MULTI_RETURN };
        let session = programs.session.and_then(|name| loader.load(name, SESSION).ok());
        let session = session.map(|program| Kind { program, attach_type: SESSION, flags: 0 });
        Ok(Self { returned, passed, session: session.filter(Kind::is_known) })
    }
}

impl Kind {
    fn attach(&self, pid: NonZeroU32, file: &File, spots: &[Spot]) -> io::Result<OwnedFd> {
        // The file that was read, whatever its path stands for by now, and in whatever mount namespace.
        let path = CString::new(format!("/proc/self/fd/{}", file.as_raw_fd()))?;
        let offsets: Vec<u64> = spots.iter().map(|spot| spot.file_offset).collect();
        let cookies: Vec<u64> = spots.iter().map(|spot| spot.cookie).collect();
        self.link(&path, &offsets, &cookies, pid.get())
    }

    /// Whether the kernel knows this kind: it then comes to see that a directory cannot be probed.
    fn is_known(&self) -> bool {
        self.error_for_directory(0) == Some(libc::EBADF)
    }

    /// Whether a process ID means a process. Where it does, one that cannot be is refused first.
    fn means_processes(&self) -> bool {
        self.error_for_directory(u32::MAX) == Some(libc::EINVAL)
    }

    fn error_for_directory(&self, pid: u32) -> Option<i32> {
        self.link(c"/", &[0], &[0], pid).err()?.raw_os_error()
    }

    fn link(&self, path: &std::ffi::CStr, offsets: &[u64], cookies: &[u64], pid: u32) -> io::Result<OwnedFd> {
        // SAFETY: all-zero is a valid argument of the call.
        let mut attr: bpf_attr = unsafe { std::mem::zeroed() };
        // SAFETY: the variant that the command takes; nothing of a union of integers is invalid.
        let link = unsafe { &mut attr.link_create };
        link.__bindgen_anon_1.prog_fd = self.program.as_raw_fd().unsigned_abs();
        link.attach_type = self.attach_type;
        // SAFETY: the variant that these kinds of attachment take.
        let places = unsafe { &mut link.__bindgen_anon_3.uprobe_multi };
        places.path = path.as_ptr() as u64;
        places.offsets = offsets.as_ptr() as u64;
        places.cookies = cookies.as_ptr() as u64;
        places.cnt = u32::try_from(offsets.len().min(cookies.len())).map_err(io::Error::other)?;
        places.flags = self.flags;
        places.pid = pid;
        // SAFETY: everything that is pointed to lives past the call.
        unsafe { bpf(bpf_cmd::BPF_LINK_CREATE, &mut attr) }
    }
}
