//! What a rule means, carried out: the reference for whoever walks with it.

use crate::unwind::Unsupported;
use abi::unwind::{
    CFA_DEREF, CFA_DEREF_INDEXED, CFA_FORM_MASK, CFA_NONE, CFA_PLT, CFA_REGISTER, CFA_REGISTER_MASK,
    CFA_ROOT, CFA_SIGNAL, RA_AT_CFA, RA_IN_REGISTER, RA_MASK, RBP, RBP_AT_CFA, RBP_AT_RBP, RBP_AT_RSP,
    RBP_MASK, RBP_SAME, RSP, SIGNAL_FRAME, UnwindRule,
};

/// Registers by DWARF number, rip last.
pub(super) type Registers = [u64; 17];

/// One step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    NoInformation,
    Root,
    Unsupported(Unsupported),
    Caller {
        rsp: u64,
        rip: u64,
        /// None if it is lost.
        rbp: Option<u64>,
        is_signal: bool,
    },
}

pub(super) fn apply(rule: UnwindRule, registers: &Registers, memory: impl Fn(u64) -> u64) -> Outcome {
    if rule.cfa == CFA_NONE {
        return Outcome::NoInformation;
    }
    if rule.cfa == CFA_ROOT {
        return Outcome::Root;
    }
    if let Some(reason) = Unsupported::of(rule) {
        return Outcome::Unsupported(reason);
    }
    let rsp = registers[usize::from(RSP)];
    let rbp = registers[usize::from(RBP)];
    let low = i64::from(rule.low());
    let high = i64::from(rule.high());
    let rbp_offset = i64::from(rule.rbp_offset);
    let is_signal = rule.registers & SIGNAL_FRAME != 0;
    if rule.cfa == CFA_SIGNAL {
        let load = |offset| memory(rsp.wrapping_add_signed(offset));
        return Outcome::Caller { rsp: load(low), rip: load(high), rbp: Some(load(rbp_offset)), is_signal };
    }

    let register = registers[usize::from(rule.cfa & CFA_REGISTER_MASK)];
    let return_address = rule.registers & RA_MASK;
    let cfa = match rule.cfa & CFA_FORM_MASK {
        CFA_REGISTER if return_address == 0 => register.wrapping_add_signed(rule.offset.into()),
        CFA_REGISTER => register.wrapping_add_signed(low),
        CFA_DEREF => memory(register.wrapping_add_signed(low)).wrapping_add_signed(high),
        CFA_DEREF_INDEXED => {
            let at = rsp.wrapping_add(register.wrapping_mul(8)).wrapping_add_signed(low);
            memory(at).wrapping_add_signed(high)
        }
        _ if rule.cfa == CFA_PLT => {
            let pushed = (registers[16] & 15).cast_signed() >= high;
            rsp.wrapping_add_signed(low).wrapping_add(if pushed { 8 } else { 0 })
        }
        form => panic!("unknown form {form:#x} in {rule:?}"),
    };
    let rip = match return_address {
        RA_IN_REGISTER => registers[usize::try_from(high).expect("register")],
        RA_AT_CFA => memory(cfa.wrapping_add_signed(high)),
        _ => memory(cfa.wrapping_sub(8)),
    };
    let caller_rbp = match rule.registers & RBP_MASK {
        RBP_SAME => Some(rbp),
        RBP_AT_CFA => Some(memory(cfa.wrapping_add_signed(rbp_offset))),
        RBP_AT_RBP => Some(memory(rbp.wrapping_add_signed(rbp_offset))),
        RBP_AT_RSP => Some(memory(rsp.wrapping_add_signed(rbp_offset))),
        _ => None,
    };
    Outcome::Caller { rsp: cfa, rip, rbp: caller_rbp, is_signal }
}
