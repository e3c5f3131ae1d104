//! /proc/PID/maps: which parts of which files a process has mapped.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

/// Most entries kept of one process. The kernel's own default limit (`vm.max_map_count`) is 65,530.
pub const MAX_ENTRIES: usize = 65_536;
/// Longest line parsed whole: the fields before the path, and a path of almost `PATH_MAX`.
pub const MAX_LINE_BYTES: usize = 4096;

/// One mapping of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MapsEntry {
    /// First address.
    pub start: u64,
    /// First address past the mapping.
    pub end: u64,
    /// What the process may do with it.
    pub permissions: Permissions,
    /// Offset in the file of the first byte mapped.
    pub file_offset: u64,
    /// Major and minor number of the file's device.
    pub device: (u32, u32),
    /// Inode of the file, 0 for anonymous memory.
    pub inode: u64,
    /// Path as the kernel shows it, without " (deleted)"; also names like `[vdso]`. None for nameless memory
    /// and for lines longer than [`MAX_LINE_BYTES`].
    pub path: Option<PathBuf>,
    /// The file has no name any more (or the last 10 bytes of its name say so: the kernel's text is ambiguous).
    pub deleted: bool,
}

impl MapsEntry {
    /// Whether a file stands behind the mapping.
    pub fn is_file(&self) -> bool {
        self.inode != 0
    }

    /// Whether this is the kernel's virtual shared object.
    pub fn is_vdso(&self) -> bool {
        self.path.as_deref().is_some_and(|path| path.as_os_str() == "[vdso]")
    }
}

/// The `rwxp` column.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Permissions {
    /// May be read.
    pub read: bool,
    /// May be written.
    pub write: bool,
    /// May be executed.
    pub execute: bool,
    /// Writes are seen by other processes.
    pub shared: bool,
}

/// Why the mappings of a process are not known.
#[derive(Debug, thiserror::Error)]
pub enum MapsError {
    /// The file could not be opened or read.
    #[error("cannot read the mappings of process {pid}")]
    Read {
        /// Whose.
        pid: u32,
        /// What the kernel answered.
        #[source]
        source: io::Error,
    },
    /// The reader failed part-way.
    #[error("cannot read mappings after line {lines_read}")]
    Line {
        /// Lines read before.
        lines_read: usize,
        /// What the reader answered.
        #[source]
        source: io::Error,
    },
    /// A line is not what the kernel writes.
    #[error("line {line} of the mappings is malformed")]
    Malformed {
        /// Counted from 1.
        line: usize,
    },
    /// More entries than asked for.
    #[error("more than {limit} mappings")]
    TooMany {
        /// The limit given.
        limit: usize,
    },
}

/// Parses all mappings; more than `limit` is an error, so that a short list is never taken for a whole one.
pub fn parse(reader: impl BufRead, limit: usize) -> Result<Vec<MapsEntry>, MapsError> {
    parse_where(reader, limit, |_| true)
}

/// Parses the executable mappings only: the limit counts these, so that a process with a hundred thousand
/// data mappings can still be profiled.
pub fn parse_executable(reader: impl BufRead, limit: usize) -> Result<Vec<MapsEntry>, MapsError> {
    parse_where(reader, limit, |entry| entry.permissions.execute)
}

/// All mappings of a live process.
pub fn read(pid: u32) -> Result<Vec<MapsEntry>, MapsError> {
    parse(open(pid)?, MAX_ENTRIES)
}

/// The executable mappings of a live process.
pub fn read_executable(pid: u32) -> Result<Vec<MapsEntry>, MapsError> {
    parse_executable(open(pid)?, MAX_ENTRIES)
}

fn open(pid: u32) -> Result<BufReader<File>, MapsError> {
    let file = File::open(format!("/proc/{pid}/maps")).map_err(|source| MapsError::Read { pid, source })?;
    Ok(BufReader::with_capacity(64 * 1024, file))
}

fn parse_where(
    mut reader: impl BufRead,
    limit: usize,
    keep: impl Fn(&MapsEntry) -> bool,
) -> Result<Vec<MapsEntry>, MapsError> {
    let mut entries = Vec::new();
    let mut line = Vec::new();
    let mut lines_read = 0_usize;
    loop {
        let read_line = read_line(&mut reader, &mut line);
        let whole = match read_line.map_err(|source| MapsError::Line { lines_read, source })? {
            Line::End => return Ok(entries),
            Line::Whole => true,
            Line::Cut => false,
        };
        lines_read = lines_read.saturating_add(1);
        let mut entry = parse_line(&line).ok_or(MapsError::Malformed { line: lines_read })?;
        if !whole {
            // Half a path would name another file. Without one, the mapping itself can still be opened.
            entry.path = None;
            entry.deleted = false;
        }
        if keep(&entry) {
            if entries.len() >= limit {
                return Err(MapsError::TooMany { limit });
            }
            entries.push(entry);
        }
    }
}

