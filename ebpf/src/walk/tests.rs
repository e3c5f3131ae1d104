//! Walks over arrays of words.

extern crate std;
use super::{Code, Walk};
use crate::{
    lookup,
    unwind::{ReadUser, Registers},
};
use abi::{
    fault::Fault,
    frame::{Frame, PackedFrame},
    limits::MAX_USER_FRAMES,
    mapping::{MappingEntry, SmallTable, TABLE_INCOMPLETE},
    sample::STACK_HAS_FRAME_POINTER_STEPS,
    unwind::{
        CFA_DEREF, CFA_FRAME_POINTER, CFA_PLT, CFA_REGISTER, CFA_ROOT, CFA_SIGNAL, CFA_UNSUPPORTED,
        RA_IN_REGISTER, RBP, RBP_AT_CFA, RBP_SAME, RSP, SIGNAL_REGISTER_OFFSETS, UnwindRule,
    },
};
use std::{boxed::Box, vec, vec::Vec};

const STACK: u64 = 0x7fff_0000;
const CODE: u64 = 0x40_0000;
const FILE: u32 = 7;
const R10: u8 = 10;

struct Words(Vec<u64>);

impl ReadUser for Words {
    fn word(&mut self, address: u64) -> Option<u64> {
        self.0.get(usize::try_from(address.checked_sub(STACK)? / 8).ok()?).copied()
    }

    fn leaf_register(&self, number: u8) -> u64 {
        STACK + u64::from(number)
    }
}

/// Mappings, and rules by page of their file.
struct ByPage<'a>(Option<&'a SmallTable>, Vec<UnwindRule>);

impl Code for ByPage<'_> {
    fn find(&mut self, address: u64) -> Option<(PackedFrame, UnwindRule)> {
        let frame = lookup::find(self.0?, address)?;
        let Frame::File { offset, .. } = frame.unpack() else { panic!("{frame:?} has no file") };
        Some((frame, self.1[(offset >> 12) as usize]))
    }

    fn elsewhere(&self) -> Option<UnwindRule> {
        match self.0 {
            None => Some(UnwindRule::PENDING),
            Some(table) if table.header.flags & TABLE_INCOMPLETE != 0 => Some(UnwindRule::NONE),
            Some(_) => None,
        }
    }
}

fn code() -> Box<SmallTable> {
    let mut table = Box::new(SmallTable::EMPTY);
    table.starts[0] = CODE;
    table.entries[0] = MappingEntry { bias: CODE, n_pages: 16, file_id: FILE };
    table
}

struct Walked {
    offsets: Vec<u64>,
    fault: Fault,
    flags: u32,
}

fn walk(bp: u64, words: Vec<u64>, table: Option<&SmallTable>, rules: Vec<UnwindRule>) -> Walked {
    let mut walk = Walk::new(Registers { ip: CODE + 0x10, sp: STACK, bp });
    let mut frames = [PackedFrame(0); MAX_USER_FRAMES];
    let (mut memory, mut code) = (Words(words), ByPage(table, rules));
    (0..MAX_USER_FRAMES as u32).all(|index| walk.step(index, &mut code, &mut memory, &mut frames));
    let offset = |frame: &PackedFrame| match frame.unpack() {
        Frame::File { offset, .. } => offset,
        Frame::Absolute(address) => address,
    };
    let offsets = frames[..walk.n_frames as usize].iter().map(offset).collect();
    Walked { offsets, fault: walk.fault, flags: walk.flags }
}

fn by_frame_pointer(bp: u64, words: Vec<u64>, table: &SmallTable) -> Walked {
    walk(bp, words, Some(table), vec![UnwindRule::NONE; 16])
}

fn rule(cfa: u8, offset: i32, registers: u8, rbp_offset: i16) -> UnwindRule {
    UnwindRule { cfa, registers, rbp_offset, offset }
}

const ROOT: UnwindRule = UnwindRule { cfa: CFA_ROOT, ..UnwindRule::NONE };

#[test]
fn a_chain_of_frame_pointers_is_followed_to_its_root_and_return_addresses_point_at_the_call() {
    let walked = by_frame_pointer(STACK, vec![STACK + 16, CODE + 0x101, 0, CODE + 0x201, 99, 99], &code());
    assert_eq!((walked.offsets, walked.fault), (vec![0x10, 0x100, 0x200], Fault::COMPLETE));
    assert_eq!(walked.flags, STACK_HAS_FRAME_POINTER_STEPS);
}

