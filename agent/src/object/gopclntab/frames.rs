//! What Go's runtime unwinds by: the size of each function's frame, at every instruction, and what is special
//! about some functions.

use std::fs::File;

use super::{GoTable, Layout};
use crate::object::read::{read_bytes, u32_at};

/// The function is the outermost of its stack.
const TOP_FRAME: u8 = 1 << 0;
/// The function writes the stack pointer, so that the size of its frame says nothing.
const STACK_POINTER_WRITE: u8 = 1 << 1;

/// What must be known of a function to leave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GoKind {
    /// It was called, on the stack that it runs on.
    Plain,
    /// It has no caller: a goroutine or a thread begins with it, or its caller may run elsewhere by now.
    Root,
    /// It runs on two stacks.
    SwitchesStack,
    /// It returns from a signal handler to what was interrupted.
    SignalReturn,
    /// A signal handler made it look as if the interrupted instruction had called it.
    Injected,
}

/// Functions that are left in another way than their flags say. Names of any age of the runtime; where it is too
/// old to have flags, they are all there is.
const BY_NAME: [(&str, GoKind); 17] = [
    // Its caller is parked, and may have been woken on another thread since.
    ("runtime.mcall", GoKind::Root),
    ("runtime.goexit", GoKind::Root),
    ("runtime.mstart", GoKind::Root),
    ("runtime.rt0_go", GoKind::Root),
    ("runtime.asyncPreempt", GoKind::Injected),
    ("runtime.sigpanic", GoKind::Injected),
    // Not the root that the runtime takes it for: it does return into what was interrupted.
    ("runtime.sigtramp", GoKind::Plain),
    ("runtime.sigreturn", GoKind::SignalReturn),
    ("runtime.sigreturn__sigaction", GoKind::SignalReturn),
    ("runtime.systemstack", GoKind::SwitchesStack),
    ("runtime.morestack", GoKind::SwitchesStack),
    ("runtime.asmcgocall", GoKind::SwitchesStack),
    ("runtime.cgocallback", GoKind::SwitchesStack),
    ("runtime.cgocallback_gofunc", GoKind::SwitchesStack),
    ("runtime.gogo", GoKind::SwitchesStack),
    ("runtime.nanotime1", GoKind::SwitchesStack),
    ("runtime.walltime1", GoKind::SwitchesStack),
];

/// The whole table, in memory while it is gone through.
#[derive(Debug)]
pub struct GoFrames<'table> {
    table: &'table GoTable,
    bytes: Vec<u8>,
}

/// A function.
#[derive(Clone, Copy, Debug)]
pub struct GoFunction<'bytes> {
    /// Address of its first byte.
    pub start_svma: u64,
    /// Address of the next function.
    pub end_svma: u64,
    /// How it is left.
    pub kind: GoKind,
    /// Sizes of its frame and where they hold, as differences.
    steps: &'bytes [u8],
    quantum_bytes: u8,
}

/// Up to `end` the frame has this size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// From the function's first byte.
    pub end: u32,
    /// Between the stack pointer and the return address.
    pub frame_bytes: i32,
}

impl GoTable {
    /// Reads the table; none where that fails.
    pub fn frames(&self, file: &File) -> Option<GoFrames<'_>> {
        let size_bytes = self.end_file_offset.checked_sub(self.table_file_offset)?;
        let bytes = read_bytes(file, self.table_file_offset, size_bytes, super::MAX_TABLE_BYTES).ok()?;
        Some(GoFrames { table: self, bytes })
    }
}

impl GoFrames<'_> {
    /// Every function that can be read, by ascending index.
    pub fn functions(&self) -> impl Iterator<Item = GoFunction<'_>> {
        (0..self.table.n_functions).filter_map(|index| self.function(index))
    }

    fn function(&self, index: usize) -> Option<GoFunction<'_>> {
        let table = self.table;
        let record = table.list_field(index.checked_mul(2)?.checked_add(1)?)?;
        let record = self.within(table.records_file_offset.checked_add(record)?)?;
        let Fields { name, steps, flags } = table.layout.fields();
        let name = u64::from(u32::try_from(u32_at(record, name)?.cast_signed()).ok()?);
        let name = self.within(table.names_file_offset.checked_add(name)?)?;
        let flags = flags.map_or(Some(0), |at| record.get(at).copied())?;
        let steps = match u32_at(record, steps)? {
            // The function has none.
            0 => &[],
            at => self.within(table.steps_file_offset.checked_add(at.into())?)?,
        };
        Some(GoFunction {
            start_svma: table.start_svma(index)?,
            end_svma: table.start_svma(index.checked_add(1)?)?,
            kind: kind_of(name, flags),
            steps,
            quantum_bytes: table.quantum_bytes,
        })
    }

    /// The table from a place in its file on.
    fn within(&self, file_offset: u64) -> Option<&[u8]> {
        self.bytes.get(usize::try_from(file_offset.checked_sub(self.table.table_file_offset)?).ok()?..)
    }
}

/// Where a function's record has what.
struct Fields {
    name: usize,
    steps: usize,
    flags: Option<usize>,
}

