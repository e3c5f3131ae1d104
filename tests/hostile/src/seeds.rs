//! What the fuzzer starts from: inputs of every shape that is known to lead somewhere, and every known attack.

use crate::collector_log;
use crate::collector_receive;
use crate::config;
use crate::frames::{HAS_BASES, IS_AT_THE_END, IS_DEBUG_FRAME};
use crate::profile_read;
use crate::requests;
use crate::selector;
use crate::spool;
use crate::sql;

/// One input.
#[derive(Clone, Debug)]
pub struct Seed {
    /// Of which target.
    pub target: &'static str,
    /// Name of its file.
    pub name: String,
    /// All of it.
    pub bytes: Vec<u8>,
}

/// Every seed. `files` are small ELF files of ours, with the frame sections that are in them.
#[must_use]
pub fn all(files: &[(&str, Vec<u8>, Vec<u8>)]) -> Vec<Seed> {
    let mut seeds = Vec::new();
    let mut add = |target, name: String, bytes| seeds.push(Seed { target, name, bytes });
    for (name, file, section) in files {
        for (how, bytes) in cut_and_bent(file) {
            add("object", format!("{name}_{how}"), bytes);
        }
        add("frames", (*name).to_owned(), [&[0], section.as_slice()].concat());
        add("frames", format!("{name}_relative"), [&[HAS_BASES], section.as_slice()].concat());
    }
    for (name, section) in sections() {
        add("object", name.to_owned(), elf(&[(".text", &[0x90; 64]), (".eh_frame", &section)]));
        add("frames", name.to_owned(), [&[0], section.as_slice()].concat());
        add("frames", format!("{name}_at_the_end"), [&[IS_AT_THE_END], section.as_slice()].concat());
        add("frames", format!("{name}_debug"), [&[IS_DEBUG_FRAME], section.as_slice()].concat());
    }
    add("object", "go".to_owned(), elf(&[(".text", &[0x90; 64]), (".gopclntab", &go_table())]));
    add("object", "go_hidden".to_owned(), elf(&[(".go.buildinfo", &[0; 8]), (".rodata", &go_table())]));
    add(
        "object",
        "many_go_tables".to_owned(),
        elf(&[(".go.buildinfo", &[0; 8]), (".rodata", &GO_MAGIC.repeat(200))]),
    );
    add("object", "notes".to_owned(), elf(&[(".note.gnu.build-id", &NOTE)]));
    add("object", "name_without_end".to_owned(), elf(&[(&"n".repeat(3000), &[0; 8])]));
    for (i, text) in TEXTS.into_iter().enumerate() {
        add("text", format!("text_{i}"), text.as_bytes().to_vec());
    }
    for (name, bytes) in spool::seeds() {
        add("spool", name, bytes);
    }
    for (name, bytes) in requests::seeds() {
        add("requests", name, bytes);
    }
    for (name, bytes) in config::seeds() {
        add("config", name, bytes);
    }
    for (name, bytes) in collector_log::seeds() {
        add("collector_log", name, bytes);
    }
    for (name, bytes) in collector_receive::seeds() {
        add("collector_receive", name, bytes);
    }
    for (name, bytes) in profile_read::seeds() {
        add("profile_read", name, bytes);
    }
    for (name, bytes) in selector::seeds() {
        add("query_selector", name, bytes);
    }
    for (name, bytes) in sql::seeds() {
        add("query_sql", name, bytes);
    }
    for i in 0..48_u32 {
        let n_bytes = 16 << (i % 8);
        add("walk", format!("noise_{i}"), noise(i, n_bytes));
    }
    seeds
}

fn cut_and_bent(file: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut all = vec![("whole".to_owned(), file.to_vec()), ("empty".to_owned(), Vec::new())];
    for part in 1..8 {
        let cut = file.get(..file.len() * part / 8).unwrap_or_default().to_vec();
        all.push((format!("cut_{part}"), cut));
    }
    // Class, byte order, kind, machine; entry sizes and counts of both tables.
    for (at, value) in
        [(4, 1), (5, 2), (16, 9), (18, 0xb7), (54, 255), (56, 255), (58, 255), (60, 255), (62, 255)]
    {
        let mut bent = file.to_vec();
        if let Some(byte) = bent.get_mut(at) {
            *byte = value;
        }
        all.push((format!("bent_{at}"), bent));
    }
    all
}

