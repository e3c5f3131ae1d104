//! Symbol maps of generated code: `/tmp/perf-PID.map`, one `START SIZE name` a line, numbers in hexadecimal.
//!
//! The process writes the file, and in a shared /tmp anybody may have put one there. It is opened inside the
//! process's own root, never through a symbolic link, and believed only if the process's owner (or root) owns
//! it. The file only grows: a compiler that uses memory again writes a new line for it, so later lines win.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use super::jit_names;
use super::{JitProcess, Reason, Resolved, Symbol};
use crate::object::{FileIdentity, ReadError, read_bytes};
use crate::procfs::root;

/// Most bytes read of one map. Of a larger one the first and the last halves of this: the oldest functions are
/// the longest-lived, and the newest lines are the ones in force.
const MAX_MAP_BYTES: u64 = 64 * 1024 * 1024;
/// Most functions kept of one map; real lines are so long that the byte limit is reached first.
const MAX_FUNCTIONS: usize = 2_000_000;
/// Maps kept ready between batches.
const MAX_MAPS: usize = 8;

/// Which generated function is where.
#[derive(Debug, Default)]
struct PerfMap {
    /// By start; never overlapping.
    functions: BTreeMap<u64, Function>,
    /// The text that the names are parts of.
    text: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
struct Function {
    end: u64,
    name_start: u32,
    name_end: u32,
}

impl PerfMap {
    /// Parses a map. Lines that are not what they should be are passed over, and so is a last line without its
    /// newline: the process may be writing it.
    fn parse(text: Vec<u8>) -> Self {
        let mut map = Self::default();
        let mut line_start = 0_usize;
        while let Some(length) = text.get(line_start..).and_then(|rest| rest.iter().position(|&b| b == b'\n'))
        {
            let line_end = line_start.saturating_add(length);
            if let Some((start, function)) = parse_line(&text, line_start, line_end) {
                map.insert(start, function);
            }
            if map.functions.len() >= MAX_FUNCTIONS {
                break;
            }
            line_start = line_end.saturating_add(1);
        }
        map.text = text;
        map
    }

    /// Adds a function, which replaces what was in its place; what stands out on either side stays.
    fn insert(&mut self, start: u64, function: Function) {
        let before = self.functions.range(..start).next_back().map(|(&start, &before)| (start, before));
        if let Some((before_start, before)) = before.filter(|(_, before)| before.end > start) {
            self.functions.insert(before_start, Function { end: start, ..before });
            if before.end > function.end {
                self.functions.insert(function.end, before);
            }
        }
        while let Some((&covered_start, &covered)) = self.functions.range(start..function.end).next() {
            self.functions.remove(&covered_start);
            if covered.end > function.end {
                self.functions.insert(function.end, covered);
            }
        }
        self.functions.insert(start, function);
    }

    fn lookup(&self, address: u64) -> Option<String> {
        let (_, function) = self.functions.range(..=address).next_back()?;
        if address >= function.end {
            return None;
        }
        let (start, end) =
            (usize::try_from(function.name_start).ok()?, usize::try_from(function.name_end).ok()?);
        self.text.get(start..end).map(jit_names::display)
    }
}

fn parse_line(text: &[u8], line_start: usize, line_end: usize) -> Option<(u64, Function)> {
    let line = text.get(line_start..line_end)?;
    let mut fields = line.splitn(3, |&byte| byte == b' ');
    let (start, size, name) = (hex(fields.next()?)?, hex(fields.next()?)?, fields.next()?);
    let end = start.checked_add(size)?;
    if size == 0 || name.is_empty() {
        return None;
    }
    let name_start = line_end.checked_sub(name.len())?;
    let function = Function {
        end,
        name_start: u32::try_from(name_start).ok()?,
        name_end: u32::try_from(line_end).ok()?,
    };
    Some((start, function))
}

fn hex(digits: &[u8]) -> Option<u64> {
    let digits = digits.strip_prefix(b"0x").unwrap_or(digits);
    if digits.is_empty() || digits.len() > 16 {
        return None;
    }
    digits
        .iter()
        .try_fold(0_u64, |value, &digit| Some(value << 4 | u64::from(char::from(digit).to_digit(16)?)))
}

/// The maps read last, least recently used first.
#[derive(Debug, Default)]
pub(super) struct PerfMapCache {
    entries: Vec<(FileIdentity, PerfMap)>,
}

impl PerfMapCache {
    pub(super) fn frames(&mut self, jit: &JitProcess, addresses: &[u64]) -> Vec<Resolved> {
        if addresses.is_empty() {
            return Vec::new();
        }
        match self.map_of(jit) {
            Ok(map) => addresses.iter().map(|&address| resolve(map, address)).collect(),
            Err(reason) => super::all_missing(addresses.len(), reason),
        }
    }

