//! What the daemon gives up once it has started: capabilities, other programs, writing elsewhere. [`limit`] does it, and
//! [`proof`] tries what must still work and what must not.

mod mounts;
mod plan;
pub mod proof;
mod status;
mod system_calls;

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

use caps::{CapSet, Capability, CapsHashSet, errors::CapsError};
use thiserror::Error;

pub use plan::{NEEDS, Need, Plan, names};
pub use status::Status;

/// What is still wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Directories that can be written, with all that is below them; they must be there. Everything else is read-only.
    pub writable: Vec<PathBuf>,
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// What was kept and what was not there.
    pub plan: Plan,
    /// Whether [`Limits::writable`] is all that can be written.
    pub view: View,
    /// System calls that the kernel refuses from now on.
    pub n_refused_calls: usize,
}

/// What can be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum View {
    /// [`Limits::writable`] alone.
    ReadOnly,
    /// Whatever the permissions of files and the service manager leave; this is why.
    Unchanged(String),
}

/// Why the limits do not hold. The process is to end then: it may have more rights than it should, or too few.
#[derive(Debug, Error)]
pub enum LimitError {
    /// Capabilities are a thread's, and there are others, which would keep theirs.
    #[error("privileges are dropped before threads are started, and there are {0} of them")]
    Threads(u64),
    /// What the kernel says of this process cannot be read.
    #[error("cannot read /proc/self/status")]
    Status(#[source] io::Error),
    /// A directory that must be writable is not there.
    #[error("cannot use {path} as a directory to write to")]
    Writable {
        /// Which.
        path: PathBuf,
        /// What the kernel answered.
        #[source]
        source: io::Error,
    },
    /// The kernel refused to change a set.
    #[error("cannot drop capabilities")]
    Capabilities(#[from] CapsError),
    /// The kernel refused.
    #[error("cannot set no_new_privs")]
    NoNewPrivs(#[source] io::Error),
    /// The kernel refused the filter: one built without seccomp.
    #[error("cannot have system calls refused")]
    SystemCalls(#[source] io::Error),
}

/// Gives up everything that a daemon does not need, for good.
///
/// Called from `main` before any thread is started, after tracefs was mounted
/// ([`crate::kernel::mount_tracefs_if_missing`]), statistics were switched on ([`crate::kernel::keep_statistics`]), and the
/// directories of `limits` made. Capabilities, mount namespace and filter are inherited by every thread that comes after.
///
/// # Errors
/// If there are other threads, or the kernel refuses what every supported kernel has.
pub fn limit(limits: &Limits) -> Result<Report, LimitError> {
    let n_threads = Status::of_self().map_err(LimitError::Status)?.n_threads;
    if n_threads != 1 {
        return Err(LimitError::Threads(n_threads));
    }
    let writable = limits.writable.iter().map(|path| directory(path)).collect::<Result<Vec<_>, _>>()?;
    let plan = Plan::new(&caps::read(None, CapSet::Permitted)?);
    let view = match caps::has_cap(None, CapSet::Effective, Capability::CAP_SYS_ADMIN)? {
        true => match mounts::make_read_only(&writable) {
            Ok(()) => View::ReadOnly,
            Err(error) => View::Unchanged(explained(&error)),
        },
        false => View::Unchanged(
            "started without CAP_SYS_ADMIN, as by a service manager that limits writing".into(),
        ),
    };
    drop_capabilities(&plan)?;
    // SAFETY: takes no pointer.
    if unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) } != 0 {
        return Err(LimitError::NoNewPrivs(io::Error::last_os_error()));
    }
    system_calls::refuse().map_err(LimitError::SystemCalls)?;
    Ok(Report { plan, view, n_refused_calls: system_calls::REFUSED.len() })
}

/// The directory itself, whatever links lead to it.
fn directory(path: &Path) -> Result<PathBuf, LimitError> {
    let error = |source| LimitError::Writable { path: path.to_owned(), source };
    let real = path.canonicalize().map_err(error)?;
    match real.is_dir() {
        true => Ok(real),
        false => Err(error(io::ErrorKind::NotADirectory.into())),
    }
}

fn drop_capabilities(plan: &Plan) -> Result<(), LimitError> {
    let kept: CapsHashSet = plan.kept.iter().copied().collect();
    // Ambient and bounding sets first: the second takes a capability that goes with the others. Without it, as under
    // a service manager, the set is what it was given, which `proof` looks at.
    caps::clear(None, CapSet::Ambient)?;
    if caps::has_cap(None, CapSet::Effective, Capability::CAP_SETPCAP)? {
        for capability in caps::runtime::thread_all_supported().difference(&kept) {
            caps::drop(None, CapSet::Bounding, *capability)?;
        }
    }
    caps::clear(None, CapSet::Inheritable)?;
    caps::set(None, CapSet::Effective, &kept)?;
    caps::set(None, CapSet::Permitted, &kept)?;
    Ok(())
}

/// With its cause.
fn explained(error: &mounts::ViewError) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

/// One line for the log.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "keeps {}; ", names(&self.plan.kept))?;
        for need in &self.plan.missing {
            write!(f, "has no {}: {}; ", need.capability, need.without)?;
        }
        match &self.view {
            View::ReadOnly => f.write_str("writes to its own directories alone; ")?,
            View::Unchanged(reason) => {
                write!(f, "file permissions alone say where it may write ({reason}); ")?;
            }
        }
        write!(f, "{} system calls refused", self.n_refused_calls)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn with_other_threads_nothing_is_changed_and_it_is_refused() {
        let before = Status::of_self().expect("reads");
        // The test runner has at least one thread beside this one's.
        let seen = limit(&Limits::default());
        assert!(matches!(seen, Err(LimitError::Threads(2..))), "{seen:?}");
        let after = Status::of_self().expect("reads");
        assert_eq!((after.permitted, after.no_new_privs), (before.permitted, before.no_new_privs));
    }

    #[test]
    fn a_directory_that_is_not_there_or_is_none_is_named() {
        for path in ["/no/such/directory", "/proc/self/status"] {
            let seen = directory(Path::new(path)).map_err(|error| error.to_string());
            assert!(seen.as_ref().is_err_and(|text| text.contains(path)), "{seen:?}");
        }
    }

    #[test]
    fn the_line_for_the_log_says_what_is_kept_missing_and_left() {
        let plan = Plan::new(&CapsHashSet::from([Capability::CAP_BPF]));
        let view = View::Unchanged("reason".to_owned());
        let line = Report { plan, view, n_refused_calls: 70 }.to_string();
        for part in
            ["keeps CAP_BPF; ", "has no CAP_SYSLOG: kernel functions have no names", "(reason)", "70 system"]
        {
            assert!(line.contains(part), "{part}: {line}");
        }
    }
}
