//! From one user frame to the next, until the root or a reason not to go on.
//!
//! Generic over memory and tables, so that the code that runs in the kernel also runs on the host, over arrays
//! of words.

use abi::{
    fault::Fault,
    frame::PackedFrame,
    limits::MAX_USER_FRAMES,
    sample::{KIND_USER_STACK, STACK_HAS_FRAME_POINTER_STEPS, STACK_LEAF_UNKNOWN},
    unwind::{
        CFA_FRAME_POINTER, CFA_NONE, CFA_PENDING, CFA_PLT, CFA_REGISTER, CFA_ROOT, CFA_SIGNAL, UnwindRule,
    },
};

use crate::{
    hash::StackHash,
    unwind::{self, Others, ReadUser, Registers},
};

/// The executable memory of a process.
pub trait Code {
    /// The frame that an address stands for, and how to unwind it; `None` where no code is known.
    fn find(&mut self, address: u64) -> Option<(PackedFrame, UnwindRule)>;
    /// How to unwind code that is not known; `None` if there is none.
    fn elsewhere(&self) -> Option<UnwindRule>;
}

/// A walk under way.
#[derive(Debug)]
pub struct Walk {
    /// Of the frame that the next step records.
    registers: Registers,
    /// Frames recorded.
    pub n_frames: u32,
    /// Over the frames recorded.
    pub hash: StackHash,
    /// Why the walk ended; meaningful once it has.
    pub fault: Fault,
    /// `STACK_*` bits of the header.
    pub flags: u32,
    /// 1 if the frame's address is a return address, which names the instruction after the call.
    is_return: u64,
    /// Stack pointer of the signal trampoline that the frame was interrupted for, or 0.
    signal_sp: u64,
}

impl Walk {
    /// A walk that starts at the interrupted instruction.
    #[inline(always)]
    #[must_use]
    pub const fn new(registers: Registers) -> Self {
        Self {
            registers,
            n_frames: 0,
            hash: StackHash::new(KIND_USER_STACK),
            // A walk that no step ended has used up its steps.
            fault: Fault::FRAME_LIMIT,
            flags: 0,
            is_return: 0,
            signal_sp: 0,
        }
    }

    /// Records the present frame, number `index` from the leaf, and moves to its caller. Gives `false` when the
    /// walk is over.
    ///
    /// The index comes from the loop and is not counted here: to the verifier it is then any number, and one
    /// pass over this code stands for all 512 turns.
    #[inline(always)]
    pub fn step(
        &mut self,
        index: u32,
        code: &mut impl Code,
        memory: &mut impl ReadUser,
        frames: &mut [PackedFrame; MAX_USER_FRAMES],
    ) -> bool {
        let is_leaf = index == 0;
        let address = self.registers.ip.wrapping_sub(self.is_return);
        let (frame, rule) = match (code.find(address), code.elsewhere()) {
            (Some(known), _) => known,
            (None, Some(rule)) => (PackedFrame::absolute(address), rule),
            // The leaf did execute, so its mapping is only too new to be known.
            (None, None) if is_leaf => {
                self.flags |= STACK_LEAF_UNKNOWN;
                (PackedFrame::absolute(address), UnwindRule::NONE)
            }
            // More likely a misread stack.
            (None, None) => return self.stop(Fault::RETURN_UNMAPPED),
        };
        frames[index as usize & (MAX_USER_FRAMES - 1)] = frame;
        self.hash.push(frame.0);
        self.n_frames = index + 1;

        let caller = if rule.cfa >= CFA_REGISTER || rule.cfa == CFA_PLT || rule.cfa == CFA_SIGNAL {
            let others = if is_leaf {
                Others::Leaf
            } else if self.signal_sp != 0 {
                Others::Signal(self.signal_sp)
            } else {
                Others::Lost
            };
            unwind::by_rule(rule, self.registers, others, memory)
        } else if rule.cfa == CFA_NONE || rule.cfa == CFA_FRAME_POINTER {
            let is_sure = rule.cfa == CFA_FRAME_POINTER;
            let is_first = self.flags & STACK_HAS_FRAME_POINTER_STEPS == 0;
            self.flags |= STACK_HAS_FRAME_POINTER_STEPS;
            // A frame pointer of 0 is the root at the end of a chain; where no chain led to it, it is a register
            // that happens to be 0.
            if is_first && !is_sure && self.registers.bp == 0 {
                Err(Fault::CHAIN_BROKEN)
            } else {
                unwind::by_frame_pointer(self.registers, is_sure, memory)
            }
        } else {
            Err(match rule.cfa {
                CFA_ROOT => Fault::COMPLETE,
                CFA_PENDING => Fault::TABLE_PENDING,
                _ => Fault::UNSUPPORTED_RULE,
            })
        };
        match caller {
            Ok(caller) if caller.registers.ip == 0 => self.stop(Fault::COMPLETE),
            Ok(caller) => {
                self.registers = caller.registers;
                self.is_return = u64::from(caller.has_called);
                self.signal_sp = caller.signal_sp.unwrap_or(0);
                true
            }
            Err(fault) => self.stop(fault),
        }
    }

    #[inline(always)]
    fn stop(&mut self, fault: Fault) -> bool {
        self.fault = fault;
        false
    }
}

#[cfg(test)]
mod tests;
