//! What the kernel says of the privileges of a process (/proc/PID/status).

use std::io;

use crate::procfs;

/// The lines that matter here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// What an exec may hand on.
    pub inheritable: u64,
    /// What may be used.
    pub permitted: u64,
    /// What is used.
    pub effective: u64,
    /// What an exec may give at most.
    pub bounding: u64,
    /// What an exec hands on by itself.
    pub ambient: u64,
    /// Whether an exec gives nothing.
    pub no_new_privs: bool,
    /// Filters of system calls; kernels before 5.9 do not count them.
    pub n_filters: u64,
    /// Threads.
    pub n_threads: u64,
}

impl Status {
    /// Of this process.
    ///
    /// # Errors
    /// If it cannot be read or lacks a line.
    pub fn of_self() -> io::Result<Self> {
        let bytes = procfs::read_small("/proc/self/status")?;
        Self::parse(&String::from_utf8_lossy(&bytes))
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "a line is missing"))
    }

    /// Out of the text; `None` if a line is missing or is no number.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        let mask = |name: &str| u64::from_str_radix(field(name)?, 16).ok();
        let count = |name: &str| field(name)?.parse::<u64>().ok();
        Some(Self {
            inheritable: mask("CapInh:")?,
            permitted: mask("CapPrm:")?,
            effective: mask("CapEff:")?,
            bounding: mask("CapBnd:")?,
            ambient: mask("CapAmb:")?,
            no_new_privs: count("NoNewPrivs:")? != 0,
            n_filters: count("Seccomp_filters:").unwrap_or(0),
            n_threads: count("Threads:")?,
        })
    }

    /// The sets by name.
    #[must_use]
    pub const fn sets(&self) -> [(&'static str, u64); 5] {
        [
            ("permitted", self.permitted),
            ("effective", self.effective),
            ("inheritable", self.inheritable),
            ("bounding", self.bounding),
            ("ambient", self.ambient),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::Status;

    const TEXT: &str = "Name:\tagent\nThreads:\t3\nCapInh:\t0000000000000000\nCapPrm:\t000001c400080004\n\
                        CapEff:\t000001c400080004\nCapBnd:\t000001ffffffffff\nCapAmb:\t0000000000000000\n\
                        NoNewPrivs:\t1\nSeccomp:\t2\nSeccomp_filters:\t2\n";

    #[test]
    fn the_sets_are_read() {
        let seen = Status::parse(TEXT);
        let expected = Status {
            inheritable: 0,
            permitted: 0x1c4_0008_0004,
            effective: 0x1c4_0008_0004,
            bounding: 0x1ff_ffff_ffff,
            ambient: 0,
            no_new_privs: true,
            n_filters: 2,
            n_threads: 3,
        };
        assert_eq!(seen, Some(expected));
    }

    #[test]
    fn a_text_without_one_of_the_lines_is_none() {
        for name in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Threads"] {
            let without: String = TEXT.lines().filter(|line| !line.starts_with(name)).collect();
            assert_eq!(Status::parse(&without), None, "without {name}");
            let garbage = TEXT.replace(&format!("{name}:\t"), &format!("{name}:\tx"));
            assert_eq!(Status::parse(&garbage), None, "garbage in {name}");
        }
    }

    #[test]
    fn this_process_has_a_status() {
        let seen = Status::of_self().expect("reads");
        assert!(seen.n_threads >= 1 && seen.effective & !seen.permitted == 0, "{seen:?}");
    }
}
