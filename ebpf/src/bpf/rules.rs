//! Unwind rules: from this CPU's cache, or searched in the tables of the frame's file.

use abi::{
    frame::{Frame, PackedFrame},
    unwind::{FILE_HAS_ROWS, FILE_WITHOUT_ROWS, IndexEntry, UnwindLine, UnwindRule},
};
use ebpf::{
    rows::{self, Rows},
    walk::{Rules, Unwinding},
};

use super::maps::{FILES, INDEX, LINES, RULE_CACHE_ENTRIES, RULES, RuleCache};

/// Multiplier of Fibonacci hashing: 2^64 divided by the golden ratio.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;
const SLOT_SHIFT: u32 = u64::BITS - RULE_CACHE_ENTRIES.trailing_zeros();

/// The tables behind a cache.
pub(super) struct CachedRules<'a>(pub(super) &'a mut RuleCache);

impl Rules for CachedRules<'_> {
    #[inline(always)]
    fn find(&mut self, frame: PackedFrame) -> Unwinding {
        // Code made at run time has no table.
        let Frame::File { file_id, offset } = frame.unpack() else { return Unwinding::FramePointer };
        let slot = (frame.0.wrapping_mul(GOLDEN) >> SLOT_SHIFT) as usize & (RULE_CACHE_ENTRIES - 1);
        let entry = &mut self.0[slot];
        if entry.0 == frame {
            return Unwinding::Rule(entry.1);
        }
        let Some(file) = FILES.get(file_id) else { return Unwinding::FramePointer };
        if file.state == FILE_WITHOUT_ROWS {
            return Unwinding::FramePointer;
        }
        // Not remembered: it will not be so for long.
        if file.state != FILE_HAS_ROWS {
            return Unwinding::Pending;
        }
        let rule = rows::find(&Tables, file, offset).unwrap_or(UnwindRule::NONE);
        *entry = (frame, rule);
        Unwinding::Rule(rule)
    }
}

/// The arrays of all files.
struct Tables;

impl Rows for Tables {
    #[inline(always)]
    fn line(&self, number: u32) -> Option<&UnwindLine> {
        LINES.get(number)
    }

    #[inline(always)]
    fn index(&self, number: u32) -> Option<IndexEntry> {
        INDEX.get(number).copied()
    }

    #[inline(always)]
    fn rule(&self, number: u32) -> Option<UnwindRule> {
        RULES.get(number).copied()
    }
}
