//! A rule in the notation of `readelf --debug-dump=frames-interp`.

use crate::unwind::Unsupported;
use abi::unwind::{
    CFA_DEREF, CFA_DEREF_INDEXED, CFA_FORM_MASK, CFA_NONE, CFA_PLT, CFA_REGISTER, CFA_REGISTER_MASK,
    CFA_ROOT, CFA_SIGNAL, RA_AT_CFA, RA_BELOW_CFA, RA_IN_REGISTER, RA_MASK, RBP_AT_CFA, RBP_AT_RBP,
    RBP_AT_RSP, RBP_MASK, RBP_SAME, SIGNAL_FRAME, UnwindRule,
};

const NAMES: [&str; 16] = [
    "rax", "rdx", "rcx", "rbx", "rsi", "rdi", "rbp", "rsp", "r8", "r9", "r10", "r11", "r12", "r13", "r14",
    "r15",
];

/// CFA, rbp and return address.
#[must_use]
pub fn columns(rule: UnwindRule) -> [String; 3] {
    let name = NAMES[usize::from(rule.cfa & CFA_REGISTER_MASK)];
    let (low, high) = (rule.low(), rule.high());
    let return_address = rule.registers & RA_MASK;
    let cfa = match (rule.cfa, rule.cfa & CFA_FORM_MASK) {
        (CFA_PLT, _) => format!("rsp{low:+}+8*(rip&15>={high})"),
        (_, CFA_REGISTER) if return_address == RA_BELOW_CFA => format!("{name}{:+}", rule.offset),
        (_, CFA_REGISTER) => format!("{name}{low:+}"),
        (_, CFA_DEREF) => format!("*({name}{low:+}){high:+}"),
        (_, CFA_DEREF_INDEXED) => format!("*(rsp+8*{name}{low:+}){high:+}"),
        _ => format!("{:#x}", rule.cfa),
    };
    let offset = rule.rbp_offset;
    let rbp = match rule.registers & RBP_MASK {
        RBP_SAME => "s".to_owned(),
        RBP_AT_CFA => format!("c{offset:+}"),
        RBP_AT_RBP => format!("*(rbp{offset:+})"),
        RBP_AT_RSP => format!("*(rsp{offset:+})"),
        _ => "u".to_owned(),
    };
    let return_address = match return_address {
        RA_AT_CFA => format!("c{high:+}"),
        RA_IN_REGISTER => NAMES[usize::from(high as u8 & CFA_REGISTER_MASK)].to_owned(),
        _ => "c-8".to_owned(),
    };
    [cfa, rbp, return_address]
}

/// All of it, in words where it has no columns.
#[must_use]
pub fn line(rule: UnwindRule) -> String {
    let signal = if rule.registers & SIGNAL_FRAME != 0 { ", interrupted" } else { "" };
    match (rule.cfa, Unsupported::of(rule)) {
        (CFA_NONE, _) => "none".to_owned(),
        (CFA_ROOT, _) => "root".to_owned(),
        (_, Some(reason)) => format!("unsupported {reason:?}"),
        (CFA_SIGNAL, _) => {
            let (rsp, rip, rbp) = (rule.low(), rule.high(), rule.rbp_offset);
            format!("signal rsp=*(rsp{rsp:+}) rip=*(rsp{rip:+}) rbp=*(rsp{rbp:+}){signal}")
        }
        _ => {
            let [cfa, rbp, return_address] = columns(rule);
            format!("cfa={cfa} rbp={rbp} ra={return_address}{signal}")
        }
    }
}
