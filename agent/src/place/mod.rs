//! Where in a function a probe costs least.
//!
//! The kernel stops at a probe once where it can emulate the instruction that the probe replaced, and twice where
//! it has to let the processor run it elsewhere. It emulates `push` of a register, jumps, calls and the one-byte `nop`
//! (`push_setup_xol_ops` and `branch_setup_xol_ops` in `arch/x86/kernel/uprobes.c`). A probe of the return takes another
//! stop, which a probe within the function can take the place of.

mod body;
mod held;
#[cfg(test)]
mod tests;

use iced_x86::{
    Decoder, DecoderOptions, FlowControl, Instruction, InstructionInfoFactory, Mnemonic, OpKind, Register,
    UsedRegister,
};

use body::Body;
pub use body::MAX_CODE_BYTES;
pub use held::Held;

/// Instructions looked at before the first is taken: by then arguments have been moved.
const MAX_INSTRUCTIONS: usize = 32;

/// Where the return of a function is seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Returns {
    /// Nowhere.
    #[default]
    Unseen,
    /// By a probe of the return, which changes the return address.
    Probed,
    /// At instructions that it returns behind: exactly one of them is passed by each call. Where in the file.
    At(Vec<u64>),
}

/// Where to probe the beginning of a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<T> {
    /// Bytes after the first one.
    pub distance: u64,
    /// The return address is on top of the stack.
    pub is_at_return_address: bool,
    /// What was told of the arguments.
    pub taken: T,
}

/// Where to probe both ends of a function, in bytes after the first one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ends {
    /// Passed once by each call, with its arguments where they were handed over.
    pub entry: u64,
    /// Each call that returns passes one of them once, with its result where it will be.
    pub returns: Vec<u64>,
}

/// The first instruction that the kernel emulates and that every call runs while something can be told of the arguments in these registers.
pub fn entry<T>(code: &[u8], arguments: &[Register], take: impl Fn(&Held) -> Option<T>) -> Option<Entry<T>> {
    let mut factory = InstructionInfoFactory::new();
    let mut decoder = Decoder::with_ip(64, code, 0, DecoderOptions::NONE);
    let mut is_at_return_address = true;
    let mut held = Held::at_entry(arguments);
    for _ in 0..MAX_INSTRUCTIONS {
        if !decoder.can_decode() {
            break;
        }
        let instruction = decoder.decode();
        let Some(taken) = take(&held).filter(|_| !instruction.is_invalid()) else { break };
        if is_emulated(&instruction) {
            return Some(Entry { distance: instruction.ip(), is_at_return_address, taken });
        }
        if instruction.flow_control() != FlowControl::Next {
            break;
        }
        is_at_return_address &= !writes(&instruction, Register::RSP, &mut factory);
        held.run(&instruction, &mut factory);
    }
    None
}

/// The same where all of these arguments are where they were handed over.
#[must_use]
pub fn entry_with(code: &[u8], arguments: &[Register]) -> Option<u64> {
    let all = |held: &Held| arguments.iter().all(|argument| held.is_at_home(*argument)).then_some(());
    entry(code, arguments, all).map(|entry| entry.distance)
}

/// Both ends of a function of which this is all the code, if the kernel emulates what is there.
#[must_use]
pub fn ends(code: &[u8], arguments: &[Register]) -> Option<Ends> {
    let body = Body::of(code)?;
    let entry = entry_with(code, arguments).filter(|entry| body.is_passed_once(*entry))?;
    // Two programs in one place have no order.
    let returns = body.returns().filter(|returns| returns.iter().all(|at| *at > entry))?;
    Some(Ends { entry, returns })
}

/// Whether an instruction begins here.
#[must_use]
pub fn is_code(code: &[u8]) -> bool {
    let mut decoder = Decoder::with_ip(64, code, 0, DecoderOptions::NONE);
    decoder.can_decode() && !decoder.decode().is_invalid()
}

fn is_emulated(instruction: &Instruction) -> bool {
    match instruction.flow_control() {
        // Relative ones, without a prefix.
        FlowControl::Call | FlowControl::UnconditionalBranch | FlowControl::ConditionalBranch => {
            instruction.op0_kind() == OpKind::NearBranch64
                && !matches!(
                    instruction.mnemonic(),
                    Mnemonic::Jrcxz | Mnemonic::Jecxz | Mnemonic::Loop | Mnemonic::Loope | Mnemonic::Loopne
                )
        }
        FlowControl::Next => match instruction.mnemonic() {
            Mnemonic::Push => {
                instruction.op0_kind() == OpKind::Register && instruction.op0_register().is_gpr64()
            }
            Mnemonic::Nop => instruction.len() == 1,
            _ => false,
        },
        _ => false,
    }
}

/// Whether an instruction writes a register or a part of it.
fn writes(instruction: &Instruction, register: Register, factory: &mut InstructionInfoFactory) -> bool {
    let used = factory.info(instruction).used_registers();
    used.iter().any(|used| is_written(used) && used.register().full_register() == register)
}

fn is_written(used: &UsedRegister) -> bool {
    use iced_x86::OpAccess::{CondRead, None, Read};
    !matches!(used.access(), None | Read | CondRead)
}
