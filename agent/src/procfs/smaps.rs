//! /proc/PID/smaps: memory of each mapping, summed by what stands behind it.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{BufRead, BufReader},
    os::unix::ffi::OsStrExt as _,
};

use profile::memory::{MappingClass, MappingUse};

use super::{
    maps::{self, MapsEntry, MapsError},
    memory::value_of,
};

/// Names listed of one process: beyond, the mappings are summed as left out, and counted.
pub const MAX_NAMES: usize = 4096;

/// Mappings of a process by class and name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mappings {
    /// In the order of classes and names.
    pub uses: Vec<MappingUse>,
    /// Mappings that have no entry of their own.
    pub n_left_out: u64,
}

/// Reads the mappings of a live process.
///
/// # Errors
/// If it has ended, or we may not.
pub fn read(pid: u32) -> Result<Mappings, MapsError> {
    let file = File::open(format!("/proc/{pid}/smaps")).map_err(|source| MapsError::Read { pid, source })?;
    parse(BufReader::with_capacity(64 * 1024, file), MAX_NAMES)
}

/// Parses a smaps file: a line as in maps, then the fields of that mapping, and so on.
///
/// # Errors
/// If the reader fails, or the file does not begin with a mapping.
pub fn parse(mut reader: impl BufRead, max_names: usize) -> Result<Mappings, MapsError> {
    let mut sums: BTreeMap<(MappingClass, String), MappingUse> = BTreeMap::new();
    let mut n_left_out = 0;
    let mut current: Option<MappingUse> = None;
    let mut finish = |mapping: Option<MappingUse>| {
        let Some(mapping) = mapping else { return };
        let key = (mapping.class, mapping.name.clone());
        let is_known = sums.contains_key(&key);
        let key = if is_known || sums.len() < max_names {
            key
        } else {
            n_left_out += 1;
            (MappingClass::LeftOut, String::new())
        };
        let empty = || MappingUse::new(key.0, key.1.clone());
        sums.entry(key.clone()).or_insert_with(empty).add(&mapping);
    };
    let mut line = Vec::new();
    let mut lines_read = 0_usize;
    while maps::read_line_whole_or_cut(&mut reader, &mut line)
        .map_err(|source| MapsError::Line { lines_read, source })?
    {
        lines_read = lines_read.saturating_add(1);
        // Fields begin with a capital letter, addresses are of lower case.
        if line.first().is_some_and(u8::is_ascii_uppercase) {
            let mapping = current.as_mut().ok_or(MapsError::Malformed { line: lines_read })?;
            field(mapping, &line);
        } else {
            let entry = maps::parse_line(&line).ok_or(MapsError::Malformed { line: lines_read })?;
            finish(current.replace(start(&entry)));
        }
    }
    finish(current.take());
    Ok(Mappings { uses: sums.into_values().collect(), n_left_out })
}

fn start(entry: &MapsEntry) -> MappingUse {
    let (class, name) = class_of(entry);
    let mut mapping = MappingUse::new(class, name);
    mapping.n_mappings = 1;
    mapping.size_bytes = entry.end.saturating_sub(entry.start);
    mapping
}

fn class_of(entry: &MapsEntry) -> (MappingClass, String) {
    let Some(path) = &entry.path else {
        let class = if entry.is_file() { MappingClass::File } else { MappingClass::Anonymous };
        return (class, String::new());
    };
    let bytes = path.as_os_str().as_bytes();
    let name = path.to_string_lossy().into_owned();
    let class = match bytes {
        b"[heap]" => return (MappingClass::Heap, String::new()),
        b"[stack]" => return (MappingClass::Stack, String::new()),
        // Memory that was given a name by prctl(PR_SET_VMA_ANON_NAME).
        _ if bytes.starts_with(b"[anon:") => MappingClass::Anonymous,
        _ if bytes.starts_with(b"[anon_shmem:") => MappingClass::SharedMemory,
        [b'[', ..] => MappingClass::Kernel,
        b"/dev/zero" => MappingClass::SharedMemory,
        _ if [&b"/dev/shm/"[..], b"/memfd:", b"/SYSV"].iter().any(|start| bytes.starts_with(start)) => {
            MappingClass::SharedMemory
        }
        _ => MappingClass::File,
    };
    (class, name)
}

