//! Side-band records of perf: what processes did (`include/uapi/linux/perf_event.h`, `enum perf_event_type`).
//!
//! The records end with a `sample_id` of (pid, tid, time), as asked for when the event is opened.

use std::path::PathBuf;
use std::{ffi::OsString, os::unix::ffi::OsStringExt as _};

const RECORD_COMM: u32 = 3;
const RECORD_EXIT: u32 = 4;
const RECORD_FORK: u32 = 7;
const RECORD_MMAP2: u32 = 10;

/// Bit of `misc`: the new name comes from an exec.
pub const MISC_COMM_EXEC: u16 = 1 << 13;

const PROT_EXEC: u32 = 4;

/// Something that a process did, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessEvent {
    /// CLOCK_MONOTONIC.
    pub time_ns: u64,
    /// What.
    pub kind: ProcessEventKind,
}

/// What a process did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProcessEventKind {
    /// Mapped executable memory.
    Mmap {
        /// Process ID.
        pid: u32,
        /// What was mapped.
        region: MappedRegion,
    },
    /// A thread got a name.
    Name {
        /// Process ID.
        pid: u32,
        /// Thread ID.
        tid: u32,
        /// The name.
        name: String,
    },
    /// The process executed a new image: its mappings are gone.
    Exec {
        /// Process ID.
        pid: u32,
        /// Name of the new image.
        name: String,
    },
    /// A process or thread began.
    Fork {
        /// Process ID.
        pid: u32,
        /// Thread ID.
        tid: u32,
        /// Process ID of the parent.
        parent_pid: u32,
        /// Thread ID of the parent.
        parent_tid: u32,
    },
    /// A thread ended; the process, if `pid == tid`.
    Exit {
        /// Process ID.
        pid: u32,
        /// Thread ID.
        tid: u32,
    },
}

/// An executable mapping, as the kernel describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MappedRegion {
    /// First address.
    pub start: u64,
    /// Address after the last.
    pub end: u64,
    /// Offset of `start` in the file.
    pub file_offset: u64,
    /// Major and minor number of the file's device.
    pub device: (u32, u32),
    /// The file's inode; 0 for none.
    pub inode: u64,
    /// As the process sees it, or a label: `//anon`, `[vdso]`. Empty for none.
    pub path: PathBuf,
}

/// Reads one record of type `record_type`; `None` for those that say nothing about processes, for data mappings
/// and for records that are cut short.
#[must_use]
pub fn process_event(record_type: u32, misc: u16, bytes: &[u8]) -> Option<ProcessEvent> {
    let (mut body, sample_id) = bytes.split_at_checked(bytes.len().checked_sub(16)?)?;
    let time_ns = u64::from_ne_bytes(*sample_id.last_chunk()?);
    let b = &mut body;
    let kind = match record_type {
        RECORD_MMAP2 => mmap2(b)?,
        RECORD_COMM => {
            let (pid, tid) = (u32_of(b)?, u32_of(b)?);
            let name = String::from_utf8_lossy(until_nul(b)).into_owned();
            if misc & MISC_COMM_EXEC != 0 {
                ProcessEventKind::Exec { pid, name }
            } else {
                ProcessEventKind::Name { pid, tid, name }
            }
        }
        RECORD_FORK | RECORD_EXIT => {
            let (pid, parent_pid, tid, parent_tid) = (u32_of(b)?, u32_of(b)?, u32_of(b)?, u32_of(b)?);
            if record_type == RECORD_FORK {
                ProcessEventKind::Fork { pid, tid, parent_pid, parent_tid }
            } else {
                ProcessEventKind::Exit { pid, tid }
            }
        }
        _ => return None,
    };
    Some(ProcessEvent { time_ns, kind })
}

fn mmap2(b: &mut &[u8]) -> Option<ProcessEventKind> {
    let (pid, _tid) = (u32_of(b)?, u32_of(b)?);
    let (start, n_bytes, file_offset) = (u64_of(b)?, u64_of(b)?, u64_of(b)?);
    let device = (u32_of(b)?, u32_of(b)?);
    let (inode, _generation) = (u64_of(b)?, u64_of(b)?);
    let (prot, _flags) = (u32_of(b)?, u32_of(b)?);
    if prot & PROT_EXEC == 0 {
        return None;
    }
    let path = PathBuf::from(OsString::from_vec(until_nul(b).to_vec()));
    let region = MappedRegion { start, end: start.checked_add(n_bytes)?, file_offset, device, inode, path };
    Some(ProcessEventKind::Mmap { pid, region })
}

fn until_nul(bytes: &[u8]) -> &[u8] {
    bytes.split(|byte| *byte == 0).next().unwrap_or_default()
}

fn u32_of(bytes: &mut &[u8]) -> Option<u32> {
    let (head, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(u32::from_ne_bytes(*head))
}

fn u64_of(bytes: &mut &[u8]) -> Option<u64> {
    let (head, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(u64::from_ne_bytes(*head))
}

#[cfg(test)]
mod tests {
    use super::{MISC_COMM_EXEC, ProcessEventKind, process_event};

    fn mmap2(prot: u32) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend([7_u32, 8].iter().flat_map(|x| x.to_ne_bytes()));
        bytes.extend([0x1000_u64, 0x2000, 0x3000].iter().flat_map(|x| x.to_ne_bytes()));
        bytes.extend([8_u32, 1].iter().flat_map(|x| x.to_ne_bytes()));
        bytes.extend([42_u64, 0].iter().flat_map(|x| x.to_ne_bytes()));
        bytes.extend([prot, 2].iter().flat_map(|x| x.to_ne_bytes()));
        bytes.extend(b"/usr/sbin/nginx\0");
        bytes.extend([7_u32, 8].iter().flat_map(|x| x.to_ne_bytes()));
        bytes.extend(99_u64.to_ne_bytes());
        bytes
    }

    #[test]
    fn an_executable_mapping_is_read_and_a_data_mapping_is_not() {
        let event = process_event(10, 0, &mmap2(5)).expect("a mapping");
        let ProcessEventKind::Mmap { pid: 7, region } = event.kind else { panic!("{event:?}") };
        assert_eq!((region.start, region.end, region.file_offset), (0x1000, 0x3000, 0x3000));
        assert_eq!((region.device, region.inode, event.time_ns), ((8, 1), 42, 99));
        assert_eq!(region.path.to_str(), Some("/usr/sbin/nginx"));
        assert_eq!(process_event(10, 0, &mmap2(1)), None);
    }

    #[test]
    fn an_exec_is_told_from_a_new_name() {
        let mut bytes = [1_u32, 1].iter().flat_map(|x| x.to_ne_bytes()).collect::<Vec<_>>();
        bytes.extend(b"nginx\0\0\0");
        bytes.extend([0; 16]);
        let exec = process_event(3, MISC_COMM_EXEC, &bytes).map(|event| event.kind);
        assert_eq!(exec, Some(ProcessEventKind::Exec { pid: 1, name: "nginx".into() }));
        let name = process_event(3, 0, &bytes).map(|event| event.kind);
        assert_eq!(name, Some(ProcessEventKind::Name { pid: 1, tid: 1, name: "nginx".into() }));
    }

    #[test]
    fn no_cut_of_a_record_panics() {
        for record_type in 0..24 {
            for n_bytes in 0..mmap2(5).len() {
                let _ = process_event(record_type, 0, &mmap2(5)[..n_bytes]);
            }
        }
    }
}