impl Layout {
    fn fields(self) -> Fields {
        match self {
            Self::Go1_2 => Fields { name: 8, steps: 20, flags: None },
            // Go 1.16 has a zero where 1.17 has flags.
            Self::Go1_16 => Fields { name: 8, steps: 20, flags: Some(41) },
            Self::Go1_18 => Fields { name: 4, steps: 16, flags: Some(37) },
            Self::Go1_20 => Fields { name: 4, steps: 16, flags: Some(41) },
        }
    }
}

fn kind_of(name: &[u8], flags: u8) -> GoKind {
    let is = |wanted: &str| name.strip_prefix(wanted.as_bytes()).is_some_and(|rest| rest.first() == Some(&0));
    // Few functions are of the runtime, and none else is in the list.
    let named =
        name.starts_with(b"runtime.").then(|| BY_NAME.iter().find(|(wanted, _)| is(wanted))).flatten();
    match named {
        Some(&(_, kind)) => kind,
        None if flags & TOP_FRAME != 0 => GoKind::Root,
        None if flags & STACK_POINTER_WRITE != 0 => GoKind::SwitchesStack,
        None => GoKind::Plain,
    }
}

impl<'bytes> GoFunction<'bytes> {
    /// The sizes of its frame, each as long as the next one is further on in the function.
    pub fn steps(&self) -> Steps<'bytes> {
        Steps {
            bytes: self.steps,
            quantum_bytes: self.quantum_bytes,
            end: 0,
            frame_bytes: -1,
            is_first: true,
        }
    }
}

/// Goes through the sizes of a frame: pairs of how it changes and for how long that holds, up to a change by
/// nothing.
#[derive(Clone, Debug)]
pub struct Steps<'bytes> {
    bytes: &'bytes [u8],
    quantum_bytes: u8,
    end: u32,
    frame_bytes: i32,
    is_first: bool,
}

impl Steps<'_> {
    /// Seven bits a byte, the lowest first.
    fn number(&mut self) -> Option<u32> {
        let mut number = 0_u32;
        for shift in (0..u32::BITS).step_by(7) {
            let (&byte, rest) = self.bytes.split_first()?;
            self.bytes = rest;
            number |= u32::from(byte & 0x7f).checked_shl(shift)?;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }
}

impl Iterator for Steps<'_> {
    type Item = Step;

    fn next(&mut self) -> Option<Step> {
        let change = self.number()?;
        if change == 0 && !self.is_first {
            self.bytes = &[];
            return None;
        }
        self.is_first = false;
        // The lowest bit is the sign.
        let half = (change >> 1).cast_signed();
        let change = if change & 1 == 0 { half } else { !half };
        let length = self.number()?.checked_mul(self.quantum_bytes.into()).filter(|&length| length > 0)?;
        self.frame_bytes = self.frame_bytes.checked_add(change)?;
        self.end = self.end.checked_add(length)?;
        Some(Step { end: self.end, frame_bytes: self.frame_bytes })
    }
}

#[cfg(test)]
mod tests {
    use super::{GoKind, Step, Steps, kind_of};

    fn steps(bytes: &[u8]) -> Vec<(u32, i32)> {
        let steps = Steps { bytes, quantum_bytes: 1, end: 0, frame_bytes: -1, is_first: true };
        steps.map(|Step { end, frame_bytes }| (end, frame_bytes)).collect()
    }

    #[test]
    fn sizes_are_differences_with_a_sign_up_to_a_change_by_nothing() {
        // +1 for 13 bytes, +0x18 for 0x100, -0x18 for 1; what follows is another function's.
        let bytes = [2, 13, 0x30, 0x80, 2, 0x2f, 1, 0, 2, 99];
        assert_eq!(steps(&bytes), [(13, 0), (13 + 256, 0x18), (270, 0)]);
    }

    #[test]
    fn steps_that_break_off_run_backwards_or_overflow_end_there() {
        let most = [0xff, 0xff, 0xff, 0xff, 0x0f];
        let endless = [0xff_u8; 12];
        let zero_length = [2, 0, 2, 1];
        let cases = [&[][..], &[2], &[2, 0x80], &endless, &zero_length];
        for bytes in cases {
            assert_eq!(steps(bytes), [], "{bytes:?}");
        }
        let long: Vec<u8> = [2].into_iter().chain(most).chain([4]).chain(most).collect();
        assert_eq!(steps(&long), [(u32::MAX, 0)]);
    }

    #[test]
    fn flags_decide_except_where_the_runtime_sees_less_than_we_do() {
        let cases: [(&[u8], u8, GoKind); 8] = [
            (b"main.main\0", 0, GoKind::Plain),
            (b"main.main\0", 1, GoKind::Root),
            (b"main.main\0", 2, GoKind::SwitchesStack),
            (b"runtime.mcall\0", 2, GoKind::Root),
            (b"runtime.mcall2\0", 0, GoKind::Plain),
            (b"runtime.sigtramp\0", 1, GoKind::Plain),
            (b"runtime.goexit\0", 0, GoKind::Root),
            (b"runtime.goexit", 0, GoKind::Plain),
        ];
        for (name, flags, expected) in cases {
            assert_eq!(kind_of(name, flags), expected, "{} {flags}", String::from_utf8_lossy(name));
        }
    }
}
