//! Every row of real files, against what `readelf` prints for it.

use std::collections::HashMap;
use std::path::Path;
use std::process::Command;

use crate::unwind::text::columns;
use crate::{
    object::{Elf, ObjectFile, Segments},
    unwind::{build, lookup},
};
use abi::unwind::{
    CFA_PLT, CFA_REGISTER, CFA_ROOT, CFA_SIGNAL, CFA_UNSUPPORTED, RA_IN_REGISTER, RA_MASK, UnwindRule,
};

/// What is printed of a row.
#[derive(Clone, Debug)]
struct Columns {
    cfa: String,
    rbp: Option<String>,
    return_address: String,
}

/// A row as printed, and where the next one starts.
#[derive(Debug)]
struct Printed {
    start: u64,
    end: u64,
    columns: Columns,
}

/// What the lines until the next empty one are about.
enum Block<'text> {
    Nothing,
    Shared(&'text str),
    Function { shared: &'text str, start: u64, end: u64, n_rows: usize },
}

fn printed_rows(text: &str) -> Vec<Printed> {
    let mut rows: Vec<Printed> = Vec::new();
    let mut names: Vec<&str> = Vec::new();
    // The one row of each shared description, by its name.
    let mut shared_rows: HashMap<&str, Columns> = HashMap::new();
    let mut block = Block::Nothing;
    for line in text.lines() {
        // A register is printed as `r5 (rdi)`: the number is enough.
        let words: Vec<&str> = line.split_whitespace().filter(|word| !word.starts_with('(')).collect();
        let after = |prefix| words.iter().find_map(|word| word.strip_prefix(prefix));
        if let (Some(range), Some(shared)) = (after("pc="), after("cie=")) {
            let (start, end) = range.split_once("..").expect("range");
            block = Block::Function { shared, start: number(start), end: number(end), n_rows: 0 };
        } else if words.contains(&"CIE") {
            block = Block::Shared(words[0]);
        } else if words.first() == Some(&"LOC") {
            names = words;
        } else if words.is_empty() {
            if let Block::Function { shared, start, end, n_rows: 0 } = block {
                rows.push(Printed { start, end, columns: shared_rows[shared].clone() });
            }
            block = Block::Nothing;
        } else {
            let column = |name| names.iter().position(|it| *it == name).map(|i| words[i].to_owned());
            let columns = || Columns {
                cfa: column("CFA").expect("CFA"),
                rbp: column("rbp"),
                return_address: column("ra").expect("ra"),
            };
            match &mut block {
                Block::Nothing => {}
                Block::Shared(shared) => {
                    shared_rows.insert(*shared, columns());
                }
                Block::Function { end, n_rows, .. } => {
                    let start = number(words[0]);
                    if *n_rows > 0 {
                        rows.last_mut().expect("row before").end = start;
                    }
                    *n_rows += 1;
                    rows.push(Printed { start, end: *end, columns: columns() });
                }
            }
        }
    }
    rows
}

fn number(hexadecimal: &str) -> u64 {
    u64::from_str_radix(hexadecimal, 16).unwrap_or_else(|error| panic!("{hexadecimal}: {error}"))
}

/// Whether a rule says what was printed. `exp` stands for any expression, and `u` for a register that is not
/// mentioned yet as well as for one that is lost.
fn agrees(rule: UnwindRule, printed: &Columns) -> bool {
    let rbp_printed = printed.rbp.as_deref().unwrap_or("u");
    let [cfa, rbp, return_address] = columns(rule);
    match rule.cfa {
        CFA_ROOT => printed.return_address == "u",
        CFA_SIGNAL => printed.cfa == "exp" && rbp_printed == "exp" && printed.return_address == "exp",
        CFA_PLT => printed.cfa == "exp" && printed.return_address == "c-8",
        _ => {
            let cfa_agrees = cfa == printed.cfa || printed.cfa == "exp" && rule.cfa & 0xf0 > CFA_REGISTER;
            let rbp_agrees = rbp == rbp_printed
                || rbp_printed == "u" && rbp == "s"
                || rbp_printed == "exp" && rbp.starts_with('*');
            let in_register = format!("r{}", rule.high());
            let return_address =
                if rule.registers & RA_MASK == RA_IN_REGISTER { &in_register } else { &return_address };
            cfa_agrees && rbp_agrees && *return_address == printed.return_address
        }
    }
}

fn compare(path: &Path) -> (usize, usize, Vec<String>) {
    let output = Command::new("readelf")
        .args(["--wide", "--debug-dump=frames-interp"])
        .arg(path)
        .output()
        .expect("readelf runs: it comes with binutils, as the linker does");
    let rows = printed_rows(&String::from_utf8_lossy(&output.stdout));

    let object = ObjectFile::open(path).expect("opens");
    let table = build(&object).expect("builds");
    let segments = Segments::of(&Elf::parse(&object.file).expect("parses"));
    let (mut n_agree, mut n_unsupported) = (0, 0);
    let mut differing = Vec::new();
    for row in rows.iter().filter(|row| row.start < row.end) {
        for svma in [row.start, row.end - 1] {
            let offset =
                segments.file_offset_of(svma).unwrap_or_else(|| panic!("{row:x?} is not in {path:?}"));
            let rule = lookup(&table, offset);
            if rule.cfa == CFA_UNSUPPORTED {
                n_unsupported += 1;
            } else if agrees(rule, &row.columns) {
                n_agree += 1;
            } else {
                differing.push(format!("{svma:#x}: {row:x?}, table {:?}", columns(rule)));
            }
        }
    }
    (n_agree, n_unsupported, differing)
}

#[test]
fn every_row_of_real_files_says_what_readelf_prints() {
    let nginx = Path::new("/usr/sbin/nginx");
    for path in [Some(super::libc_path()), nginx.exists().then(|| nginx.to_owned())].into_iter().flatten() {
        let (n_agree, n_unsupported, differing) = compare(&path);
        println!("{}: {n_agree} places agree, {n_unsupported} unsupported", path.display());
        let shown: Vec<_> = differing.iter().take(10).collect();
        assert!(shown.is_empty(), "{}: {} differ: {shown:#?}", path.display(), differing.len());
        assert!(n_agree > 10_000 && n_unsupported < 10, "{}: {n_agree}, {n_unsupported}", path.display());
    }
}
