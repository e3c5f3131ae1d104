//! Memory of one process: `status` on every reading, `smaps_rollup` now and then.
//!
//! Both are text of `Name:   123 kB` lines. `status` is answered from counters; `smaps_rollup` walks the page
//! tables with the memory map locked, which takes milliseconds for each gigabyte.

use std::{fs::File, io, os::unix::fs::FileExt as _};

use profile::memory::MemoryUse;

/// A status file is below 4 KiB; a rollup has some 25 lines.
const MAX_TEXT_BYTES: usize = 16 * 1024;

/// The status file of one process, held open: it keeps meaning the same process, also when its ID is used again.
#[derive(Debug)]
pub struct StatusFile {
    pid: u32,
    file: File,
}

/// What a status file says of memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusMemory {
    /// Command name, with the kernel's escapes.
    pub name: String,
    /// Memory, without what the rollup has.
    pub usage: MemoryUse,
}

/// Why the memory of a process is not known.
#[derive(Debug, thiserror::Error)]
pub enum MemoryError {
    /// A file could not be opened or read.
    #[error("cannot read /proc/{pid}/{file}")]
    Read {
        /// Whose.
        pid: u32,
        /// Which.
        file: &'static str,
        /// What the kernel answered.
        #[source]
        source: io::Error,
    },
    /// It has no memory of its own.
    #[error("process {pid} has no memory of its own: it has ended, or is a thread of the kernel")]
    NoMemory {
        /// Whose.
        pid: u32,
    },
    /// The text is not what the kernel writes.
    #[error("/proc/{pid}/{file} has no usable {field} field")]
    Field {
        /// Whose.
        pid: u32,
        /// Which.
        file: &'static str,
        /// The field.
        field: &'static str,
    },
}

impl MemoryError {
    /// Whether this only says that the process has ended.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        match self {
            Self::NoMemory { .. } => true,
            Self::Read { source, .. } => {
                source.kind() == io::ErrorKind::NotFound || source.raw_os_error() == Some(libc::ESRCH)
            }
            Self::Field { .. } => false,
        }
    }
}

impl StatusFile {
    /// Opens the status file of a live process.
    ///
    /// # Errors
    /// If there is no such process.
    pub fn open(pid: u32) -> Result<Self, MemoryError> {
        let file = File::open(format!("/proc/{pid}/status")).map_err(|source| MemoryError::Read {
            pid,
            file: "status",
            source,
        })?;
        Ok(Self { pid, file })
    }

    /// Reads it anew.
    ///
    /// # Errors
    /// If the process has ended.
    pub fn read(&self, buffer: &mut Vec<u8>) -> Result<StatusMemory, MemoryError> {
        let pid = self.pid;
        let error = |source| MemoryError::Read { pid, file: "status", source };
        buffer.resize(MAX_TEXT_BYTES, 0);
        let n_bytes = self.file.read_at(buffer, 0).map_err(error)?;
        let text = buffer.get(..n_bytes).unwrap_or_default();
        let status = parse_status(text).ok_or(MemoryError::Field { pid, file: "status", field: "Name" })?;
        status
            .usage
            .ok_or(MemoryError::NoMemory { pid })
            .map(|usage| StatusMemory { name: status.name, usage })
    }
}

/// A name, and the memory if there is any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParsedStatus {
    /// Command name, with the kernel's escapes.
    pub name: String,
    /// None for a kernel thread and for a process that has ended.
    pub usage: Option<MemoryUse>,
}

/// Parses a status file; none if it has no name.
#[must_use]
pub fn parse_status(text: &[u8]) -> Option<ParsedStatus> {
    let name = text.split(|&byte| byte == b'\n').find_map(|line| line.strip_prefix(b"Name:\t"))?;
    let bytes = |field| kibibytes(text, field);
    let usage = bytes("VmRSS").map(|resident_bytes| MemoryUse {
        resident_bytes,
        anonymous_bytes: bytes("RssAnon").unwrap_or(0),
        file_bytes: bytes("RssFile").unwrap_or(0),
        shared_bytes: bytes("RssShmem").unwrap_or(0),
        swap_bytes: bytes("VmSwap").unwrap_or(0),
        page_table_bytes: bytes("VmPTE").unwrap_or(0),
        hugetlb_bytes: bytes("HugetlbPages").unwrap_or(0),
        proportional_bytes: None,
        huge_page_bytes: None,
    });
    Some(ParsedStatus { name: String::from_utf8_lossy(name).into_owned(), usage })
}

/// What only a walk of the page tables tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rollup {
    /// PSS.
    pub proportional_bytes: u64,
    /// Transparent huge pages: anonymous, shared and of files.
    pub huge_page_bytes: u64,
}

