//! Where in HAProxy's `struct pool_head` the size of its objects is: it is not the same in every version, and
//! whether the structure begins with it depends on how it was built.

use iced_x86::{Decoder, DecoderOptions, FlowControl, Instruction, Mnemonic, OpKind, Register};

/// The functions that ask the allocator for an object of a pool, their first argument.
pub(super) const ASKS: [&str; 2] = ["pool_get_from_os", "pool_get_from_os_noinc"];

/// The offset of the 32-bit number that is loaded from the pool into the first argument of the first call after it.
/// `None` if this code does nothing of the kind.
pub(super) fn find(code: &[u8]) -> Option<u64> {
    let mut pools = vec![Register::RDI];
    let mut loaded = None;
    for instruction in Decoder::with_ip(64, code, 0, DecoderOptions::NONE) {
        match instruction.flow_control() {
            FlowControl::Call | FlowControl::IndirectCall => match loaded {
                Some(offset) => return Some(offset),
                None => pools.retain(|register| is_saved(*register)),
            },
            FlowControl::Next if instruction.op0_kind() == OpKind::Register && writes_first(&instruction) => {
                let to = instruction.op0_register();
                let is_move = instruction.mnemonic() == Mnemonic::Mov;
                let is_copy = is_move
                    && instruction.op1_kind() == OpKind::Register
                    && to.is_gpr64()
                    && pools.contains(&instruction.op1_register());
                let is_load = is_move
                    && to == Register::EDI
                    && instruction.op1_kind() == OpKind::Memory
                    && instruction.memory_index() == Register::None
                    && pools.contains(&instruction.memory_base());
                pools.retain(|register| *register != to.full_register());
                if to.full_register() == Register::RDI {
                    loaded = is_load.then(|| instruction.memory_displacement64());
                }
                if is_copy {
                    pools.push(to);
                }
            }
            _ => {}
        }
    }
    None
}

fn writes_first(instruction: &Instruction) -> bool {
    !matches!(instruction.mnemonic(), Mnemonic::Cmp | Mnemonic::Test | Mnemonic::Push)
}

/// Whether a function leaves it as it was.
fn is_saved(register: Register) -> bool {
    use Register::{R12, R13, R14, R15, RBP, RBX};
    [RBX, RBP, R12, R13, R14, R15].contains(&register)
}

#[cfg(test)]
mod tests {
    use super::find;
    use proptest::prelude::{any, proptest};

    #[test]
    fn the_offset_is_that_of_what_is_handed_to_the_allocator() {
        // HAProxy 2.6 of Debian: push %rbx; mov (%rdi),%eax; mov %rdi,%rbx; test %eax,%eax; je; cmp %eax,0x50(%rdi); jae;
        // mov 0x14(%rbx),%edi; call malloc
        let code = [
            0x53, 0x8b, 0x07, 0x48, 0x89, 0xfb, 0x85, 0xc0, 0x74, 0x05, 0x39, 0x47, 0x50, 0x73, 0x19, 0x8b,
            0x7b, 0x14, 0xe8, 0, 0, 0, 0,
        ];
        assert_eq!(find(&code), Some(0x14));
        // mov 0x14(%rdi),%edi; mov %eax,%edi; call
        assert_eq!(find(&[0x8b, 0x7f, 0x14, 0x89, 0xc7, 0xe8, 0, 0, 0, 0]), None);
        // xor %edi,%edi; mov 0x14(%rdi),%edi; call: the pool is gone
        assert_eq!(find(&[0x31, 0xff, 0x8b, 0x7f, 0x14, 0xe8, 0, 0, 0, 0]), None);
        assert_eq!(find(&[]), None);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(code in proptest::collection::vec(any::<u8>(), 0..200)) {
            find(&code);
        }
    }
}