enum Line {
    End,
    Whole,
    Cut,
}

/// Reads one line without its newline; of a longer one the first [`MAX_LINE_BYTES`], and skips the rest.
fn read_line(reader: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<Line> {
    line.clear();
    let limit = u64::try_from(MAX_LINE_BYTES).unwrap_or(u64::MAX);
    if reader.by_ref().take(limit).read_until(b'\n', line)? == 0 {
        return Ok(Line::End);
    }
    if line.last() == Some(&b'\n') {
        line.pop();
        return Ok(Line::Whole);
    }
    let rest_bytes = reader.skip_until(b'\n')?;
    Ok(if rest_bytes == 0 { Line::Whole } else { Line::Cut })
}

/// Reads one line, or what is kept of a longer one; false at the end.
pub(super) fn read_line_whole_or_cut(reader: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<bool> {
    Ok(!matches!(read_line(reader, line)?, Line::End))
}

pub(super) fn parse_line(line: &[u8]) -> Option<MapsEntry> {
    let (range, rest) = next_field(line)?;
    let (permissions, rest) = next_field(rest)?;
    let (file_offset, rest) = next_field(rest)?;
    let (device, rest) = next_field(rest)?;
    let (inode, path) = next_field(rest)?;

    let (start, end) = split_at_byte(range, b'-')?;
    let (major, minor) = split_at_byte(device, b':')?;
    let (start, end) = (hex(start)?, hex(end)?);
    if start > end {
        return None;
    }
    let &[read, write, execute, shared] = permissions else { return None };
    let permissions = Permissions {
        read: read == b'r',
        write: write == b'w',
        execute: execute == b'x',
        shared: shared == b's',
    };
    let (path, deleted) = parse_path(path);
    Some(MapsEntry {
        start,
        end,
        permissions,
        file_offset: hex(file_offset)?,
        device: (u32::try_from(hex(major)?).ok()?, u32::try_from(hex(minor)?).ok()?),
        inode: std::str::from_utf8(inode).ok()?.parse().ok()?,
        path,
        deleted,
    })
}

/// The kernel pads with spaces before the path, and writes a newline in a path as `\012` and nothing else so
/// (a backslash stays itself, so that a file whose name has these four characters cannot be told apart).
fn parse_path(padded: &[u8]) -> (Option<PathBuf>, bool) {
    let padding_bytes = padded.iter().take_while(|&&byte| byte == b' ').count();
    let text = padded.get(padding_bytes..).unwrap_or_default();
    if text.is_empty() {
        return (None, false);
    }
    let (text, deleted) = match text.strip_suffix(b" (deleted)") {
        Some(stem) if !stem.is_empty() => (stem, true),
        _ => (text, false),
    };
    let mut path = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, tail)) = rest.split_first() {
        if let Some(tail) = rest.strip_prefix(br"\012") {
            path.push(b'\n');
            rest = tail;
        } else {
            path.push(byte);
            rest = tail;
        }
    }
    (Some(PathBuf::from(OsString::from_vec(path))), deleted)
}

fn next_field(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let skipped = text.iter().take_while(|&&byte| byte == b' ').count();
    let text = text.get(skipped..)?;
    let length = text.iter().take_while(|&&byte| byte != b' ').count();
    if length == 0 { None } else { text.split_at_checked(length) }
}

fn split_at_byte(text: &[u8], separator: u8) -> Option<(&[u8], &[u8])> {
    let at = text.iter().position(|&byte| byte == separator)?;
    Some((text.get(..at)?, text.get(at.checked_add(1)?..)?))
}

