//! CPU time and resident memory of a process, from /proc/PID.

use std::{
    fs,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

/// The unit of times in /proc is fixed by the kernel's interface at a hundredth of a second.
const NS_PER_TICK: u64 = 10_000_000;
/// On the architectures that are supported so far.
const PAGE_BYTES: u64 = 4096;
const START_TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Usage {
    pub(super) cpu_time: Duration,
    pub(super) rss_bytes: u64,
}

/// What resident memory consists of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Memory {
    /// Heap, stacks, and what was written to of files that are not shared.
    pub(super) anonymous_bytes: u64,
    /// Pages of files, code among them: others may have them, too.
    pub(super) file_bytes: u64,
    /// Of tmpfs, and what processes share.
    pub(super) shared_bytes: u64,
}

impl Memory {
    pub(super) fn rss_bytes(&self) -> u64 {
        self.anonymous_bytes.saturating_add(self.file_bytes).saturating_add(self.shared_bytes)
    }
}

pub(super) fn memory(pid: u32) -> Result<Memory> {
    let path = format!("/proc/{pid}/status");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read `{path}`"))?;
    parse_status(&text).with_context(|| format!("`{path}` has no resident memory"))
}

fn parse_status(text: &str) -> Option<Memory> {
    let bytes = |name: &str| {
        let value = text.lines().find_map(|line| line.strip_prefix(name))?;
        value.trim().strip_suffix(" kB")?.parse::<u64>().ok()?.checked_mul(1024)
    };
    Some(Memory {
        anonymous_bytes: bytes("RssAnon:")?,
        file_bytes: bytes("RssFile:")?,
        shared_bytes: bytes("RssShmem:")?,
    })
}

pub(super) fn of(pid: u32) -> Result<Usage> {
    let path = format!("/proc/{pid}/stat");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read `{path}`"))?;
    parse(&text).with_context(|| format!("cannot parse `{path}`"))
}

/// CPU time of all threads, to the nanosecond; what a thread has run since the last tick may be missing.
pub(super) fn on_cpu(pid: u32) -> Result<Duration> {
    let dir = format!("/proc/{pid}/task");
    let threads = fs::read_dir(&dir).with_context(|| format!("cannot list `{dir}`"))?;
    let mut sum = Duration::ZERO;
    for thread in threads.flatten() {
        let path = thread.path().join("schedstat");
        // A thread may end meanwhile.
        let Ok(text) = fs::read_to_string(&path) else { continue };
        sum += parse_schedstat(&text).with_context(|| format!("cannot parse `{}`", path.display()))?;
    }
    Ok(sum)
}

/// The first of its numbers: nanoseconds on a CPU.
fn parse_schedstat(text: &str) -> Option<Duration> {
    text.split_whitespace().next()?.parse().ok().map(Duration::from_nanos)
}

/// Waits until a process has become `program`: what starts it on a CPU, or with a priority, comes first.
pub(super) fn wait_until_named(pid: u32, program: &Path) -> Result<()> {
    let start = Instant::now();
    let exe = format!("/proc/{pid}/exe");
    while !fs::read_link(&exe).is_ok_and(|found| found.file_name() == program.file_name()) {
        if start.elapsed() > START_TIMEOUT {
            bail!("process {pid} has not become `{}`", program.display());
        }
        thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

/// Fields are counted from the last parenthesis: the name before it may hold spaces and parentheses.
fn parse(stat: &str) -> Option<Usage> {
    let (_, fields) = stat.rsplit_once(')')?;
    // The first of these is field 3 in proc(5).
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
    let ticks = field(14)?.checked_add(field(15)?)?;
    Some(Usage {
        cpu_time: Duration::from_nanos(ticks.checked_mul(NS_PER_TICK)?),
        rss_bytes: field(24)?.checked_mul(PAGE_BYTES)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_spaces_and_parentheses_does_not_shift_the_fields() {
        let stat = "7 (a) b (c) R 1 7 7 0 -1 4194304 100 0 0 0 150 50 0 0 20 0 1 0 12345 1000000 256 184";
        let expected = Usage { cpu_time: Duration::from_secs(2), rss_bytes: 1 << 20 };
        assert_eq!(parse(stat), Some(expected));
    }

    #[test]
    fn the_parts_of_resident_memory_are_read() {
        let status =
            "VmRSS:\t   11000 kB\nRssAnon:\t    8000 kB\nRssFile:\t    2000 kB\nRssShmem:\t    1000 kB\n";
        let memory = parse_status(status).unwrap();
        assert_eq!(memory.rss_bytes(), 11_000 << 10, "{memory:?}");
        assert_eq!(memory.shared_bytes, 1000 << 10);
        assert_eq!(parse_status("VmRSS:\t 1 kB\n"), None);
    }

    #[test]
    fn half_a_line_gives_nothing() {
        assert_eq!(parse("7 (a) R 1 7"), None);
        assert_eq!(parse(""), None);
    }

    #[test]
    fn schedstat_gives_the_time_on_a_cpu_and_nothing_else() {
        assert_eq!(parse_schedstat("390080492 866781 7\n"), Some(Duration::from_nanos(390_080_492)));
        assert_eq!(parse_schedstat(""), None);
        assert_eq!(parse_schedstat("x 1 2"), None);
    }

    #[test]
    fn this_process_has_some_memory_and_its_own_name() {
        let found = of(std::process::id()).unwrap();
        assert!(found.rss_bytes > 0, "{found:?}");
        wait_until_named(std::process::id(), &std::env::current_exe().unwrap()).unwrap();
    }
}
