//! CPUs that do not halt while they have nothing to do.

use std::{fs::File, io::Write as _};

use anyhow::{Context, Result};

/// `Documentation/power/pm_qos_interface.rst`: the kernel keeps to what is written for as long as the file is open.
const LATENCY: &str = "/dev/cpu_dma_latency";

/// They stay awake while this value lives.
pub(super) struct Awake {
    _file: File,
}

impl Awake {
    pub(super) fn new() -> Result<Self> {
        let mut file =
            File::options().write(true).open(LATENCY).with_context(|| format!("cannot open `{LATENCY}`"))?;
        // Microseconds that it may take them to wake up.
        file.write_all(&0_i32.to_ne_bytes()).with_context(|| format!("cannot write to `{LATENCY}`"))?;
        Ok(Self { _file: file })
    }
}
