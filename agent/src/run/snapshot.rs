//! What has to be taken from a process while it is there: a first look, its files, its root.

use std::path::Path;

use crate::{
    decode::MappedRegion,
    object::{ObjectFile, file, vdso},
    process::Snapshot,
    procfs::{maps, root, stat, status, tasks},
    symbolize::JitProcess,
};

/// What /proc says of a process; `None` if it has gone. A process whose mappings cannot be read has none.
pub(super) fn take(pid: u32) -> Option<Snapshot> {
    let stat = stat::read(pid).ok()?;
    let regions = maps::read_executable(pid).unwrap_or_default().into_iter().map(region).collect();
    Some(Snapshot { pid, name: stat.comm, threads: tasks::threads(pid).unwrap_or_default(), regions })
}

/// Opens the file behind a region; the kernel's own, for the vdso.
pub(super) fn open(pid: u32, region: &MappedRegion) -> Option<ObjectFile> {
    if region.path == Path::new("[vdso]") {
        return vdso::open_vdso().ok();
    }
    file::open_mapped(pid, region.start, region.end, &region.path, region.inode).ok()
}

/// Holds on to where a process that makes code at run time would describe it.
pub(super) fn hold_root(pid: u32) -> Option<JitProcess> {
    let status = status::read(pid).ok()?;
    let root = root::of_process(pid).ok()?;
    Some(JitProcess { pid, ns_pid: status.innermost_pid(), root, uid: status.effective_uid })
}

fn region(entry: maps::MapsEntry) -> MappedRegion {
    let maps::MapsEntry { start, end, file_offset, device, inode, path, .. } = entry;
    MappedRegion { start, end, file_offset, device, inode, path: path.unwrap_or_default() }
}
