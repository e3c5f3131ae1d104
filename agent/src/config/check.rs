//! What only the host can tell of a configuration: files, directories, users.

use std::{
    collections::BTreeMap,
    ffi::CString,
    fs, io,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

use super::{Config, Place, Problem, SinkKind, SinkSettings};
use crate::{
    private_dir::{PrivateDir, PrivateDirError},
    select::{SelectError, Selector, Users},
    send::sink::{Connection, Directory, OtlpGrpc, OtlpHttp, Pyroscope, Sink, SinkError},
};

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// The daemon would not start.
    pub problems: Vec<Problem>,
    /// It would, and not do all that is meant.
    pub warnings: Vec<Problem>,
}

/// Receivers of batches, made of what the configuration says: files of certificates are read, and nobody is connected
/// to yet.
///
/// # Errors
/// Everything that is wrong with any of them.
pub fn sinks(config: &Config) -> Result<BTreeMap<String, Box<dyn Sink>>, Vec<Problem>> {
    let mut sinks = BTreeMap::new();
    let mut problems = Vec::new();
    for (name, settings) in &config.sinks {
        match sink(&settings.kind) {
            Ok(sink) => {
                sinks.insert(name.clone(), sink);
            }
            Err(error) => problems.push(Problem {
                file: config.file.clone(),
                place: Some(place_of(settings, &error)),
                wrong: format!("the sink `{name}` cannot be made: {}", reason(&error)),
                remedy: "mend the file, or name another".to_owned(),
            }),
        }
    }
    if problems.is_empty() { Ok(sinks) } else { Err(problems) }
}

fn sink(kind: &SinkKind) -> Result<Box<dyn Sink>, SinkError> {
    Ok(match kind {
        SinkKind::OtlpGrpc(connection) => Box::new(OtlpGrpc::new(connection)?),
        SinkKind::OtlpHttp(connection) => Box::new(OtlpHttp::new(connection)?),
        SinkKind::Pyroscope(connection, api) => Box::new(Pyroscope::new(connection, *api)?),
        SinkKind::Directory { dir, retention } => Box::new(Directory::new(dir.clone(), *retention)),
    })
}

fn connection(kind: &SinkKind) -> Option<&Connection> {
    match kind {
        SinkKind::OtlpGrpc(connection)
        | SinkKind::OtlpHttp(connection)
        | SinkKind::Pyroscope(connection, _) => Some(connection),
        SinkKind::Directory { .. } => None,
    }
}

/// Without the address, which may hold a password.
fn reason(error: &SinkError) -> String {
    match error {
        SinkError::Endpoint { reason, .. } => format!("its address cannot be used: {reason}"),
        error => error.to_string(),
    }
}

/// Of the key that an error is about.
fn place_of(settings: &SinkSettings, error: &SinkError) -> Place {
    let tls = connection(&settings.kind).map(|connection| &connection.tls);
    let key = match error {
        SinkError::Endpoint { .. } => "address",
        SinkError::File { path, .. } => match tls {
            Some(tls) if tls.ca_file.as_ref() == Some(path) => "ca_file",
            Some(tls) if tls.certificate_file.as_ref() == Some(path) => "cert_file",
            _ => "key_file",
        },
        SinkError::HalfIdentity => "cert_file",
        SinkError::Header { .. } => "tenant",
        SinkError::Proxy { .. } => "proxy",
    };
    settings.places.get(key).copied().unwrap_or(settings.place)
}

