//! Unwind tables: when there is not room for all of them, and from one run to the next.

use std::{os::unix::fs::symlink, path::Path, process::Command, time::Duration};

use anyhow::{Context as _, Result};
use tests::{agent, paths, process::Running};

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
        .finish(Duration::from_secs(10))?;
    let said = String::from_utf8_lossy(&finished.stdout).into_owned();
    let line = said.lines().find_map(|line| line.strip_prefix("table")?.split_whitespace().next());
    line.and_then(|n| n.parse().ok()).with_context(|| format!("no size in {said:?} {finished:?}"))
}

#[test]
fn programs_that_run_in_turn_are_walked_whole_in_memory_for_one_of_them() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let names = ["bza", "bzb", "bzc"].map(own_name);
    let first = compile(dir.path(), &names[0], "-O1")?;
    let second = compile(dir.path(), &names[1], "-O2")?;
    // The first file once more: its table is gone by then.
    symlink(&first, dir.path().join(&names[2]))?;
    let table_memory = table_bytes(&first)?.max(table_bytes(&second)?) * 5 / 4;

    let script =
        format!("cd {} && ./{} 2 && ./{} 2 && ./{} 2", dir.path().display(), names[0], names[1], names[2]);
    let sh = paths::find("sh", "dash")?;
    let options = ["--frequency", "199", "--no-table-cache", "--table-memory", &table_memory.to_string()];
    let recording = agent::record(command_args(&options, &sh, &["-c", &script]))?;

    let report = &recording.report;
    assert!(report.unwind_tables.tables_evicted >= 2, "{:?}\n{recording}", report.unwind_tables);
    assert_eq!((report.lost, report.wrong_sums()), (0, Vec::new()), "{recording}");
    for name in &names {
        let n = recording.folded.count(|stack| stack.process == *name);
        assert!(n > 100, "{n} samples of {name}\n{recording}");
        let whole = recording
            .folded
            .share(|stack| stack.process == *name, |stack| stack.has("deep_01") && stack.has("deep_25"));
        assert!(whole > 0.8, "{whole:.3} of the samples of {name} have all 25 frames\n{recording}");
    }
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
    let names = ["bzd", "bze"].map(own_name);
    let first = compile(dir.path(), &names[0], "-O2")?;
    std::fs::copy(&first, dir.path().join(&names[1]))?;
    // Room for one table, and both programs run at once.
    let table_memory = table_bytes(&first)? * 5 / 4;
    let script =
        format!("cd {} && ./{} 3 & cd {0} && ./{} 3; wait", dir.path().display(), names[0], names[1]);
    let sh = paths::find("sh", "dash")?;
    let options = ["--frequency", "199", "--table-memory", &table_memory.to_string()];
    let options: Vec<&str> = options.into_iter().chain(["--no-table-cache"]).collect();
    let recording = agent::record(command_args(&options, &sh, &["-c", &script]))?;
    for name in &names {
        let whole = recording
            .folded
            .share(|stack| stack.process == *name, |stack| stack.has("deep_01") && stack.has("deep_25"));
        assert!(whole > 0.8, "{whole:.3} of the samples of {name} have all 25 frames\n{recording}");
    }
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
