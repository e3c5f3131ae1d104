//! Unwind tables in the memory of the kernel's programs: written, shared by files made from the same, and taken away.
//!
//! A program may read a table at any moment. So the state of a file says that there is no table before its blocks
//! are used for another one, and between the two lies a time in which every program that had begun has ended.

use std::{
    ptr,
    sync::atomic::{AtomicU32, Ordering},
};

use abi::{
    limits::MAX_UNWIND_FILES,
    names,
    unwind::{
        FILE_HAS_ROWS, FILE_KEEPS_FRAME_POINTERS, FILE_PENDING, FILE_WITHOUT_ROWS, FileTable, IndexEntry,
        MAX_ROWS_PER_QUARTER, ROWS_PER_LINE, TableBlock, UnwindLine, UnwindRule, WORDS_PER_BLOCK,
    },
};
use aya::Ebpf;
use ebpf::rows::{self, Rows};

use super::{
    KernelError,
    shared::{Pieces, Shared},
    table_room::TableRoom,
};
use crate::{process::FileId, table_op::FileUnwinding, unwind::Table};

/// Lines that a search may look at past a file's last.
const SEARCH_MARGIN: usize = MAX_ROWS_PER_QUARTER * 2 / ROWS_PER_LINE;

/// The table of each file, and the memory of them all.
pub(super) struct UnwindTables {
    files: Shared<FileTable>,
    pieces: Pieces,
    room: TableRoom,
}

impl UnwindTables {
    /// No tables yet; `limit_bytes` of them at most.
    pub(super) fn take(ebpf: &mut Ebpf, limit_bytes: u64) -> Result<Self, KernelError> {
        let limit_blocks = n_blocks_within(limit_bytes);
        Ok(Self {
            files: Shared::take(ebpf, names::MAP_FILES)?,
            pieces: Pieces::take(ebpf, limit_blocks)?,
            room: TableRoom::new(limit_blocks),
        })
    }

    /// Writes the table of a file, its state last. If there is no room now, the file stays pending; one for which there
    /// never will be is left by frame pointer, like one without a table.
    pub(super) fn set(&mut self, file: FileId, unwinding: &FileUnwinding) -> Result<(), KernelError> {
        if file.get() >= MAX_UNWIND_FILES {
            return Err(KernelError::TooManyFiles { limit: MAX_UNWIND_FILES });
        }
        if self.room.has(file) {
            return Ok(());
        }
        let besides = if unwinding.keeps_frame_pointers { FILE_KEEPS_FRAME_POINTERS } else { 0 };
        let Some(table) = &unwinding.table else {
            self.set_state(file, FILE_WITHOUT_ROWS | besides);
            return Ok(());
        };
        if let Some(first_block) = table.key.and_then(|key| self.room.share(file, key)) {
            self.set_layout(file, layout(table, first_block), FILE_HAS_ROWS | besides);
            return Ok(());
        }
        let n_blocks = n_blocks(table);
        if !self.room.can_hold(n_blocks) {
            self.set_state(file, FILE_WITHOUT_ROWS | besides);
            return Err(KernelError::TableTooLarge { n_bytes: table.size_bytes() });
        }
        let Some(first_block) = self.room.take(file, table.key, n_blocks) else {
            return Err(KernelError::NoTableRoom { n_bytes: table.size_bytes() });
        };
        let reached = self.pieces.reach(first_block + n_blocks);
        if let Err(error) = reached.and_then(|()| self.pieces.open(first_block, n_blocks)) {
            self.room.remove(file);
            self.set_state(file, FILE_WITHOUT_ROWS | besides);
            return Err(error);
        }
        let layout = layout(table, first_block);
        self.pieces.write(first_block, &table.lines);
        self.pieces.write(layout.first_index / WORDS_PER_BLOCK as u32, &table.index);
        self.pieces.write(layout.first_rule / WORDS_PER_BLOCK as u32, &table.rules);
        self.set_layout(file, layout, FILE_HAS_ROWS | besides);
        Ok(())
    }

