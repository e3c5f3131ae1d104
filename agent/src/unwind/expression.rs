//! The few DWARF expressions that compilers, linkers and the C library write into call frame information.

use gimli::{Encoding, EndianSlice, LittleEndian, Operation, UnwindExpression, UnwindSection};

use super::rule::{DwarfRegister, RIP};
use abi::unwind::RSP;

/// Longest expression looked at, in operations; the longest one known has nine.
const MAX_OPERATIONS: usize = 9;

type Bytes<'section> = EndianSlice<'section, LittleEndian>;

/// What an expression says. Offsets are in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// register + offset
    Sum { register: DwarfRegister, offset: i64 },
    /// *(register + offset) + add
    Deref { register: DwarfRegister, offset: i64, add: i64 },
    /// *(rsp + 8 * index + offset) + add: OpenSSL's Montgomery multiplication
    DerefIndexed { index: DwarfRegister, offset: i64, add: i64 },
    /// rsp + offset, and 8 more from the byte `pushed_at` of 16 on: a linker's procedure linkage table
    Plt { offset: i64, pushed_at: u64 },
    /// Anything else.
    Other,
}

/// Reads an expression.
pub(super) fn meaning<'section, S: UnwindSection<Bytes<'section>>>(
    expression: &UnwindExpression<usize>,
    section: &S,
    encoding: Encoding,
) -> Meaning {
    let Ok(expression) = expression.get(section) else { return Meaning::Other };
    let mut steps = [Step::Other; MAX_OPERATIONS];
    let mut n_steps = 0;
    let mut operations = expression.operations(encoding);
    while let Some(operation) = operations.next().transpose() {
        let (Ok(operation), Some(step)) = (operation, steps.get_mut(n_steps)) else { return Meaning::Other };
        *step = Step::of(&operation);
        n_steps = n_steps.saturating_add(1);
    }
    match_steps(steps.get(..n_steps).unwrap_or_default())
}

/// An operation that occurs in the forms known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Register(DwarfRegister, i64),
    Constant(u64),
    Add(i64),
    Deref,
    And,
    Ge,
    Shl,
    Mul,
    Plus,
    Other,
}

impl Step {
    fn of(operation: &Operation<Bytes<'_>>) -> Self {
        match *operation {
            Operation::RegisterOffset { register, offset, base_type } if base_type.0 == 0 => {
                Self::Register(register.0, offset)
            }
            Operation::UnsignedConstant { value } => Self::Constant(value),
            // Adding wraps at 64 bits, so a large constant is a negative one.
            Operation::PlusConstant { value } => Self::Add(value.cast_signed()),
            Operation::Deref { base_type, size: 8, space: false } if base_type.0 == 0 => Self::Deref,
            Operation::And => Self::And,
            Operation::Ge => Self::Ge,
            Operation::Shl => Self::Shl,
            Operation::Mul => Self::Mul,
            Operation::Plus => Self::Plus,
            _ => Self::Other,
        }
    }
}

fn match_steps(steps: &[Step]) -> Meaning {
    use Step::{Add, And, Constant, Deref, Ge, Mul, Plus, Register, Shl};
    const STACK: DwarfRegister = RSP as DwarfRegister;
    match *steps {
        [Register(register, offset)] => Meaning::Sum { register, offset },
        [Register(register, offset), Deref] => Meaning::Deref { register, offset, add: 0 },
        [Register(register, offset), Deref, Add(add)] => Meaning::Deref { register, offset, add },
        [Register(STACK, offset), Register(index, 0), Constant(8), Mul, Plus, Deref, Add(add)] => {
            Meaning::DerefIndexed { index, offset, add }
        }
        [
            Register(STACK, offset),
            Register(RIP, 0),
            Constant(15),
            And,
            Constant(pushed_at),
            Ge,
            Constant(3),
            Shl,
            Plus,
        ] => Meaning::Plt { offset, pushed_at },
        _ => Meaning::Other,
    }
}
