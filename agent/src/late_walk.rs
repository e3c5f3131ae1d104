//! Walks a stack that crossed unwalked, with the mappings of its process: the walk of the kernel side, over a copy of
//! the stack. Pure.

use abi::{
    fault::Fault,
    frame::PackedFrame,
    limits::MAX_USER_FRAMES,
    sample::STACK_HAS_FRAME_POINTER_STEPS,
    unwind::{RBP, RSP, UnwindRule},
};
use ebpf::{
    unwind::{ReadUser, Registers},
    walk::{Code, Walk},
};

use crate::{
    decode::{Capture, RawStack},
    process::{Backing, FileId, Mappings},
};

/// The stack that the kernel side would have sent, had it known what `mappings` and `rule_of` know, and the file whose
/// unwind table is not there yet, if the stack ends for want of it.
#[must_use]
pub fn walk(
    capture: &Capture,
    mappings: &Mappings,
    rule_of: impl Fn(FileId, u64) -> UnwindRule,
) -> (RawStack, Option<FileId>) {
    let register = |number: u8| capture.registers[usize::from(number)];
    let mut walk = Walk::new(Registers { ip: capture.ip, sp: register(RSP), bp: register(RBP) });
    let mut frames = [PackedFrame(0); MAX_USER_FRAMES];
    let mut code = MappedCode { mappings, rule_of, last_file: None };
    let mut memory = CapturedStack(capture);
    for index in 0..MAX_USER_FRAMES as u32 {
        if !walk.step(index, &mut code, &mut memory, &mut frames) {
            break;
        }
    }
    let frames = frames.get(..walk.n_frames as usize).unwrap_or_default();
    let missing = code.last_file.filter(|_| walk.fault == Fault::TABLE_PENDING);
    let stack = RawStack {
        id: capture.id,
        fault: walk.fault,
        has_frame_pointer_steps: walk.flags & STACK_HAS_FRAME_POINTER_STEPS != 0,
        words: frames.iter().map(|frame| frame.0).collect(),
    };
    (stack, missing)
}

struct MappedCode<'a, R> {
    mappings: &'a Mappings,
    rule_of: R,
    /// Of the frame found last.
    last_file: Option<FileId>,
}

impl<R: Fn(FileId, u64) -> UnwindRule> Code for MappedCode<'_, R> {
    fn find(&mut self, address: u64) -> Option<(PackedFrame, UnwindRule)> {
        let mapping = self.mappings.find(address)?;
        Some(match mapping.backing {
            Backing::File(file) => {
                self.last_file = Some(file);
                let offset = address.wrapping_sub(mapping.start).wrapping_add(mapping.file_offset);
                (PackedFrame::file(file.get(), offset), (self.rule_of)(file, offset))
            }
            Backing::Anonymous => (PackedFrame::absolute(address), UnwindRule::NONE),
        })
    }

    fn elsewhere(&self) -> Option<UnwindRule> {
        None
    }
}

struct CapturedStack<'a>(&'a Capture);

impl ReadUser for CapturedStack<'_> {
    fn word(&mut self, address: u64) -> Option<u64> {
        let sp = self.0.registers[usize::from(RSP)];
        let offset = address.checked_sub(sp)?;
        // A word off the raster lies in two of the copy's.
        let at = usize::try_from(offset / 8).ok()?;
        let low = *self.0.words.get(at)?;
        let n_bits = (offset % 8) as u32 * 8;
        if n_bits == 0 {
            return Some(low);
        }
        let high = *self.0.words.get(at.checked_add(1)?)?;
        Some(low >> n_bits | high << (64 - n_bits))
    }

    fn leaf_register(&self, number: u8) -> u64 {
        self.0.registers.get(usize::from(number)).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::walk;
    use crate::{
        decode::{Capture, MappedRegion},
        process::{Interest, Processes, Snapshot},
    };
    use abi::{
        fault::Fault,
        frame::{Frame, PackedFrame},
        unwind::{CFA_REGISTER, CFA_ROOT, RBP_SAME, RSP, UnwindRule},
    };

    const CODE: u64 = 0x40_0000;
    const STACK: u64 = 0x7fff_0000_1000;

    fn processes() -> Processes {
        let region = MappedRegion {
            start: CODE,
            end: CODE + 0x1000,
            file_offset: 0x1000,
            device: (8, 1),
            inode: 7,
            path: "/bin/x".into(),
        };
        let mut processes = Processes::new(Interest::default());
        processes.insert(
            Snapshot { pid: 1, regions: vec![region], ..Snapshot::default() },
            0,
            &mut Vec::new(),
        );
        processes
    }

    fn capture(words: &[u64]) -> Capture {
        let mut registers = [0; 16];
        registers[usize::from(RSP)] = STACK;
        Capture { id: 5, ip: CODE + 0x10, registers, words: words.to_vec() }
    }

    fn offsets(words: &[u64]) -> Vec<u64> {
        let offset = |word: &u64| match PackedFrame(*word).unpack() {
            Frame::File { offset, .. } => offset,
            Frame::Absolute(address) => address,
        };
        words.iter().map(offset).collect()
    }

    /// A frame of two words; the caller is the root.
    fn rule(offset: u64) -> UnwindRule {
        if offset == 0x1010 {
            UnwindRule { cfa: CFA_REGISTER | RSP, registers: RBP_SAME, rbp_offset: 0, offset: 16 }
        } else {
            UnwindRule { cfa: CFA_ROOT, ..UnwindRule::NONE }
        }
    }

    #[test]
    fn a_captured_stack_is_walked_by_the_rules_of_its_files() {
        let processes = processes();
        let mappings = &processes.present_image(1).expect("the process").mappings;
        let (stack, missing) = walk(&capture(&[99, CODE + 0x21]), mappings, |_, offset| rule(offset));
        assert_eq!((offsets(&stack.words), stack.fault), (vec![0x1010, 0x1020], Fault::COMPLETE));
        assert_eq!((stack.id, missing), (5, None));
    }

    #[test]
    fn a_stack_that_was_not_copied_far_enough_and_a_table_that_is_not_there_yet_have_their_reasons() {
        let processes = processes();
        let mappings = &processes.present_image(1).expect("the process").mappings;
        let (short, _) = walk(&capture(&[99]), mappings, |_, offset| rule(offset));
        assert_eq!((offsets(&short.words), short.fault), (vec![0x1010], Fault::STACK_UNREADABLE));
        let (pending, missing) = walk(&capture(&[99, CODE + 0x21]), mappings, |_, _| UnwindRule::PENDING);
        assert!(missing.is_some(), "{pending:?}");
    }
}
