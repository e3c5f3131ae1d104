//! Unwind tables in the kernel's arrays, written through shared memory: a table of a megabyte is one copy, not
//! eight thousand system calls.

use std::{
    io,
    marker::PhantomData,
    os::fd::{AsFd, AsRawFd as _},
    ptr,
    sync::atomic::{AtomicU32, Ordering},
};

use abi::{
    limits::MAX_UNWIND_FILES,
    names,
    unwind::{
        FILE_HAS_ROWS, FILE_KEEPS_FRAME_POINTERS, FILE_WITHOUT_ROWS, FileTable, IndexEntry,
        MAX_ROWS_PER_QUARTER, ROWS_PER_LINE, UnwindLine, UnwindRule,
    },
};
use aya::{Ebpf, Pod, maps::Map};

use super::KernelError;
use crate::{process::FileId, table_op::FileUnwinding, unwind::Table};

/// Lines that a search may look at past a file's last.
const SEARCH_MARGIN: usize = MAX_ROWS_PER_QUARTER * 2 / ROWS_PER_LINE;

/// What the kernel's arrays can hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Room {
    /// Lines of rows.
    pub n_lines: u32,
    /// Entries of the page index.
    pub n_index: u32,
    /// Rules.
    pub n_rules: u32,
}

impl Room {
    /// For files that are not mapped yet: Envoy, Node and their libraries together fit.
    const SPARE: Self = Self { n_lines: 65_536, n_index: 262_144, n_rules: 16_384 };

    /// Room for these tables and for some to come, `limit_bytes` at most.
    #[must_use]
    pub fn for_tables<'a>(tables: impl Iterator<Item = &'a Table>, limit_bytes: u64) -> Self {
        let entries = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let wanted = tables.fold(Self::SPARE, |room, table| Self {
            n_lines: room.n_lines.saturating_add(entries(table.lines.len())),
            n_index: room.n_index.saturating_add(entries(table.index.len())),
            n_rules: room.n_rules.saturating_add(entries(table.rules.len())),
        });
        let share = (limit_bytes as f64 / wanted.size_bytes() as f64).min(1.0);
        let part = |n: u32| ((f64::from(n) * share) as u32).max(1);
        Self { n_lines: part(wanted.n_lines), n_index: part(wanted.n_index), n_rules: part(wanted.n_rules) }
    }

    /// Memory that it takes.
    #[must_use]
    pub fn size_bytes(self) -> u64 {
        let of = |n: u32, size: usize| u64::from(n) * size as u64;
        of(self.n_lines, size_of::<UnwindLine>())
            + of(self.n_index, size_of::<IndexEntry>())
            + of(self.n_rules, size_of::<UnwindRule>())
    }
}

/// The arrays, and how far they are filled. A table is written once and stays: a program may be reading it.
pub(super) struct UnwindTables {
    files: Shared<FileTable>,
    lines: Shared<UnwindLine>,
    index: Shared<IndexEntry>,
    rules: Shared<UnwindRule>,
}

impl UnwindTables {
    pub(super) fn take(ebpf: &mut Ebpf) -> Result<Self, KernelError> {
        Ok(Self {
            files: Shared::take(ebpf, names::MAP_FILES)?,
            lines: Shared::take(ebpf, names::MAP_LINES)?,
            index: Shared::take(ebpf, names::MAP_INDEX)?,
            rules: Shared::take(ebpf, names::MAP_RULES)?,
        })
    }

    /// Writes the table of a file, its state last. A file for which there is no room is left by frame pointer,
    /// like one without a table.
    pub(super) fn set(&mut self, file: FileId, unwinding: &FileUnwinding) -> Result<(), KernelError> {
        // Files past the array have no state either.
        if file.get() >= MAX_UNWIND_FILES {
            return Ok(());
        }
        let besides = if unwinding.keeps_frame_pointers { FILE_KEEPS_FRAME_POINTERS } else { 0 };
        let Some(table) = &unwinding.table else {
            self.set_state(file, FILE_WITHOUT_ROWS | besides);
            return Ok(());
        };
        let has_room = self.lines.has_room(table.lines.len() + SEARCH_MARGIN)
            && self.index.has_room(table.index.len())
            && self.rules.has_room(table.rules.len());
        if !has_room {
            self.set_state(file, FILE_WITHOUT_ROWS | besides);
            return Err(KernelError::NoTableRoom { n_bytes: table.size_bytes() });
        }
        let layout = FileTable {
            first_line: self.lines.append(&table.lines),
            first_index: self.index.append(&table.index),
            first_rule: self.rules.append(&table.rules),
            ..table.layout
        };
        self.files.write(file.get() as usize, &[layout]);
        self.set_state(file, FILE_HAS_ROWS | besides);
        Ok(())
    }

