//! What a thread waits for, told by what the kernel was doing for it.

use serde::Serialize;

use super::pattern;
use crate::{FrameHandle, FrameKind, Profile};

/// What is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum WaitKind {
    /// A page that is not in memory.
    PageFault,
    /// A lock of the program.
    Lock,
    /// A pipe or FIFO that is full.
    PipeWrite,
    /// A pipe or FIFO with nothing in it.
    PipeRead,
    /// Until what was written is on its disk.
    FileSync,
    /// A peer that sends nothing.
    SocketRead,
    /// A peer that takes nothing.
    SocketWrite,
    /// A connection that is not there yet.
    Connect,
    /// Opening a file, or looking for one.
    FileOpen,
    /// Writing into a file.
    FileWrite,
    /// Reading from a file.
    FileRead,
    /// A process that has not ended.
    Process,
    /// A lock of the kernel.
    KernelLock,
    /// A CPU: the thread could run.
    Cpu,
    /// Sleeping, or waiting for other events.
    Sleep,
    /// None of these.
    Other,
}

/// The first of which a function of the kernel is in the stack counts.
const KINDS: [(WaitKind, &str); 13] = [
    (WaitKind::PageFault, "*exc_page_fault do_user_addr_fault handle_mm_fault"),
    (WaitKind::Lock, "futex_wait* __futex_wait* do_futex"),
    (WaitKind::PipeWrite, "*pipe_write"),
    (WaitKind::PipeRead, "*pipe_read"),
    (WaitKind::FileSync, "*fsync* *fdatasync* ksys_sync* *sync_file_range*"),
    (WaitKind::Connect, "*inet_stream_connect unix_stream_connect __sys_connect*"),
    (
        WaitKind::SocketWrite,
        "*sock_sendmsg* __sys_send* sock_write_iter tcp_sendmsg* sk_stream_wait_memory unix_stream_sendmsg",
    ),
    (
        WaitKind::SocketRead,
        "*sock_recvmsg* __sys_recv* sock_read_iter tcp_recvmsg* sk_wait_data unix_stream_read*",
    ),
    (
        WaitKind::FileOpen,
        "do_sys_openat2 path_openat do_filp_open vfs_statx vfs_fstatat filename_lookup iterate_dir do_unlinkat \
         do_renameat2 do_mkdirat user_path_at*",
    ),
    (
        WaitKind::FileWrite,
        "ksys_write ksys_pwrite64 vfs_write vfs_writev do_writev do_pwritev __x64_sys_write* __x64_sys_pwrite*",
    ),
    (
        WaitKind::FileRead,
        "ksys_read ksys_pread64 vfs_read vfs_readv do_readv do_preadv do_sendfile splice_* filemap_read \
         __x64_sys_read* __x64_sys_pread*",
    ),
    (WaitKind::Process, "do_wait kernel_wait4 kernel_clone wait_for_vfork_done"),
    (WaitKind::KernelLock, "rwsem_* down_read* down_write* *mutex_lock*"),
];

/// Go's threads without a goroutine wait as if for a lock.
const PARKED: &str = "runtime.futexsleep* runtime.stopm runtime.notesleep* runtime.mPark";

/// File systems that are elsewhere, by their functions.
const ELSEWHERE: [(&str, &str); 4] = [
    ("fuse_* request_wait_answer __fuse_*", "a FUSE file system"),
    ("nfs_* nfs4_* rpc_wait*", "NFS"),
    ("cifs_* smb2_*", "SMB"),
    ("p9_* v9fs_*", "9p"),
];

impl WaitKind {
    /// What a thread does while it waits.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::PageFault => "for pages that are not in memory",
            Self::Lock => "for a lock",
            Self::PipeWrite => "to write into a pipe that is full",
            Self::PipeRead => "to read from a pipe that is empty",
            Self::FileSync => "until files are on disk",
            Self::SocketRead => "for a peer to send",
            Self::SocketWrite => "for a peer to receive",
            Self::Connect => "for a connection",
            Self::FileOpen => "to open or find files",
            Self::FileWrite => "to write files",
            Self::FileRead => "to read files",
            Self::Process => "for another process",
            Self::KernelLock => "for a lock of the kernel",
            Self::Cpu => "for a CPU",
            Self::Sleep => "in a sleep, or for other events",
            Self::Other => "in the kernel",
        }
    }

    /// Whether it keeps any thread from its work. What else there is may be the work: to wait for a request.
    pub(super) fn holds_up_any(self) -> bool {
        match self {
            Self::PageFault
            | Self::Lock
            | Self::PipeWrite
            | Self::FileSync
            | Self::SocketWrite
            | Self::FileOpen
            | Self::FileWrite
            | Self::FileRead
            | Self::KernelLock
            | Self::Cpu => true,
            Self::PipeRead | Self::SocketRead | Self::Connect | Self::Process | Self::Sleep | Self::Other => {
                false
            }
        }
    }

    /// Whether a file is what is waited for.
    pub(super) fn is_of_files(self) -> bool {
        matches!(
            self,
            Self::FileRead
                | Self::FileWrite
                | Self::FileOpen
                | Self::FileSync
                | Self::PipeWrite
                | Self::PageFault
        )
    }
}

