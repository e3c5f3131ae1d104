//! Tables of every layout, made here, and the one of a real program.

use super::*;
use proptest::prelude::{ProptestConfig, any, prop_assert, proptest};
use std::io::Write;

const TEXT: u64 = 0x40_1000;
const NAMES: [&str; 3] = ["runtime.main", "main.(*Server).handle[...]", "runtime.mallocgc"];

/// A table of three functions of 0x100 bytes each, in any layout.
fn synthesize(magic: u32) -> Vec<u8> {
    let wide = magic >= 0xffff_fffa;
    let (old, header_words) = match magic {
        0xffff_fffb => (true, 1),
        0xffff_fffa => (false, 7),
        _ => (false, 8),
    };
    let field = if wide { 8 } else { 4 };
    let list_at = 8 + header_words * 8;
    let list_bytes = (2 * NAMES.len() + 1) * field;
    let record_bytes = 16;
    let records_at = list_at + list_bytes;
    let names_at = records_at + NAMES.len() * record_bytes;
    let origin = if old { 0 } else { list_at };

    let mut table = magic.to_le_bytes().to_vec();
    table.extend([0, 0, 1, 8]);
    let words: Vec<usize> = match header_words {
        1 => vec![NAMES.len()],
        7 => vec![NAMES.len(), 1, names_at, 0, 0, 0, list_at],
        _ => vec![NAMES.len(), 1, usize::try_from(TEXT).expect("fits"), names_at, 0, 0, 0, list_at],
    };
    words.iter().for_each(|word| table.extend((*word as u64).to_le_bytes()));
    let number = |table: &mut Vec<u8>, value: u64| {
        table.extend(value.to_le_bytes().get(..field).expect("4 or 8 bytes"));
    };
    let base = if wide { TEXT } else { 0 };
    for index in 0..NAMES.len() {
        number(&mut table, base + 0x100 * index as u64);
        number(&mut table, (records_at + index * record_bytes - origin) as u64);
    }
    number(&mut table, base + 0x300);
    let mut name_at = if old { names_at } else { 0 };
    for (index, name) in NAMES.iter().enumerate() {
        let start = table.len();
        number(&mut table, base + 0x100 * index as u64);
        table.extend(u32::try_from(name_at).expect("small").to_le_bytes());
        table.resize(start + record_bytes, 0);
        name_at += name.len() + 1;
    }
    for name in NAMES {
        table.extend(name.as_bytes());
        table.push(0);
    }
    table
}

fn parse(bytes: &[u8]) -> (File, Option<GoTable>) {
    let mut file = tempfile::tempfile().expect("temporary file");
    file.write_all(bytes).expect("writes");
    let table = GoTable::parse(&file, 0, bytes.len() as u64);
    (file, table)
}

#[test]
fn every_layout_names_its_functions_and_nothing_outside_them() {
    for magic in [0xffff_fffb, 0xffff_fffa, 0xffff_fff0, 0xffff_fff1_u32] {
        let (file, table) = parse(&synthesize(magic));
        let table = table.unwrap_or_else(|| panic!("{magic:#x} parses"));
        let seen: Vec<_> = [0, 0xff, 0x100, 0x2ff, 0x300]
            .iter()
            .map(|at| table.lookup(&file, TEXT + at))
            .chain([table.lookup(&file, TEXT - 1), table.lookup(&file, u64::MAX)])
            .collect();
        let seen: Vec<_> = seen.iter().map(Option::as_deref).collect();
        let [main, handle, malloc] = NAMES.map(Some);
        assert_eq!(seen, [main, main, handle, malloc, None, None, None], "{magic:#x}");
    }
}

/// An ELF file with these sections, each at the address that stands with it.
fn elf_file(sections: &[(&str, u64, Vec<u8>)]) -> File {
    let mut bytes = b"\x7fELF\x02\x01\x01".to_vec();
    bytes.resize(64, 0);
    bytes[18..20].copy_from_slice(&elf::EM_X86_64.0.to_le_bytes());
    let mut names = vec![0];
    let mut headers = vec![0; 64];
    let mut add = |bytes: &mut Vec<u8>, name: usize, svma: u64, content: &[u8]| {
        let offset = bytes.len() as u64;
        bytes.extend(content);
        headers.extend([name as u32, 1].iter().flat_map(|word| word.to_le_bytes()));
        headers.extend(
            [0, svma, offset, content.len() as u64, 0, 0, 0].iter().flat_map(|word| word.to_le_bytes()),
        );
    };
    for (name, svma, content) in sections {
        add(&mut bytes, names.len(), *svma, content);
        names.extend(name.as_bytes());
        names.push(0);
    }
    add(&mut bytes, 0, 0, &names);
    let n_headers = sections.len() as u16 + 2;
    let headers_at = bytes.len() as u64;
    bytes[40..48].copy_from_slice(&headers_at.to_le_bytes());
    bytes[58..60].copy_from_slice(&64_u16.to_le_bytes());
    bytes[60..62].copy_from_slice(&n_headers.to_le_bytes());
    bytes[62..64].copy_from_slice(&(n_headers - 1).to_le_bytes());
    bytes.extend(headers);
    let mut file = tempfile::tempfile().expect("temporary file");
    file.write_all(&bytes).expect("writes");
    file
}

