//! From changed processes to changed tables. Pure: decides, and leaves the doing to the kernel room.

use abi::{
    limits::MAX_MAPPINGS,
    mapping::{FILE_ANONYMOUS, MappingEntry, MappingTable, TABLE_INCOMPLETE},
};

use super::{Backing, Mappings, Processes};
use crate::table_op::TableOp;

const PAGE_BYTES: u64 = 4096;

/// What the kernel's tables lack since the last call. Every exec before `as_of_ns` has been applied.
pub fn table_ops(processes: &mut Processes, as_of_ns: u64) -> Vec<TableOp> {
    let (changed, ended) = processes.take_changes(as_of_ns);
    let forget = ended.iter().map(|pid| TableOp::Forget { pid: *pid });
    let set = changed.difference(&ended).filter_map(|pid| {
        let image = processes.present_image(*pid)?;
        let table = Box::new(mapping_table(*pid, &image.mappings, as_of_ns));
        Some(TableOp::SetMappings { pid: *pid, table })
    });
    forget.chain(set).collect()
}

/// Mappings as the kernel side searches them.
fn mapping_table(pid: u32, mappings: &Mappings, as_of_ns: u64) -> MappingTable {
    let mut table = MappingTable { as_of_ns, tgid: pid, ..MappingTable::EMPTY };
    let mappings = mappings.as_slice();
    if mappings.len() > MAX_MAPPINGS {
        table.flags |= TABLE_INCOMPLETE;
    }
    for ((start, entry), mapping) in table.starts.iter_mut().zip(&mut table.entries).zip(mappings) {
        *start = mapping.start;
        let n_pages = (mapping.end - mapping.start).div_ceil(PAGE_BYTES);
        *entry = MappingEntry {
            bias: mapping.start.wrapping_sub(mapping.file_offset),
            n_pages: u32::try_from(n_pages).unwrap_or(u32::MAX),
            file_id: match mapping.backing {
                Backing::File(file) => file.get(),
                Backing::Anonymous => FILE_ANONYMOUS,
            },
        };
    }
    table
}

#[cfg(test)]
mod tests {
    use super::{TableOp, table_ops};
    use crate::{
        decode::{MappedRegion, ProcessEvent, ProcessEventKind},
        process::{Interest, Processes, Snapshot},
    };
    use abi::{
        limits::MAX_MAPPINGS,
        mapping::{MappingTable, TABLE_INCOMPLETE},
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

    fn only_table(ops: &[TableOp]) -> &MappingTable {
        let [TableOp::SetMappings { table, .. }] = ops else { panic!("{ops:?}") };
        table
    }

    #[test]
    fn a_changed_process_is_written_once_sorted_and_in_whole_pages() {
        let mut processes = processes(9, 3);
        let ops = table_ops(&mut processes, 77);
        let table = only_table(&ops);
        assert_eq!((table.tgid, table.as_of_ns, table.flags), (9, 77, 0));
        assert_eq!(table.starts[..4], [0x10_000, 0x14_000, 0x18_000, u64::MAX]);
        assert_eq!((table.entries[0].n_pages, table.entries[0].bias), (2, 0xe000));
        assert!(table_ops(&mut processes, 78).is_empty(), "nothing has changed since");
    }

    #[test]
    fn a_process_with_too_many_mappings_says_that_its_table_is_incomplete() {
        let ops = table_ops(&mut processes(9, MAX_MAPPINGS as u64 + 1), 77);
        let table = only_table(&ops);
        assert_eq!(table.flags, TABLE_INCOMPLETE);
        assert!(table.starts.is_sorted());
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