fn field(mapping: &mut MappingUse, line: &[u8]) {
    let Some(colon) = line.iter().position(|&byte| byte == b':') else { return };
    let (name, value) = line.split_at(colon);
    let sum = match name {
        b"Rss" => &mut mapping.resident_bytes,
        b"Pss" => &mut mapping.proportional_bytes,
        b"Private_Clean" | b"Private_Dirty" => &mut mapping.private_bytes,
        b"Anonymous" => &mut mapping.anonymous_bytes,
        b"Swap" => &mut mapping.swap_bytes,
        b"AnonHugePages" | b"ShmemPmdMapped" | b"FilePmdMapped" => &mut mapping.huge_page_bytes,
        _ => return,
    };
    *sum = sum.saturating_add(value_of(value).unwrap_or(0));
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{any, prop_assert, proptest};

    const SMAPS: &str = "\
55aa0000-55ab0000 r-xp 00000000 fd:01 17    /usr/sbin/nginx
Size:                 64 kB
Rss:                  40 kB
Pss:                  10 kB
Private_Clean:         4 kB
Private_Dirty:         0 kB
VmFlags: rd ex mr mw me
55ab0000-55ac0000 rw-p 00010000 fd:01 17    /usr/sbin/nginx
Rss:                   8 kB
Pss:                   8 kB
Private_Dirty:         8 kB
Anonymous:             8 kB
56000000-56100000 rw-p 00000000 00:00 0     [heap]
Rss:                 900 kB
Swap:                 12 kB
AnonHugePages:         0 kB
7f000000-7f200000 rw-p 00000000 00:00 0
Rss:                2048 kB
AnonHugePages:      2048 kB
7f300000-7f400000 rw-s 00000000 00:01 9     /dev/zero (deleted)
Rss:                  16 kB
7f400000-7f410000 rw-s 00000000 00:05 0     /SYSV00000000 (deleted)
7f500000-7f510000 rw-p 00000000 00:00 0     [anon:arena]
7f600000-7f601000 r-xp 00000000 00:00 0     [vdso]
";

    #[test]
    fn mappings_are_summed_by_what_stands_behind_them() {
        let mappings = parse(SMAPS.as_bytes(), 100).expect("parses");
        let seen: Vec<_> = mappings
            .uses
            .iter()
            .map(|it| (it.class, it.name.as_str(), it.n_mappings, it.resident_bytes >> 10))
            .collect();
        let expected = [
            (MappingClass::Heap, "", 1, 900),
            (MappingClass::Anonymous, "", 1, 2048),
            (MappingClass::Anonymous, "[anon:arena]", 1, 0),
            (MappingClass::SharedMemory, "/SYSV00000000", 1, 0),
            (MappingClass::SharedMemory, "/dev/zero", 1, 16),
            (MappingClass::File, "/usr/sbin/nginx", 2, 48),
            (MappingClass::Kernel, "[vdso]", 1, 0),
        ];
        assert_eq!(seen, expected);
        let nginx = &mappings.uses[5];
        assert_eq!(
            (nginx.private_bytes, nginx.size_bytes, nginx.proportional_bytes),
            (12 << 10, 0x20000, 18 << 10)
        );
        assert_eq!((mappings.uses[0].swap_bytes, mappings.uses[1].huge_page_bytes), (12 << 10, 2048 << 10));
    }

    #[test]
    fn names_beyond_the_limit_are_summed_and_counted() {
        let mappings = parse(SMAPS.as_bytes(), 2).expect("parses");
        let resident: u64 = mappings.uses.iter().map(|it| it.resident_bytes).sum();
        assert_eq!((mappings.uses.len(), mappings.n_left_out, resident), (3, 5, 3012 << 10), "{mappings:?}");
    }

    #[test]
    fn a_file_that_begins_with_a_field_is_malformed() {
        let seen = parse(&b"Rss: 1 kB\n"[..], 10);
        assert!(matches!(seen, Err(MapsError::Malformed { line: 1 })), "{seen:?}");
    }

    #[test]
    fn this_process_has_a_stack_and_a_file() {
        let mappings = read(std::process::id()).expect("own smaps");
        let has = |class| mappings.uses.iter().any(|it| it.class == class && it.resident_bytes > 0);
        assert!(has(MappingClass::Stack) && has(MappingClass::File), "{mappings:?}");
    }

    proptest! {
        #[test]
        fn no_input_makes_the_parser_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), at in 0..900_usize) {
            let mut text = SMAPS.as_bytes().to_vec();
            let at = at.min(text.len());
            text.splice(at..at, bytes);
            if let Ok(mappings) = parse(&text[..], 3) {
                prop_assert!(mappings.uses.len() <= 4, "{mappings:?}");
            }
        }
    }
}
