//! What a table was measured on, for the line under it.

use std::{fs, process::Command, thread};

use anyhow::{Context, Result};

use crate::shell::output;

/// CPU, cores, kernel, and the day by the system's clock.
pub(super) fn line() -> Result<String> {
    let cpu_info = fs::read_to_string("/proc/cpuinfo").context("cannot read `/proc/cpuinfo`")?;
    let model = cpu_model(&cpu_info).unwrap_or("unknown CPU");
    let release = "/proc/sys/kernel/osrelease";
    let release = fs::read_to_string(release).with_context(|| format!("cannot read `{release}`"))?;
    let n_cores = thread::available_parallelism().context("cannot count the cores")?;
    let day = output(Command::new("date").arg("+%Y-%m-%d"))?;
    Ok(format!("{model}, {n_cores} cores, Linux {}, {}", release.trim(), day.trim()))
}

fn cpu_model(cpu_info: &str) -> Option<&str> {
    let (_, model) = cpu_info.lines().find(|line| line.starts_with("model name"))?.split_once(':')?;
    Some(model.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_model_is_that_of_the_first_cpu() {
        let text = "processor\t: 0\nmodel\t\t: 17\nmodel name\t: AMD EPYC 9R14: x\nmodel name\t: other\n";
        assert_eq!(cpu_model(text), Some("AMD EPYC 9R14: x"));
        assert_eq!(cpu_model("processor : 0\n"), None);
    }
}