/// An ELF file of these sections, of which all is one segment of code.
fn elf(sections: &[(&str, &[u8])]) -> Vec<u8> {
    let mut names = vec![0];
    let mut contents = Vec::new();
    let mut headers = vec![[0_u64; 8]; 1];
    let content_at = 64 + 56;
    let mut add = |name: &str, kind: u64, contents: &mut Vec<u8>, bytes: &[u8]| {
        let name_at = names.len() as u64;
        names.extend(name.bytes().chain([0]));
        let at = (content_at + contents.len()) as u64;
        contents.extend(bytes);
        headers.push([name_at | kind << 32, 2, at, at, bytes.len() as u64, 0, 8, 0]);
    };
    for (name, bytes) in sections {
        add(name, 1, &mut contents, bytes);
    }
    add(".shstrtab", 3, &mut contents, &[]);
    if let Some(last) = headers.last_mut() {
        last[4] = names.len() as u64;
    }
    contents.extend(&names);
    let sections_at = (content_at + contents.len()) as u64;
    let n_sections = u16::try_from(headers.len()).unwrap_or(u16::MAX);

    let mut file = b"\x7fELF\x02\x01\x01".to_vec();
    file.resize(16, 0);
    let short = |file: &mut Vec<u8>, values: &[u16]| file.extend(values.iter().flat_map(|v| v.to_le_bytes()));
    let long = |file: &mut Vec<u8>, values: &[u64]| file.extend(values.iter().flat_map(|v| v.to_le_bytes()));
    short(&mut file, &[3, 62, 1, 0]);
    long(&mut file, &[0, 64, sections_at]);
    short(&mut file, &[0, 0, 64, 56, 1, 64, n_sections, n_sections - 1]);
    // A segment that can be read and executed.
    let end = sections_at;
    long(&mut file, &[1 | 5 << 32, 0, 0, 0, end, end, 4096]);
    file.extend(contents);
    headers.iter().for_each(|header| section_header(&mut file, header));
    file
}

/// Name and kind, flags, address, offset, size, link and info, alignment, size of an entry: eight words.
fn section_header(file: &mut Vec<u8>, words: &[u64; 8]) {
    file.extend(words.iter().flat_map(|word| word.to_le_bytes()));
}

/// CFA = rsp+8, return address at CFA-8.
const USUAL: [u8; 5] = [0x0c, 7, 8, 0x90, 1];

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// A shared entry: version 1, alignment factors 1 and -8, return address in column 16.
fn shared(augmentation: &[u8], data: &[u8], instructions: &[u8]) -> Vec<u8> {
    let body = [&[1], augmentation, &[0, 1, 0x78, 16], data, instructions].concat();
    [words(&[body.len() as u32 + 4, 0]), body].concat()
}

/// A function with absolute addresses, whose shared entry starts at `to`.
fn function(section: &mut Vec<u8>, to: u32, svma: u64, size_bytes: u64, instructions: &[u8]) {
    let to_shared = (section.len() as u32 + 4).wrapping_sub(to);
    section.extend(words(&[20 + instructions.len() as u32, to_shared]));
    section.extend(svma.to_le_bytes());
    section.extend(size_bytes.to_le_bytes());
    section.extend(instructions);
}

/// Frame sections, each with its trick.
fn sections() -> Vec<(&'static str, Vec<u8>)> {
    let plain = || shared(b"", &[], &USUAL);
    let with = |build: &dyn Fn(&mut Vec<u8>)| {
        let mut section = plain();
        build(&mut section);
        section
    };
    vec![
        ("empty", Vec::new()),
        ("plain", with(&|s| function(s, 0, 0x80, 16, &[0x44, 0x0e, 16]))),
        (
            "overlapping",
            with(&|s| (0..8).for_each(|i| function(s, 0, 0x80 + i * 2, 32 - i * 3, &[0x42, 0x0e, 16]))),
        ),
        ("same_place", with(&|s| (0..8).for_each(|_| function(s, 0, 0x80, 16, &[0x44, 0x0e, 24])))),
        ("wrong_order", with(&|s| (0..8).for_each(|i| function(s, 0, 0x100 - i * 16, 16, &[])))),
        ("of_no_length", with(&|s| (0..8).for_each(|i| function(s, 0, 0x80 + i, 0, &[0x44])))),
        (
            "whole_address_space",
            with(&|s| function(s, 0, 0, u64::MAX, &[0x04, 0xff, 0xff, 0xff, 0xff, 0x0e, 16])),
        ),
        (
            "is_its_own_shared",
            with(&|s| {
                let at = s.len() as u32;
                function(s, at, 0x80, 16, &[]);
            }),
        ),
        ("shared_outside", with(&|s| function(s, 0x7fff_0000, 0x80, 16, &[]))),
        ("advance_of_nothing", with(&|s| function(s, 0, 0x80, 16, &[0x40; 200]))),
        ("remembers_and_restores", with(&|s| function(s, 0, 0x80, 16, &[0x0a, 0x0b].repeat(100)))),
        ("remembers_too_often", with(&|s| function(s, 0, 0x80, 16, &[0x0a; 100]))),
        (
            "every_register",
            with(&|s| function(s, 0, 0x80, 16, &(0x80..0xc0).flat_map(|r| [r, 1]).collect::<Vec<_>>())),
        ),
        (
            "expressions",
            with(&|s| {
                function(
                    s,
                    0,
                    0x80,
                    16,
                    &[0x0f, 11, 0x77, 8, 0x80, 0, 0x3f, 0x1a, 0x3b, 0x2a, 0x33, 0x24, 0x22],
                );
                function(
                    s,
                    0,
                    0x90,
                    16,
                    &[0x0f, 5, 0x77, 0xa0, 1, 0x06, 0x10, 6, 2, 0x77, 0x78, 0x44, 0x16, 7, 2, 0x76, 0],
                );
                function(s, 0, 0xa0, 16, &[0x0f, 0xff, 0xff, 0xff, 0xff, 0x0f, 0x77, 8]);
            }),
        ),
        (
            "windows_instructions",
            with(&|s| function(s, 0, 0x80, 16, &[0x2d, 0x2e, 0x10, 0x2f, 1, 1, 0x1d, 1])),
        ),
        ("augmented", {
            let mut section = shared(b"zRS", &[1, 0x1b], &USUAL);
            section.extend(words(&[13, section.len() as u32 + 4, 0x80_u32.wrapping_sub(0x40_0000), 16]));
            section.push(0);
            section
        }),
        ("personality", {
            let mut section = shared(b"zPLR", &[11, 0x9b, 1, 2, 3, 4, 0x1b, 0x1b, 0, 0, 0, 0], &USUAL);
            section.extend(words(&[21, section.len() as u32 + 4, 0x100, 16, 4, 8, 9]));
            section
        }),
        ("enormous_augmentation", {
            let mut section =
                shared(b"zR", &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 0x1b], &USUAL);
            function(&mut section, 0, 0x80, 16, &[]);
            section
        }),
        ("augmentation_without_end", {
            let mut section = [words(&[500, 0]), vec![1], b"z".repeat(495)].concat();
            (0..20).for_each(|_| function(&mut section, 0, 0x80, 16, &[]));
            section
        }),
        ("long_shared", {
            let mut section = shared(b"", &[], &[0; 1000]);
            (0..20).for_each(|i| function(&mut section, 0, 0x80 + i, 1, &[]));
            section
        }),
        (
            "long_length",
            [
                words(&[0xffff_ffff, 12, 0, 0]),
                vec![1, 0, 1, 0x78, 16, 0, 0, 0],
                words(&[0xffff_ffff, u32::MAX, u32::MAX]),
            ]
            .concat(),
        ),
        ("length_past_the_end", with(&|s| s.extend(words(&[0xffff_ff00, 1, 2])))),
        (
            "end_marks",
            with(&|s| {
                s.extend(words(&[0, 0, 0]));
                function(s, 0, 0x80, 16, &[]);
            }),
        ),
    ]
}

