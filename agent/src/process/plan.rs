//! From changed processes to changed tables. Pure: decides, and leaves the doing to the kernel room.

use abi::{
    limits::FEW_MAPPINGS,
    mapping::{FILE_ANONYMOUS, MappingEntry, MappingHeader, MappingTable, TABLE_INCOMPLETE},
};

use super::{Backing, Mapping, Processes};
use crate::table_op::{ProcessTable, TableOp};

const PAGE_BYTES: u64 = 4096;

/// Code made at run time lies in many pieces with something between them (V8: 240 KiB, then 16 KiB). Two that are not
/// further apart are one piece to the kernel side. Frames there keep their address, and [`crate::aggregate`] ends the
/// stack at one that lies between two pieces: nothing is believed that was not before.
const MAX_GAP_BYTES: u64 = 1 << 20;

/// What the kernel's tables lack since the last call. Every exec before `as_of_ns` has been applied.
pub fn table_ops(processes: &mut Processes, as_of_ns: u64) -> Vec<TableOp> {
    let (changed, ended) = processes.take_changes(as_of_ns);
    let forget = ended.iter().map(|pid| TableOp::Forget { pid: *pid });
    let set = changed.difference(&ended).filter_map(|pid| {
        let image = processes.present_image(*pid)?;
        let header = MappingHeader { as_of_ns, tgid: *pid, flags: 0 };
        let table = process_table(header, image.mappings.as_slice());
        Some(TableOp::SetMappings { pid: *pid, table })
    });
    forget.chain(set).collect()
}

/// Mappings as the kernel side searches them.
fn process_table(header: MappingHeader, mappings: &[Mapping]) -> ProcessTable {
    let pieces = merged(mappings);
    if pieces.len() <= FEW_MAPPINGS {
        ProcessTable::Small(filled(header, &pieces))
    } else {
        ProcessTable::Large(filled(header, &pieces))
    }
}

/// Neighbours of which one continues the other are one piece.
fn merged(mappings: &[Mapping]) -> Vec<Mapping> {
    let mut pieces: Vec<Mapping> = Vec::with_capacity(mappings.len());
    for mapping in mappings {
        match pieces.last_mut() {
            Some(last) if continues(last, mapping) => last.end = mapping.end,
            _ => pieces.push(*mapping),
        }
    }
    pieces
}

fn continues(before: &Mapping, after: &Mapping) -> bool {
    let gap_bytes = after.start.saturating_sub(before.end);
    match (before.backing, after.backing) {
        (Backing::Anonymous, Backing::Anonymous) => gap_bytes <= MAX_GAP_BYTES,
        (Backing::File(a), Backing::File(b)) => a == b && gap_bytes == 0 && bias(before) == bias(after),
        _ => false,
    }
}

fn bias(mapping: &Mapping) -> u64 {
    mapping.start.wrapping_sub(mapping.file_offset)
}

fn filled<const N: usize>(header: MappingHeader, pieces: &[Mapping]) -> Box<MappingTable<N>> {
    let mut table = Box::new(MappingTable { header, ..MappingTable::EMPTY });
    if pieces.len() > N {
        table.header.flags |= TABLE_INCOMPLETE;
    }
    let MappingTable { starts, entries, .. } = table.as_mut();
    for ((start, entry), piece) in starts.iter_mut().zip(entries).zip(pieces) {
        *start = piece.start;
        let n_pages = (piece.end - piece.start).div_ceil(PAGE_BYTES);
        *entry = MappingEntry {
            bias: bias(piece),
            n_pages: u32::try_from(n_pages).unwrap_or(u32::MAX),
            file_id: match piece.backing {
                Backing::File(file) => file.get(),
                Backing::Anonymous => FILE_ANONYMOUS,
            },
        };
    }
    table
}

#[cfg(test)]
mod tests {
    use super::{MAX_GAP_BYTES, TableOp, table_ops};
    use crate::{
        decode::{MappedRegion, ProcessEvent, ProcessEventKind},
        process::{Interest, Processes, Snapshot},
        table_op::ProcessTable,
    };
    use abi::{
        limits::{FEW_MAPPINGS, MAX_MAPPINGS},
        mapping::{FILE_ANONYMOUS, SmallTable, TABLE_INCOMPLETE},
    };

