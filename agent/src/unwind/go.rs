//! The functions of a Go program, by the table that its runtime unwinds by: the size of the frame at every
//! instruction, which functions are roots, and which run on two stacks.

use std::fs::File;

use abi::unwind::{
    CFA_REGISTER, CFA_ROOT, CFA_SIGNAL, MAX_ROWS_PER_FILE, RBP, RBP_AT_CFA, RBP_SAME, RSP, SIGNAL_FRAME,
    SIGNAL_REGISTER_OFFSETS, UnwindRule,
};

use super::{error::UnwindError, gathered::Gathered, rule::Unsupported};
use crate::object::{GoTable, gopclntab::GoFunction, gopclntab::GoKind, read_bytes};

const RETURN_ADDRESS_BYTES: i64 = 8;
/// Code is read in steps of this size, in bytes: functions come in the order of their addresses.
const WINDOW_BYTES: u32 = 1 << 20;
/// Bytes looked at to see where a function saves the frame pointer, from one before the frame is there.
const PROLOGUE_BYTES: u32 = 9;

/// Adds every function of the table. One that is not in the code is counted as such.
pub(super) fn add_functions(
    gathered: &mut Gathered,
    table: &GoTable,
    file: &File,
) -> Result<(), UnwindError> {
    let Some(frames) = table.frames(file) else { return Ok(()) };
    let mut code = Code { file, start: 0, bytes: Vec::new() };
    for function in frames.functions() {
        let size_bytes = function.end_svma.saturating_sub(function.start_svma);
        let Some((start, end)) = gathered.place(function.start_svma, size_bytes) else {
            gathered.losses.n_outside_code = gathered.losses.n_outside_code.saturating_add(1);
            continue;
        };
        gathered.begin()?;
        let start = match function.kind {
            // What returns into it has its first byte as return address, which is looked up as the one before.
            GoKind::SignalReturn => start.saturating_sub(1),
            _ => start,
        };
        match function.kind {
            GoKind::Root => gathered.push(start, UnwindRule { cfa: CFA_ROOT, ..UnwindRule::NONE }),
            // The stack pointer may be of either stack; the frame pointer leads from one to the other.
            GoKind::SwitchesStack => gathered.push(start, UnwindRule::NONE),
            GoKind::SignalReturn => gathered.push(start, signal_return()),
            GoKind::Plain | GoKind::Injected => add_steps(gathered, &function, start, end, &mut code),
        }
        gathered.end(start, end)?;
    }
    Ok(())
}

/// One row for each size of the frame.
fn add_steps(gathered: &mut Gathered, function: &GoFunction<'_>, start: u32, end: u32, code: &mut Code<'_>) {
    let registers = if function.kind == GoKind::Injected { SIGNAL_FRAME } else { 0 };
    let mut steps = function.steps().peekable();
    if steps.peek().is_none() {
        gathered.push(start, UnwindRule::NONE);
    }
    let mut at = start;
    let mut saved = None;
    for step in steps {
        // More than any table can hold: the end of the function says so.
        if gathered.n_run > MAX_ROWS_PER_FILE {
            return;
        }
        gathered.n_run = gathered.n_run.saturating_add(1);
        let frame = |rbp, rbp_offset| rule(step.frame_bytes, registers | rbp, rbp_offset);
        if step.frame_bytes > 0 {
            let saved = *saved.get_or_insert_with(|| code.saved_frame_pointer(at, step.frame_bytes));
            match saved {
                Some(Saved { from, offset }) => {
                    if at < from {
                        gathered.push(at, frame(RBP_SAME, 0));
                    }
                    gathered.push(at.max(from), frame(RBP_AT_CFA, offset));
                }
                None => gathered.push(at, frame(RBP_SAME, 0)),
            }
        } else {
            gathered.push(at, frame(RBP_SAME, 0));
        }
        let Some(next) = start.checked_add(step.end).filter(|&next| next < end) else { return };
        at = next;
    }
    // What is left is padding.
}

