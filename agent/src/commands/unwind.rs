//! `agent unwind`: what the kernel side will be told of a file, for people who debug an unwinder.

use std::{
    io::{self, Write},
    time::Instant,
};

use abi::unwind::PAGE_BITS;
use anyhow::{Context as _, bail};

use crate::{
    args::UnwindArgs,
    commands::cache,
    object::{Elf, ObjectFile, Segments},
    table_cache::{self, Source, TableCache},
    unwind::{self, Table, text},
};

/// Prints the table of a file, or the rule of one instruction; gives the exit code.
///
/// # Errors
/// If the file has no table, or the address is not in its code.
pub fn run(out: &mut impl Write, args: &UnwindArgs) -> anyhow::Result<u8> {
    let object = ObjectFile::open(&args.file)?;
    let cache = cache::open(&args.table_cache)?;
    let began = Instant::now();
    let (table, source) = table_cache::load_or_build(&object, cache.as_ref().ok().and_then(Option::as_ref))
        .with_context(|| format!("{} cannot be unwound by a table", args.file.display()))?;
    let took_ms = began.elapsed().as_secs_f64() * 1e3;
    let origin = match source {
        Source::Cache => format!("read from the cache in {took_ms:.1} ms"),
        Source::Built => format!("built in {took_ms:.1} ms, {}", kept(&cache, &table)),
    };
    let elf = Elf::parse(&object.file)?;
    let segments = Segments::of(&elf);

    let written = match args.address {
        Some(address) => rule(out, &table, &segments, address)?,
        None => cost(out, &object, &table, &origin)
            .and_then(|()| if args.rows { rows(out, &table, &segments) } else { Ok(()) }),
    };
    match written {
        // `agent unwind --rows FILE | head` has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(0),
        other => other.map(|()| 0).context("cannot write"),
    }
}

/// What became of a table that was built.
fn kept(cache: &Result<Option<TableCache>, String>, table: &Table) -> String {
    match cache {
        Ok(None) => "not kept".to_owned(),
        Ok(Some(_)) if table.key.is_none() => "not kept: it has rows that come from code".to_owned(),
        Ok(Some(cache)) if cache.counts().n_saved == 0 => "could not be kept in the cache".to_owned(),
        Ok(Some(_)) => "kept in the cache".to_owned(),
        Err(reason) => format!("not kept: {reason}"),
    }
}

fn rule(
    out: &mut impl Write,
    table: &Table,
    segments: &Segments,
    address: u64,
) -> anyhow::Result<io::Result<()>> {
    let Some(file_offset) = segments.file_offset_of(address) else {
        bail!("address {address:#x} is in no part of the file that its loader maps");
    };
    let function = table.functions.start_of(file_offset).and_then(|start| segments.svma_of(start));
    let place = function.map_or("in no function described".to_owned(), |start| {
        format!("in the function at {start:#x}, {} bytes in", address - start)
    });
    let rule = text::line(unwind::lookup(table, file_offset));
    Ok(writeln!(out, "{address:#x} (file offset {file_offset:#x}), {place}\n{rule}"))
}

fn cost(out: &mut impl Write, object: &ObjectFile, table: &Table, origin: &str) -> io::Result<()> {
    let n_rows = table.n_rows.max(1);
    writeln!(out, "{}", object.path.display())?;
    if let Some(build_id) = &object.build_id {
        writeln!(out, "build ID   {build_id}")?;
    }
    writeln!(out, "functions  {}", table.n_functions)?;
    writeln!(out, "rows       {}", table.n_rows)?;
    writeln!(out, "rules      {}", table.rules.len())?;
    writeln!(
        out,
        "table      {} bytes: {} of rows, {} of page index, {} of rules; {:.2} bytes a row",
        table.size_bytes(),
        size_of_val(&table.lines[..]),
        size_of_val(&table.index[..]),
        size_of_val(&table.rules[..]),
        table.size_bytes() as f64 / f64::from(n_rows),
    )?;
    writeln!(out, "           {origin}")?;
    for (reason, n) in &table.unsupported {
        writeln!(out, "           {n} rows not supported: {reason:?}")?;
    }
    let unwind::Losses { n_unreadable, n_outside_code, n_broken, n_duplicate, is_truncated } = table.losses;
    for (n, what) in [
        (n_unreadable, "descriptions that could not be read"),
        (n_outside_code, "descriptions of what is not code"),
        (n_broken, "descriptions that broke in the middle"),
        (n_duplicate, "descriptions of a function described before"),
        (u32::from(is_truncated), "section that ends inside an entry"),
    ] {
        if n > 0 {
            writeln!(out, "           {n} {what}")?;
        }
    }
    Ok(())
}

/// The table as it is, read back from its packed form.
fn rows(out: &mut impl Write, table: &Table, segments: &Segments) -> io::Result<()> {
    let page_bytes = 1_u64 << PAGE_BITS;
    let first = u64::from(table.layout.first_page) * page_bytes;
    let end = first + u64::from(table.layout.n_pages) * page_bytes;
    let mut before = None;
    for file_offset in first..end {
        let rule = unwind::lookup(table, file_offset);
        if before != Some(rule)
            && let Some(address) = segments.svma_of(file_offset)
        {
            writeln!(out, "{address:#010x} {}", text::line(rule))?;
            before = Some(rule);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::run;
    use crate::args::{TableCacheArgs, UnwindArgs};

    const FORMS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/golden/unwind/forms.elf");

    fn said(address: Option<u64>, rows: bool) -> anyhow::Result<String> {
        let table_cache = TableCacheArgs { no_table_cache: true, ..TableCacheArgs::default() };
        said_with(&UnwindArgs { file: FORMS.into(), address, rows, table_cache })
    }

    fn said_with(args: &UnwindArgs) -> anyhow::Result<String> {
        let mut out = Vec::new();
        run(&mut out, args)?;
        Ok(String::from_utf8(out).expect("text"))
    }

    #[test]
    fn the_second_time_the_table_comes_from_the_cache_and_says_the_same() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let table_cache = Some(dir.path().join("cache"));
        let args = || UnwindArgs {
            file: FORMS.into(),
            address: None,
            rows: true,
            table_cache: TableCacheArgs { table_cache: table_cache.clone(), no_table_cache: false },
        };
        let (first, second) = (said_with(&args()).expect("says"), said_with(&args()).expect("says"));
        assert!(first.contains("built in") && first.contains("kept in the cache"), "{first}");
        assert!(second.contains("read from the cache in"), "{second}");
        let rest = |said: &str| -> Vec<String> {
            said.lines().filter(|line| !line.contains("cache")).map(str::to_owned).collect()
        };
        assert_eq!(rest(&first), rest(&second));
        assert!(said(None, false).expect("says").contains("not kept"));
    }

    #[test]
    fn the_rows_of_a_file_and_the_rule_of_one_of_its_instructions_agree() {
        let all = said(None, true).expect("has a table");
        assert!(all.contains("bytes a row") && all.contains("signal rsp=*(rsp+160)"), "{all}");
        let rows: Vec<(&str, &str)> = all
            .lines()
            .filter(|line| line.starts_with("0x"))
            .filter_map(|line| line.split_once(' '))
            .collect();
        assert!(rows.len() > 10, "{all}");
        for (address, rule) in rows {
            let address = u64::from_str_radix(&address[2..], 16).expect("hexadecimal");
            let one = said(Some(address), false).expect("in the code");
            assert_eq!(one.lines().last(), Some(rule), "{one}");
        }
        assert!(said(Some(u64::MAX), false).is_err());
    }
}