#[test]
fn every_way_to_stop_a_chain_has_its_reason_and_keeps_the_frames_before_it() {
    let complete = code();
    let mut incomplete = complete.clone();
    incomplete.header.flags = TABLE_INCOMPLETE;
    let outside = vec![STACK + 16, 0x1234_5678, 0, CODE + 0x201];
    let cases = [
        ("root by return address 0", STACK, vec![STACK + 16, 0], &complete, Fault::COMPLETE, 1),
        ("unmapped stack", STACK + 4096, vec![], &complete, Fault::STACK_UNREADABLE, 1),
        ("pointer below the stack", STACK - 8, vec![], &complete, Fault::CHAIN_BROKEN, 1),
        ("unaligned pointer", STACK + 3, vec![1, 2, 3], &complete, Fault::CHAIN_BROKEN, 1),
        ("a register that happens to be 0", 0, vec![0, 0], &complete, Fault::CHAIN_BROKEN, 1),
        ("pointer to itself", STACK, vec![STACK, CODE + 9], &complete, Fault::CHAIN_BROKEN, 1),
        ("return outside code", STACK, outside.clone(), &complete, Fault::RETURN_UNMAPPED, 1),
        ("the same, not all code known", STACK, outside, &incomplete, Fault::COMPLETE, 3),
    ];
    for (case, bp, words, table, fault, n_frames) in cases {
        let walked = by_frame_pointer(bp, words, table);
        assert_eq!((walked.fault, walked.offsets.len()), (fault, n_frames), "{case}: {:x?}", walked.offsets);
    }
}

#[test]
fn a_chain_that_switches_stacks_is_followed_only_where_frame_pointers_are_sure() {
    // The leaf's frame is above its caller's: a runtime that works on a stack of its own.
    let words = vec![0, CODE + 0x2001, 0, 0, STACK, CODE + 0x1001];
    let keeps = UnwindRule { cfa: CFA_FRAME_POINTER, ..UnwindRule::NONE };
    let walked = walk(STACK + 32, words.clone(), Some(&code()), vec![keeps; 16]);
    assert_eq!((walked.offsets, walked.fault), (vec![0x10, 0x1000, 0x2000], Fault::COMPLETE));
    let walked = by_frame_pointer(STACK + 32, words, &code());
    assert_eq!((walked.offsets, walked.fault), (vec![0x10, 0x1000], Fault::CHAIN_BROKEN));
    let walked = walk(STACK, vec![STACK, CODE + 0x1001], Some(&code()), vec![keeps; 16]);
    assert_eq!(walked.fault, Fault::CHAIN_BROKEN, "a frame that is its own caller");
}

#[test]
fn a_stack_deeper_than_the_limit_says_so() {
    let words = (0..4096).map(|i| if i % 2 == 0 { STACK + 8 * i + 16 } else { CODE + 9 }).collect();
    let walked = by_frame_pointer(STACK, words, &code());
    assert_eq!((walked.offsets.len(), walked.fault), (MAX_USER_FRAMES, Fault::FRAME_LIMIT));
}

#[test]
fn without_mappings_nothing_but_the_leaf_is_believed() {
    let walked = walk(STACK, vec![0, CODE + 0x101], None, vec![]);
    assert_eq!((walked.offsets, walked.fault), (vec![CODE + 0x10], Fault::TABLE_PENDING));
}

#[test]
fn rules_lead_through_frames_that_keep_no_frame_pointer_and_bring_it_back() {
    // The leaf has pushed rbp; its caller keeps no frame pointer; the third uses the restored one.
    let words = vec![
        STACK + 56,
        CODE + 0x1010, // saved rbp, return address; CFA = STACK + 16
        1,
        2,
        CODE + 0x2010, // two locals and a return address; CFA = STACK + 40
        3,
        4,
        STACK + 80,
        CODE + 0x3010, // rbp points here; CFA = STACK + 72
    ];
    let rules = vec![
        rule(CFA_REGISTER | RSP, 16, RBP_AT_CFA, -16),
        rule(CFA_REGISTER | RSP, 24, RBP_SAME, 0),
        rule(CFA_REGISTER | RBP, 16, RBP_AT_CFA, -16),
        ROOT,
    ];
    let walked = walk(0xdead, words, Some(&code()), rules);
    assert_eq!((walked.offsets, walked.fault), (vec![0x10, 0x100f, 0x200f, 0x300f], Fault::COMPLETE));
    assert_eq!(walked.flags, 0, "no step by frame pointer");
}