/// The return address is above the frame, and the caller's stack pointer above it.
fn rule(frame_bytes: i32, registers: u8, rbp_offset: i16) -> UnwindRule {
    let offset = i64::from(frame_bytes).saturating_add(RETURN_ADDRESS_BYTES);
    match i32::try_from(offset) {
        Ok(offset) if offset > 0 => UnwindRule { cfa: CFA_REGISTER | RSP, registers, rbp_offset, offset },
        _ => Unsupported::OffsetRange.rule(),
    }
}

/// The kernel has put the interrupted registers where this function's frame is.
fn signal_return() -> UnwindRule {
    let [rsp, rbp, rip] = [usize::from(RSP), usize::from(RBP), 16].map(|i| SIGNAL_REGISTER_OFFSETS[i]);
    UnwindRule {
        cfa: CFA_SIGNAL,
        registers: SIGNAL_FRAME,
        rbp_offset: rbp,
        offset: UnwindRule::halves(rsp, rip),
    }
}

/// The caller's frame pointer is at CFA + `offset` from this place in the file on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Saved {
    from: u32,
    offset: i16,
}

/// The instructions, a window at a time.
struct Code<'file> {
    file: &'file File,
    start: u32,
    bytes: Vec<u8>,
}

impl Code<'_> {
    /// Where a function saves the frame pointer that has a frame of `frame_bytes` from `at` on.
    fn saved_frame_pointer(&mut self, at: u32, frame_bytes: i32) -> Option<Saved> {
        let prologue = *self.bytes_at(at.checked_sub(1)?)?;
        saved_in(prologue, at, frame_bytes)
    }

    fn bytes_at(&mut self, at: u32) -> Option<&[u8; PROLOGUE_BYTES as usize]> {
        let is_inside = |start: u32, bytes: &[u8]| {
            at.checked_sub(start).is_some_and(|within| {
                within.saturating_add(PROLOGUE_BYTES) <= u32::try_from(bytes.len()).unwrap_or(u32::MAX)
            })
        };
        if !is_inside(self.start, &self.bytes) {
            let size_bytes = self.file.metadata().ok()?.len();
            let length = size_bytes.saturating_sub(at.into()).min(WINDOW_BYTES.into());
            self.bytes = read_bytes(self.file, at.into(), length, WINDOW_BYTES.into()).unwrap_or_default();
            self.start = at;
        }
        self.bytes.get(at.checked_sub(self.start)? as usize..)?.first_chunk()
    }
}

