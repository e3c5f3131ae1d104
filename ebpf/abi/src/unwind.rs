//! Unwind tables: for every instruction of a file, how to get from its frame to its caller's.
//!
//! A file has three runs in one memory shared by all files: its rows ([`UnwindLine`]), one [`IndexEntry`] for each
//! page of code, and its dictionary of [`UnwindRule`]s. A [`FileTable`] says where they are. The key is the offset of
//! the instruction in its file. The memory is [`TableBlock`]s, numbered through over all pieces of it; lines are
//! counted in blocks, entries and rules in words.
//!
//! A row holds for its offset and all that follow, up to the next row. To look up an offset:
//! 1. page = offset / 1 KiB - `first_page`; none at or past `n_pages`. Read the page's entry.
//! 2. [`IndexEntry::rows_of`] gives the rows of the offset's quarter of the page: a start and a length of at most
//!    [`MAX_ROWS_PER_QUARTER`], mostly below 16. Count those with `pc_low` at or below the offset's low byte.
//! 3. The row before that place applies, in an earlier page if it must be. Row 0 says "no unwind information", so
//!    there is always one.
//! 4. Its byte is the rule's number, or from [`FIRST_BANK`] on, together with the byte of the row before it,
//!    a number above ([`rule_number`]).
//!
//! Registers have their DWARF numbers (x86-64 psABI, figure 3.36): 0 rax, 1 rdx, 2 rcx, 3 rbx, 4 rsi, 5 rdi,
//! 6 rbp, 7 rsp, 8 to 15 r8 to r15.

/// Bytes of code of one [`IndexEntry`], as a power of two.
pub const PAGE_BITS: u32 = 10;
/// Bytes of code of a quarter of a page, as a power of two: the offset in it is one byte of a row.
pub const QUARTER_BITS: u32 = 8;
/// Rows of a quarter, at most.
pub const MAX_ROWS_PER_QUARTER: usize = 1 << QUARTER_BITS;
/// Rows of a line.
pub const ROWS_PER_LINE: usize = 64;
/// Rows of a file, at most: they are numbered with 24 bits.
pub const MAX_ROWS_PER_FILE: usize = 1 << 24;
/// Pages of a file, at most: 1 GiB from the first instruction to the last.
pub const MAX_PAGES_PER_FILE: usize = 1 << 20;
/// First rule byte that is not a rule's number, but says in which bank of 256 the byte of the row before it counts.
pub const FIRST_BANK: u8 = 240;
/// Rules of a file, at most. The largest dictionaries seen have fewer than 700.
pub const MAX_RULES_PER_FILE: usize = FIRST_BANK as usize + 256 * (256 - FIRST_BANK as usize);

/// Number of the rule "no unwind information", in every dictionary.
pub const RULE_NONE: u8 = 0;
/// Number of the rule that stands in where the table's own limits left none, in every dictionary.
pub const RULE_OVER_LIMIT: u8 = 1;

/// No unwind information: between functions, or code without any.
pub const CFA_NONE: u8 = 0;
/// The outermost frame: it has no caller (its return address is undefined).
pub const CFA_ROOT: u8 = 1;
/// There is a rule, of a kind not known here; [`UnwindRule::offset`] says which.
pub const CFA_UNSUPPORTED: u8 = 2;
/// Stub of a procedure linkage table: CFA = rsp + low, and 8 more if `rip & 15 >= high`.
pub const CFA_PLT: u8 = 3;
/// Signal trampoline: rsp = *(rsp + low), rip = *(rsp + high), rbp = *(rsp + `rbp_offset`), all from the present
/// rsp. The other registers are at [`SIGNAL_REGISTER_OFFSETS`] where the three have the kernel's own places.
pub const CFA_SIGNAL: u8 = 4;
/// No unwind information, but every function of the file keeps a frame pointer, across switches of the stack, too:
/// Go. Never in a table; it stands for [`CFA_NONE`] where [`FILE_KEEPS_FRAME_POINTERS`] is set.
pub const CFA_FRAME_POINTER: u8 = 5;
/// The table of the file has not been written yet. Never in a table; it stands for a file in state
/// [`FILE_PENDING`].
pub const CFA_PENDING: u8 = 6;
/// CFA = register + offset; the register is in the low four bits.
pub const CFA_REGISTER: u8 = 0x10;
/// CFA = *(register + low) + high; the register is in the low four bits.
pub const CFA_DEREF: u8 = 0x20;
/// CFA = *(rsp + 8 * register + low) + high; the register is in the low four bits.
pub const CFA_DEREF_INDEXED: u8 = 0x30;
/// The form, for values from [`CFA_REGISTER`] on.
pub const CFA_FORM_MASK: u8 = 0xf0;
/// The register, for values from [`CFA_REGISTER`] on.
pub const CFA_REGISTER_MASK: u8 = 0x0f;

