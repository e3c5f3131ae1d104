//! Frame sections that someone made to hurt: no panic, no endless loop, no memory without bound, and whatever comes
//! out is a table that can be searched.

use proptest::prelude::{ProptestConfig, any, proptest};

use crate::{
    object::{Elf, ObjectFile},
    unwind::{
        CodeSegment, FrameSection, Rows, SectionKind, Unsupported, UnwindError, lookup, pack, unwind_rows,
    },
};
use abi::unwind::UnwindRule;

/// Corrupted sections tried.
const N_ROUNDS: usize = 10_000;

/// Around the sections, so that most pointers that were bent still lead into it.
const CODE: CodeSegment = CodeSegment { file_offset: 0x1000, svma: 0, size_bytes: 0x80_0000 };

fn section(kind: SectionKind, bytes: &[u8]) -> FrameSection<'_> {
    FrameSection { kind, bytes, svma: 0x40_0000, text_svma: None, got_svma: None }
}

/// Builds, and checks what must hold whatever the input was.
fn check(kind: SectionKind, bytes: &[u8], code: &[CodeSegment]) -> Option<Rows> {
    let rows = match unwind_rows(&section(kind, bytes), code) {
        Ok(rows) => rows,
        Err(UnwindError::TooMuchWork { .. }) => return None,
        Err(error) => panic!("{error} for {} bytes", bytes.len()),
    };
    for pair in rows.rows.windows(2) {
        assert!(pair[0].file_offset < pair[1].file_offset && pair[0].rule != pair[1].rule, "{pair:?}");
    }
    assert_eq!(rows.rows.last().map_or(0, |last| last.rule), 0, "the last row ends the table");
    let table = match pack(&rows) {
        Ok(table) => table,
        Err(UnwindError::TooWide { .. }) => return Some(rows),
        Err(error) => panic!("{error} for {} rows", rows.rows.len()),
    };
    for row in &rows.rows {
        let seen = lookup(&table, row.file_offset.into());
        let expected = rows.rules[usize::from(row.rule)];
        assert!(seen == expected || seen == Unsupported::OverLimit.rule(), "{row:?}: {seen:?}, {expected:?}");
    }
    Some(rows)
}

/// Numbers that look random and are the same each time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 11).expect("64 bits") % limit.max(1)
    }
}

fn corrupt(bytes: &mut Vec<u8>, dice: &mut Dice) {
    const EXTREMES: [u32; 6] = [0, 1, 0x7fff_ffff, 0x8000_0000, 0xffff_fff0, 0xffff_ffff];
    for _ in 0..=dice.below(8) {
        let at = dice.below(bytes.len());
        match dice.below(6) {
            0 => bytes.truncate(at.max(16)),
            1 => bytes[at] ^= 1 << dice.below(8),
            // A word, aligned as lengths and pointers are, at an extreme.
            2 => {
                let word = EXTREMES[dice.below(EXTREMES.len())].to_le_bytes();
                let at = at & !3;
                bytes.iter_mut().skip(at).zip(word).for_each(|(byte, new)| *byte = new);
            }
            // An entry that refers to itself, to another, or is another.
            3 => {
                let from = dice.below(bytes.len());
                let n = dice.below(64).min(bytes.len() - at.max(from));
                bytes.copy_within(from..from + n, at);
            }
            // Many of one instruction.
            4 => {
                let value = u8::try_from(dice.below(256)).expect("a byte");
                bytes.iter_mut().skip(at).take(dice.below(200)).for_each(|byte| *byte = value);
            }
            _ => bytes[at] = u8::try_from(dice.below(256)).expect("a byte"),
        }
    }
}

fn frames_of(object: &ObjectFile) -> Vec<u8> {
    let elf = Elf::parse(&object.file).expect("parses");
    let section = elf.section(".eh_frame").expect("has .eh_frame");
    elf.section_bytes(section, u64::MAX).expect("reads")
}

