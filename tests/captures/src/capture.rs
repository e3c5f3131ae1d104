//! A recording as text: one fact a line, numbers in hexadecimal.

use std::{collections::BTreeMap, fmt::Write as _};

use abi::unwind::UnwindRule;
use anyhow::{Context as _, Result, bail};

/// A file that the walk passes through, and where one of its mappings is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// First address.
    pub start: u64,
    /// First address past it.
    pub end: u64,
    /// Offset in the file of its first byte.
    pub file_offset: u64,
    /// Build ID, `-` where the file has none.
    pub build_id: String,
    /// Last part of its path; `anonymous` for memory without a file.
    pub name: String,
}

impl Mapping {
    /// Name of memory without a file.
    pub const ANONYMOUS: &'static str = "anonymous";
}

/// One stack.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Capture {
    /// Instruction pointer.
    pub ip: u64,
    /// The general registers, by DWARF number.
    pub registers: [u64; 16],
    /// By start.
    pub mappings: Vec<Mapping>,
    /// Words of the stack, by address.
    pub words: BTreeMap<u64, u64>,
    /// The rule of each address visited.
    pub rules: BTreeMap<u64, UnwindRule>,
}

impl Capture {
    /// As text.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        let mut line = |words: std::fmt::Arguments<'_>| {
            // A string takes everything.
            let _ = writeln!(text, "{words}");
        };
        line(format_args!("ip {:x}", self.ip));
        for (number, value) in self.registers.iter().enumerate() {
            line(format_args!("register {number:x} {value:x}"));
        }
        for Mapping { start, end, file_offset, build_id, name } in &self.mappings {
            line(format_args!("mapping {start:x} {end:x} {file_offset:x} {build_id} {name}"));
        }
        for (address, word) in &self.words {
            line(format_args!("word {address:x} {word:x}"));
        }
        for (address, UnwindRule { cfa, registers, rbp_offset, offset }) in &self.rules {
            line(format_args!("rule {address:x} {cfa:x} {registers:x} {rbp_offset:x} {offset:x}"));
        }
        text
    }

    /// Reads the text.
    ///
    /// # Errors
    /// If a line is not what [`Self::text`] writes.
    pub fn parse(text: &str) -> Result<Self> {
        let mut capture = Self::default();
        for (i, line) in text.lines().enumerate() {
            capture.line(line).with_context(|| format!("line {} of a capture: {line}", i + 1))?;
        }
        Ok(capture)
    }

    fn line(&mut self, line: &str) -> Result<()> {
        let number = |word: &str| u64::from_str_radix(word, 16).with_context(|| format!("number {word}"));
        match *line.split(' ').collect::<Vec<_>>() {
            ["ip", ip] => self.ip = number(ip)?,
            ["register", at, value] => {
                let at = usize::try_from(number(at)?)?;
                *self.registers.get_mut(at).context("no such register")? = number(value)?;
            }
            ["mapping", start, end, file_offset, build_id, name] => self.mappings.push(Mapping {
                start: number(start)?,
                end: number(end)?,
                file_offset: number(file_offset)?,
                build_id: build_id.to_owned(),
                name: name.to_owned(),
            }),
            ["word", address, word] => {
                self.words.insert(number(address)?, number(word)?);
            }
            ["rule", address, cfa, registers, rbp_offset, offset] => {
                let rule = UnwindRule {
                    cfa: u8::try_from(number(cfa)?)?,
                    registers: u8::try_from(number(registers)?)?,
                    rbp_offset: u16::try_from(number(rbp_offset)?)?.cast_signed(),
                    offset: u32::try_from(number(offset)?)?.cast_signed(),
                };
                self.rules.insert(number(address)?, rule);
            }
            _ => bail!("not a fact"),
        }
        Ok(())
    }

    /// An address as people compare it: file and offset, the address itself in memory without a file.
    #[must_use]
    pub fn place(&self, address: u64) -> String {
        place(&self.mappings, address)
    }
}

/// An address as file and offset, by these mappings.
#[must_use]
pub fn place(mappings: &[Mapping], address: u64) -> String {
    match mappings.iter().find(|mapping| (mapping.start..mapping.end).contains(&address)) {
        Some(mapping) if mapping.name != Mapping::ANONYMOUS => {
            format!("{}+{:#x}", mapping.name, address - mapping.start + mapping.file_offset)
        }
        Some(_) => format!("{address:#x}"),
        None => format!("{address:#x} unmapped"),
    }
}
