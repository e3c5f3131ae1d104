//! Files behind code that are not where they seem to be: loaded late, replaced, deleted, in another mount namespace,
//! cut short while they are mapped, or in memory only.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context as _, Result};
use tests::{
    agent::{self, Recorder, Recording},
    paths,
    process::Running,
};

use crate::support::{command_args, pid_args};

const RATE: [&str; 2] = ["--frequency", "499"];
const RECORD: [&str; 4] = ["--frequency", "499", "--duration", "1s"];
/// What the library's loop does is called by its own function, which `main` calls.
const WHOLE: [&str; 3] = ["loaded_inner", "loaded_spin", "main"];

struct Programs {
    _dir: tempfile::TempDir,
    /// Spins for a second, then in the library.
    program: PathBuf,
    shared_object: PathBuf,
}

/// Without frame pointers: only the tables of both files lead from the library's loop to `main`.
fn programs() -> Result<Programs> {
    let dir = tempfile::tempdir()?;
    let (program, shared_object) = (dir.path().join("loaded"), dir.path().join("library.so"));
    let flags = ["-O2", "-fomit-frame-pointer"];
    paths::compile("suite/loaded.c", &[&flags[..], &["-ldl"]].concat(), &program)?;
    paths::compile("suite/library.c", &[&flags[..], &["-shared", "-fPIC"]].concat(), &shared_object)?;
    Ok(Programs { _dir: dir, program, shared_object })
}

/// The program, spinning in its library for a while.
fn spinning(command: &mut Command) -> Result<Running> {
    let running = Running::start(command)?;
    std::thread::sleep(Duration::from_millis(1500));
    assert!(!running.has_ended(), "it ended: {:?}", running.stderr());
    Ok(running)
}

fn check_whole(what: &str, recording: &Recording) {
    let in_library = |name: &str| name == "loaded_inner";
    let n = recording.folded.count(|stack| stack.user().any(in_library));
    let whole = recording
        .folded
        .share(|stack| stack.user().any(in_library), |stack| WHOLE.iter().all(|name| stack.has(name)));
    assert!(n > 30 && whole > 0.98, "{what}: {whole:.3} of {n} samples lead to main\n{recording}");
    let wrong = recording.report.wrong_sums();
    assert!(wrong.is_empty() && recording.report.lost == 0, "{what}: {wrong:?}\n{recording}");
}

#[test]
fn a_library_loaded_during_the_recording_is_walked_and_named() -> Result<()> {
    let it = programs()?;
    let library = it.shared_object.to_str().context("the path is text")?;
    let recording = agent::record(command_args(&RATE, &it.program, &[library, "1"]))?;
    check_whole("dlopen", &recording);
    let cut: u64 = recording.report.stacks.truncated.values().sum();
    assert!(cut * 50 < recording.report.samples, "{cut} stacks are cut\n{recording}");
    Ok(())
}

#[test]
fn files_replaced_on_disk_before_the_recording_are_read_through_their_mappings() -> Result<()> {
    let it = programs()?;
    let running = spinning(Command::new(&it.program).arg(&it.shared_object).arg("20"))?;
    for path in [&it.program, &it.shared_object] {
        // A package manager puts a new file under the old name.
        let fresh = path.with_extension("fresh");
        fs::write(&fresh, "another file").context("cannot write")?;
        fs::rename(&fresh, path).context("cannot replace")?;
    }
    check_whole("replaced", &agent::record(pid_args(running.pid(), &RECORD))?);
    fs::remove_file(&it.program).context("cannot delete")?;
    fs::remove_file(&it.shared_object).context("cannot delete")?;
    check_whole("deleted", &agent::record(pid_args(running.pid(), &RECORD))?);
    Ok(())
}

/// In the target's mount namespace the directory has another content.
fn spinning_elsewhere(it: &Programs, mount_over: &Path) -> Result<Running> {
    let script = "mount --bind \"$1\" \"$2\" && cd / && exec \"$2/loaded\" \"$2/library.so\" 20";
    let dir = it.program.parent().context("a directory")?;
    let mut command = Command::new(paths::find("unshare", "util-linux")?);
    command.args(["--mount", "--propagation", "private", "sh", "-c", script, "sh"]);
    spinning(command.arg(dir).arg(mount_over))
}

#[test]
fn a_target_in_another_mount_namespace_is_named_by_its_own_files() -> Result<()> {
    let it = programs()?;
    // For us there is nothing at those paths, then other files.
    let elsewhere = tempfile::tempdir()?;
    let running = spinning_elsewhere(&it, elsewhere.path())?;
    check_whole("absent here", &agent::record(pid_args(running.pid(), &RECORD))?);
    for name in ["loaded", "library.so"] {
        fs::copy("/bin/true", elsewhere.path().join(name)).context("cannot copy")?;
    }
    check_whole("another file here", &agent::record(pid_args(running.pid(), &RECORD))?);
    Ok(())
}

#[test]
fn a_file_cut_short_while_it_is_mapped_does_not_end_the_agent() -> Result<()> {
    let it = programs()?;
    // The file as the agent reads it: the target has a copy, so that it survives.
    let running = spinning(Command::new(&it.program).arg(&it.shared_object).arg("20"))?;
    let recorder = Recorder::start(pid_args(running.pid(), &RECORD))?;
    for n_bytes in (0..16).rev() {
        let file = fs::OpenOptions::new().write(true).open(&it.shared_object).context("cannot open")?;
        // Never below the pages of code that the target runs.
        file.set_len(16 * 1024 + n_bytes * 512).context("cannot cut")?;
        std::thread::sleep(Duration::from_millis(50));
    }
    let recording = recorder.finish()?;
    assert!(recording.status.success(), "{recording}");
    assert!(recording.report.samples > 30, "{recording}");
    assert_eq!(recording.report.wrong_sums(), Vec::<String>::new(), "{recording}");
    Ok(())
}
