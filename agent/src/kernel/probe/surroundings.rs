//! What every check needs to know about this process, read once.

use std::{
    fs,
    io::{self, Read as _},
    path::PathBuf,
};

use super::capabilities::{self, Capabilities, Capability};

/// Largest /proc text read, in bytes; those read here have one page at most.
const MAX_TEXT_BYTES: u64 = 64 << 10;

/// This process.
pub(super) struct Surroundings {
    pub(super) capabilities: Capabilities,
    is_root_user: bool,
    /// The agent's own file, as a command line names it.
    agent: PathBuf,
}

impl Surroundings {
    /// Looks around. What cannot be read counts as no privilege.
    pub(super) fn read() -> Self {
        let status = read_text("/proc/self/status").unwrap_or_default();
        Self {
            capabilities: capabilities::parse_effective(&status).unwrap_or_default(),
            is_root_user: parse_effective_uid(&status) == Some(0),
            agent: std::env::current_exe().unwrap_or_else(|_| PathBuf::from("agent")),
        }
    }

    #[cfg(test)]
    pub(super) fn example(capabilities: u64, uid: u32) -> Self {
        Self {
            capabilities: Capabilities(capabilities),
            is_root_user: uid == 0,
            agent: PathBuf::from("/usr/bin/agent"),
        }
    }

    /// Whether the kernel takes programs and events for all processes from us.
    pub(super) const fn can_load_and_sample(&self) -> bool {
        let held = self.capabilities;
        self.is_all_powerful() || held.has(Capability::BPF) && held.has(Capability::PERFMON)
    }

    pub(super) const fn is_all_powerful(&self) -> bool {
        self.capabilities.has(Capability::SYS_ADMIN)
    }

    /// The command that gives the agent all that it can make use of.
    pub(super) fn grant(&self) -> String {
        // Root without capabilities is what a container runtime leaves; a file's capabilities do not help there.
        if self.is_root_user {
            let options: Vec<_> =
                Capability::USED.iter().map(|it| format!("--cap-add={}", it.short_name())).collect();
            return format!("`docker run --pid=host {}`, or run as root of the host", options.join(" "));
        }
        let list: Vec<_> = Capability::USED.iter().map(|it| it.name.to_ascii_lowercase()).collect();
        let agent = self.agent.display();
        format!("`sudo setcap {}+ep '{agent}'`, or run as root", list.join(","))
    }
}

/// Reads a small text file of the kernel.
pub(super) fn read_text(path: &str) -> io::Result<String> {
    let mut bytes = Vec::new();
    fs::File::open(path)?.take(MAX_TEXT_BYTES).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Reads a file that holds one number.
pub(super) fn read_number(path: &str) -> io::Result<i64> {
    read_text(path)?.trim().parse().map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "not a number"))
}

/// The second of real, effective, saved and file system.
fn parse_effective_uid(status: &str) -> Option<u32> {
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    line.split_ascii_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_effective_user_is_read_and_garbage_is_nobody() {
        assert_eq!(parse_effective_uid("Name:\tx\nUid:\t1000\t0\t1000\t1000\n"), Some(0));
        for garbage in ["", "Uid:", "Uid:\t0", "Uid:\t0\t-1", "Uid:\t0\t99999999999\n"] {
            assert_eq!(parse_effective_uid(garbage), None, "{garbage:?}");
        }
    }

    #[test]
    fn the_way_to_privileges_is_setcap_for_a_user_and_the_runtime_for_a_containers_root() {
        let user = Surroundings::example(0, 1000).grant();
        assert_eq!(
            user,
            "`sudo setcap cap_bpf,cap_perfmon,cap_sys_ptrace,cap_checkpoint_restore,cap_dac_read_search,\
             cap_syslog+ep '/usr/bin/agent'`, or run as root"
        );
        let root = Surroundings::example(0, 0).grant();
        assert!(root.starts_with("`docker run --pid=host --cap-add=BPF --cap-add=PERFMON "), "{root}");
    }

    #[test]
    fn either_the_two_new_capabilities_or_the_old_one_will_do() {
        let can = |bits| Surroundings::example(bits, 1000).can_load_and_sample();
        let seen = [0, 1 << 39, 1 << 38, 1 << 39 | 1 << 38, 1 << 21, u64::MAX].map(can);
        assert_eq!(seen, [false, false, false, true, true, true]);
    }
}
