//! How many of perf's own stacks reach the root, on the same server just after.

use std::{
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, bail};

use crate::{
    bench::{child::ends_with_us, stacks},
    process::Running,
    shell::find_program,
};

const FREQUENCY_HZ: u32 = 199;
const RECORD_S: u32 = 2;
/// On large binaries perf may take many minutes.
const SCRIPT_TIMEOUT: Duration = Duration::from_secs(60);

/// A cell of the table.
pub(super) fn share_to_root(pid: u32, copy_bytes: u32) -> Result<String> {
    let perf = find_program("perf").context("no perf: install Debian's linux-perf")?;
    let dir = tempfile::tempdir().context("cannot create a directory for perf")?;
    let file = |name| std::fs::File::create(dir.path().join(name)).context("cannot create a file for perf");

    let mut record = Command::new(&perf);
    record
        .args(["record", "--event", "cpu-clock", "--freq", &FREQUENCY_HZ.to_string()])
        .args(["--call-graph", &format!("dwarf,{copy_bytes}")])
        .args(["--output", "perf.data", "--pid", &pid.to_string(), "--", "sleep", &RECORD_S.to_string()]);
    record.current_dir(dir.path()).stdin(Stdio::null()).stdout(file("record")?).stderr(file("record.log")?);
    ends_with_us(&mut record, libc::SIGKILL);
    let status = Running::start("perf record", &mut record)?.wait(SCRIPT_TIMEOUT)?;
    if !status.success() {
        let log = std::fs::read_to_string(dir.path().join("record.log")).unwrap_or_default();
        bail!("perf record failed ({status}): {}", log.trim());
    }

    let mut script = Command::new(&perf);
    script.args(["script", "--no-inline", "--fields", "ip,sym", "--input", "perf.data"]);
    script.current_dir(dir.path()).stdin(Stdio::null()).stdout(file("script")?).stderr(file("script.log")?);
    ends_with_us(&mut script, libc::SIGKILL);
    if Running::start("perf script", &mut script)?.wait(SCRIPT_TIMEOUT).is_err() {
        return Ok(format!("not done in {} s", SCRIPT_TIMEOUT.as_secs()));
    }
    let text = std::fs::read(dir.path().join("script")).context("cannot read what perf printed")?;
    let found = stacks::of_perf(&String::from_utf8_lossy(&text));
    Ok(if found.n_samples == 0 {
        "no samples".to_owned()
    } else {
        format!("{:.1} ({} KiB)", found.rooted_percent(), copy_bytes.div_ceil(1024))
    })
}

/// For the line under the table.
pub(super) fn remark() -> String {
    format!("{RECORD_S} s at {FREQUENCY_HZ} Hz; it reads no symbol table of Go")
}
