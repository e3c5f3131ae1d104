//! /proc/PID/status: identity, owner and resident size of a process.

use std::io;

/// What is kept of a status file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// Command name, unescaped; bytes that are not UTF-8 replaced.
    pub name: String,
    /// Thread group id: the process id in this /proc's pid namespace.
    pub tgid: u32,
    /// The process id in each nested pid namespace, outermost first; the last is how the process knows itself.
    pub ns_pids: Vec<u32>,
    /// Effective user id.
    pub effective_uid: u32,
    /// Resident set; none for a kernel thread or a process that is going away.
    pub resident_bytes: Option<u64>,
}

impl Status {
    /// The process id in the process's own pid namespace.
    pub fn innermost_pid(&self) -> u32 {
        self.ns_pids.last().copied().unwrap_or(self.tgid)
    }
}

/// Why a status is not known.
#[derive(Debug, thiserror::Error)]
pub enum StatusError {
    /// The file could not be read.
    #[error("cannot read the status of process {pid}")]
    Read {
        /// Whose.
        pid: u32,
        /// What the kernel answered.
        #[source]
        source: io::Error,
    },
    /// A field that every kernel writes is absent or malformed.
    #[error("status has no usable {field} field")]
    Field {
        /// Its name in the file.
        field: &'static str,
    },
}

/// Reads the status of a live process (or thread: any id works).
pub fn read(pid: u32) -> Result<Status, StatusError> {
    let text = super::read_small(&format!("/proc/{pid}/status"))
        .map_err(|source| StatusError::Read { pid, source })?;
    parse(&text)
}

/// Parses a status file.
pub fn parse(text: &[u8]) -> Result<Status, StatusError> {
    let name = field(text, "Name").ok_or(StatusError::Field { field: "Name" })?;
    let tgid = numbers(text, "Tgid").next().ok_or(StatusError::Field { field: "Tgid" })?;
    // Real, effective, saved, file system.
    let effective_uid = numbers(text, "Uid").nth(1).ok_or(StatusError::Field { field: "Uid" })?;
    // The kernel nests at most 32 namespaces.
    let ns_pids = numbers(text, "NStgid").take(33).collect();
    let resident_bytes =
        numbers(text, "VmRSS").next().map(|kibibytes| u64::from(kibibytes).saturating_mul(1024));
    Ok(Status { name: unescape(name), tgid, ns_pids, effective_uid, resident_bytes })
}

/// A process cannot forge a line with its name: the kernel writes a newline in it as `\n`.
fn field<'text>(text: &'text [u8], name: &str) -> Option<&'text [u8]> {
    text.split(|&byte| byte == b'\n')
        .find_map(|line| line.strip_prefix(name.as_bytes())?.strip_prefix(b":\t"))
}

fn numbers<'text>(text: &'text [u8], name: &str) -> impl Iterator<Item = u32> + use<'text> {
    field(text, name)
        .unwrap_or_default()
        .split(u8::is_ascii_whitespace)
        .filter(|word| !word.is_empty())
        .map_while(|word| std::str::from_utf8(word).ok()?.parse().ok())
}

fn unescape(name: &[u8]) -> String {
    let mut bytes = Vec::with_capacity(name.len());
    let mut rest = name.iter();
    while let Some(&byte) = rest.next() {
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        match rest.next() {
            Some(b'n') => bytes.push(b'\n'),
            Some(&other) => bytes.push(other),
            None => bytes.push(b'\\'),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{any, prop_assert, proptest};

    const CONTAINED: &[u8] =
        b"Name:\tevil\\nTgid:\\t1\nUmask:\t0022\nState:\tS (sleeping)\nTgid:\t4711\nPid:\t4711\n\
        Uid:\t0\t33\t0\t0\nNStgid:\t4711\t17\t1\nNSpid:\t4711\t17\t1\nVmRSS:\t    2048 kB\n";

    #[test]
    fn a_contained_process_with_a_hostile_name_is_read() {
        let status = parse(CONTAINED).expect("parses");
        let expected = Status {
            name: "evil\nTgid:t1".to_owned(),
            tgid: 4711,
            ns_pids: vec![4711, 17, 1],
            effective_uid: 33,
            resident_bytes: Some(2048 * 1024),
        };
        assert_eq!(status, expected);
        assert_eq!(status.innermost_pid(), 1);
    }

    #[test]
    fn a_missing_field_is_named() {
        let cases: [(&[u8], &str); 4] = [
            (b"", "Name"),
            (b"Name:\ta\n", "Tgid"),
            (b"Name:\ta\nTgid:\tx\n", "Tgid"),
            (b"Name:\ta\nTgid:\t1\nUid:\t0\n", "Uid"),
        ];
        for (text, expected) in cases {
            let seen = parse(text);
            assert!(
                matches!(seen, Err(StatusError::Field { field }) if field == expected),
                "{expected}: {seen:?}"
            );
        }
    }

    #[test]
    fn this_process_reads_itself() {
        let status = read(std::process::id()).expect("own status");
        assert_eq!(status.tgid, std::process::id(), "{status:?}");
        assert!(status.resident_bytes.is_some_and(|bytes| bytes > 100_000), "{status:?}");
    }

    proptest! {
        #[test]
        fn no_input_makes_the_parser_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let mut text = CONTAINED.to_vec();
            text.splice(0..bytes.len().min(text.len()), bytes);
            if let Ok(status) = parse(&text) {
                prop_assert!(status.ns_pids.len() <= 33, "{:?}", status);
            }
        }
    }
}
