//! Where the arguments of a function are while its first instructions run: some move them before the first
//! instruction at which a probe is cheap.

use abi::alloc::{
    SIZE_IS_0, SIZE_IS_0_TIMES_1, SIZE_IS_1, SIZE_IS_1_TIMES_2, SIZE_IS_2, SIZE_IS_3, SIZE_IS_A_TIMES_1,
};
use iced_x86::{Instruction, InstructionInfoFactory, Mnemonic, OpAccess, OpKind, Register};

/// Which register holds which argument, both by the argument's register.
#[derive(Clone, Debug)]
pub(super) struct Held(Vec<(Register, Register)>);

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
            if !matches!(used.access(), OpAccess::None | OpAccess::Read | OpAccess::CondRead) {
                let register = used.register().full_register();
                self.0.retain(|held| held.0 != register);
            }
        }
        self.0.extend(copied.into_iter().map(|argument| (instruction.op0_register(), argument)));
    }

    /// Whether an argument is where it was handed over.
    pub(super) fn is_at_home(&self, argument: Register) -> bool {
        self.0.contains(&(argument, argument))
    }

    fn is_in(&self, argument: Register, register: Register) -> bool {
        self.0.contains(&(register, argument))
    }

    /// The rule by which the size is to be taken from where it is now; `None` if there is none.
    pub(super) fn size_rule(&self, rule: u64) -> Option<u64> {
        use Register::{RAX, RCX, RDI, RDX, RSI};
        const PLACES: [(Register, u64); 4] =
            [(RDI, SIZE_IS_0), (RSI, SIZE_IS_1), (RDX, SIZE_IS_2), (RCX, SIZE_IS_3)];
        if let Some((argument, _)) = PLACES.iter().find(|place| place.1 == rule) {
            let held = |place: &&(Register, u64)| self.is_in(*argument, place.0);
            let home = PLACES.iter().find(|place| place.0 == *argument && held(place));
            return home.or_else(|| PLACES.iter().find(held)).map(|place| place.1);
        }
        let (first, second) = match rule {
            SIZE_IS_0_TIMES_1 => (RDI, RSI),
            SIZE_IS_1_TIMES_2 => (RSI, RDX),
            _ => return self.is_at_home(RDI).then_some(rule),
        };
        let products =
            [(RDI, RSI, SIZE_IS_0_TIMES_1), (RSI, RDX, SIZE_IS_1_TIMES_2), (RAX, RSI, SIZE_IS_A_TIMES_1)];
        let is_held = |one, other| self.is_in(first, one) && self.is_in(second, other);
        products
            .iter()
            .find(|(one, other, _)| is_held(*one, *other) || is_held(*other, *one))
            .map(|found| found.2)
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
