//! How the code of a file reaches a function: at its address, through a stub of the linkage table, or through the
//! slot that the stub jumps by.

use std::collections::{HashMap, HashSet};

use ::object::elf;
use iced_x86::{Decoder, DecoderOptions, FlowControl, Instruction, OpKind};

use crate::object::{Elf, elf::Section, symbols};

/// Largest table of relocations read: a large program with relative addresses has 10 MB.
const MAX_RELOCATIONS_BYTES: u64 = 64 << 20;
const RELOCATION_BYTES: usize = 24;
/// Largest linkage table read.
const MAX_STUBS_BYTES: u64 = 4 << 20;
/// Sections with stubs, and how far apart they are.
const STUBS: [(&str, u64); 3] = [(".plt", 16), (".plt.sec", 16), (".plt.got", 8)];

/// Addresses that stand for functions of one kind.
#[derive(Clone, Debug, Default)]
pub(super) struct Targets {
    starts: HashSet<u64>,
    slots: HashSet<u64>,
}

impl Targets {
    /// Functions at these addresses.
    pub(super) fn add(&mut self, start: u64) {
        self.starts.insert(start);
    }

    /// Whether a call or a jump leads to one of them; not that of a function to itself.
    pub(super) fn has(&self, instruction: &Instruction, own: u64) -> bool {
        match instruction.flow_control() {
            FlowControl::Call | FlowControl::UnconditionalBranch | FlowControl::ConditionalBranch => {
                let target = instruction.near_branch_target();
                instruction.op0_kind() == OpKind::NearBranch64
                    && target != own
                    && self.starts.contains(&target)
            }
            FlowControl::IndirectCall | FlowControl::IndirectBranch => {
                slot_of(instruction).is_some_and(|slot| self.slots.contains(&slot))
            }
            _ => false,
        }
    }
}

/// The slot that an indirect call or jump goes by, if it says so.
fn slot_of(instruction: &Instruction) -> Option<u64> {
    (instruction.op0_kind() == OpKind::Memory && instruction.is_ip_rel_memory_operand())
        .then(|| instruction.ip_rel_memory_address())
}

/// Adds the ways by which functions are reached whose names have a kind.
pub(super) fn add_linkage<K: Copy + Eq + std::hash::Hash>(
    elf: &Elf<'_>,
    targets: &mut HashMap<K, Targets>,
    kind_of: impl Fn(&str) -> Option<K>,
) {
    let kinds: HashMap<u32, K> = symbols::dynamic(elf, kind_of);
    let mut slots: HashMap<u64, K> = HashMap::new();
    for section in [".rela.plt", ".rela.dyn"].into_iter().filter_map(|name| elf.section(name)) {
        let bytes = elf.section_bytes(section, MAX_RELOCATIONS_BYTES).unwrap_or_default();
        for (slot, symbol) in bytes.chunks_exact(RELOCATION_BYTES).filter_map(relocation) {
            if let Some(kind) = kinds.get(&symbol) {
                slots.insert(slot, *kind);
                targets.entry(*kind).or_default().slots.insert(slot);
            }
        }
    }
    for (section, apart) in STUBS.into_iter().filter_map(|(name, apart)| Some((elf.section(name)?, apart))) {
        for (stub, slot) in stubs(elf, section, apart) {
            if let Some(kind) = slots.get(&slot) {
                targets.entry(*kind).or_default().starts.insert(stub);
            }
        }
    }
}

/// Slot and symbol, of a relocation that binds a function.
fn relocation(entry: &[u8]) -> Option<(u64, u32)> {
    let number = |at: usize| entry.get(at..)?.first_chunk().map(|bytes| u64::from_le_bytes(*bytes));
    let (slot, info) = (number(0)?, number(8)?);
    let kind = u32::try_from(info & u64::from(u32::MAX)).ok()?;
    [elf::R_X86_64_JUMP_SLOT.0, elf::R_X86_64_GLOB_DAT.0]
        .contains(&kind)
        .then(|| u32::try_from(info >> 32).ok().map(|symbol| (slot, symbol)))
        .flatten()
}

/// Where stubs are, and the slots that they jump by.
fn stubs(elf: &Elf<'_>, section: &Section, apart: u64) -> Vec<(u64, u64)> {
    let code = elf.section_bytes(section, MAX_STUBS_BYTES).unwrap_or_default();
    let start_of = |ip: u64| ip - ip.wrapping_sub(section.svma) % apart;
    Decoder::with_ip(64, &code, section.svma, DecoderOptions::NONE)
        .into_iter()
        .filter(|instruction| instruction.flow_control() == FlowControl::IndirectBranch)
        .filter_map(|instruction| Some((start_of(instruction.ip()), slot_of(&instruction)?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::relocation;

    #[test]
    fn only_what_binds_a_function_is_a_slot() {
        let entry = |kind: u32| {
            let mut entry = 0x4018_u64.to_le_bytes().to_vec();
            entry.extend(kind.to_le_bytes());
            entry.extend(7_u32.to_le_bytes());
            entry.extend([0; 8]);
            entry
        };
        // JUMP_SLOT, GLOB_DAT, RELATIVE.
        let seen = [7, 6, 8].map(|kind| relocation(&entry(kind)));
        assert_eq!(seen, [Some((0x4018, 7)), Some((0x4018, 7)), None]);
        assert_eq!(relocation(&entry(7)[..12]), None);
    }
}
