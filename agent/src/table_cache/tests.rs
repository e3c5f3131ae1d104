//! The cache of tables, in directories of its own.

use std::{
    fs::{self, Permissions},
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use tempfile::TempDir;

use crate::private_dir::PrivateDirError;

use super::{CacheCounts, CacheError, LIMIT_BYTES, Source, TableCache, load_or_build};
use crate::{
    object::ObjectFile,
    unwind::{Table, TableKey, build, stored},
};

const FORMS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/golden/unwind/forms.elf");

fn table() -> Table {
    build(&ObjectFile::open(FORMS.as_ref()).expect("opens")).expect("has a table")
}

/// The same table, as if made from something else.
fn another(number: u8) -> Table {
    Table { key: Some(TableKey([number; 32])), ..table() }
}

fn key(table: &Table) -> TableKey {
    table.key.expect("has a key")
}

fn directory() -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().expect("temporary directory");
    let path = dir.path().join("brazier/unwind");
    (dir, path)
}

fn open(path: &Path) -> TableCache {
    TableCache::open(path, LIMIT_BYTES).expect("opens")
}

fn names(path: &Path) -> Vec<String> {
    let entries = fs::read_dir(path).expect("lists");
    let mut names: Vec<String> =
        entries.map(|entry| entry.expect("entry").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn a_table_is_there_for_the_next_one_who_asks_and_nobody_else_can_read_it() {
    let (_dir, path) = directory();
    let (table, cache) = (table(), open(&path));
    assert_eq!(cache.load(key(&table)), None);
    cache.save(&table);
    assert_eq!(cache.counts(), CacheCounts { n_saved: 1, ..CacheCounts::default() });

    let again = open(&path);
    assert_eq!(again.load(key(&table)), Some(table.clone()));
    assert_eq!(again.load(TableKey([1; 32])), None);
    assert_eq!(again.counts(), CacheCounts { n_loaded: 1, ..CacheCounts::default() });
    let mode = |path: &Path| fs::metadata(path).expect("is there").permissions().mode() & 0o777;
    let file = path.join(format!("{}.table", key(&table)));
    assert_eq!((mode(&path), mode(&file), names(&path).len()), (0o700, 0o600, 1), "{:?}", names(&path));
}

#[test]
fn a_damaged_file_is_removed_and_counted() {
    let (_dir, path) = directory();
    let (table, cache) = (table(), open(&path));
    cache.save(&table);
    let file = path.join(format!("{}.table", key(&table)));
    let mut bytes = fs::read(&file).expect("reads");
    bytes[200] ^= 1;
    fs::write(&file, bytes).expect("writes");
    assert_eq!(cache.load(key(&table)), None);
    assert_eq!((cache.counts().n_damaged, names(&path)), (1, Vec::new()));
    cache.save(&table);
    assert_eq!(cache.load(key(&table)), Some(table));
}

#[test]
fn links_pipes_and_files_that_others_may_write_are_not_read() {
    let (dir, path) = directory();
    let (table, cache) = (table(), open(&path));
    let file = path.join(format!("{}.table", key(&table)));
    let bytes = stored::to_bytes(&table, key(&table));

    let elsewhere = dir.path().join("elsewhere");
    fs::write(&elsewhere, &bytes).expect("writes");
    symlink(&elsewhere, &file).expect("links");
    assert_eq!(cache.load(key(&table)), None, "through a link");

    fs::remove_file(&file).expect("removes");
    let made = std::process::Command::new("mkfifo").arg(&file).status().expect("mkfifo runs");
    assert!(made.success(), "{made:?}");
    assert_eq!(cache.load(key(&table)), None, "out of a pipe");

    fs::remove_file(&file).expect("removes");
    fs::write(&file, &bytes).expect("writes");
    fs::set_permissions(&file, Permissions::from_mode(0o666)).expect("changes its mode");
    assert_eq!(cache.load(key(&table)), None, "out of a file that others may write");

    // What is saved takes the place of any of them.
    cache.save(&table);
    assert_eq!(cache.load(key(&table)), Some(table));
}

#[test]
fn directories_that_others_have_a_say_in_are_refused_with_the_reason() {
    let (dir, path) = directory();
    drop(open(&path));
    fs::set_permissions(&path, Permissions::from_mode(0o755)).expect("changes its mode");
    let seen = TableCache::open(&path, LIMIT_BYTES).expect_err("open to others").source.to_string();
    assert!(seen.contains("mode 755") && seen.contains("chmod"), "{seen}");

    fs::set_permissions(&path, Permissions::from_mode(0o700)).expect("changes its mode");
    let link = dir.path().join("link");
    symlink(&path, &link).expect("links");
    let file = dir.path().join("file");
    fs::write(&file, "").expect("writes");
    for path in [&link, &file] {
        let seen = TableCache::open(path, LIMIT_BYTES);
        assert!(
            matches!(seen, Err(CacheError { source: PrivateDirError::Open(_), .. })),
            "{path:?}: {seen:?}"
        );
    }
    // Somebody else's, for whoever runs this test; root can make one.
    let foreign = dir.path().join("foreign");
    fs::create_dir(&foreign).expect("makes");
    if std::os::unix::fs::chown(&foreign, Some(12_345), None).is_ok() {
        let seen = TableCache::open(&foreign, LIMIT_BYTES);
        assert!(
            matches!(seen, Err(CacheError { source: PrivateDirError::Owner { owner: 12_345, .. }, .. })),
            "{seen:?}"
        );
    }
}

#[test]
fn above_the_limit_the_oldest_go_and_what_is_not_ours_stays() {
    let (_dir, path) = directory();
    let size_bytes = stored::to_bytes(&table(), key(&table())).len() as u64;
    let cache = TableCache::open(&path, size_bytes * 3 + 100).expect("opens");
    let foreign = ["notes.txt", "customers.table", &format!("{}x.table", "a".repeat(63))];
    for name in foreign {
        fs::write(path.join(name), vec![b'x'; 1000]).expect("writes");
        let file = fs::File::options().write(true).open(path.join(name)).expect("opens");
        file.set_modified(SystemTime::now() - Duration::from_secs(1000)).expect("changes its time");
    }
    for number in 1..=3 {
        cache.save(&another(number));
        let file = path.join(format!("{}.table", TableKey([number; 32])));
        let file = fs::File::options().write(true).open(file).expect("opens");
        let age = Duration::from_secs(100 - u64::from(number));
        file.set_modified(SystemTime::now() - age).expect("changes its time");
    }
    // The first is not the oldest any more.
    assert!(cache.load(TableKey([1; 32])).is_some());
    cache.save(&another(4));
    let is_there = [1, 2, 3, 4].map(|number| cache.load(TableKey([number; 32])).is_some());
    assert_eq!(is_there, [true, false, false, true], "{:?}", names(&path));
    assert!(foreign.iter().all(|name| path.join(name).exists()), "{:?}", names(&path));
}

/// The file with a function in assembly, `push %rbx; pop %rbx; ret`, where nothing describes it, and with or without
/// the symbol of it.
fn with_assembly(has_symbol: bool) -> ObjectFile {
    const AT: usize = 0x118;
    let mut bytes = fs::read(FORMS).expect("reads");
    bytes[AT..AT + 3].copy_from_slice(&[0x53, 0x5b, 0xc3]);
    let number = |at: usize| u64::from_le_bytes(*bytes[at..].first_chunk().expect("header")) as usize;
    let mut headers = bytes[number(40)..].to_vec();
    let names_at = bytes.len();
    let name_of_symbols = 0x1b_u32; // behind those that there are
    let names = [&bytes[0x3d0..0x3eb], b".symtab\0"].concat();
    headers[3 * 64 + 24..][..8].copy_from_slice(&(names_at as u64).to_le_bytes());
    headers[3 * 64 + 32..][..8].copy_from_slice(&(names.len() as u64).to_le_bytes());
    bytes.extend(&names);

    let mut symbol = [0; 24];
    (symbol[4], symbol[6]) = (2, 1); // a function, in the first section
    symbol[8..16].copy_from_slice(&(0x40_0000 + AT as u64).to_le_bytes());
    symbol[16..].copy_from_slice(&3_u64.to_le_bytes());
    let mut header = [0; 64];
    header[..4].copy_from_slice(&name_of_symbols.to_le_bytes());
    header[4] = 2;
    header[24..32].copy_from_slice(&(bytes.len() as u64).to_le_bytes());
    header[32..40].copy_from_slice(&(if has_symbol { 24_u64 } else { 0 }).to_le_bytes());
    bytes.extend(symbol);

    let headers_at = bytes.len() as u64;
    bytes.extend(headers);
    bytes.extend(header);
    bytes[40..48].copy_from_slice(&headers_at.to_le_bytes());
    bytes[60] = 5;
    let mut file = tempfile::NamedTempFile::new().expect("temporary file");
    std::io::Write::write_all(&mut file, &bytes).expect("writes");
    ObjectFile::open(file.path()).expect("opens")
}

#[test]
fn a_stripped_copy_in_the_cache_does_not_take_the_rows_of_assembly_from_a_file_with_symbols() {
    let (_dir, path) = directory();
    let cache = open(&path);
    let (stripped, _) = load_or_build(&with_assembly(false), Some(&cache)).expect("has a table");
    assert_eq!(cache.counts().n_saved, 1, "{:?}", stripped.key);

    let whole = with_assembly(true);
    let built = build(&whole).expect("has a table");
    assert!(built.key.is_none() && built.n_rows > stripped.n_rows, "{} rows", built.n_rows);
    let (seen, source) = load_or_build(&whole, Some(&cache)).expect("has a table");
    assert!(seen == built, "{} rows, not {}", seen.n_rows, built.n_rows);
    assert_eq!(source, Source::Built);

    let (seen, source) = load_or_build(&with_assembly(false), Some(&cache)).expect("has a table");
    assert!(seen == stripped, "{} rows, not {}", seen.n_rows, stripped.n_rows);
    assert_eq!(source, Source::Cache);
}
