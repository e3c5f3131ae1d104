//! A walk of the kernel side over a capture, or over anything that answers like one.

use abi::{
    fault::Fault,
    frame::{Frame, PackedFrame},
    limits::MAX_USER_FRAMES,
    mapping::{FILE_ANONYMOUS, LargeTable, MappingEntry},
    unwind::{RBP, RSP, UnwindRule},
};
use ebpf::{
    lookup,
    unwind::{ReadUser, Registers},
    walk::{Code, Walk},
};

use crate::capture::{Capture, Mapping};

/// What a walk found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Walked {
    /// Addresses, leaf first; all but the leaf and what a signal interrupted are one below the return address.
    pub addresses: Vec<u64>,
    /// Why it ended.
    pub fault: Fault,
}

impl Walked {
    /// One frame a line, and the reason at the end.
    #[must_use]
    pub fn text(&self, mappings: &[Mapping]) -> String {
        let places = self.addresses.iter().map(|&address| crate::capture::place(mappings, address));
        places.chain([self.fault.name().to_owned()]).map(|line| line + "\n").collect()
    }
}

/// The table of mappings as the kernel side has it; file IDs count from 1.
#[must_use]
pub fn table(mappings: &[Mapping]) -> Box<LargeTable> {
    let mut table = Box::new(LargeTable::EMPTY);
    let slots = table.starts.iter_mut().zip(&mut table.entries);
    for ((start, entry), (mapping, id)) in slots.zip(mappings.iter().zip(1..)) {
        *start = mapping.start;
        *entry = MappingEntry {
            bias: mapping.start.wrapping_sub(mapping.file_offset),
            n_pages: u32::try_from((mapping.end - mapping.start) >> 12).unwrap_or(u32::MAX),
            file_id: if mapping.name == Mapping::ANONYMOUS { FILE_ANONYMOUS } else { id },
        };
    }
    table
}

/// Rules by address, behind a table of mappings.
pub struct RulesByAddress<'a, F> {
    /// The mappings.
    pub table: &'a LargeTable,
    /// The rule of a frame at an address.
    pub rule_of: F,
}

impl<F: FnMut(u64, Frame) -> Option<UnwindRule>> Code for RulesByAddress<'_, F> {
    fn find(&mut self, address: u64) -> Option<(PackedFrame, UnwindRule)> {
        let frame = lookup::find(self.table, address)?;
        Some((frame, (self.rule_of)(address, frame.unpack())?))
    }

    fn elsewhere(&self) -> Option<UnwindRule> {
        None
    }
}

/// Walks from these registers.
pub fn walk(
    ip: u64,
    registers: &[u64; 16],
    table: &LargeTable,
    code: &mut impl Code,
    memory: &mut impl ReadUser,
) -> Walked {
    let of = |number: u8| registers[usize::from(number)];
    let mut walk = Walk::new(Registers { ip, sp: of(RSP), bp: of(RBP) });
    let mut frames = Box::new([PackedFrame(0); MAX_USER_FRAMES]);
    let mut steps = 0..MAX_USER_FRAMES as u32;
    while steps.next().is_some_and(|index| walk.step(index, code, memory, &mut frames)) {}
    let address_of = |frame: &PackedFrame| match frame.unpack() {
        Frame::Absolute(address) => address,
        Frame::File { file_id, offset } => {
            let entry = table.entries.get(file_id as usize - 1).copied().unwrap_or_default();
            offset.wrapping_add(entry.bias)
        }
    };
    let addresses = frames.iter().take(walk.n_frames as usize).map(address_of).collect();
    Walked { addresses, fault: walk.fault }
}

/// The stack of a capture. A word that is not recorded cannot be read, and one can be made so.
pub struct Recorded<'a> {
    /// The recording.
    pub capture: &'a Capture,
    /// Address of a word that cannot be read.
    pub unreadable: Option<u64>,
    /// Addresses read, in order.
    pub read: Vec<u64>,
}

impl ReadUser for Recorded<'_> {
    fn word(&mut self, address: u64) -> Option<u64> {
        self.read.push(address);
        self.capture.words.get(&address).copied().filter(|_| self.unreadable != Some(address))
    }

    fn leaf_register(&self, number: u8) -> u64 {
        self.capture.registers.get(usize::from(number)).copied().unwrap_or_default()
    }
}

/// Walks a capture; also gives the addresses of the words that were read.
#[must_use]
pub fn again(capture: &Capture, unreadable: Option<u64>) -> (Walked, Vec<u64>) {
    let table = table(&capture.mappings);
    let rule_of = |address: u64, _: Frame| capture.rules.get(&address).copied();
    let mut code = RulesByAddress { table: &table, rule_of };
    let mut memory = Recorded { capture, unreadable, read: Vec::new() };
    let walked = walk(capture.ip, &capture.registers, &table, &mut code, &mut memory);
    (walked, memory.read)
}