/// The caller's rbp is the present one.
pub const RBP_SAME: u8 = 0;
/// The caller's rbp is at CFA + `rbp_offset`.
pub const RBP_AT_CFA: u8 = 1;
/// The caller's rbp is lost.
pub const RBP_UNDEFINED: u8 = 2;
/// The caller's rbp is at the present rbp + `rbp_offset`.
pub const RBP_AT_RBP: u8 = 3;
/// The caller's rbp is at the present rsp + `rbp_offset`.
pub const RBP_AT_RSP: u8 = 4;
/// Bits of [`UnwindRule::registers`] that hold `RBP_*`.
pub const RBP_MASK: u8 = 0x07;

/// The return address is at CFA - 8, and [`UnwindRule::offset`] is one number where the form allows.
pub const RA_BELOW_CFA: u8 = 0x00;
/// The return address is at CFA + high, and CFA = register + low.
pub const RA_AT_CFA: u8 = 0x10;
/// The return address is in register number high, and CFA = register + low.
pub const RA_IN_REGISTER: u8 = 0x20;
/// Bits of [`UnwindRule::registers`] that hold `RA_*`.
pub const RA_MASK: u8 = 0x30;

/// The caller was interrupted, it did not call: its address is not a return address.
pub const SIGNAL_FRAME: u8 = 0x80;

/// Register number of rbp.
pub const RBP: u8 = 6;
/// Register number of rsp.
pub const RSP: u8 = 7;
/// Bytes from rsp of a signal trampoline to each register it will restore, by register number; the last is rip's.
/// The kernel's ABI: `struct sigcontext` in `struct ucontext`, above which the handler's return address stood.
pub const SIGNAL_REGISTER_OFFSETS: [i16; 17] =
    [144, 136, 152, 128, 112, 104, 120, 160, 40, 48, 56, 64, 72, 80, 88, 96, 168];

/// How to get from a frame to its caller's. All bytes 0: no unwind information. The caller's rsp is the CFA.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct UnwindRule {
    /// `CFA_*`.
    pub cfa: u8,
    /// `RBP_*`, `RA_*` and [`SIGNAL_FRAME`].
    pub registers: u8,
    /// See `RBP_*`.
    pub rbp_offset: i16,
    /// One number, or two: see [`Self::low`] and [`Self::high`].
    pub offset: i32,
}

impl UnwindRule {
    /// No unwind information.
    pub const NONE: Self = Self { cfa: CFA_NONE, registers: 0, rbp_offset: 0, offset: 0 };

    /// The rule is not known yet.
    pub const PENDING: Self = Self { cfa: CFA_PENDING, ..Self::NONE };

    /// A rule out of a word of a [`TableBlock`], in which it stands as in memory.
    #[inline(always)]
    #[must_use]
    pub const fn from_word(word: u64) -> Self {
        Self {
            cfa: word as u8,
            registers: (word >> 8) as u8,
            rbp_offset: (word >> 16) as i16,
            offset: (word >> 32) as i32,
        }
    }

    /// The rule as a word of a [`TableBlock`].
    #[must_use]
    pub const fn to_word(self) -> u64 {
        (self.offset as u32 as u64) << 32
            | (self.rbp_offset as u16 as u64) << 16
            | (self.registers as u64) << 8
            | self.cfa as u64
    }