    /// How to unwind an instruction of a file, read as the programs read it.
    pub(super) fn rule_of(&self, file: FileId, offset: u64) -> UnwindRule {
        // Nothing is known of files past the array.
        if file.get() >= MAX_UNWIND_FILES {
            return UnwindRule::NONE;
        }
        // SAFETY: inside the array, and only this thread writes it.
        let table = unsafe { ptr::read(self.files.at(file.get() as usize)) };
        rows::rule_of(&self.pieces, &table, offset)
    }

    /// Lets go of the memory of the tables, which the kernel side keeps.
    pub(super) fn close(&mut self) {
        self.pieces.close();
    }

    /// Makes room for a table, and gives the files that have none any more: the first of `coldest_first` before
    /// others, and none at all if even all of them would not be enough. Takes a grace period of the kernel.
    pub(super) fn make_room(
        &mut self,
        table: &Table,
        coldest_first: &[FileId],
    ) -> Result<Vec<FileId>, KernelError> {
        let n_blocks = n_blocks(table);
        let Some(evicted) = self.room.victims(n_blocks, coldest_first) else { return Ok(Vec::new()) };
        // Now, while nothing has been changed.
        self.pieces.open_all()?;
        let mut room = self.room.clone();
        evicted.iter().for_each(|file| room.remove(*file));
        let moves = if room.hole(n_blocks).is_some() { Vec::new() } else { room.slide_down() };
        let evicted_states: Vec<u32> =
            evicted.iter().map(|file| self.swap_state(*file, FILE_PENDING)).collect();
        let states: Vec<Vec<u32>> = moves
            .iter()
            .map(|it| it.files.iter().map(|file| self.swap_state(*file, FILE_PENDING)).collect())
            .collect();
        if let Err(error) = self.pieces.wait_for_programs() {
            // Nothing has moved: every table is where it was, and is used on.
            evicted.iter().zip(evicted_states).for_each(|(file, state)| self.set_state(*file, state));
            for (it, states) in moves.iter().zip(states) {
                it.files.iter().zip(states).for_each(|(file, state)| self.set_state(*file, state));
            }
            return Err(error);
        }
        self.room = room;
        for (it, states) in moves.iter().zip(states) {
            self.pieces.shift(it.from, it.to, it.n_blocks);
            for (file, state) in it.files.iter().zip(states) {
                // SAFETY: inside the array, and only this thread writes it.
                let before = unsafe { ptr::read(self.files.at(file.get() as usize)) };
                let down_blocks = it.from - it.to;
                let down_words = down_blocks * WORDS_PER_BLOCK as u32;
                let layout = FileTable {
                    first_line: before.first_line - down_blocks,
                    first_index: before.first_index - down_words,
                    first_rule: before.first_rule - down_words,
                    ..before
                };
                self.set_layout(*file, layout, state);
            }
        }
        Ok(evicted)
    }

    /// Writes where the table of a file is. No program is reading it: the file was pending.
    fn set_layout(&self, file: FileId, layout: FileTable, state: u32) {
        let entry = self.files.at(file.get() as usize);
        // SAFETY: inside the array, aligned, and no reference to it exists.
        unsafe { ptr::write(entry, FileTable { state: FILE_PENDING, ..layout }) };
        self.set_state(file, state);
    }

    fn set_state(&self, file: FileId, state: u32) {
        self.swap_state(file, state);
    }

    /// Sets the state of a file; gives the one before.
    fn swap_state(&self, file: FileId, state: u32) -> u32 {
        let entry = self.files.at(file.get() as usize);
        // SAFETY: inside the array (checked by `at`), aligned, and only ever accessed as a whole word.
        let word = unsafe { AtomicU32::from_ptr(&raw mut (*entry).state) };
        // The table is visible to whoever sees the state.
        word.swap(state, Ordering::AcqRel)
    }
}

