//! Every form of rule, from a small file to the rows its table holds, against a golden.
//!
//! `forms.s` is the source of `forms.elf`; its first lines say how it is built. `BLESS=1` rewrites the golden.

use std::fmt::Write;
use std::path::Path;

use crate::{
    object::ObjectFile,
    unwind::{Table, build, lookup, text},
};

const DIRECTORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/golden/unwind");

/// Each file offset at which another rule starts to hold.
fn text_of(table: &Table) -> String {
    let page_bytes = 1 << abi::unwind::PAGE_BITS;
    let first = u64::from(table.layout.first_page) * page_bytes;
    let end = first + u64::from(table.layout.n_pages) * page_bytes;
    let mut text = format!(
        "functions {} rows {}\n{:?}\n{:?}\n",
        table.n_functions, table.n_rows, table.losses, table.unsupported
    );
    let mut before = None;
    for offset in first..end {
        let rule = lookup(table, offset);
        if before != Some(rule) {
            writeln!(text, "{offset:#06x} {}", text::line(rule)).expect("writes to a string");
        }
        before = Some(rule);
    }
    text
}

#[test]
fn every_form_becomes_the_rule_that_it_means() {
    let directory = Path::new(DIRECTORY);
    let object = ObjectFile::open(&directory.join("forms.elf")).expect("opens");
    let seen = text_of(&build(&object).expect("builds"));
    let golden = directory.join("forms.txt");
    if std::env::var_os("BLESS").is_some_and(|value| value == "1") {
        std::fs::write(&golden, &seen).expect("writes the golden");
    }
    let expected = std::fs::read_to_string(&golden).expect("golden: BLESS=1 writes it");
    assert_eq!(seen, expected, "seen:\n{seen}");
}
