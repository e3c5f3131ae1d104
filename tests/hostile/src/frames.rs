//! Any bytes as a section of call frame information, without a file around it: most of what a fuzzer changes
//! then is what is run.

use abi::unwind::RULE_NONE;
use agent::unwind::{CodeSegment, FrameSection, SectionKind, Unsupported, pack, unwind_rows};

use crate::table;

/// Bit of the first byte: the section is `.debug_frame`.
pub(crate) const IS_DEBUG_FRAME: u8 = 1;
/// Bit of the first byte: there are addresses of code and data that pointers can be relative to.
pub(crate) const HAS_BASES: u8 = 2;
/// Bit of the first byte: the code is at the end of the address space.
pub(crate) const IS_AT_THE_END: u8 = 4;

/// Address of the section.
pub(crate) const SECTION_SVMA: u64 = 0x40_0000;

/// Around the section, so that most pointers that were bent still lead into it.
const CODE: CodeSegment = CodeSegment { file_offset: 0x1000, svma: 0, size_bytes: 0x80_0000 };
const CODE_AT_THE_END: CodeSegment =
    CodeSegment { file_offset: 0xffff_0000, svma: u64::MAX - 0xffff, size_bytes: u64::MAX };

pub(crate) fn body(bytes: &[u8]) {
    let Some((&how, bytes)) = bytes.split_first() else { return };
    let has_bases = how & HAS_BASES != 0;
    let section = FrameSection {
        kind: if how & IS_DEBUG_FRAME != 0 { SectionKind::DebugFrame } else { SectionKind::EhFrame },
        bytes,
        svma: SECTION_SVMA,
        text_svma: has_bases.then_some(0x1000),
        got_svma: has_bases.then_some(0x60_0000),
    };
    let code = if how & IS_AT_THE_END != 0 { [CODE, CODE_AT_THE_END] } else { [CODE, CODE] };
    // Too much work, too many rows: an answer, too.
    let Ok(rows) = unwind_rows(&section, &code) else { return };
    for pair in rows.rows.windows(2) {
        let [before, after] = pair else { continue };
        assert!(before.file_offset < after.file_offset && before.rule != after.rule, "{pair:?}");
    }
    assert_eq!(rows.rows.last().map_or(u16::from(RULE_NONE), |last| last.rule), u16::from(RULE_NONE));
    let Ok(table) = pack(&rows) else { return };
    table::check(&table);
    for row in &rows.rows {
        let seen = table::agree(&table, row.file_offset.into());
        let expected = rows.rules.get(usize::from(row.rule)).copied();
        let is_over_limit = seen == Unsupported::OverLimit.rule();
        assert!(is_over_limit || Some(seen) == expected, "{row:?}: {seen:?}, {expected:?}");
    }
}
