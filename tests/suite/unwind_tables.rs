//! Unwind tables: when there is not room for all of them, and from one run to the next.

use std::{os::unix::fs::symlink, path::Path, process::Command};

use anyhow::{Context as _, Result};
use tests::{
    agent::{self, Recorder},
    paths,
    process::Running,
};

use crate::support::{args, command_args, own_name};

/// A static program, so that its table is its own; each level of optimization makes another one.
fn compile(dir: &Path, name: &str, level: &str) -> Result<std::path::PathBuf> {
    let program = dir.join(name);
    let flags = [level, "-fomit-frame-pointer", "-fno-optimize-sibling-calls", "-fno-ipa-icf", "-static"];
    paths::compile("programs/deep.c", &flags, &program)?;
    Ok(program)
}

/// Bytes of the table of a file, as the agent says.
fn table_bytes(program: &Path) -> Result<u64> {
    let mut command = Command::new(paths::agent()?);
    let finished = Running::start(command.arg("unwind").arg(program).arg("--no-table-cache"))?
        .finish(tests::wait::PATIENCE)?;
    let said = String::from_utf8_lossy(&finished.stdout).into_owned();
    let line = said.lines().find_map(|line| line.strip_prefix("table")?.split_whitespace().next());
    line.and_then(|n| n.parse().ok()).with_context(|| format!("no size in {said:?} {finished:?}"))
}

#[test]
fn programs_that_run_in_turn_are_walked_whole_in_memory_for_one_of_them() -> Result<()> {
    let dir = tempfile::tempdir()?;
    // One name, so that nothing but these is sampled and has a table.
    let name = own_name("bza");
    let path = |turn: &str| dir.path().join(turn).join(&name);
    for turn in ["first", "second", "third"] {
        std::fs::create_dir(dir.path().join(turn))?;
    }
    let first = compile(&dir.path().join("first"), &name, "-O1")?;
    let second = compile(&dir.path().join("second"), &name, "-O2")?;
    // The first file once more: its table is gone by then.
    symlink(&first, path("third"))?;
    let table_memory = table_bytes(&first)?.max(table_bytes(&second)?) * 5 / 4;

    let recorder = Recorder::start(args(&[
        "--comm",
        &name,
        "--frequency",
        "199",
        "--duration",
        "20s",
        "--no-table-cache",
        "--table-memory",
        &table_memory.to_string(),
    ]))?;
    recorder.wait_until_sampling()?;
    for turn in ["first", "second", "third"] {
        Running::start(Command::new(path(turn)).arg("2"))?.finish(tests::wait::PATIENCE)?;
    }
    recorder.running().signal(libc::SIGINT)?;
    let recording = recorder.finish()?;

    let report = &recording.report;
    assert!(report.unwind_tables.tables_evicted >= 2, "{:?}\n{recording}", report.unwind_tables);
    assert_eq!((report.lost, report.wrong_sums()), (0, Vec::new()), "{recording}");
    assert!(report.processes.len() == 3 && report.samples > 300, "{recording}");
    // Without any one of the three it would be two thirds.
    let whole = recording.folded.share(|_| true, |stack| stack.has("deep_01") && stack.has("deep_25"));
    assert!(whole > 0.8, "{whole:.3} of samples have all 25 frames\n{recording}");
    Ok(())
}

#[test]
fn a_second_run_reads_its_tables_from_the_cache() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let cache = dir.path().join("cache");
    let program = paths::program("deep_nofp")?;
    let options = ["--frequency", "199", "--table-cache", &cache.display().to_string()];
    let record = || agent::record(command_args(&options, &program, &["1"]));
    let (first, second) = (record()?, record()?);

    let tables = [first.report.unwind_tables, second.report.unwind_tables];
    assert!(tables[0].tables_cached >= 2 && tables[0].tables_from_cache == 0, "{tables:?}\n{first}");
    assert!(tables[1].tables_from_cache >= tables[0].tables_cached, "{tables:?}\n{second}");
    assert_eq!(tables[1].tables_cached, 0, "{tables:?}\n{second}");
    for recording in [first, second] {
        let whole = recording.folded.share(|_| true, |stack| stack.has("deep_01") && stack.has("deep_25"));
        assert!(whole > 0.9, "{whole:.3} of samples have all 25 frames\n{recording}");
    }
    Ok(())
}

#[test]
fn copies_of_a_file_share_one_table() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let name = own_name("bzd");
    let copy = dir.path().join("copy").join(&name);
    std::fs::create_dir(dir.path().join("copy"))?;
    let first = compile(dir.path(), &name, "-O2")?;
    std::fs::copy(&first, &copy)?;
    // Room for one table, and both programs run at once.
    let table_memory = (table_bytes(&first)? * 5 / 4).to_string();
    let mut options = vec!["--comm", &name, "--frequency", "199", "--duration", "20s"];
    options.extend(["--no-table-cache", "--table-memory", &table_memory]);
    let recorder = Recorder::start(args(&options))?;
    recorder.wait_until_sampling()?;
    let running = [first, copy].map(|program| Running::start(Command::new(program).arg("2")));
    for running in running {
        running?.finish(tests::wait::PATIENCE)?;
    }
    recorder.running().signal(libc::SIGINT)?;
    let recording = recorder.finish()?;
    assert!(recording.report.processes.len() == 2, "{recording}");
    let whole = recording.folded.share(|_| true, |stack| stack.has("deep_01") && stack.has("deep_25"));
    assert!(whole > 0.8, "{whole:.3} of samples have all 25 frames\n{recording}");
    assert_eq!(recording.report.unwind_tables.tables_evicted, 0, "{recording}");
    Ok(())
}

#[test]
fn a_directory_that_others_may_write_is_refused_as_a_cache() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let open = dir.path().join("open");
    std::fs::create_dir(&open)?;
    std::fs::set_permissions(&open, std::os::unix::fs::PermissionsExt::from_mode(0o777))?;
    let text = open.display().to_string();
    let finished = agent::run(dir.path(), args(&["record", "--all", "-o", "x.svg", "--table-cache", &text]))?;
    let is_clear = finished.stderr.contains(&text) && finished.stderr.contains("mode 777");
    assert!(finished.status.code() == Some(1) && is_clear, "{finished:?}");
    Ok(())
}