    fn set_state(&self, file: FileId, state: u32) {
        let entry = self.files.at(file.get() as usize);
        // SAFETY: inside the array (checked by `set`), aligned, and only ever accessed as a whole word.
        let word = unsafe { AtomicU32::from_ptr(&raw mut (*entry).state) };
        // The table is visible to whoever sees the state.
        word.store(state, Ordering::Release);
    }
}

/// An array map, shared with the kernel's programs.
struct Shared<T> {
    start: *mut T,
    capacity: usize,
    len: usize,
    /// Keeps the map.
    _map: Map,
    _entries: PhantomData<T>,
}

// SAFETY: shared memory of one owner; nothing in it belongs to a thread.
unsafe impl<T> Send for Shared<T> {}

impl<T: Pod> Shared<T> {
    fn take(ebpf: &mut Ebpf, name: &'static str) -> Result<Self, KernelError> {
        let map = ebpf.take_map(name).ok_or(KernelError::Missing { name })?;
        let (Map::Array(data) | Map::Unsupported(data)) = &map else {
            return Err(KernelError::Missing { name });
        };
        let info = data.info().map_err(|source| KernelError::Map { map: name, source })?;
        let capacity = info.max_entries() as usize;
        // SAFETY: a new mapping at an address of the kernel's choice, of a map that lives as long as it.
        let start = unsafe {
            libc::mmap(
                ptr::null_mut(),
                capacity * size_of::<T>(),
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                data.fd().as_fd().as_raw_fd(),
                0,
            )
        };
        if start == libc::MAP_FAILED {
            return Err(KernelError::MapMemory { map: name, source: io::Error::last_os_error() });
        }
        Ok(Self { start: start.cast(), capacity, len: 0, _map: map, _entries: PhantomData })
    }

    fn has_room(&self, n: usize) -> bool {
        self.capacity - self.len >= n
    }

    /// Adds at the end; gives where. The caller has asked whether there is room.
    fn append(&mut self, entries: &[T]) -> u32 {
        let first = self.len;
        self.write(first, entries);
        self.len += entries.len();
        u32::try_from(first).unwrap_or(u32::MAX)
    }

    fn at(&self, i: usize) -> *mut T {
        assert!(i < self.capacity, "entry {i} of {}", self.capacity);
        self.start.wrapping_add(i)
    }

    fn write(&mut self, first: usize, entries: &[T]) {
        assert!(entries.len() <= self.capacity.saturating_sub(first), "{} entries at {first}", entries.len());
        // SAFETY: checked above to be inside the mapping, which overlaps no slice of ours.
        unsafe { ptr::copy_nonoverlapping(entries.as_ptr(), self.start.wrapping_add(first), entries.len()) };
    }
}

impl<T> Drop for Shared<T> {
    fn drop(&mut self) {
        // SAFETY: the mapping made by `take`, whole; nobody else has it.
        unsafe { libc::munmap(self.start.cast(), self.capacity * size_of::<T>()) };
    }
}

#[cfg(test)]
mod tests {
    use super::Room;

    #[test]
    fn room_keeps_its_limit_and_is_never_nothing() {
        let whole = Room::for_tables([].iter(), u64::MAX);
        assert_eq!(whole, Room::SPARE);
        let half = Room::for_tables([].iter(), whole.size_bytes() / 2);
        assert!(half.size_bytes() <= whole.size_bytes() / 2, "{half:?}");
        assert_eq!(Room::for_tables([].iter(), 0), Room { n_lines: 1, n_index: 1, n_rules: 1 });
    }
}