impl Rows for Pieces {
    fn line(&self, number: u32) -> Option<&UnwindLine> {
        // SAFETY: a line is as large as a block and aligned no more, and every bit pattern is one.
        self.block(number).map(|block| unsafe { &*ptr::from_ref(block).cast::<UnwindLine>() })
    }

    fn index(&self, number: u32) -> Option<IndexEntry> {
        word(self, number).map(IndexEntry)
    }

    fn rule(&self, number: u32) -> Option<UnwindRule> {
        word(self, number).map(UnwindRule::from_word)
    }
}

fn word(pieces: &Pieces, number: u32) -> Option<u64> {
    let block = pieces.block(number / WORDS_PER_BLOCK as u32)?;
    Some(block.0[number as usize % WORDS_PER_BLOCK])
}

/// Blocks of a table: its lines, its index, its rules, and what a search may look at past the lines.
fn n_blocks(table: &Table) -> u32 {
    let n_blocks = table.lines.len()
        + (table.index.len().div_ceil(WORDS_PER_BLOCK) + table.rules.len().div_ceil(WORDS_PER_BLOCK))
            .max(SEARCH_MARGIN);
    u32::try_from(n_blocks).unwrap_or(u32::MAX)
}

/// Where the parts of a table are, if it begins at `first_block`.
fn layout(table: &Table, first_block: u32) -> FileTable {
    let blocks = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let index_block = first_block + blocks(table.lines.len());
    let rule_block = index_block + blocks(table.index.len().div_ceil(WORDS_PER_BLOCK));
    FileTable {
        first_line: first_block,
        first_index: index_block * WORDS_PER_BLOCK as u32,
        first_rule: rule_block * WORDS_PER_BLOCK as u32,
        ..table.layout
    }
}

/// Blocks that a number of bytes holds, as far as the kernel side can count them.
fn n_blocks_within(limit_bytes: u64) -> u32 {
    use abi::limits::{BLOCKS_PER_TABLE_PIECE, MAX_TABLE_PIECES};
    let n_blocks = limit_bytes / size_of::<TableBlock>() as u64;
    let limit = BLOCKS_PER_TABLE_PIECE * MAX_TABLE_PIECES;
    u32::try_from(n_blocks).unwrap_or(u32::MAX).clamp(1, limit)
}

#[cfg(test)]
mod tests {
    use abi::unwind::{IndexEntry, UnwindLine, UnwindRule};

    use super::{SEARCH_MARGIN, layout, n_blocks, n_blocks_within};
    use crate::unwind::Table;

    #[test]
    fn the_parts_of_a_table_follow_one_another_and_its_last_search_stays_inside() {
        for (n_lines, n_index, n_rules) in [(1, 1, 2), (3, 16, 17), (5, 400, 70)] {
            let table = Table {
                lines: vec![UnwindLine::EMPTY; n_lines],
                index: vec![IndexEntry::default(); n_index],
                rules: vec![UnwindRule::NONE; n_rules],
                ..Table::default()
            };
            let seen = layout(&table, 100);
            let end = 100 + n_blocks(&table);
            assert_eq!(seen.first_line, 100);
            assert!(seen.first_index as usize >= (100 + n_lines) * 16, "{seen:?}");
            assert!(seen.first_rule as usize >= seen.first_index as usize + n_index, "{seen:?}");
            assert!(end as usize * 16 >= seen.first_rule as usize + n_rules, "{seen:?} to {end}");
            assert!(end as usize >= 100 + n_lines + SEARCH_MARGIN, "{seen:?} to {end}");
        }
    }

    #[test]
    fn a_limit_is_never_nothing_and_never_more_than_can_be_counted() {
        assert_eq!([0, 127, 256, u64::MAX].map(n_blocks_within), [1, 1, 2, 16_384 * 1024]);
    }
}
