//! Writes what [`crate::process::plan`] decided.

use abi::{
    limits,
    mapping::{LargeTable, SmallTable},
    names,
    target::Target,
};
use aya::{
    Ebpf,
    maps::{HashMap, MapData, MapError},
};

use super::{KernelError, load, unwind_tables::UnwindTables};
use crate::{
    process::FileId,
    table_op::{ProcessTable, TableOp},
    unwind::Table,
};

/// The maps that the agent writes.
pub(super) struct Tables {
    targets: HashMap<MapData, u32, Target>,
    mappings: HashMap<MapData, u32, SmallTable>,
    large_mappings: HashMap<MapData, u32, LargeTable>,
    seen: HashMap<MapData, [u64; 2], u64>,
    pub(super) unwind: UnwindTables,
}

impl Tables {
    pub(super) fn take(ebpf: &mut Ebpf, table_limit_bytes: u64) -> Result<Self, KernelError> {
        Ok(Self {
            targets: load::take(ebpf, names::MAP_TARGETS)?,
            mappings: load::take(ebpf, names::MAP_MAPPINGS)?,
            large_mappings: load::take(ebpf, names::MAP_LARGE_MAPPINGS)?,
            seen: load::take(ebpf, names::MAP_SEEN)?,
            unwind: UnwindTables::take(ebpf, table_limit_bytes)?,
        })
    }

    pub(super) fn make_room(
        &mut self,
        table: &Table,
        coldest_first: &[FileId],
    ) -> Result<Vec<FileId>, KernelError> {
        self.unwind.make_room(table, coldest_first)
    }

    pub(super) fn apply(&mut self, op: &TableOp) -> Result<(), KernelError> {
        match op {
            // The other kind of table goes last: there is no moment without one.
            TableOp::SetMappings { pid, table: ProcessTable::Small(table) } => {
                self.mappings.insert(pid, table.as_ref(), 0).map_err(map_error(names::MAP_MAPPINGS))?;
                self.forget_large(*pid)
            }
            TableOp::SetMappings { pid, table: ProcessTable::Large(table) } => {
                let inserted = self.large_mappings.insert(pid, table.as_ref(), 0);
                inserted.map_err(map_error(names::MAP_LARGE_MAPPINGS))?;
                self.forget_small(*pid)
            }
            TableOp::SetTarget { pid, target } => {
                self.targets.insert(pid, target, 0).map_err(map_error(names::MAP_TARGETS))
            }
            TableOp::ForgetStacks => self.forget_stacks(),
            TableOp::SetUnwindTable { file, unwinding } => self.unwind.set(*file, unwinding),
            TableOp::Forget { pid } => {
                absent_is_fine(self.targets.remove(pid)).map_err(map_error(names::MAP_TARGETS))?;
                self.forget_small(*pid)?;
                self.forget_large(*pid)
            }
        }
    }

    fn forget_stacks(&mut self) -> Result<(), KernelError> {
        let keys: Result<Vec<_>, _> = self.seen.keys().take(limits::MAX_SEEN_STACKS as usize).collect();
        let error = map_error(names::MAP_SEEN);
        // One that came meanwhile may be left out: it is known on both sides until the next time.
        keys.and_then(|keys| keys.iter().try_for_each(|key| absent_is_fine(self.seen.remove(key))))
            .map_err(error)
    }

    fn forget_small(&mut self, pid: u32) -> Result<(), KernelError> {
        absent_is_fine(self.mappings.remove(&pid)).map_err(map_error(names::MAP_MAPPINGS))
    }

    fn forget_large(&mut self, pid: u32) -> Result<(), KernelError> {
        absent_is_fine(self.large_mappings.remove(&pid)).map_err(map_error(names::MAP_LARGE_MAPPINGS))
    }
}

pub(super) fn map_error(map: &'static str) -> impl FnOnce(MapError) -> KernelError {
    move |source| KernelError::Map { map, source }
}

/// Not every process that ends was a target or had mappings.
pub(super) fn absent_is_fine(removed: Result<(), MapError>) -> Result<(), MapError> {
    match removed {
        Err(MapError::KeyNotFound) => Ok(()),
        Err(MapError::SyscallError(error)) if error.io_error.raw_os_error() == Some(libc::ENOENT) => Ok(()),
        other => other,
    }
}
