//! How high the stack stands at each instruction of a function, by all paths through it. x86-64.

use std::collections::BTreeMap;

use iced_x86::{
    Decoder, DecoderOptions, FlowControl, Instruction, InstructionInfoFactory, Mnemonic, OpAccess, OpKind,
    Register,
};

use abi::unwind::{CFA_REGISTER, RA_BELOW_CFA, RBP_AT_CFA, RBP_SAME, RBP_UNDEFINED, RSP, UnwindRule};

/// From `offset` in the function this rule holds; none where no path leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::unwind) struct Step {
    pub(in crate::unwind) offset: u32,
    pub(in crate::unwind) rule: Option<UnwindRule>,
}

/// Where the caller's rbp is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CallerRbp {
    Same,
    /// Pushed when the stack then stood this high.
    Pushed(i32),
    Lost,
}

/// Before an instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct State {
    /// Bytes below the return address.
    height: i32,
    rbp: CallerRbp,
}

/// `None` if some path does what cannot be followed, or two paths disagree.
pub(in crate::unwind) fn of_function(code: &[u8]) -> Option<Vec<Step>> {
    let mut seen: BTreeMap<u64, (State, u64)> = BTreeMap::new();
    let mut open = vec![(0, State { height: 0, rbp: CallerRbp::Same })];
    let mut info = InstructionInfoFactory::new();
    while let Some((at, state)) = open.pop() {
        if let Some((before, _)) = seen.get(&at) {
            if *before != state {
                return None;
            }
            continue;
        }
        let bytes = code.get(usize::try_from(at).ok()?..)?;
        let instruction = Decoder::with_ip(64, bytes, at, DecoderOptions::NONE).decode();
        if instruction.is_invalid() {
            return None;
        }
        seen.insert(at, (state, instruction.next_ip()));
        let after = state.after(&instruction, &mut info)?;
        let is_inside = |target: u64| target < code.len() as u64;
        let branch = || -> Option<u64> {
            matches!(instruction.op0_kind(), OpKind::NearBranch64).then(|| instruction.near_branch_target())
        };
        match instruction.flow_control() {
            FlowControl::Next => open.push((instruction.next_ip(), after)),
            // A call to the next instruction pushes an address that stays.
            FlowControl::Call if instruction.is_call_near() && branch()? == instruction.next_ip() => {
                return None;
            }
            FlowControl::Call | FlowControl::IndirectCall => open.push((instruction.next_ip(), after)),
            FlowControl::Return if state.height == 0 && state.rbp == CallerRbp::Same => {}
            FlowControl::UnconditionalBranch | FlowControl::ConditionalBranch => {
                let target = branch()?;
                if is_inside(target) {
                    open.push((target, after));
                } else if after != (State { height: 0, rbp: CallerRbp::Same }) {
                    // Another function goes on from here as if it had been called.
                    return None;
                }
                if instruction.flow_control() == FlowControl::ConditionalBranch {
                    open.push((instruction.next_ip(), after));
                }
            }
            FlowControl::Exception => {}
            _ => return None,
        }
    }
    steps(&seen, code.len() as u64)
}

fn steps(seen: &BTreeMap<u64, (State, u64)>, size_bytes: u64) -> Option<Vec<Step>> {
    let mut steps: Vec<Step> = Vec::new();
    let mut push = |offset: u64, rule| -> Option<()> {
        if steps.last().is_none_or(|last| last.rule != rule) {
            steps.push(Step { offset: u32::try_from(offset).ok()?, rule });
        }
        Some(())
    };
    let mut end = 0;
    for (&at, (state, next)) in seen {
        // A jump into the middle of an instruction.
        if at < end {
            return None;
        }
        if at > end {
            push(end, None)?;
        }
        push(at, Some(state.rule()?))?;
        end = *next;
    }
    if end < size_bytes {
        push(end, None)?;
    }
    Some(steps)
}

impl State {
    /// `None` for what cannot be followed.
    fn after(self, instruction: &Instruction, info: &mut InstructionInfoFactory) -> Option<Self> {
        let register = |operand| match instruction.op_kind(operand) {
            OpKind::Register => instruction.op_register(operand),
            _ => Register::None,
        };
        let constant =
            || instruction.try_immediate(1).ok().and_then(|value| i32::try_from(value as i64).ok());
        match instruction.mnemonic() {
            Mnemonic::Push if instruction.stack_pointer_increment() == -8 => {
                let after = self.grown(8)?;
                Some(match (register(0), self.rbp) {
                    (Register::RBP, CallerRbp::Same) => {
                        Self { rbp: CallerRbp::Pushed(after.height), ..after }
                    }
                    _ => after,
                })
            }
            Mnemonic::Pop if instruction.stack_pointer_increment() == 8 && register(0) != Register::RSP => {
                let after = self.grown(-8)?;
                Some(match (register(0), self.rbp) {
                    (Register::RBP, CallerRbp::Pushed(height)) if height == self.height => {
                        Self { rbp: CallerRbp::Same, ..after }
                    }
                    (Register::RBP, CallerRbp::Same) => Self { rbp: CallerRbp::Lost, ..after },
                    _ => after,
                })
            }
            Mnemonic::Sub if register(0) == Register::RSP => self.grown(constant()?),
            Mnemonic::Add if register(0) == Register::RSP => self.grown(constant()?.checked_neg()?),
            Mnemonic::Lea if register(0) == Register::RSP => {
                let is_plain = instruction.memory_base() == Register::RSP
                    && instruction.memory_index() == Register::None;
                let displacement = i32::try_from(instruction.memory_displacement64() as i64).ok()?;
                self.grown(displacement.checked_neg().filter(|_| is_plain)?)
            }
            Mnemonic::Ret if instruction.op_count() == 0 => Some(self),
            Mnemonic::Call => Some(self),
            _ => self.after_other(instruction, info),
        }
    }

