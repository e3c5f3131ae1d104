//! Where the arguments of a function are while its first instructions run: some move them before the first
//! instruction at which a probe is cheap.

use iced_x86::{Instruction, InstructionInfoFactory, Mnemonic, OpKind, Register};

use super::is_written;

/// Which register holds which argument, both by the argument's register.
#[derive(Clone, Debug)]
pub struct Held(Vec<(Register, Register)>);

impl Held {
    /// At the beginning of a function.
    pub(super) fn at_entry(arguments: &[Register]) -> Self {
        Self(arguments.iter().map(|register| (*register, *register)).collect())
    }

    /// After an instruction that moves or overwrites them.
    pub(super) fn run(&mut self, instruction: &Instruction, factory: &mut InstructionInfoFactory) {
        let copied: Vec<Register> = match copy(instruction) {
            Some(from) => self.0.iter().filter(|held| held.0 == from).map(|held| held.1).collect(),
            None => Vec::new(),
        };
        for used in factory.info(instruction).used_registers() {
            if is_written(used) {
                let register = used.register().full_register();
                self.0.retain(|held| held.0 != register);
            }
        }
        self.0.extend(copied.into_iter().map(|argument| (instruction.op0_register(), argument)));
    }

    /// Whether an argument is where it was handed over.
    pub(crate) fn is_at_home(&self, argument: Register) -> bool {
        self.0.contains(&(argument, argument))
    }

    /// Whether a register holds an argument.
    pub(crate) fn is_in(&self, argument: Register, register: Register) -> bool {
        self.0.contains(&(register, argument))
    }
}

/// The whole register that is copied to another.
fn copy(instruction: &Instruction) -> Option<Register> {
    let is_copy = instruction.mnemonic() == Mnemonic::Mov
        && instruction.op0_kind() == OpKind::Register
        && instruction.op1_kind() == OpKind::Register
        && instruction.op0_register().is_gpr64();
    is_copy.then(|| instruction.op1_register())
}