#[test]
fn a_leaf_may_count_from_any_register_and_its_caller_may_not() {
    // Register 10 of the leaf holds STACK + 10.
    let words = vec![0, CODE + 0x1010, 0, CODE + 0x2010, 0];
    let by_r10 = rule(CFA_REGISTER | R10, 6, RBP_SAME, 0);
    let walked = walk(0, words.clone(), Some(&code()), vec![by_r10, ROOT]);
    assert_eq!((walked.offsets, walked.fault), (vec![0x10, 0x100f], Fault::COMPLETE));
    let walked = walk(0, words, Some(&code()), vec![by_r10, by_r10]);
    assert_eq!((walked.offsets.len(), walked.fault), (2, Fault::REGISTER_LOST));
}

#[test]
fn a_realigned_stack_and_a_linkage_stub_are_left() {
    // CFA = *(rbp - 8): gcc's realigned main.
    let words = vec![0, STACK + 40, 0, 0, CODE + 0x1010, 0];
    let deref = rule(CFA_DEREF | RBP, UnwindRule::halves(-8, 0), RBP_SAME, 0);
    let walked = walk(STACK + 16, words, Some(&code()), vec![deref, ROOT]);
    assert_eq!((walked.offsets, walked.fault), (vec![0x10, 0x100f], Fault::COMPLETE));
    // The instruction at ...10 has not pushed yet: CFA = rsp + 8.
    let plt = rule(CFA_PLT, UnwindRule::halves(8, 11), RBP_SAME, 0);
    let walked = walk(0, vec![CODE + 0x1010], Some(&code()), vec![plt, ROOT]);
    assert_eq!((walked.offsets, walked.fault), (vec![0x10, 0x100f], Fault::COMPLETE));
}

#[test]
fn what_a_signal_interrupted_is_no_return_address_and_has_its_registers_back() {
    let [sp, ip, bp] = [160, 168, 120];
    let mut words = vec![0; 40];
    words[sp / 8] = STACK + 240;
    words[ip / 8] = CODE + 0x1000;
    words[bp / 8] = 0x77;
    // The interrupted frame counts from r10, as the kernel saved it.
    words[usize::try_from(SIGNAL_REGISTER_OFFSETS[usize::from(R10)]).expect("above rsp") / 8] = STACK + 256;
    words[248 / 8] = CODE + 0x2010;
    let signal = rule(CFA_SIGNAL, UnwindRule::halves(160, 168), 0, 120);
    let rules = vec![signal, rule(CFA_REGISTER | R10, 0, RBP_SAME, 0), ROOT];
    let walked = walk(0, words, Some(&code()), rules);
    assert_eq!((walked.offsets, walked.fault), (vec![0x10, 0x1000, 0x200f], Fault::COMPLETE));
}

#[test]
fn a_leaf_that_took_its_return_address_off_the_stack_is_left() {
    // R9, as `leaf_register` has it, is inside the code that starts below it.
    let popped = UnwindRule {
        registers: RA_IN_REGISTER | RBP_SAME,
        ..rule(CFA_REGISTER | RSP, UnwindRule::halves(0, 9), 0, 0)
    };
    let mut table = code();
    table.starts[1] = STACK;
    table.entries[1] = MappingEntry { bias: STACK.wrapping_sub(0x1000), n_pages: 1, file_id: FILE };
    let walked = walk(0, vec![0; 8], Some(&table), vec![popped, ROOT]);
    assert_eq!((walked.offsets, walked.fault), (vec![0x10, 0x1008], Fault::COMPLETE));
}

#[test]
fn a_rule_that_leads_nowhere_ends_the_walk_with_its_reason() {
    let cases = [
        ("down the stack", rule(CFA_REGISTER | RSP, -8, RBP_SAME, 0), Fault::NOT_ASCENDING),
        ("in place", rule(CFA_REGISTER | RSP, 0, RBP_SAME, 0), Fault::NOT_ASCENDING),
        ("off the stack", rule(CFA_REGISTER | RSP, 1 << 20, RBP_SAME, 0), Fault::STACK_UNREADABLE),
        ("unknown kind", rule(CFA_UNSUPPORTED, 3, 0, 0), Fault::UNSUPPORTED_RULE),
        ("kind of the future", rule(0xf0, 3, 0, 0), Fault::UNSUPPORTED_RULE),
        ("not there yet", UnwindRule::PENDING, Fault::TABLE_PENDING),
        ("none, and no frame pointer either", rule(0, 0, 0, 0), Fault::CHAIN_BROKEN),
    ];
    for (case, rule, fault) in cases {
        let walked = walk(0x10, vec![0; 8], Some(&code()), vec![rule]);
        assert_eq!((walked.offsets, walked.fault), (vec![0x10], fault), "{case}");
    }
}
