//! Any bytes as a file that a target has mapped: headers, build ID, segments, unwind table, Go's table.

use std::{fs::File, os::unix::fs::FileExt, path::PathBuf};

use agent::{
    object::{BuildId, Elf, GoTable, ObjectFile, Segments, build_id::MAX_BUILD_ID_BYTES, memory_file},
    unwind,
};

use crate::table;

/// Addresses asked for, beside those that the file itself names.
const PROBES: [u64; 6] = [0, 1, 0x1000, 0x40_1000, u64::MAX - 1, u64::MAX];

pub(crate) fn body(bytes: &[u8]) {
    let Some(file) = file_of(bytes) else { return };
    let Ok(object) = ObjectFile::from_file(file, PathBuf::from("input")) else { return };
    assert_eq!(object.size_bytes, bytes.len() as u64);
    if let Some(id) = &object.build_id {
        assert!((1..=MAX_BUILD_ID_BYTES).contains(&id.as_bytes().len()), "{id}");
    }
    let Ok(elf) = Elf::parse(&object.file) else {
        assert!(unwind::build(&object).is_err(), "a table of a file without readable headers");
        return;
    };
    assert_eq!(BuildId::of(&elf), object.build_id);
    segments(&elf);
    if let Some(table) = GoTable::of(&elf) {
        for address in PROBES.into_iter().chain(elf.sections.iter().map(|section| section.svma)) {
            let name = table.lookup(&object.file, address);
            assert!(name.is_none_or(|name| !name.is_empty()), "a function without a name at {address:#x}");
        }
    }
    if let Ok(table) = unwind::build(&object) {
        table::check(&table);
    }
}

/// A file in memory that holds the bytes; none where the system has no room for it.
fn file_of(bytes: &[u8]) -> Option<File> {
    let file = memory_file::create(c"input").ok()?;
    file.write_all_at(bytes, 0).ok()?;
    Some(file)
}

/// An offset that has an address is in a segment, and what its address leads back to has the same address.
fn segments(elf: &Elf<'_>) {
    let segments = Segments::of(elf);
    let offsets = elf.program_headers.iter().flat_map(|header| {
        [header.file_offset, header.file_offset.wrapping_add(header.file_bytes).wrapping_sub(1)]
    });
    for offset in offsets.chain(PROBES) {
        let Some(svma) = segments.svma_of(offset) else { continue };
        let back = segments.file_offset_of(svma);
        assert!(back.is_some(), "offset {offset:#x} has the address {svma:#x}, which has no offset");
    }
}
