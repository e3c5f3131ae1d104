//! From an open file to its unwind table.

use ::object::elf;

use super::{
    assembly,
    compact::{Table, pack},
    entry_point,
    error::UnwindError,
    gathered::Gathered,
    go,
    key::TableKey,
    rows::{CodeSegment, FrameSection, SectionKind, add_section},
};
use crate::object::{Elf, GoTable, ObjectFile};

/// Largest section read. Envoy's has 10 MiB.
const MAX_SECTION_BYTES: u64 = 256 << 20;

/// Builds the table of a file from its `.eh_frame`, or where that describes no function, its `.debug_frame`. In a
/// Go program those describe its C code, if anything; the table of its runtime describes the rest.
pub fn build(object: &ObjectFile) -> Result<Table, UnwindError> {
    build_or(object, |_| None)
}

/// The same, unless `known` has the table already, and all of it: a file that has more symbols than the one that
/// the table was made from may have rows that come from instructions, too. Such a table has no name.
pub fn build_or(
    object: &ObjectFile,
    mut known: impl FnMut(TableKey) -> Option<Table>,
) -> Result<Table, UnwindError> {
    let elf = Elf::parse(&object.file).map_err(|source| UnwindError::Elf { source })?;
    if elf.machine != elf::EM_X86_64.0 {
        return Err(UnwindError::Machine { machine: elf.machine });
    }
    let code = code_segments(&elf);
    let entry = file_offset(elf.entry_svma, &code);
    let go = GoTable::of(&elf);
    let sections: &[_] = match go {
        // Go's `.debug_frame` knows neither roots nor switches of the stack.
        Some(_) => &[(".eh_frame", SectionKind::EhFrame)],
        None => &[(".eh_frame", SectionKind::EhFrame), (".debug_frame", SectionKind::DebugFrame)],
    };
    for &(name, kind) in sections {
        let mut gathered = Gathered::new(&code);
        let mut key = None;
        if let Some(bytes) = section_bytes(&elf, name)? {
            let svma = |name| elf.section(name).map(|section| section.svma);
            let section = FrameSection {
                kind,
                bytes: &bytes,
                svma: svma(name).unwrap_or_default(),
                text_svma: svma(".text"),
                got_svma: svma(".got"),
            };
            // A name says what a table is made from; what Go's own table adds is not in it.
            if go.is_none() {
                key = Some(TableKey::of(&section, &code, entry));
                let table = key.and_then(&mut known);
                if let Some(table) = table.filter(|table| !assembly::would_add(&elf, &code, table)) {
                    return Ok(table);
                }
            }
            add_section(&mut gathered, &section)?;
        }
        if let Some(go) = &go {
            go::add_functions(&mut gathered, go, &object.file)?;
        }
        let mut rows = gathered.finish()?;
        if !rows.rows.is_empty() {
            if go.is_none() && assembly::add(&elf, &code, &mut rows) {
                // Nor is what instructions add: such a table stays with its file.
                key = None;
            }
            if let Some(entry) = entry {
                entry_point::make_root(&mut rows, entry);
            }
            return Ok(Table { key, ..pack(&rows)? });
        }
    }
    Err(UnwindError::Absent)
}

/// The parts of a file that its loader maps to be executed.
fn code_segments(elf: &Elf<'_>) -> Vec<CodeSegment> {
    elf.program_headers
        .iter()
        .filter(|header| header.kind == elf::PT_LOAD.0 && header.flags & elf::PF_X.0 != 0)
        .map(|header| CodeSegment {
            file_offset: header.file_offset,
            svma: header.svma,
            size_bytes: header.file_bytes,
        })
        .collect()
}

fn file_offset(svma: u64, code: &[CodeSegment]) -> Option<u32> {
    let offset = |segment: &CodeSegment| {
        let within = svma.checked_sub(segment.svma).filter(|within| *within < segment.size_bytes)?;
        u32::try_from(segment.file_offset.checked_add(within)?).ok()
    };
    code.iter().find_map(offset)
}

/// The bytes of a section, none where there are none or they are compressed.
fn section_bytes(elf: &Elf<'_>, name: &'static str) -> Result<Option<Vec<u8>>, UnwindError> {
    let plain = |flags: u64| flags & elf::SHF_COMPRESSED.0 == 0;
    let Some(section) = elf.section(name).filter(|section| plain(section.flags)) else { return Ok(None) };
    let bytes = elf
        .section_bytes(section, MAX_SECTION_BYTES)
        .map_err(|source| UnwindError::Section { section: name, source })?;
    Ok(Some(bytes))
}