/// `push %rbp` made the frame, or `mov %rbp,N(%rsp)` follows what made it: the compiler's two forms. A function in
/// assembly without either keeps the register.
fn saved_in(prologue: [u8; PROLOGUE_BYTES as usize], at: u32, frame_bytes: i32) -> Option<Saved> {
    let place = |length: u32, displacement: i32| {
        let offset = i64::from(displacement) - i64::from(frame_bytes) - RETURN_ADDRESS_BYTES;
        Some(Saved { from: at.checked_add(length)?, offset: i16::try_from(offset).ok()? })
    };
    match prologue {
        [0x55, ..] if frame_bytes == 8 => place(0, 0),
        [_, 0x48, 0x89, 0x6c, 0x24, displacement, ..] => place(5, displacement.cast_signed().into()),
        [_, 0x48, 0x89, 0xac, 0x24, a, b, c, d] => place(8, i32::from_le_bytes([a, b, c, d])),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::HashMap, path::Path};

    use super::{Saved, rule, saved_in, signal_return};
    use crate::{
        object::{Elf, GoTable, ObjectFile, Segments},
        unwind::{self, text},
    };

    #[test]
    fn the_frame_pointer_is_below_the_return_address_whichever_way_it_was_saved() {
        let cases = [
            // sub $0x18,%rsp; mov %rbp,0x10(%rsp)
            ([0x18, 0x48, 0x89, 0x6c, 0x24, 0x10, 0x48, 0x8d, 0x6c], 0x18, Some((5, -16))),
            // sub $0x98,%rsp; mov %rbp,0x90(%rsp)
            ([0, 0x48, 0x89, 0xac, 0x24, 0x90, 0, 0, 0], 0x98, Some((8, -16))),
            // push %rbp; mov %rsp,%rbp
            ([0x55, 0x48, 0x89, 0xe5, 0x48, 0x83, 0xec, 0x18, 0x90], 8, Some((0, -16))),
            // pushf
            ([0x9c, 0xfc, 0x48, 0x81, 0xc4, 0x28, 0xff, 0xff, 0xff], 8, None),
            // A frame whose pointer would be too far away to say.
            ([0, 0x48, 0x89, 0xac, 0x24, 0, 0, 0, 0x80], 8, None),
        ];
        for (prologue, frame_bytes, expected) in cases {
            let expected = expected.map(|(length, offset)| Saved { from: 100 + length, offset });
            assert_eq!(saved_in(prologue, 100, frame_bytes), expected, "{prologue:x?}");
        }
    }

    #[test]
    fn a_frame_that_no_stack_can_have_is_not_walked() {
        let shown = |frame_bytes| text::line(rule(frame_bytes, 1, -16));
        assert_eq!(shown(0), "cfa=rsp+8 rbp=c-16 ra=c-8");
        assert_eq!(shown(0x98), "cfa=rsp+160 rbp=c-16 ra=c-8");
        for frame_bytes in [-8, i32::MIN, i32::MAX] {
            assert_eq!(shown(frame_bytes), "unsupported OffsetRange", "{frame_bytes}");
        }
    }

    #[test]
    fn a_signal_is_left_as_the_c_librarys_own_trampoline_leaves_it() {
        assert_eq!(
            text::line(signal_return()),
            "signal rsp=*(rsp+160) rip=*(rsp+168) rbp=*(rsp+120), interrupted"
        );
    }

    #[test]
    fn in_a_stripped_go_program_roots_switches_signals_and_calls_are_told_apart() {
        let Ok(object) = ObjectFile::open(Path::new("/usr/bin/caddy")) else {
            println!("no stripped Go program here: the tests of each part stand in for it");
            return;
        };
        let elf = Elf::parse(&object.file).expect("parses");
        let go = GoTable::of(&elf).expect("has a table");
        let frames = go.frames(&object.file).expect("reads");
        let starts: HashMap<String, u64> = frames
            .functions()
            .filter_map(|function| Some((go.lookup(&object.file, function.start_svma)?, function.start_svma)))
            .collect();
        let table = unwind::build(&object).expect("has rows");
        let segments = Segments::of(&elf);
        for (function, bytes_in, expected) in [
            ("runtime.goexit", 1, "root"),
            ("runtime.mstart", 0, "root"),
            ("runtime.mcall", 9, "root"),
            ("runtime.systemstack", 20, "none"),
            ("runtime.sigreturn", -1, "signal rsp=*(rsp+160) rip=*(rsp+168) rbp=*(rsp+120), interrupted"),
            ("runtime.memmove", 0, "cfa=rsp+8 rbp=s ra=c-8"),
            ("runtime.asyncPreempt", 0, "cfa=rsp+8 rbp=s ra=c-8, interrupted"),
            ("main.main", 0, "cfa=rsp+8 rbp=s ra=c-8"),
        ] {
            let start = starts.get(function).unwrap_or_else(|| panic!("{function} among {}", starts.len()));
            let svma = start.wrapping_add_signed(bytes_in);
            let offset = segments.file_offset_of(svma).expect("in the code");
            let seen = text::line(unwind::lookup(&table, offset));
            assert_eq!(seen, expected, "{function}+{bytes_in} at {svma:#x}");
        }
        assert_eq!(table.losses, unwind::Losses::default(), "{table:?}");
        assert!(table.n_functions as usize >= starts.len(), "{} functions", table.n_functions);
    }
}