    /// Two numbers as [`Self::offset`].
    #[inline(always)]
    #[must_use]
    pub const fn halves(low: i16, high: i16) -> i32 {
        (high as i32) << 16 | low as u16 as i32
    }

    /// The first of two numbers.
    #[inline(always)]
    #[must_use]
    pub const fn low(self) -> i16 {
        self.offset as i16
    }

    /// The second of two numbers.
    #[inline(always)]
    #[must_use]
    pub const fn high(self) -> i16 {
        (self.offset >> 16) as i16
    }
}

/// 64 rows. Two cache lines: the search reads the first, its result the second.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnwindLine {
    /// Low byte of the offset that each row starts at.
    pub pc_low: [u8; ROWS_PER_LINE],
    /// Number of its rule; see [`rule_number`].
    pub rule: [u8; ROWS_PER_LINE],
}

impl UnwindLine {
    /// No rows.
    pub const EMPTY: Self = Self { pc_low: [0; ROWS_PER_LINE], rule: [RULE_NONE; ROWS_PER_LINE] };
}

/// What the memory for tables is made of: one line, or as many words as take its place.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TableBlock(pub [u64; WORDS_PER_BLOCK]);

/// What that memory grows by. No struct: Linux 6.1 takes a map as an element of another only if both have, or both
/// have not, a type that could hold a timer, and the maps that the agent makes have no type at all
/// (`bpf_map_meta_equal` in `kernel/bpf/map_in_map.c`).
pub type TablePiece = [TableBlock; crate::limits::BLOCKS_PER_TABLE_PIECE as usize];

/// Words of a block, each an [`IndexEntry`] or an [`UnwindRule`].
pub const WORDS_PER_BLOCK: usize = 16;

const COUNT_BITS: u32 = 10;
const COUNT_MASK: u64 = (1 << COUNT_BITS) - 1;
const BASE_SHIFT: u32 = 4 * COUNT_BITS;

/// The rows of one page: the number of its first, 24 bits, and how many start before the end of each quarter,
/// four times 10 bits. 1,024 is kept as 0, which only the difference of two counts is read from.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IndexEntry(pub u64);

impl IndexEntry {
    /// Packs the number of the page's first row and the rows that start before the end of each quarter.
    #[must_use]
    pub const fn pack(first_row: u32, ends: [u16; 4]) -> Self {
        Self(
            (first_row as u64) << BASE_SHIFT
                | (ends[3] as u64 & COUNT_MASK) << (3 * COUNT_BITS)
                | (ends[2] as u64 & COUNT_MASK) << (2 * COUNT_BITS)
                | (ends[1] as u64 & COUNT_MASK) << COUNT_BITS
                | ends[0] as u64 & COUNT_MASK,
        )
    }

    /// First row and number of rows of the quarter that `file_offset` lies in. No branch, no table.
    #[inline(always)]
    #[must_use]
    pub const fn rows_of(self, file_offset: u64) -> (u32, u32) {
        let shift = (file_offset >> QUARTER_BITS & 3) as u32 * COUNT_BITS;
        // The end of the quarter before: what stands one count lower, and 0 for the first.
        let start = self.0 << COUNT_BITS >> shift & COUNT_MASK;
        let end = self.0 >> shift;
        ((self.0 >> BASE_SHIFT) as u32 + start as u32, (end.wrapping_sub(start) & COUNT_MASK) as u32)
    }
}

/// Number of the rule that a row's byte names, given the byte of the row before it.
#[inline(always)]
#[must_use]
pub const fn rule_number(byte: u8, byte_before: u8) -> u32 {
    if byte < FIRST_BANK {
        byte as u32
    } else {
        FIRST_BANK as u32 + (((byte - FIRST_BANK) as u32) << 8 | byte_before as u32)
    }
}

/// State of a file: its table is not there, not yet or not any more.
pub const FILE_PENDING: u32 = 0;
/// State of a file: its table is there.
pub const FILE_HAS_ROWS: u32 = 1;
/// State of a file: it has no unwind information, or there was no room for it.
pub const FILE_WITHOUT_ROWS: u32 = 2;

/// Bit beside either: code without rows keeps frame pointers.
pub const FILE_KEEPS_FRAME_POINTERS: u32 = 1 << 8;

