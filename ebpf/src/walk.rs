//! From one user frame to the next, until the root or a reason not to go on.
//!
//! Generic over memory, so that the code that runs in the kernel also runs on the host, over arrays of words.
//! A frame pointer (x86-64 psABI, 3.2.2) points at the caller's saved frame pointer, with the return address
//! above it; the outermost frame has a frame pointer of 0.

use abi::{
    fault::Fault,
    frame::PackedFrame,
    limits::MAX_USER_FRAMES,
    mapping::{MappingTable, TABLE_INCOMPLETE},
    sample::KIND_USER_STACK,
};

use crate::{hash::StackHash, lookup};

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

/// User memory, read with faults as values.
pub trait ReadUser {
    /// The two words at `address`, which is a multiple of 8.
    fn two_words(&mut self, address: u64) -> Option<[u64; 2]>;
}

/// A walk under way.
#[derive(Debug)]
pub struct Walk {
    /// Of the frame that the next step records.
    pub registers: Registers,
    /// Frames recorded.
    pub n_frames: u32,
    /// Over the frames recorded.
    pub hash: StackHash,
    /// Why the walk ended; meaningful once it has.
    pub fault: Fault,
    /// Mapping of the last frame.
    hint: u64,
}

impl Walk {
    /// A walk that starts at the interrupted instruction.
    #[inline(always)]
    #[must_use]
    pub const fn new(registers: Registers) -> Self {
        // A walk that no step ended has used up its steps.
        Self {
            registers,
            n_frames: 0,
            hash: StackHash::new(KIND_USER_STACK),
            fault: Fault::FRAME_LIMIT,
            hint: 0,
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
        table: Option<&MappingTable>,
        memory: &mut impl ReadUser,
        frames: &mut [PackedFrame; MAX_USER_FRAMES],
    ) -> bool {
        let is_leaf = index == 0;
        // A return address names the instruction after the call, which may belong to another function.
        let address = self.registers.ip.wrapping_sub(u64::from(!is_leaf));
        let Some(frame) = self.frame_at(address, table, is_leaf) else {
            return self.stop(Fault::RETURN_UNMAPPED);
        };
        frames[index as usize & (MAX_USER_FRAMES - 1)] = frame;
        self.hash.push(frame.0);
        self.n_frames = index + 1;
        self.move_to_caller(memory)
    }

    /// The frame of an address; `None` if it cannot be code.
    #[inline(always)]
    fn frame_at(&mut self, address: u64, table: Option<&MappingTable>, is_leaf: bool) -> Option<PackedFrame> {
        let Some(table) = table else { return Some(PackedFrame::absolute(address)) };
        if let Some(hit) = lookup::find(table, address, self.hint) {
            self.hint = hit.index;
            return Some(hit.frame);
        }
        // The leaf did execute, so its mapping is only too new to be known. A return address outside all known
        // code is more likely a misread stack, unless the table says that it could not hold everything.
        (is_leaf || table.flags & TABLE_INCOMPLETE != 0).then(|| PackedFrame::absolute(address))
    }

    /// One step up the chain of frame pointers.
    #[inline(always)]
    fn move_to_caller(&mut self, memory: &mut impl ReadUser) -> bool {
        let Registers { sp, bp, .. } = self.registers;
        if bp == 0 {
            return self.stop(Fault::COMPLETE);
        }
        if bp < sp || bp & 7 != 0 {
            return self.stop(Fault::CHAIN_BROKEN);
        }
        let Some([caller_bp, return_address]) = memory.two_words(bp) else {
            return self.stop(Fault::STACK_UNREADABLE);
        };
        if return_address == 0 {
            return self.stop(Fault::COMPLETE);
        }
        self.registers = Registers { ip: return_address, sp: bp.wrapping_add(16), bp: caller_bp };
        true
    }

    #[inline(always)]
    fn stop(&mut self, fault: Fault) -> bool {
        self.fault = fault;
        false
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::{ReadUser, Registers, Walk};
    use abi::{
        fault::Fault,
        frame::PackedFrame,
        limits::MAX_USER_FRAMES,
        mapping::{MappingEntry, MappingTable, TABLE_INCOMPLETE},
    };
    use std::{boxed::Box, vec, vec::Vec};

    const STACK: u64 = 0x7fff_0000;
    const CODE: u64 = 0x40_0000;

    struct Words(Vec<u64>);

    impl ReadUser for Words {
        fn two_words(&mut self, address: u64) -> Option<[u64; 2]> {
            let i = usize::try_from(address.checked_sub(STACK)? / 8).ok()?;
            Some([*self.0.get(i)?, *self.0.get(i + 1)?])
        }
    }

    fn code() -> Box<MappingTable> {
        let mut table = Box::new(MappingTable::EMPTY);
        table.starts[0] = CODE;
        table.entries[0] = MappingEntry { bias: CODE, n_pages: 16, file_id: 7 };
        table
    }

    fn walk(
        registers: Registers,
        words: Vec<u64>,
        table: Option<&MappingTable>,
    ) -> (Vec<PackedFrame>, Fault, Walk) {
        let mut walk = Walk::new(registers);
        let mut frames = [PackedFrame(0); MAX_USER_FRAMES];
        let mut memory = Words(words);
        (0..MAX_USER_FRAMES as u32).all(|index| walk.step(index, table, &mut memory, &mut frames));
        (frames[..walk.n_frames as usize].to_vec(), walk.fault, walk)
    }

    fn at(bp: u64) -> Registers {
        Registers { ip: CODE + 0x10, sp: STACK, bp }
    }

    #[test]
    fn a_chain_of_frame_pointers_is_followed_to_its_root_and_return_addresses_point_at_the_call() {
        let words = vec![STACK + 16, CODE + 0x101, 0, CODE + 0x201, 99, 99];
        let (frames, fault, _) = walk(at(STACK), words, Some(&code()));
        let expected = [0x10, 0x100, 0x200].map(|offset| PackedFrame::file(7, offset));
        assert_eq!((frames.as_slice(), fault), (expected.as_slice(), Fault::COMPLETE));
    }

    #[test]
    fn every_way_to_stop_has_its_reason_and_keeps_the_frames_before_it() {
        let complete = code();
        let incomplete = Box::new(MappingTable { flags: TABLE_INCOMPLETE, ..*complete });
        let outside = vec![STACK + 16, 0x1234_5678, 0, CODE + 0x201];
        let cases = [
            ("root by return address 0", at(STACK), vec![STACK + 16, 0], &complete, Fault::COMPLETE, 1),
            ("unmapped stack", at(STACK + 4096), vec![], &complete, Fault::STACK_UNREADABLE, 1),
            ("pointer below the stack", at(STACK - 8), vec![], &complete, Fault::CHAIN_BROKEN, 1),
            ("unaligned pointer", at(STACK + 3), vec![1, 2, 3], &complete, Fault::CHAIN_BROKEN, 1),
            ("pointer to itself", at(STACK), vec![STACK, CODE + 9], &complete, Fault::CHAIN_BROKEN, 2),
            ("return outside code", at(STACK), outside.clone(), &complete, Fault::RETURN_UNMAPPED, 1),
            ("the same, not all code known", at(STACK), outside, &incomplete, Fault::COMPLETE, 3),
        ];
        for (case, registers, words, table, fault, n_frames) in cases {
            let (frames, found, _) = walk(registers, words, Some(table));
            assert_eq!((found, frames.len()), (fault, n_frames), "{case}: {frames:x?}");
        }
    }

    #[test]
    fn without_a_table_frames_keep_their_addresses() {
        let (frames, fault, _) = walk(at(STACK), vec![0, CODE + 0x101], None);
        let expected = [CODE + 0x10, CODE + 0x100].map(PackedFrame::absolute);
        assert_eq!((frames.as_slice(), fault), (expected.as_slice(), Fault::COMPLETE));
    }

    #[test]
    fn a_stack_deeper_than_the_limit_says_so() {
        let words = (0..4096).map(|i| if i % 2 == 0 { STACK + 8 * i + 16 } else { CODE + 9 }).collect();
        let (frames, fault, _) = walk(at(STACK), words, Some(&code()));
        assert_eq!((frames.len(), fault), (MAX_USER_FRAMES, Fault::FRAME_LIMIT));
    }
}