/// Has the kernel walk the page tables of a process.
///
/// # Errors
/// If it has ended, or we may not.
pub fn read_rollup(pid: u32) -> Result<Rollup, MemoryError> {
    let file = "smaps_rollup";
    let text = super::read_small(&format!("/proc/{pid}/{file}")).map_err(|source| MemoryError::Read {
        pid,
        file,
        source,
    })?;
    parse_rollup(&text).ok_or(MemoryError::Field { pid, file, field: "Pss" })
}

/// Parses a rollup; none if it has no PSS.
#[must_use]
pub fn parse_rollup(text: &[u8]) -> Option<Rollup> {
    let huge = ["AnonHugePages", "ShmemPmdMapped", "FilePmdMapped"].map(|field| kibibytes(text, field));
    Some(Rollup {
        proportional_bytes: kibibytes(text, "Pss")?,
        huge_page_bytes: huge.into_iter().flatten().fold(0, u64::saturating_add),
    })
}

/// The value of a `Name:   123 kB` line, in bytes.
fn kibibytes(text: &[u8], name: &str) -> Option<u64> {
    text.split(|&byte| byte == b'\n').find_map(|line| value_of(line.strip_prefix(name.as_bytes())?))
}

/// Of what follows the name: `:   123 kB`.
pub(super) fn value_of(after_name: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(after_name.strip_prefix(b":")?).ok()?;
    let number: u64 = text.split_ascii_whitespace().next()?.parse().ok()?;
    number.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{any, prop_assert, proptest};

    const STATUS: &[u8] = b"Name:\tnginx: w\\nVmRSS:\t1 kB\nState:\tS (sleeping)\nVmRSS:\t    5000 kB\n\
        RssAnon:\t    3000 kB\nRssFile:\t    1500 kB\nRssShmem:\t     500 kB\nVmPTE:\t      52 kB\n\
        VmSwap:\t      12 kB\nHugetlbPages:\t    2048 kB\n";

    #[test]
    fn every_field_of_a_status_is_in_bytes() {
        let status = parse_status(STATUS).expect("parses");
        let usage = MemoryUse {
            resident_bytes: 5000 << 10,
            anonymous_bytes: 3000 << 10,
            file_bytes: 1500 << 10,
            shared_bytes: 500 << 10,
            swap_bytes: 12 << 10,
            page_table_bytes: 52 << 10,
            hugetlb_bytes: 2048 << 10,
            proportional_bytes: None,
            huge_page_bytes: None,
        };
        assert_eq!(status, ParsedStatus { name: "nginx: w\\nVmRSS:\t1 kB".to_owned(), usage: Some(usage) });
    }

    #[test]
    fn a_kernel_thread_has_a_name_and_no_memory() {
        let status = parse_status(b"Name:\tkthreadd\nState:\tS\n").expect("parses");
        assert_eq!(status, ParsedStatus { name: "kthreadd".to_owned(), usage: None });
        assert_eq!(parse_status(b"VmRSS:\t1 kB\n"), None);
    }

    #[test]
    fn a_rollup_sums_huge_pages_of_all_kinds() {
        let text =
            b"55b4-7ffd ---p 00000000 00:00 0    [rollup]\nRss: 1724 kB\nPss:  244 kB\nPss_Anon: 112 kB\n\
            AnonHugePages: 2048 kB\nShmemPmdMapped: 4096 kB\nFilePmdMapped: 0 kB\n";
        let expected = Rollup { proportional_bytes: 244 << 10, huge_page_bytes: 6144 << 10 };
        assert_eq!(parse_rollup(text), Some(expected));
        assert_eq!(parse_rollup(b"Rss: 1 kB\nPss_Anon: 1 kB\n"), None);
    }

    #[test]
    fn this_process_reads_itself() {
        let own = std::process::id();
        let status = StatusFile::open(own).expect("opens").read(&mut Vec::new()).expect("reads");
        let kinds = status.usage.anonymous_bytes + status.usage.file_bytes + status.usage.shared_bytes;
        assert!(status.usage.resident_bytes > 100_000 && kinds > 100_000, "{status:?}");
        let rollup = read_rollup(own).expect("own rollup");
        assert!(rollup.proportional_bytes > 10_000, "{rollup:?}");
    }

    #[test]
    fn a_process_that_is_gone_is_an_error_that_names_it() {
        let seen = StatusFile::open(u32::MAX).expect_err("no such process");
        assert_eq!(seen.to_string(), "cannot read /proc/4294967295/status");
    }

    proptest! {
        #[test]
        fn no_input_makes_the_parsers_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), at in 0..200_usize) {
            let mut text = STATUS.to_vec();
            let at = at.min(text.len());
            text.splice(at..at, bytes);
            let rollup = parse_rollup(&text);
            prop_assert!(rollup.is_none_or(|it| it.proportional_bytes % 1024 == 0), "{rollup:?}");
            if let Some(status) = parse_status(&text) {
                prop_assert!(status.name.len() <= 3 * text.len(), "{status:?}");
            }
        }
    }
}