#[test]
fn ten_thousand_corrupted_sections_are_survived() {
    let vdso = frames_of(&crate::object::vdso::open_vdso().expect("copies"));
    let libc = frames_of(&ObjectFile::open(&super::libc_path()).expect("opens"));
    // Enough for all that compilers write, little enough for ten thousand rounds.
    let sections = [vdso, libc.get(..3000).expect("longer").to_vec()];
    let mut dice = Dice(0x2545_f491_4f6c_dd1d);
    let (mut n_rows, mut n_losing) = (0, 0);
    for round in 0..N_ROUNDS {
        let mut bytes = sections[round % sections.len()].clone();
        corrupt(&mut bytes, &mut dice);
        let kind = if dice.below(8) == 0 { SectionKind::DebugFrame } else { SectionKind::EhFrame };
        let Some(rows) = check(kind, &bytes, &[CODE]) else { continue };
        n_rows += rows.rows.len();
        n_losing += usize::from(rows.losses != crate::unwind::Losses::default());
    }
    // Otherwise nothing of what is behind the headers was tried.
    assert!(n_rows > 50 * N_ROUNDS && n_losing > N_ROUNDS / 10, "{n_rows} rows, {n_losing} with losses");
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// A shared entry without augmentation, so that addresses are 8 absolute bytes. Its instructions follow.
fn shared(instructions: &[u8]) -> Vec<u8> {
    let length = u32::try_from(9 + instructions.len()).expect("short");
    // Version 1, no augmentation, alignment factors 1 and -8, return address in column 16.
    [&words(&[length, 0]), [1, 0, 1, 0x78, 16].as_slice(), instructions].concat()
}

/// A function that refers to the shared entry at the start of the section.
fn function(section: &mut Vec<u8>, svma: u64, size_bytes: u64, instructions: &[u8]) {
    let length = u32::try_from(20 + instructions.len()).expect("short");
    let to_shared = u32::try_from(section.len() + 4).expect("short");
    section.extend(words(&[length, to_shared]));
    section.extend(svma.to_le_bytes());
    section.extend(size_bytes.to_le_bytes());
    section.extend(instructions);
}

/// CFA = rsp+8, return address at CFA-8.
const USUAL: [u8; 5] = [0x0c, 7, 8, 0x90, 1];

#[test]
fn a_long_shared_entry_is_not_run_for_thousands_of_functions() {
    let mut section = shared(&[0; 100_000]);
    for i in 0..10_000 {
        function(&mut section, i * 16, 16, &[]);
    }
    let seen = unwind_rows(&self::section(SectionKind::EhFrame, &section), &[CODE]);
    assert!(matches!(seen, Err(UnwindError::TooMuchWork { .. })), "{seen:?}");
    assert!(seen.is_err_and(|error| error.is_refusal()), "and the user is told");
}

#[test]
fn a_shared_entry_that_cannot_be_read_is_read_once_and_not_for_each_of_thousands_of_functions() {
    // A megabyte of augmentation whose end is nowhere: each reading of it would look at all of it.
    let mut section = [words(&[1 << 20, 0]), vec![1], vec![b'z'; (1 << 20) - 5]].concat();
    let n_functions = 50_000;
    for i in 0..n_functions {
        function(&mut section, i * 16, 16, &[]);
    }
    let rows = check(SectionKind::EhFrame, &section, &[CODE]).expect("builds");
    assert_eq!((rows.rows.len(), u64::from(rows.losses.n_unreadable)), (0, n_functions));
}

#[test]
fn thousands_of_shared_entries_inside_one_another_are_too_much_work() {
    // One that holds the beginnings of others, all of which last to the end of the section.
    let n = 20_000_u32;
    let n_bytes = 8 + n * 8 + n * 24;
    let mut section = words(&[4 + n * 8, 0]);
    section.extend((1..=n).flat_map(|i| words(&[n_bytes - i * 8 - 4, 0])));
    for i in 1..=n {
        let to_shared = section.len() as u32 + 4 - i * 8;
        section.extend(words(&[20, to_shared, 0, 0, 16, 0]));
    }
    let seen = unwind_rows(&self::section(SectionKind::EhFrame, &section), &[CODE]);
    assert!(matches!(seen, Err(UnwindError::TooMuchWork { .. })), "{seen:?}");
}

#[test]
fn a_function_that_leaves_its_segment_is_cut_and_one_outside_has_no_rows() {
    let code = [CodeSegment { file_offset: 0x400, svma: 0x8000, size_bytes: 0x100 }];
    let mut section = shared(&USUAL);
    function(&mut section, 0x80f0, u64::MAX, &[0x44, 0x0e, 16]);
    function(&mut section, 0x7fff, 0x100, &[]);
    function(&mut section, 0x8100, 0x100, &[]);
    function(&mut section, u64::MAX, u64::MAX, &[]);
    let rows = check(SectionKind::EhFrame, &section, &code).expect("builds");
    let offsets: Vec<u32> = rows.rows.iter().map(|row| row.file_offset).collect();
    assert_eq!((offsets, rows.losses.n_outside_code), (vec![0x4f0, 0x4f4, 0x500], 3), "{rows:?}");
}

#[test]
fn segments_at_the_ends_of_the_address_space_do_not_overflow() {
    for file_offset in [0, u64::from(u32::MAX) - 8, u64::from(u32::MAX), u64::MAX - 8] {
        for svma in [0, u64::MAX - 16] {
            let code = [CodeSegment { file_offset, svma, size_bytes: u64::MAX }];
            let mut section = shared(&USUAL);
            function(&mut section, svma, 64, &[0x44, 0x0e, 16]);
            function(&mut section, svma.wrapping_add(8), u64::MAX, &[0x04, 0xff, 0xff, 0xff, 0xff, 0x0e, 16]);
            let rows = check(SectionKind::EhFrame, &section, &code).expect("builds");
            let n_placed = if file_offset < u64::from(u32::MAX) { 1..=3 } else { 0..=0 };
            assert!(
                n_placed.contains(&rows.rules.len().saturating_sub(2)),
                "{file_offset:#x} {svma:#x}: {rows:?}"
            );
        }
    }
}

#[test]
fn what_follows_a_broken_instruction_is_unsupported_and_the_next_function_is_whole() {
    let mut section = shared(&USUAL);
    function(&mut section, 0x10, 0x10, &[0x44, 0x3b, 0x44, 0x0e, 16]);
    function(&mut section, 0x20, 0x10, &[]);
    let rows = check(SectionKind::EhFrame, &section, &[CODE]).expect("builds");
    let rules: Vec<(u32, UnwindRule)> =
        rows.rows.iter().map(|row| (row.file_offset, rows.rules[usize::from(row.rule)])).collect();
    let usual = UnwindRule { cfa: 0x17, registers: 0, rbp_offset: 0, offset: 8 };
    let broken = Unsupported::BrokenDescription.rule();
    let expected = [(0x1010, usual), (0x1014, broken), (0x1020, usual), (0x1030, UnwindRule::NONE)];
    assert_eq!((rules, rows.losses.n_broken), (expected.to_vec(), 1));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn any_instructions_make_a_table(
        first in proptest::collection::vec(any::<u8>(), 0..30),
        functions in proptest::collection::vec(
            (0_u64..0x3000, 0_u64..0x400, proptest::collection::vec(any::<u8>(), 0..60)), 1..12),
    ) {
        let mut section = shared(&[&USUAL, first.as_slice()].concat());
        for (svma, size_bytes, instructions) in functions {
            function(&mut section, svma, size_bytes, &instructions);
        }
        check(SectionKind::EhFrame, &section, &[CODE]);
    }

    #[test]
    fn any_bytes_make_a_table(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        check(SectionKind::EhFrame, &bytes, &[CODE]);
        check(SectionKind::DebugFrame, &bytes, &[CODE]);
    }
}