/// Looks up on this host what a configuration names. Nothing is made or changed.
#[must_use]
pub fn check(config: &Config) -> Checked {
    let mut found = Checked { problems: sinks(config).err().unwrap_or_default(), ..Checked::default() };
    let problem = |place: Option<Place>, wrong: String, remedy: &str| Problem {
        file: config.file.clone(),
        place,
        wrong,
        remedy: remedy.to_owned(),
    };
    let at = |key| config.places.get(key).copied();
    for (name, sink) in &config.sinks {
        let place = |key| Some(sink.places.get(key).copied().unwrap_or(sink.place));
        if let Some(path) = connection(&sink.kind).and_then(|connection| connection.token_file.as_ref())
            && let Err(reason) = token(path)
        {
            let wrong = format!("the sink `{name}` cannot use the token in {}: {reason}", path.display());
            found.problems.push(problem(
                place("token_file"),
                wrong,
                "write one line of text, readable by the agent",
            ));
        }
        if let SinkKind::Directory { dir, .. } = &sink.kind
            && let Err(reason) = can_write(dir)
        {
            found.problems.push(problem(place("dir"), reason, OTHER_DIRECTORY));
        }
    }
    match private(&config.spool.dir) {
        Ok(()) => {}
        Err(Private::OfAnother(reason)) => found.warnings.push(problem(at("spool.dir"), reason, SAME_USER)),
        Err(Private::Wrong(reason)) => found.problems.push(problem(at("spool.dir"), reason, OTHER_DIRECTORY)),
    }
    if let Some(dir) = &config.table_cache
        && let Err(Private::OfAnother(reason) | Private::Wrong(reason)) = private(dir)
    {
        let remedy =
            "unwind tables are built anew at each start; make it writable, or write table_cache = \"\"";
        found.warnings.push(problem(at("table_cache"), reason, remedy));
    }
    if let Some(dir) = config.control_socket.as_deref().and_then(Path::parent)
        && let Err(reason) = can_write(dir)
    {
        found.problems.push(problem(
            at("control_socket"),
            reason,
            "choose another control_socket, or \"\" for none",
        ));
    }
    if let Some(path) = config.kill_switch.as_ref().filter(|path| path.exists()) {
        let wrong = format!("the kill switch {} is there: nothing would be attached", path.display());
        found.warnings.push(problem(at("kill_switch"), wrong, "remove that file"));
    }
    let users = Users::of_host();
    for target in &config.targets {
        if let Some(user) = target.conditions.user.as_ref().filter(|user| users.uid(user).is_none()) {
            let wrong = format!("no user is called `{user}` in /etc/passwd: this target matches nothing");
            found.warnings.push(problem(
                Some(target.place),
                wrong,
                "write the user's number if others know it",
            ));
        }
    }
    if let Err(SelectError { reason, .. }) = Selector::new(config, "", &users) {
        let wrong = format!("all targets together are too much: {reason}");
        found.problems.push(problem(None, wrong, "write fewer or smaller patterns"));
    }
    found
}

const OTHER_DIRECTORY: &str = "let the agent's user write there, or choose another directory";
const SAME_USER: &str = "check as the user that the daemon runs as, or choose another directory";

fn token(path: &Path) -> Result<(), String> {
    const MAX_TOKEN_BYTES: u64 = 64 << 10;
    let metadata = fs::metadata(path).map_err(|error| error.to_string())?;
    if !metadata.is_file() || metadata.len() > MAX_TOKEN_BYTES {
        return Err(format!("it is no file of at most {MAX_TOKEN_BYTES} bytes"));
    }
    match fs::read_to_string(path) {
        Ok(text) if text.trim().is_empty() => Err("it is empty".to_owned()),
        Ok(text) if text.trim().contains(char::is_control) => Err("it has more than one line".to_owned()),
        Ok(_) => Ok(()),
        Err(error) => Err(error.to_string()),
    }
}

/// Why a directory that has to be the agent's alone is not, or could not be made.
enum Private {
    /// The daemon may run as another user than who asks.
    OfAnother(String),
    Wrong(String),
}

fn private(dir: &Path) -> Result<(), Private> {
    if !dir.exists() {
        return can_write(dir).map_err(Private::Wrong);
    }
    let reason = |error: &PrivateDirError| format!("cannot use {}: {error}", dir.display());
    match PrivateDir::open(dir) {
        Ok(_) => can_write(dir).map_err(Private::Wrong),
        Err(error @ PrivateDirError::Owner { .. }) => Err(Private::OfAnother(reason(&error))),
        Err(error) => Err(Private::Wrong(reason(&error))),
    }
}

/// It can be written to, or made.
fn can_write(dir: &Path) -> Result<(), String> {
    let Some(nearest) = dir.ancestors().find(|path| path.exists()) else {
        return Err(format!("there is no directory above {}", dir.display()));
    };
    if !nearest.is_dir() {
        return Err(format!("{} is no directory", nearest.display()));
    }
    let error = |error: io::Error| match nearest == dir {
        true => format!("cannot write to {}: {error}", dir.display()),
        false => format!("cannot make {} in {}: {error}", dir.display(), nearest.display()),
    };
    access(&PathBuf::from(nearest)).map_err(error)
}

/// As the kernel would decide, without trying.
fn access(dir: &Path) -> io::Result<()> {
    let path = CString::new(dir.as_os_str().as_bytes())?;
    // SAFETY: the path ends with a zero and lives through the call.
    let answer =
        unsafe { libc::faccessat(libc::AT_FDCWD, path.as_ptr(), libc::W_OK | libc::X_OK, libc::AT_EACCESS) };
    if answer == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
