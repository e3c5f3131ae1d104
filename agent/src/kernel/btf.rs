//! Where the fields of the kernel's structures are, by the description that the kernel gives of its own types (BTF).
//!
//! A field that no tracepoint and no helper gives is read where this kernel has it, or the program is not loaded.

use std::fs;

use super::KernelError;

const KERNEL_TYPES: &str = "/sys/kernel/btf/vmlinux";

const MAGIC: u16 = 0xeb9f;
const HEADER_BYTES: usize = 24;
const TYPE_BYTES: usize = 12;
const MEMBER_BYTES: usize = 12;

/// Kinds of types (`include/uapi/linux/btf.h`).
const KIND_INT: u32 = 1;
const KIND_ARRAY: u32 = 3;
const KIND_STRUCT: u32 = 4;
const KIND_UNION: u32 = 5;
const KIND_ENUM: u32 = 6;
const KIND_FUNC_PROTO: u32 = 13;
const KIND_VAR: u32 = 14;
const KIND_DATASEC: u32 = 15;
const KIND_DECL_TAG: u32 = 17;
const KIND_ENUM64: u32 = 19;

/// Bytes from the start of a structure of this kernel to one of its fields.
pub(super) fn offset_of(structure: &'static str, field: &'static str) -> Result<u32, KernelError> {
    let types = fs::read(KERNEL_TYPES).map_err(|source| KernelError::KernelTypes { source })?;
    find(&types, structure, field).ok_or(KernelError::NoField { structure, field })
}

/// The same in such a description. Total: what does not hold together has no such field.
fn find(btf: &[u8], structure: &str, field: &str) -> Option<u32> {
    if btf.get(..2)? != MAGIC.to_ne_bytes() {
        return None;
    }
    let header = |at: usize| word(btf, at).map(|word| word as usize);
    let body = btf.get(header(4)?..).filter(|_| btf.len() >= HEADER_BYTES)?;
    let section = |at: usize| {
        let start = header(at)?;
        body.get(start..start.checked_add(header(at + 4)?)?)
    };
    let (types, strings) = (section(8)?, section(16)?);
    let is_named = |record: &[u8], name: &str| {
        let text = word(record, 0).and_then(|at| strings.get(at as usize..));
        text.and_then(|text| text.strip_prefix(name.as_bytes())).is_some_and(|rest| rest.first() == Some(&0))
    };
    let mut rest = types;
    while rest.len() >= TYPE_BYTES {
        let info = word(rest, 4)?;
        let (kind, n_parts) = (info >> 24 & 0x1f, (info & 0xffff) as usize);
        let n_bytes = match kind {
            KIND_INT | KIND_VAR | KIND_DECL_TAG => 4,
            KIND_ARRAY => 12,
            KIND_STRUCT | KIND_UNION | KIND_DATASEC | KIND_ENUM64 => n_parts * MEMBER_BYTES,
            KIND_ENUM | KIND_FUNC_PROTO => n_parts * 8,
            _ => 0,
        };
        let (head, parts) = rest.split_at(TYPE_BYTES);
        let (parts, after) = parts.split_at_checked(n_bytes)?;
        if kind == KIND_STRUCT && is_named(head, structure) {
            let member = parts.chunks_exact(MEMBER_BYTES).find(|member| is_named(member, field))?;
            let place = word(member, 8)?;
            // With this flag, the upper byte is the width of a field of bits, 0 for any other.
            let has_widths = info >> 31 != 0;
            let is_whole = !(has_widths && place >> 24 != 0) && place % 8 == 0;
            return is_whole.then_some(place / 8);
        }
        rest = after;
    }
    None
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use super::{KIND_INT, KIND_STRUCT, MAGIC, find};

    /// An `int`, then `struct task { int flags; int pid; }` with another field of bits between.
    fn description() -> Vec<u8> {
        let strings = b"\0int\0task\0flags\0bit\0pid\0";
        let types: [u32; 19] = [
            1,
            KIND_INT << 24,
            4,
            32, // int
            5,
            KIND_STRUCT << 24 | 1 << 31 | 3,
            12, // task
            10,
            1,
            0, // flags
            16,
            1,
            1 << 24 | 33, // bit
            20,
            1,
            64, // pid
            0,
            0,
            0,
        ];
        let mut btf = Vec::new();
        btf.extend(MAGIC.to_ne_bytes());
        btf.extend([1, 0]);
        for number in [24, 0, 4 * types.len() as u32, 4 * types.len() as u32, strings.len() as u32] {
            btf.extend(u32::to_ne_bytes(number));
        }
        types.iter().for_each(|number| btf.extend(number.to_ne_bytes()));
        btf.extend(strings);
        btf
    }

    #[test]
    fn a_field_is_found_and_one_that_is_not_there_or_no_whole_bytes_is_not() {
        let btf = description();
        assert_eq!(find(&btf, "task", "pid"), Some(8));
        assert_eq!(find(&btf, "task", "flags"), Some(0));
        for (structure, field) in [("task", "pi"), ("task", "bit"), ("tas", "pid"), ("int", "pid")] {
            assert_eq!(find(&btf, structure, field), None, "{structure}.{field}");
        }
    }

    #[test]
    fn a_description_that_is_cut_short_has_no_field() {
        let btf = description();
        for n_bytes in 0..btf.len() {
            // It must end, whatever it finds.
            let _ = find(&btf[..n_bytes], "task", "pid");
        }
        assert_eq!(find(&btf[..40], "task", "pid"), None);
    }
}
