//! One frame to its caller's registers, by a rule of `.eh_frame` or by the frame pointer. x86-64.

use abi::{
    fault::Fault,
    unwind::{
        CFA_DEREF, CFA_DEREF_INDEXED, CFA_FORM_MASK, CFA_PLT, CFA_REGISTER, CFA_REGISTER_MASK, CFA_SIGNAL,
        RA_AT_CFA, RA_BELOW_CFA, RA_IN_REGISTER, RA_MASK, RBP, RBP_AT_CFA, RBP_AT_RBP, RBP_AT_RSP, RBP_MASK,
        RBP_SAME, RSP, SIGNAL_FRAME, SIGNAL_REGISTER_OFFSETS, UnwindRule,
    },
};

/// The registers that lead from a frame to its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Registers {
    /// Instruction pointer.
    pub ip: u64,
    /// Stack pointer.
    pub sp: u64,
    /// Frame pointer.
    pub bp: u64,
}

/// User memory and the interrupted registers, with faults as values.
pub trait ReadUser {
    /// The word at `address`.
    fn word(&mut self, address: u64) -> Option<u64>;
    /// A register of the interrupted instruction, by its DWARF number.
    fn leaf_register(&self, number: u8) -> u64;
}

/// Where the registers of a frame that no rule restores can be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Others {
    /// In the interrupted thread: this is the leaf.
    Leaf,
    /// In the frame of a signal trampoline with this stack pointer.
    Signal(u64),
    /// Nowhere: a callee may have changed them.
    Lost,
}

/// The caller of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caller {
    /// Its registers.
    pub registers: Registers,
    /// It called: its address is a return address. It was interrupted, otherwise.
    pub has_called: bool,
    /// Stack pointer of the signal trampoline, if the frame left was one.
    pub signal_sp: Option<u64>,
}

/// Applies the rule of a frame. `Err` is the reason why there is no caller.
#[inline(always)]
pub fn by_rule(
    rule: UnwindRule,
    registers: Registers,
    others: Others,
    memory: &mut impl ReadUser,
) -> Result<Caller, Fault> {
    let Registers { ip, sp, bp } = registers;
    if rule.cfa == CFA_SIGNAL {
        return out_of_signal(rule, sp, memory);
    }
    let number = rule.cfa & CFA_REGISTER_MASK;
    let form = rule.cfa & CFA_FORM_MASK;
    let cfa = if form == CFA_REGISTER {
        let base = register(number, sp, bp, others, memory)?;
        let is_simple = rule.registers & RA_MASK == RA_BELOW_CFA;
        base.wrapping_add_signed(if is_simple { i64::from(rule.offset) } else { i64::from(rule.low()) })
    } else if form == CFA_DEREF {
        let base = register(number, sp, bp, others, memory)?.wrapping_add_signed(rule.low().into());
        read(memory, base)?.wrapping_add_signed(rule.high().into())
    } else if form == CFA_DEREF_INDEXED {
        let index = register(number, sp, bp, others, memory)?;
        let base = sp.wrapping_add(index << 3).wrapping_add_signed(rule.low().into());
        read(memory, base)?.wrapping_add_signed(rule.high().into())
    } else if rule.cfa == CFA_PLT {
        let is_past_push = ip & 15 >= rule.high() as u64;
        sp.wrapping_add_signed(rule.low().into()).wrapping_add(u64::from(is_past_push) << 3)
    } else {
        return Err(Fault::UNSUPPORTED_RULE);
    };
    // The return address was pushed on the stack that the callee then used; unless it took it off again and keeps it
    // in a register (glibc's `vfork`).
    let has_popped = rule.registers & RA_MASK == RA_IN_REGISTER;
    if cfa < sp || (cfa == sp && !has_popped) {
        return Err(Fault::NOT_ASCENDING);
    }

    // The lower address first: the window over the stack then reaches the higher one.
    let saved_bp = rule.registers & RBP_MASK;
    let caller_bp = if saved_bp == RBP_AT_CFA {
        read(memory, cfa.wrapping_add_signed(rule.rbp_offset.into()))?
    } else if saved_bp == RBP_SAME {
        bp
    } else if saved_bp == RBP_AT_RBP {
        read(memory, bp.wrapping_add_signed(rule.rbp_offset.into()))?
    } else if saved_bp == RBP_AT_RSP {
        read(memory, sp.wrapping_add_signed(rule.rbp_offset.into()))?
    } else {
        0
    };
    let return_address = match rule.registers & RA_MASK {
        RA_AT_CFA => read(memory, cfa.wrapping_add_signed(rule.high().into()))?,
        RA_IN_REGISTER => register(rule.high() as u8 & CFA_REGISTER_MASK, sp, bp, others, memory)?,
        _ => read(memory, cfa.wrapping_sub(8))?,
    };
    let registers = Registers { ip: return_address, sp: cfa, bp: caller_bp };
    Ok(Caller { registers, has_called: rule.registers & SIGNAL_FRAME == 0, signal_sp: None })
}

/// Follows the frame pointer (x86-64 psABI, 3.2.2): it points at the caller's, with the return address above it.
///
/// A chain that does not lead up the stack is no chain, unless the code is known to keep frame pointers and
/// `may_switch_stack`: a Go function that calls into the runtime does so on another stack.
#[inline(always)]
pub fn by_frame_pointer(
    registers: Registers,
    may_switch_stack: bool,
    memory: &mut impl ReadUser,
) -> Result<Caller, Fault> {
    let Registers { sp, bp, .. } = registers;
    if bp == 0 {
        return Err(Fault::COMPLETE);
    }
    if bp & 7 != 0 || (bp < sp && !may_switch_stack) {
        return Err(Fault::CHAIN_BROKEN);
    }
    let caller_bp = read(memory, bp)?;
    if caller_bp == bp {
        return Err(Fault::CHAIN_BROKEN);
    }
    let return_address = read(memory, bp.wrapping_add(8))?;
    let registers = Registers { ip: return_address, sp: bp.wrapping_add(16), bp: caller_bp };
    Ok(Caller { registers, has_called: true, signal_sp: None })
}

/// Leaves a signal trampoline for what the signal interrupted. It may have run on another stack.
#[inline(always)]
fn out_of_signal(rule: UnwindRule, sp: u64, memory: &mut impl ReadUser) -> Result<Caller, Fault> {
    let bp = read(memory, sp.wrapping_add_signed(rule.rbp_offset.into()))?;
    let caller_sp = read(memory, sp.wrapping_add_signed(rule.low().into()))?;
    let ip = read(memory, sp.wrapping_add_signed(rule.high().into()))?;
    let registers = Registers { ip, sp: caller_sp, bp };
    Ok(Caller { registers, has_called: false, signal_sp: Some(sp) })
}

/// A register of the frame.
#[inline(always)]
fn register(number: u8, sp: u64, bp: u64, others: Others, memory: &mut impl ReadUser) -> Result<u64, Fault> {
    if number == RSP {
        return Ok(sp);
    }
    if number == RBP {
        return Ok(bp);
    }
    match others {
        Others::Leaf => Ok(memory.leaf_register(number)),
        Others::Signal(sp) => {
            let offset = SIGNAL_REGISTER_OFFSETS[usize::from(number & CFA_REGISTER_MASK)];
            read(memory, sp.wrapping_add_signed(offset.into()))
        }
        Others::Lost => Err(Fault::REGISTER_LOST),
    }
}

#[inline(always)]
fn read(memory: &mut impl ReadUser, address: u64) -> Result<u64, Fault> {
    memory.word(address).ok_or(Fault::STACK_UNREADABLE)
}