const GO_MAGIC: [u8; 8] = [0xf1, 0xff, 0xff, 0xff, 0, 0, 1, 8];

/// One function, as since Go 1.18.
fn go_table() -> Vec<u8> {
    let header: [u64; 8] = [1, 1, 0x1000, 92, 0, 0, 0, 72];
    let mut table = GO_MAGIC.to_vec();
    table.extend(header.iter().flat_map(|word| word.to_le_bytes()));
    table.extend(words(&[0, 12, 0x100, 0, 0]));
    table.extend(b"main.main\0");
    table
}

/// A build ID behind another note.
const NOTE: [u8; 40] =
    *b"\x04\0\0\0\x04\0\0\0\x01\0\0\0GNU\0\0\0\0\0\x04\0\0\0\x04\0\0\0\x03\0\0\0GNU\0\xab\xcd\xef\x01";

const TEXTS: [&str; 12] = [
    "",
    "00400000-00452000 r-xp 00000000 08:02 173521      /usr/bin/proxy\n",
    "7fff0000-7fff1000 r-xp 00000000 00:00 0                          [vdso]\n7f00-7f01 rw-s 10 fe:01 9 /a b (deleted)\n",
    "1000-2000 --xp 0 0:0 0\n2000-1000 r-xp 0 0:0 0\n",
    "ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]\n",
    "0-0 ---p 0 0:0 0\n1-2 rwxs ffffffffffffffff ffffffff:ffffffff 18446744073709551615 \\012\n",
    "1000 10 JS:*handle /app/server.js:12:34\n0x1008 0x1 LazyCompile:~ /a.js:1:2\n",
    "1000 100 old\n1008 8 new\n1000 8 _ZN3foo3barEv\n1008 1 _RNvC4main3foo\n",
    "0 ffffffffffffffff all\nffffffffffffffff 1 last\n7ffffffff000 1000 stack\n",
    "1000 10 _ZNSt6vectorIS_IS_IS_IS_IiSaIiEESaIS1_EESaIS3_EESaIS5_EESaIS7_EE\n",
    "1000 10 _ZZZZZZZZZZZZZZZZZZNNNNNNNNNNNNNNNNIIIIIIIIIIIIIIIIEEEEEEEEEEEEEEEE\n",
    "-1 10 a\n+1 10 a\n1000 0 a\n10000000000000000 1 a\n1000 10 \u{1b}[31mred\u{7}\n2000 10 unfinished",
];

/// Bytes that look random and are the same each time, and stretches of one byte between them.
fn noise(seed: u32, n_bytes: usize) -> Vec<u8> {
    let mut state = u64::from(seed).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(n_bytes);
    while bytes.len() < n_bytes {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let [byte, n, ..] = state.to_le_bytes();
        // Small values mostly: they spell kinds and small numbers.
        let byte = if n & 1 == 0 { byte & 0x1f } else { byte };
        bytes.extend(std::iter::repeat_n(byte, usize::from(n >> 6) + 1));
    }
    bytes
}
