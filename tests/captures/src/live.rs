//! A stopped process, walked while its words and rules are written down.

use std::{
    collections::{BTreeMap, HashMap},
    fs::File,
    os::unix::fs::FileExt as _,
    path::Path,
};

use abi::{
    frame::Frame,
    unwind::{CFA_FRAME_POINTER, CFA_NONE, UnwindRule},
};
use agent::{
    object::{Elf, ObjectFile, file::open_mapped, vdso::open_vdso},
    procfs::maps,
    unwind::{self, Table},
};
use anyhow::{Context as _, Result};
use ebpf::unwind::ReadUser;

use crate::{
    capture::{Capture, Mapping},
    trace::Stopped,
    walk::{RulesByAddress, Walked, table, walk},
};

/// A file that is mapped.
pub struct MappedFile {
    /// It.
    pub object: ObjectFile,
    table: Option<Table>,
    keeps_frame_pointers: bool,
}

/// A process: its memory and its code.
pub struct Process {
    memory: File,
    /// Executable ones, by start.
    pub mappings: Vec<Mapping>,
    /// Parallel to the mappings.
    pub files: Vec<Option<MappedFile>>,
}

impl Process {
    /// Opens a process.
    ///
    /// # Errors
    /// If it has gone, or is not ours to look at.
    pub fn open(pid: u32) -> Result<Self> {
        let memory = File::open(format!("/proc/{pid}/mem")).context("cannot open its memory")?;
        let (mut mappings, mut files) = (Vec::new(), Vec::new());
        for entry in maps::read_executable(pid)? {
            let path = entry.path.clone().unwrap_or_default();
            let object = if entry.is_vdso() {
                Some(open_vdso()?)
            } else if entry.is_file() {
                open_mapped(pid, entry.start, entry.end, &path, entry.inode).ok()
            } else {
                None
            };
            let build_id = object.as_ref().and_then(|object| object.build_id.as_ref());
            mappings.push(Mapping {
                start: entry.start,
                end: entry.end,
                file_offset: entry.file_offset,
                build_id: build_id.map_or("-".to_owned(), ToString::to_string),
                name: name_of(&path, object.is_some()),
            });
            files.push(object.map(|object| MappedFile {
                table: unwind::build(&object).ok(),
                keeps_frame_pointers:
                    Elf::parse(&object.file).is_ok_and(|elf| elf.section(".gopclntab").is_some()),
                object,
            }));
        }
        Ok(Self { memory, mappings, files })
    }

    /// A word of its memory.
    #[must_use]
    pub fn word(&self, address: u64) -> Option<u64> {
        let mut word = [0; 8];
        self.memory.read_exact_at(&mut word, address).ok()?;
        Some(u64::from_le_bytes(word))
    }

    /// As `ebpf/src/bpf/code.rs` has it.
    fn rule_of(&self, frame: Frame) -> UnwindRule {
        let Frame::File { file_id, offset } = frame else { return UnwindRule::NONE };
        let file = (file_id as usize).checked_sub(1).and_then(|i| self.files.get(i)?.as_ref());
        let Some(file) = file else { return UnwindRule::NONE };
        let mut rule = file.table.as_ref().map_or(UnwindRule::NONE, |table| unwind::lookup(table, offset));
        if rule.cfa == CFA_NONE && file.keeps_frame_pointers {
            rule.cfa = CFA_FRAME_POINTER;
        }
        rule
    }

    /// Walks a stopped thread and writes down what the walk looks at.
    ///
    /// # Errors
    /// If the thread has gone.
    pub fn record(&self, thread: &Stopped) -> Result<(Capture, Walked)> {
        let (registers, ip) = thread.registers()?;
        let table = table(&self.mappings);
        let mut rules = BTreeMap::new();
        let rule_of = |address: u64, frame: Frame| {
            let rule = self.rule_of(frame);
            rules.insert(address, rule);
            Some(rule)
        };
        let mut code = RulesByAddress { table: &table, rule_of };
        let mut memory = Recorder { process: self, registers, words: HashMap::new() };
        let walked = walk(ip, &registers, &table, &mut code, &mut memory);
        let is_visited = |mapping: &&Mapping| {
            walked.addresses.iter().any(|address| (mapping.start..mapping.end).contains(address))
        };
        let mappings = self.mappings.iter().filter(is_visited).cloned().collect();
        let words = memory.words.into_iter().collect();
        Ok((Capture { ip, registers, mappings, words, rules }, walked))
    }
}

fn name_of(path: &Path, has_file: bool) -> String {
    match path.file_name() {
        // A space would end the name where it stands in a line.
        Some(name) if has_file => name.to_string_lossy().replace(' ', "_"),
        _ => Mapping::ANONYMOUS.to_owned(),
    }
}

struct Recorder<'a> {
    process: &'a Process,
    registers: [u64; 16],
    words: HashMap<u64, u64>,
}

impl ReadUser for Recorder<'_> {
    fn word(&mut self, address: u64) -> Option<u64> {
        let word = self.process.word(address)?;
        self.words.insert(address, word);
        Some(word)
    }

    fn leaf_register(&self, number: u8) -> u64 {
        self.registers.get(usize::from(number)).copied().unwrap_or_default()
    }
}