/// Where the table of one file is.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FileTable {
    /// File offset of the first page, in pages.
    pub first_page: u32,
    /// Pages. With 0 the file has no unwind information.
    pub n_pages: u32,
    /// Of this file, in words.
    pub first_index: u32,
    /// Of this file, in blocks.
    pub first_line: u32,
    /// Of this file, in words.
    pub first_rule: u32,
    /// Rows, those that carry a bank included.
    pub n_rows: u32,
    /// Rules.
    pub n_rules: u32,
    /// `FILE_*`. Written last: the rest is valid once it says [`FILE_HAS_ROWS`].
    pub state: u32,
}

const _: () = assert!(size_of::<UnwindRule>() == 8);
const _: () = assert!(size_of::<UnwindLine>() == 128);
const _: () = assert!(size_of::<IndexEntry>() == 8);
const _: () = assert!(size_of::<FileTable>() == 32);
const _: () = assert!(size_of::<TableBlock>() == size_of::<UnwindLine>());

// SAFETY: repr(C), integers only, no padding (pinned above).
#[cfg(feature = "user")]
unsafe impl aya::Pod for UnwindRule {}
// SAFETY: repr(C), integers only, no padding (pinned above).
#[cfg(feature = "user")]
unsafe impl aya::Pod for UnwindLine {}
// SAFETY: repr(C), integers only, no padding.
#[cfg(feature = "user")]
unsafe impl aya::Pod for TableBlock {}
// SAFETY: a transparent integer.
#[cfg(feature = "user")]
unsafe impl aya::Pod for IndexEntry {}
// SAFETY: repr(C), integers only, no padding (pinned above).
#[cfg(feature = "user")]
unsafe impl aya::Pod for FileTable {}

#[cfg(test)]
mod tests {
    use super::{FIRST_BANK, IndexEntry, MAX_RULES_PER_FILE, UnwindRule, rule_number};

    #[test]
    fn an_index_entry_gives_each_quarter_its_rows_even_when_every_byte_has_one() {
        let last = (1 << 24) - 1;
        for (first, ends) in
            [(0, [0; 4]), (7, [1, 1, 5, 9]), (last, [256, 512, 768, 1024]), (3, [0, 0, 0, 256])]
        {
            let entry = IndexEntry::pack(first, ends);
            let mut start = 0;
            for quarter in 0..4 {
                let offset = 0xabc_0400 + quarter as u64 * 256 + 0x80;
                let expected = (first + u32::from(start), u32::from(ends[quarter] - start));
                assert_eq!(entry.rows_of(offset), expected, "quarter {quarter} of {ends:?}");
                start = ends[quarter];
            }
        }
    }

    #[test]
    fn every_rule_number_has_one_spelling() {
        let mut seen = [0_u8; MAX_RULES_PER_FILE];
        for byte in 0..FIRST_BANK {
            assert_eq!(rule_number(byte, 77), u32::from(byte));
            seen[usize::from(byte)] += 1;
        }
        for bank in FIRST_BANK..=255 {
            for before in 0..=255 {
                seen[rule_number(bank, before) as usize] += 1;
            }
        }
        let wrong = seen.iter().position(|&times| times != 1);
        assert_eq!(wrong, None, "number spelt not exactly once");
    }

    #[test]
    fn a_rule_comes_back_from_its_word() {
        for rule in [
            UnwindRule { cfa: 0x17, registers: 0x91, rbp_offset: -16, offset: -1 },
            UnwindRule { cfa: 255, registers: 255, rbp_offset: i16::MIN, offset: i32::MAX },
        ] {
            assert_eq!(UnwindRule::from_word(rule.to_word()), rule);
        }
    }

    #[test]
    fn halves_come_back_signed() {
        for (low, high) in [(0, 0), (-1, 0), (0, -1), (i16::MIN, i16::MAX), (160, 168)] {
            let rule = UnwindRule { offset: UnwindRule::halves(low, high), ..UnwindRule::NONE };
            assert_eq!((rule.low(), rule.high()), (low, high));
        }
    }
}