    fn after_other(self, instruction: &Instruction, info: &mut InstructionInfoFactory) -> Option<Self> {
        let mut after = self;
        for used in info.info(instruction).used_registers() {
            let is_written = matches!(
                used.access(),
                OpAccess::Write | OpAccess::CondWrite | OpAccess::ReadWrite | OpAccess::ReadCondWrite
            );
            match used.register().full_register() {
                Register::RSP if is_written => return None,
                Register::RBP if is_written && self.rbp == CallerRbp::Same => after.rbp = CallerRbp::Lost,
                _ => {}
            }
        }
        Some(after)
    }

    /// `None` above the return address, and where nobody builds a frame.
    fn grown(self, bytes: i32) -> Option<Self> {
        let height = self.height.checked_add(bytes).filter(|height| (0..1 << 20).contains(height))?;
        // What was given back is not kept.
        let rbp = match self.rbp {
            CallerRbp::Pushed(at) if at > height => CallerRbp::Lost,
            other => other,
        };
        Some(Self { height, rbp })
    }

    fn rule(self) -> Option<UnwindRule> {
        let (rbp, rbp_offset) = match self.rbp {
            CallerRbp::Same => (RBP_SAME, 0),
            CallerRbp::Pushed(height) => (RBP_AT_CFA, i16::try_from(-(height.checked_add(8)?)).ok()?),
            CallerRbp::Lost => (RBP_UNDEFINED, 0),
        };
        let offset = self.height.checked_add(8)?;
        Some(UnwindRule { cfa: CFA_REGISTER | RSP, registers: rbp | RA_BELOW_CFA, rbp_offset, offset })
    }
}

#[cfg(test)]
mod tests {
    use super::{Step, of_function};
    use crate::unwind::text;

    fn shown(code: &[u8]) -> Option<Vec<(u32, String)>> {
        let line = |step: &Step| (step.offset, step.rule.map_or("none".to_owned(), text::line));
        Some(of_function(code)?.iter().map(line).collect())
    }

    #[test]
    fn pushes_and_pops_are_followed_and_rbp_is_found_where_it_was_pushed() {
        // push rbp; push rbx; mov ebp, [rdi+12]; pop rbx; pop rbp; ret
        let code = [0x55, 0x53, 0x8b, 0x6f, 0x0c, 0x5b, 0x5d, 0xc3];
        let expected = [
            (0, "cfa=rsp+8 rbp=s ra=c-8"),
            (1, "cfa=rsp+16 rbp=c-16 ra=c-8"),
            (2, "cfa=rsp+24 rbp=c-16 ra=c-8"),
            (6, "cfa=rsp+16 rbp=c-16 ra=c-8"),
            (7, "cfa=rsp+8 rbp=s ra=c-8"),
        ];
        assert_eq!(shown(&code), Some(expected.map(|(at, line)| (at, line.to_owned())).to_vec()));
    }

    #[test]
    fn frames_of_a_constant_size_loops_and_padding_are_followed() {
        // sub rsp, 24; loop: dec rdi; jne loop; add rsp, 24; ret; nop
        let code = [0x48, 0x83, 0xec, 0x18, 0x48, 0xff, 0xcf, 0x75, 0xfb, 0x48, 0x83, 0xc4, 0x18, 0xc3, 0x90];
        let expected = [
            (0, "cfa=rsp+8 rbp=s ra=c-8"),
            (4, "cfa=rsp+32 rbp=s ra=c-8"),
            (13, "cfa=rsp+8 rbp=s ra=c-8"),
            (14, "none"),
        ];
        assert_eq!(shown(&code), Some(expected.map(|(at, line)| (at, line.to_owned())).to_vec()));
    }

    #[test]
    fn a_function_whose_stack_cannot_be_followed_has_no_rules_at_all() {
        let cases: [(&[u8], &str); 9] = [
            (&[0x53, 0xc3], "returns with something pushed"),
            (&[0x58, 0xc3], "pops its return address"),
            (&[0x48, 0x83, 0xe4, 0xf0, 0xc3], "aligns rsp"),
            (&[0x48, 0x89, 0xfc, 0xc3], "switches stacks"),
            (&[0xff, 0xe0], "jumps to where a register says"),
            (&[0x53, 0xeb, 0x10], "leaves for another function with something pushed"),
            (&[0x74, 0x01, 0x53, 0xc3], "one path has pushed, the other has not"),
            (&[0x90], "runs past its end"),
            (&[0xe8, 0, 0, 0, 0, 0x58, 0xc3], "calls the next instruction for its address"),
        ];
        for (code, what) in cases {
            assert_eq!(shown(code), None, "{what}");
        }
    }

    #[test]
    fn a_scratch_rbp_is_lost_and_not_made_up() {
        // xor ebp, ebp; nop; ud2
        let seen = shown(&[0x31, 0xed, 0x90, 0x0f, 0x0b]).unwrap();
        assert_eq!(seen[1], (2, "cfa=rsp+8 rbp=u ra=c-8".to_owned()), "{seen:?}");
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_code_or_not_without_a_panic(code in proptest::collection::vec(0..=255_u8, 0..200)) {
            let steps = of_function(&code).unwrap_or_default();
            proptest::prop_assert!(steps.windows(2).all(|pair| pair[0].offset < pair[1].offset), "{:?}", steps);
        }
    }
}
