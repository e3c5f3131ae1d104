//! All instructions of a function and where they lead: which of them its calls pass once, and which they pass just before they
//! return.

use std::collections::BTreeSet;

use iced_x86::{
    Decoder, DecoderOptions, FlowControl, Instruction, InstructionInfoFactory, Mnemonic, OpKind, Register,
};

use super::{is_emulated, writes};

/// Longest function looked at.
pub const MAX_CODE_BYTES: u64 = 4096;
/// Most places from which a function may return.
const MAX_RETURNS: usize = 8;

/// A function that is left by returning or not at all: it does not end in another.
pub(super) struct Body {
    steps: Vec<Step>,
    /// Those that something jumps to.
    targets: BTreeSet<usize>,
}

struct Step {
    at: u64,
    flow: Flow<usize>,
    is_emulated: bool,
    writes_result: bool,
}

/// What comes behind an instruction.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Flow<T> {
    Next,
    /// The next one, if what is called returns.
    Call,
    /// The next one or this.
    Branch(T),
    Jump(T),
    Return,
    Nothing,
}

impl Body {
    /// `None` if it can be left otherwise, or if it cannot be told.
    pub(super) fn of(code: &[u8]) -> Option<Self> {
        if code.len() as u64 > MAX_CODE_BYTES {
            return None;
        }
        let mut factory = InstructionInfoFactory::new();
        let instructions: Vec<Instruction> =
            Decoder::with_ip(64, code, 0, DecoderOptions::NONE).into_iter().collect();
        let index_of = |at: u64| instructions.binary_search_by_key(&at, Instruction::ip).ok();
        let mut targets = BTreeSet::new();
        let mut steps = Vec::with_capacity(instructions.len());
        for instruction in &instructions {
            let flow = flow(instruction, code.len() as u64)?;
            let flow = match flow {
                Flow::Branch(target) => Flow::Branch(index_of(target)?),
                Flow::Jump(target) => Flow::Jump(index_of(target)?),
                Flow::Next => Flow::Next,
                Flow::Call => Flow::Call,
                Flow::Return => Flow::Return,
                Flow::Nothing => Flow::Nothing,
            };
            if let Flow::Branch(target) | Flow::Jump(target) = flow {
                targets.insert(target);
            }
            steps.push(Step {
                at: instruction.ip(),
                flow,
                is_emulated: is_emulated(instruction),
                writes_result: writes(instruction, Register::RAX, &mut factory),
            });
        }
        // Nothing can come behind a call at the very end: what is called does not return.
        let is_closed = !matches!(steps.last()?.flow, Flow::Next | Flow::Branch(_));
        is_closed.then_some(Self { steps, targets })
    }

    /// Whether nothing leads back to an instruction that is reached from the beginning without a jump, or to what is before it.
    pub(super) fn is_passed_once(&self, at: u64) -> bool {
        self.targets.first().and_then(|first| self.steps.get(*first)).is_none_or(|first| first.at > at)
    }

    /// For each place from which it returns, the last instruction before it that is emulated. `None` if one has none, or if it
    /// can be passed without a return behind it, or before the result is there.
    pub(super) fn returns(&self) -> Option<Vec<u64>> {
        let is_return = |step: &Step| step.flow == Flow::Return;
        let n_returns = self.steps.iter().filter(|step| is_return(step)).count();
        if !(1..=MAX_RETURNS).contains(&n_returns) {
            return None;
        }
        let returns = self.steps.iter().enumerate().filter(|(_, step)| is_return(step));
        returns.map(|(index, _)| self.before(index)).collect()
    }

    fn before(&self, mut index: usize) -> Option<u64> {
        loop {
            if self.targets.contains(&index) {
                return None;
            }
            index = index.checked_sub(1)?;
            let step = self.steps.get(index)?;
            match step.flow {
                Flow::Next if step.is_emulated => return Some(step.at),
                Flow::Next if !step.writes_result => {}
                Flow::Branch(target) if step.is_emulated && !self.returns_from(target) => {
                    return Some(step.at);
                }
                _ => return None,
            }
        }
    }

    /// Whether a return may come behind an instruction.
    fn returns_from(&self, index: usize) -> bool {
        let mut is_seen = vec![false; self.steps.len()];
        let mut open = vec![index];
        while let Some(index) = open.pop() {
            let (Some(step), Some(is_seen)) = (self.steps.get(index), is_seen.get_mut(index)) else {
                continue;
            };
            if std::mem::replace(is_seen, true) {
                continue;
            }
            match step.flow {
                Flow::Return => return true,
                Flow::Nothing => {}
                Flow::Next | Flow::Call => open.push(index + 1),
                Flow::Branch(target) => open.extend([target, index + 1]),
                Flow::Jump(target) => open.push(target),
            }
        }
        false
    }
}

/// `None` for what leads out of the function, or nobody knows where.
fn flow(instruction: &Instruction, n_bytes: u64) -> Option<Flow<u64>> {
    if instruction.is_invalid() {
        return None;
    }
    let is_near = instruction.op0_kind() == OpKind::NearBranch64;
    let target = instruction.near_branch_target();
    match instruction.flow_control() {
        FlowControl::Next => Some(Flow::Next),
        // To itself, or to where it is: neither is one call.
        FlowControl::Call => (is_near && target >= n_bytes).then_some(Flow::Call),
        FlowControl::IndirectCall => Some(Flow::Call),
        FlowControl::ConditionalBranch => (is_near && target < n_bytes).then_some(Flow::Branch(target)),
        FlowControl::UnconditionalBranch => (is_near && target < n_bytes).then_some(Flow::Jump(target)),
        FlowControl::Return => (instruction.mnemonic() == Mnemonic::Ret).then_some(Flow::Return),
        FlowControl::Exception => Some(Flow::Nothing),
        FlowControl::IndirectBranch | FlowControl::Interrupt | FlowControl::XbeginXabortXend => None,
    }
}