fn hex(digits: &[u8]) -> Option<u64> {
    // from_str_radix would take a sign.
    if digits.first().is_none_or(|byte| !byte.is_ascii_hexdigit()) {
        return None;
    }
    u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{ProptestConfig, any, prop_assert, proptest};
    use std::fmt::Write as _;

    fn one(text: &[u8]) -> MapsEntry {
        let entries = parse(text, 10).expect("parses");
        assert_eq!(entries.len(), 1, "{entries:?}");
        entries.into_iter().next().expect("one entry")
    }

    #[test]
    fn a_file_mapping_has_every_field() {
        let entry =
            one(b"7f01a000-7f01b000 r-xp 00002000 fd:1f 9876                    /usr/sbin/nginx worker\n");
        let expected = MapsEntry {
            start: 0x7f01_a000,
            end: 0x7f01_b000,
            permissions: Permissions { read: true, write: false, execute: true, shared: false },
            file_offset: 0x2000,
            device: (0xfd, 0x1f),
            inode: 9876,
            path: Some(PathBuf::from("/usr/sbin/nginx worker")),
            deleted: false,
        };
        assert_eq!(entry, expected);
        assert!(entry.is_file() && !entry.is_vdso(), "{entry:?}");
    }

    #[test]
    fn a_deleted_file_with_a_newline_in_its_name_is_read_back() {
        let entry = one(b"1000-2000 r-xp 0 0:1 7 /tmp/a\\012b c (deleted)\n");
        assert_eq!(entry.path.as_deref(), Some(std::path::Path::new("/tmp/a\nb c")), "{entry:?}");
        assert!(entry.deleted, "{entry:?}");
    }

    #[test]
    fn nameless_memory_and_the_vdso_are_told_apart() {
        let nameless = one(b"1000-2000 rw-s 0 0:0 0 \n");
        assert_eq!((nameless.path.as_ref(), nameless.is_file()), (None, false), "{nameless:?}");
        assert!(nameless.permissions.shared, "{nameless:?}");
        let vdso = one(b"1000-2000 r-xp 0 0:0 0    [vdso]");
        assert!(vdso.is_vdso(), "{vdso:?}");
    }

    #[test]
    fn a_line_longer_than_the_limit_keeps_its_range_and_loses_its_path() {
        let mut text = b"1000-2000 r-xp 0 0:1 7 /".to_vec();
        text.extend(std::iter::repeat_n(b'a', MAX_LINE_BYTES));
        text.extend(b"\n3000-4000 r-xp 0 0:1 8 /b\n");
        let entries = parse(text.as_slice(), 10).expect("parses");
        let seen: Vec<_> = entries.iter().map(|e| (e.start, e.path.clone())).collect();
        assert_eq!(seen, [(0x1000, None), (0x3000, Some(PathBuf::from("/b")))]);
    }

    #[test]
    fn malformed_lines_are_errors_that_name_the_line() {
        for bad in [
            "",
            "x",
            "1-2",
            "2000-1000 r-xp 0 0:0 0",
            "1000-2000 rxp 0 0:0 0",
            "1000-2000 r-xp 0 00 0",
            "1000-2000 r-xp 0 0:0 -1",
            "+1000-2000 r-xp 0 0:0 0",
            "10000000000000000-2 r-xp 0 0:0 0",
            "1000-2000 r-xp 0 100000000:0 0",
        ] {
            let text = format!("1000-2000 r-xp 0 0:0 0\n{bad}\n");
            let seen = parse(text.as_bytes(), 10);
            assert!(matches!(seen, Err(MapsError::Malformed { line: 2 })), "{bad:?} gave {seen:?}");
        }
    }

    #[test]
    fn the_limit_counts_what_is_kept() {
        let mut text = String::new();
        for i in 1..=20 {
            let x = if i % 10 == 0 { 'x' } else { '-' };
            writeln!(text, "{i}000-{i}fff r-{x}p 0 0:0 0").expect("writes");
        }
        let all = parse(text.as_bytes(), 19);
        assert!(matches!(all, Err(MapsError::TooMany { limit: 19 })), "{all:?}");
        let executable = parse_executable(text.as_bytes(), 2).expect("two");
        assert_eq!(executable.len(), 2, "{executable:?}");
    }

    #[test]
    fn this_process_has_its_own_code_mapped() {
        let here = u64::try_from(this_process_has_its_own_code_mapped as fn() as usize).expect("fits");
        let entries = read_executable(std::process::id()).expect("own maps");
        let found = entries.iter().find(|entry| (entry.start..entry.end).contains(&here));
        assert!(found.is_some_and(MapsEntry::is_file), "{here:#x} in {entries:#x?}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]
        #[test]
        fn no_input_makes_the_parser_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(entries) = parse(bytes.as_slice(), 3) {
                prop_assert!(entries.len() <= 3, "{:?}", entries);
            }
        }

        #[test]
        fn no_path_makes_a_well_formed_line_fail(path in proptest::collection::vec(any::<u8>(), 0..60)) {
            let mut text = b"1000-2000 r-xp 0 0:1 7 ".to_vec();
            text.extend(path.iter().filter(|&&byte| byte != b'\n'));
            let seen = parse(text.as_slice(), 1);
            prop_assert!(seen.is_ok(), "{:?}", seen);
        }
    }
}
