//! Where the fields of a tracepoint are, as the kernel itself describes it.
//!
//! A program reads fields at fixed offsets. The kernel promises no layout, so compare before believing.

use std::fs;

use super::{KernelError, tracefs::TRACEFS};

/// What `--event faults` reads of `kmem:rss_stat`.
pub(super) const RSS_STAT: (&str, [Field; 4]) =
    ("kmem/rss_stat", [(" mm_id", 8, 4), (" curr", 12, 4), (" member", 16, 4), (" size", 24, 8)]);

/// A field: the end of its declaration, its offset, its size in bytes.
type Field = (&'static str, u32, u32);

/// Refuses a tracepoint (`group/name`) whose fields are elsewhere.
pub(super) fn check(tracepoint: &'static str, fields: &[Field]) -> Result<(), KernelError> {
    let format = TRACEFS
        .iter()
        .find_map(|tracefs| fs::read_to_string(format!("{tracefs}/events/{tracepoint}/format")).ok());
    match format {
        Some(format) if has_fields(&format, fields) => Ok(()),
        _ => Err(KernelError::TracepointFormat { tracepoint }),
    }
}

fn has_fields(format: &str, fields: &[Field]) -> bool {
    fields.iter().all(|(name, offset, n_bytes)| {
        let place = format!("\toffset:{offset};\tsize:{n_bytes};");
        format.lines().any(|line| {
            line.split(';').next().is_some_and(|declaration| declaration.ends_with(name))
                && line.contains(&place)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::has_fields;

    #[test]
    fn a_tracepoint_with_moved_fields_is_refused() {
        let format = "\tfield:pid_t pid;\toffset:8;\tsize:4;\tsigned:1;\n\
                      \tfield:unsigned long clone_flags;\toffset:32;\tsize:8;\tsigned:0;\n";
        let fields = [(" pid", 8, 4), (" clone_flags", 32, 8)];
        assert!(has_fields(format, &fields));
        assert!(!has_fields(&format.replace("offset:32", "offset:24"), &fields));
        assert!(!has_fields(&format.replace("size:4", "size:8"), &fields));
        assert!(!has_fields("", &fields));
    }
}
