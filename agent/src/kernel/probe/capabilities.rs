//! Effective capabilities, as /proc/self/status writes them (capabilities(7)).

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Capability {
    bit: u32,
    pub(super) name: &'static str,
}

impl Capability {
    pub(super) const DAC_OVERRIDE: Self = Self { bit: 1, name: "CAP_DAC_OVERRIDE" };
    pub(super) const DAC_READ_SEARCH: Self = Self { bit: 2, name: "CAP_DAC_READ_SEARCH" };
    pub(super) const SYS_PTRACE: Self = Self { bit: 19, name: super::names::SYS_PTRACE };
    pub(super) const SYS_ADMIN: Self = Self { bit: 21, name: "CAP_SYS_ADMIN" };
    pub(super) const SYSLOG: Self = Self { bit: 34, name: "CAP_SYSLOG" };
    pub(super) const PERFMON: Self = Self { bit: 38, name: "CAP_PERFMON" };
    pub(super) const BPF: Self = Self { bit: 39, name: "CAP_BPF" };
    pub(super) const CHECKPOINT_RESTORE: Self = Self { bit: 40, name: "CAP_CHECKPOINT_RESTORE" };

    /// What the agent asks for when it asks for capabilities: much less than root.
    pub(super) const USED: [Self; 6] = [
        Self::BPF,
        Self::PERFMON,
        Self::SYS_PTRACE,
        Self::CHECKPOINT_RESTORE,
        Self::DAC_READ_SEARCH,
        Self::SYSLOG,
    ];

    /// As container runtimes call it.
    pub(super) fn short_name(self) -> &'static str {
        self.name.strip_prefix("CAP_").unwrap_or(self.name)
    }
}

/// A set of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Capabilities(pub(super) u64);

impl Capabilities {
    pub(super) const fn has(self, capability: Capability) -> bool {
        self.0 >> capability.bit & 1 == 1
    }
}

/// Finds the effective set in a status file.
pub(super) fn parse_effective(status: &str) -> Option<Capabilities> {
    let digits = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?.trim();
    // `from_str_radix` takes a sign, the kernel writes none.
    let is_hexadecimal = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hexadecimal.then(|| u64::from_str_radix(digits, 16).ok()).flatten().map(Capabilities)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_effective_set_is_found_among_the_others() {
        let status = "Name:\tagent\nCapInh:\t0000000000000000\nCapPrm:\t000001ffffffffff\n\
                      CapEff:\t000000c000080000\nCapBnd:\t000001ffffffffff\n";
        let seen = parse_effective(status);
        assert_eq!(seen, Some(Capabilities(1 << 39 | 1 << 38 | 1 << 19)));
        let has = |capability| seen.is_some_and(|seen| seen.has(capability));
        assert!(has(Capability::BPF) && has(Capability::PERFMON) && has(Capability::SYS_PTRACE), "{seen:?}");
        assert!(!has(Capability::SYS_ADMIN) && !has(Capability::CHECKPOINT_RESTORE), "{seen:?}");
    }

    #[test]
    fn garbage_is_no_set() {
        let cases =
            ["", "CapEff:", "CapEff:\t", "CapEff:\tnone", "CapEff:\t+1f", "CapEff:\t-1", "CapPrm:\t1f"];
        for garbage in cases.into_iter().chain(["CapEff:\t10000000000000000"]) {
            assert_eq!(parse_effective(garbage), None, "{garbage:?}");
        }
    }
}
