//! The slowest requests, for people.

use std::io::{self, Write};

use super::{SlowRequest, report::milliseconds};

/// Stacks of one request; JSON has all.
const MAX_STACKS: usize = 4;
/// Frames of one stack, from the leaf.
const MAX_FRAMES: usize = 6;

/// Writes them, each with what it spent its time on as far as that was seen.
pub(super) fn write(slowest: &[SlowRequest], out: &mut impl Write) -> io::Result<()> {
    if slowest.is_empty() {
        return Ok(());
    }
    writeln!(
        out,
        "\nslowest requests, and what was seen while they ran (times in ms; frames: the leaf first)"
    )?;
    for it in slowest {
        write!(out, "{:>8}  {} {} {}", milliseconds(it.total_ns), it.method, it.path, it.status)?;
        if it.upstream_requests > 0 {
            write!(out, ", upstream {}", milliseconds(it.upstream_ns))?;
        }
        for (kind, name) in [("cpu", "on a CPU"), ("blocked", "blocked"), ("runnable", "waiting for a CPU")] {
            let ns: u64 = it.stacks.iter().filter(|stack| stack.kind == kind).map(|stack| stack.ns).sum();
            if ns > 0 {
                write!(out, ", {name} {}", milliseconds(ns))?;
            }
        }
        writeln!(out)?;
        for stack in it.stacks.iter().take(MAX_STACKS) {
            let leaf_first = stack.frames.iter().rev();
            let frames: Vec<&str> = leaf_first.take(MAX_FRAMES).map(String::as_str).collect();
            let rest = if stack.frames.len() > MAX_FRAMES { " < ..." } else { "" };
            writeln!(out, "{:>16} {:<8} {}{rest}", milliseconds(stack.ns), stack.kind, frames.join(" < "))?;
        }
        if let n @ 1.. = it.stacks.len().saturating_sub(MAX_STACKS) {
            writeln!(out, "{:>16} {n} stacks more, which --json has", "")?;
        }
    }
    writeln!(out)
}
