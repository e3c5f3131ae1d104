//! Boots a kernel in QEMU without hardware help: slow, but the same everywhere.

use std::{
    fs::File,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};

use crate::{process::Running, shell::find_program};

/// A boot takes some ten seconds; what takes this long hangs.
const TIMEOUT: Duration = Duration::from_secs(180);

/// Runs until the guest powers off or its time is up; either way the console tells how far it came.
pub(super) fn boot(kernel: &Path, initramfs: &Path, log: &Path) -> Result<Duration> {
    let qemu = find_program("qemu-system-x86_64").context("no qemu: install Debian's qemu-system-x86")?;
    let console = File::create(log).with_context(|| format!("cannot create `{}`", log.display()))?;
    let mut command = Command::new(qemu);
    command
        // One thread for both CPUs: with two, a CPU can still see the breakpoint with which the kernel patches its own
        // code when nobody answers for it any more, and 6.12 panicked (int3 in `__schedule`).
        .args(["-accel", "tcg,thread=single", "-cpu", "max", "-m", "1536", "-smp", "2"])
        .args(["-nodefaults", "-no-reboot", "-display", "none", "-monitor", "none", "-serial", "stdio"])
        .args(["-append", "console=ttyS0 quiet panic=1"])
        .arg("-kernel")
        .arg(kernel)
        .arg("-initrd")
        .arg(initramfs)
        .stdin(Stdio::null())
        .stdout(console.try_clone().context("cannot share the console log")?)
        .stderr(console);
    let start = Instant::now();
    let mut guest = Running::start("the virtual machine", &mut command)?;
    if let Err(error) = guest.wait(TIMEOUT) {
        println!("{error:#}");
    }
    Ok(start.elapsed())
}