#[test]
fn a_table_without_the_address_of_the_code_takes_it_from_the_module_then_from_the_section() {
    let mut table = synthesize(0xffff_fff1);
    table[24..32].fill(0);
    let mut module = vec![0; 200];
    module[176..184].copy_from_slice(&TEXT.to_le_bytes());
    let place: u64 = 0x50_0000 + 176;
    let relocation = [place, elf::R_X86_64_RELATIVE.0.into(), TEXT].map(u64::to_le_bytes).concat();
    let pclntab = (".gopclntab", 0x48_0000, table);
    let text = |svma| (".text", svma, vec![0xcc; 16]);
    let cases = [
        vec![pclntab.clone(), text(TEXT - 0x500), (".go.module", 0x50_0000, module)],
        vec![
            pclntab.clone(),
            text(TEXT - 0x500),
            (".go.module", 0x50_0000, vec![0; 200]),
            (".rela.dyn", 0x30_0000, relocation),
        ],
        vec![pclntab, text(TEXT)],
    ];
    for sections in cases {
        let file = elf_file(&sections);
        let names: Vec<&str> = sections.iter().map(|(name, ..)| *name).collect();
        let elf = Elf::parse(&file).expect("parses");
        let table = GoTable::of(&elf).unwrap_or_else(|| panic!("{names:?} has a table"));
        let seen = [TEXT - 1, TEXT, TEXT + 0x100].map(|svma| table.lookup(&file, svma));
        let seen = seen.each_ref().map(Option::as_deref);
        assert_eq!(seen, [None, Some(NAMES[0]), Some(NAMES[1])], "{names:?}");
    }
}

#[test]
fn a_table_inside_another_section_is_found() {
    let mut bytes = vec![0xfb; usize::try_from(SCAN_STEP_BYTES).expect("fits") + 64];
    let at = bytes.len() as u64;
    bytes.extend(synthesize(0xffff_fff1));
    let (file, _) = parse(&bytes);
    assert_eq!(find_header(&file, 0, bytes.len() as u64), [at]);
}

#[test]
fn of_thousands_of_headers_in_one_section_few_are_tried() {
    let header = [0xf1, 0xff, 0xff, 0xff, 0, 0, 1, 8];
    let (file, _) = parse(&header.repeat(10_000));
    assert_eq!(find_header(&file, 0, 80_000).len(), MAX_CANDIDATES);
}

#[test]
fn tables_that_promise_more_than_there_is_are_refused() {
    let whole = synthesize(0xffff_fff1);
    let mut many = whole.clone();
    many.get_mut(8..16).expect("count").copy_from_slice(&u64::MAX.to_le_bytes());
    let mut far = whole.clone();
    far.get_mut(64..72).expect("list offset").copy_from_slice(&(1_u64 << 40).to_le_bytes());
    let cut = whole.get(..100).expect("long enough").to_vec();
    for (what, bytes) in [("count", many), ("offset", far), ("cut", cut), ("empty", Vec::new())] {
        let (_, table) = parse(&bytes);
        assert!(table.is_none(), "{what}: {table:?}");
    }
}

#[test]
fn a_stripped_go_program_names_its_runtime_and_stays_inside_its_code() {
    let Ok(file) = File::open("/usr/bin/caddy") else {
        println!("no stripped Go program here: the synthesized tables stand in for it");
        return;
    };
    let elf = Elf::parse(&file).expect("parses");
    let table = GoTable::of(&elf).expect("has a table");
    let functions: Vec<(u64, String)> = (0..table.n_functions)
        .filter_map(|index| Some((table.start_svma(index)?, table.name(&file, index)?)))
        .collect();
    assert_eq!(functions.len(), table.n_functions, "every function has a name");
    for wanted in ["runtime.main", "runtime.mallocgc"] {
        let start = functions.iter().find(|(_, name)| name == wanted).map(|(start, _)| *start);
        let start = start.unwrap_or_else(|| panic!("{wanted} among {}", functions.len()));
        assert_eq!(table.lookup(&file, start + 5).as_deref(), Some(wanted));
    }
    // Checked against what the table does not say: where the code is.
    let text = elf.section(".text").expect("text");
    let inside = functions.iter().filter(|(start, _)| start.wrapping_sub(text.svma) < text.size_bytes);
    assert_eq!(inside.count(), functions.len(), "functions outside {text:x?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn no_table_makes_the_lookup_panic(
        magic in 0xffff_fff0_u32..=0xffff_fffb,
        patches in proptest::collection::vec((8_usize..260, any::<u8>()), 0..12),
        svma in any::<u64>(),
    ) {
        let mut bytes = synthesize(magic);
        for (at, value) in patches {
            if let Some(byte) = bytes.get_mut(at) { *byte = value; }
        }
        let (file, table) = parse(&bytes);
        if let Some(table) = table {
            for at in [svma, TEXT, TEXT + 0x123] {
                let name = table.lookup(&file, at);
                prop_assert!(name.as_ref().is_none_or(|name| name.len() <= 3 * MAX_NAME_BYTES), "{:?}", name);
            }
            let frames = table.frames(&file).expect("the file has it all");
            let n_steps: usize = frames.functions().map(|function| function.steps().count()).sum();
            // A step takes two bytes, and two functions may share theirs.
            prop_assert!(n_steps <= NAMES.len() * bytes.len() / 2, "{} steps", n_steps);
        }
    }
}