/// What is known of every frame of a profile: many stacks go through each.
pub(super) struct Kinds {
    known: Vec<Known>,
}

#[derive(Clone, Copy, Default)]
struct Known {
    /// Its place in [`KINDS`].
    rank: Option<usize>,
    is_parked: bool,
    /// Of what is no code.
    reason: Option<WaitKind>,
}

impl Kinds {
    pub(super) fn of(profile: &Profile) -> Self {
        let known = profile.frames().map(|frame| {
            let name = profile.frame_name(frame);
            let is = |(_, functions): &(WaitKind, &str)| pattern::any(functions, &name);
            Known {
                rank: KINDS.iter().position(is).filter(|_| frame.kind == FrameKind::Kernel),
                is_parked: pattern::any(PARKED, &name),
                reason: match &*name {
                    "[idle]" => Some(WaitKind::Sleep),
                    "[waiting for a CPU]" => Some(WaitKind::Cpu),
                    _ => None,
                }
                .filter(|_| frame.kind == FrameKind::Reason),
            }
        });
        Self { known: known.collect() }
    }

    /// What a stack waits for; `None` where that is nothing.
    pub(super) fn kind(&self, leaf_first: &[FrameHandle]) -> Option<WaitKind> {
        let known = || leaf_first.iter().filter_map(|handle| self.known.get(handle.index()));
        if let Some(reason) = known().next()?.reason {
            return Some(reason);
        }
        if known().any(|it| it.is_parked) {
            return None;
        }
        let first = known().filter_map(|it| it.rank).min().and_then(|rank| KINDS.get(rank));
        Some(first.map_or(WaitKind::Other, |(kind, _)| *kind))
    }
}

/// Where the files are that a stack waits for, if that is not a disk of this host.
pub(super) fn elsewhere(profile: &Profile, leaf_first: &[FrameHandle]) -> Option<&'static str> {
    let is = |(functions, _): &&(&str, &str)| has(profile, leaf_first, functions);
    ELSEWHERE.iter().find(is).map(|(_, name)| *name)
}

/// Whether a function of one of these names is in a stack.
pub(super) fn has(profile: &Profile, leaf_first: &[FrameHandle], functions: &str) -> bool {
    let mut frames = leaf_first.iter().filter_map(|handle| profile.frame_at(*handle));
    frames.any(|frame| pattern::any(functions, &profile.frame_name(frame)))
}

#[cfg(test)]
mod tests {
    use super::{Kinds, WaitKind};
    use crate::{Frame, FrameHandle, KERNEL_MAPPING, Mapping, Meta, Profile, ValueType};

    /// Each part is a function of the kernel, of the program with `u:` before it, or a reason in brackets; root first.
    fn kind(stack: &str) -> Option<WaitKind> {
        let mut profile = Profile::new(ValueType::CPU, Meta::default());
        let kernel = profile.intern(KERNEL_MAPPING);
        let kernel = profile.mapping(Mapping::file(kernel, None));
        let mut leaf_first: Vec<FrameHandle> = stack
            .split(';')
            .map(|part| match part.strip_prefix("u:") {
                Some(function) => {
                    let name = profile.intern(function);
                    profile.frame(Frame::native(kernel, 1).named(name))
                }
                None if part.starts_with('[') => profile.reason(part),
                None => {
                    let name = profile.intern(part);
                    profile.frame(Frame::kernel(kernel, 1).named(name))
                }
            })
            .collect();
        leaf_first.reverse();
        Kinds::of(&profile).kind(&leaf_first)
    }

    #[test]
    fn what_is_waited_for_is_told_by_the_functions_of_the_kernel() {
        for (stack, expected) in [
            ("u:write;do_syscall_64;ksys_write;vfs_write;anon_pipe_write", Some(WaitKind::PipeWrite)),
            ("u:write;do_syscall_64;ksys_write;vfs_write;ext4_file_write_iter", Some(WaitKind::FileWrite)),
            (
                "u:pread64;__x64_sys_pread64;vfs_read;fuse_file_read_iter;folio_wait_bit_common",
                Some(WaitKind::FileRead),
            ),
            ("u:open;do_sys_openat2;path_openat;fuse_lookup;request_wait_answer", Some(WaitKind::FileOpen)),
            ("u:f;asm_exc_page_fault;filemap_fault;folio_wait_bit_common", Some(WaitKind::PageFault)),
            ("u:lock;__x64_sys_futex;do_futex;futex_wait;futex_wait_queue", Some(WaitKind::Lock)),
            ("u:fsync;do_fsync;ext4_sync_file;jbd2_log_wait_commit", Some(WaitKind::FileSync)),
            ("u:read;ksys_read;vfs_read;sock_read_iter;tcp_recvmsg;sk_wait_data", Some(WaitKind::SocketRead)),
            ("u:work;[waiting for a CPU]", Some(WaitKind::Cpu)),
            ("u:epoll;ep_poll;[idle]", Some(WaitKind::Sleep)),
            ("u:runtime.stopm;u:runtime.futexsleep;futex_wait", None),
            ("u:ioctl;some_driver_ioctl", Some(WaitKind::Other)),
        ] {
            assert_eq!(kind(stack), expected, "{stack}");
        }
    }
}