    fn processes(pid: u32, n_mappings: u64) -> Processes {
        let region = |i: u64| MappedRegion {
            start: 0x10_000 + i * 0x4000,
            end: 0x11_800 + i * 0x4000,
            file_offset: 0x2000,
            device: (8, 1),
            inode: 1 + i,
            path: format!("/lib/{i}").into(),
        };
        let mut processes = Processes::new(Interest::default());
        let regions = (0..n_mappings).rev().map(region).collect();
        processes.insert(Snapshot { pid, regions, ..Snapshot::default() }, 5, &mut Vec::new());
        processes
    }

    fn only_table(ops: &[TableOp]) -> &ProcessTable {
        let [TableOp::SetMappings { table, .. }] = ops else { panic!("{ops:?}") };
        table
    }

    fn only_small(ops: &[TableOp]) -> &SmallTable {
        let ProcessTable::Small(table) = only_table(ops) else { panic!("{ops:?}") };
        table
    }

    #[test]
    fn a_changed_process_is_written_once_sorted_and_in_whole_pages() {
        let mut processes = processes(9, 3);
        let ops = table_ops(&mut processes, 77);
        let table = only_small(&ops);
        assert_eq!((table.header.tgid, table.header.as_of_ns, table.header.flags), (9, 77, 0));
        assert_eq!(table.starts[..4], [0x10_000, 0x14_000, 0x18_000, u64::MAX]);
        assert_eq!((table.entries[0].n_pages, table.entries[0].bias), (2, 0xe000));
        assert!(table_ops(&mut processes, 78).is_empty(), "nothing has changed since");
    }

    #[test]
    fn a_table_is_as_large_as_it_must_be_and_says_when_it_is_incomplete() {
        let few = table_ops(&mut processes(9, FEW_MAPPINGS as u64), 77);
        assert_eq!(only_small(&few).header.flags, 0);
        for (n, flags) in [(FEW_MAPPINGS + 1, 0), (MAX_MAPPINGS, 0), (MAX_MAPPINGS + 1, TABLE_INCOMPLETE)] {
            let ops = table_ops(&mut processes(9, n as u64), 77);
            let ProcessTable::Large(table) = only_table(&ops) else { panic!("{n}: {ops:?}") };
            assert_eq!(table.header.flags, flags, "{n}");
            assert!(table.starts.is_sorted(), "{n}");
        }
    }

    #[test]
    fn pieces_of_one_file_and_of_code_made_at_run_time_are_merged_where_nothing_is_lost() {
        let region = |start: u64, end: u64, file_offset: u64, inode: u64| MappedRegion {
            start,
            end,
            file_offset,
            device: (8, 1),
            inode,
            path: if inode == 0 { "".into() } else { format!("/lib/{inode}").into() },
        };
        let far = 0x20_0000 + MAX_GAP_BYTES + 1;
        let regions = vec![
            region(0x1000, 0x2000, 0x5000, 1),
            region(0x2000, 0x3000, 0x6000, 1), // continues
            region(0x3000, 0x4000, 0x9000, 1), // another part of the file
            region(0x4000, 0x5000, 0xa000, 2), // another file
            region(0x6000, 0x7000, 0xc000, 2), // a gap in a file is no code of it
            region(0x10_0000, 0x11_0000, 0, 0),
            region(0x1f_0000, 0x20_0000, 0, 0),
            region(far, far + 0x1000, 0, 0),
        ];
        let mut processes = Processes::new(Interest::default());
        processes.insert(Snapshot { pid: 9, regions, ..Snapshot::default() }, 5, &mut Vec::new());
        let ops = table_ops(&mut processes, 77);
        let table = only_small(&ops);
        let n = table.starts.iter().filter(|start| **start != u64::MAX).count();
        let seen: Vec<_> = (0..n).map(|i| (table.starts[i], table.entries[i].n_pages)).collect();
        let expected = [(0x1000, 2), (0x3000, 1), (0x4000, 1), (0x6000, 1), (0x10_0000, 0x100), (far, 1)];
        assert_eq!(seen, expected);
        assert_eq!(table.entries[4].file_id, FILE_ANONYMOUS);
    }

    #[test]
    fn a_process_that_ended_is_forgotten_and_not_written() {
        let mut processes = processes(9, 1);
        let kind = ProcessEventKind::Exit { pid: 9, tid: 9 };
        processes.apply(ProcessEvent { time_ns: 6, kind }, &mut Vec::new());
        let ops = table_ops(&mut processes, 77);
        assert!(matches!(ops[..], [TableOp::Forget { pid: 9 }]), "{ops:?}");
    }
}