    fn map_of(&mut self, jit: &JitProcess) -> Result<&PerfMap, Reason> {
        let path = PathBuf::from(format!("/tmp/perf-{}.map", jit.ns_pid));
        let handle = root::open_handle(&jit.root, &path, root::NO_FOLLOW_LAST).map_err(|error| {
            if error.kind() == io::ErrorKind::NotFound {
                Reason::UnknownJit
            } else {
                Reason::PerfMapUnreadable
            }
        })?;
        let metadata = handle.metadata().map_err(|_| Reason::PerfMapUnreadable)?;
        // A symbolic link is opened as itself, and is not a regular file.
        if !metadata.is_file() || (metadata.uid() != jit.uid && metadata.uid() != 0) {
            return Err(Reason::PerfMapUntrusted);
        }
        let identity = FileIdentity::of(&metadata);
        let kept = self.entries.iter().position(|(kept, _)| *kept == identity);
        let entry = if let Some(position) = kept {
            self.entries.remove(position)
        } else {
            // An older state of the same file is of no use any more.
            self.entries.retain(|(kept, _)| (kept.device, kept.inode) != (identity.device, identity.inode));
            let file = root::reopen_for_reading(&handle).map_err(|_| Reason::PerfMapUnreadable)?;
            let text = read_map(&file, identity.size_bytes).map_err(|_| Reason::PerfMapUnreadable)?;
            (identity, PerfMap::parse(text))
        };
        if self.entries.len() >= MAX_MAPS {
            self.entries.remove(0);
        }
        self.entries.push(entry);
        self.entries.last().map(|(_, map)| map).ok_or(Reason::PerfMapUnreadable)
    }
}

fn read_map(file: &std::fs::File, size_bytes: u64) -> Result<Vec<u8>, ReadError> {
    if size_bytes <= MAX_MAP_BYTES {
        return read_bytes(file, 0, size_bytes, MAX_MAP_BYTES);
    }
    let half = MAX_MAP_BYTES / 2;
    let mut text = read_bytes(file, 0, half, half)?;
    // The halves end and begin inside a line. A newline between them keeps the two apart; neither part of a
    // line cut so is a whole one, except that its beginning may have the form of one: that goes.
    let last_line = text.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at.saturating_add(1));
    text.truncate(last_line);
    let tail = read_bytes(file, size_bytes.saturating_sub(half), half, half)?;
    let first_line =
        tail.iter().position(|&byte| byte == b'\n').map_or(tail.len(), |at| at.saturating_add(1));
    text.extend(tail.get(first_line..).unwrap_or_default());
    Ok(text)
}

fn resolve(map: &PerfMap, address: u64) -> Resolved {
    match map.lookup(address) {
        Some(name) => Resolved::Symbols(vec![Symbol { name, source: None, inlined: false }]),
        None => Resolved::Missing(Reason::NotInPerfMap),
    }
}

#[cfg(test)]
#[path = "perf_map_tests.rs"]
mod tests;
