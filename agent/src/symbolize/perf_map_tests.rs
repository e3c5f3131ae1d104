//! Tests of symbol maps: their text, and the file system around them.

use super::*;
use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{OpenOptionsExt, symlink};

fn names(text: &str, addresses: &[u64]) -> Vec<Option<String>> {
    let map = PerfMap::parse(text.as_bytes().to_vec());
    addresses.iter().map(|&address| map.lookup(address)).collect()
}

#[track_caller]
fn check(text: &str, expected: &[(u64, Option<&str>)]) {
    let addresses: Vec<u64> = expected.iter().map(|(address, _)| *address).collect();
    let seen = names(text, &addresses);
    let expected: Vec<_> = expected.iter().map(|(_, name)| name.map(str::to_owned)).collect();
    assert_eq!(seen, expected, "{text}");
}

#[test]
fn a_function_is_found_within_its_size_only() {
    check(
        "1000 10 JS:*handle /app/server.js:12:34\n0x2000 0x1 a name with spaces\n",
        &[
            (0xfff, None),
            (0x1000, Some("handle /app/server.js:12")),
            (0x100f, Some("handle /app/server.js:12")),
            (0x1010, None),
            (0x2000, Some("a name with spaces")),
            (0x2001, None),
        ],
    );
}

#[test]
fn later_lines_win_and_leave_what_stands_out() {
    check(
        "1000 100 old\n1040 20 new\n",
        &[(0x103f, Some("old")), (0x1040, Some("new")), (0x105f, Some("new")), (0x1060, Some("old"))],
    );
    check(
        "1000 10 a\n1010 10 b\n1020 10 c\n1008 20 over\n",
        &[(0x1007, Some("a")), (0x1008, Some("over")), (0x1027, Some("over")), (0x1028, Some("c"))],
    );
    check("1000 10 first\n1000 10 second\n", &[(0x1000, Some("second")), (0x100f, Some("second"))]);
}

#[test]
fn garbage_between_good_lines_is_passed_over() {
    check(
        "\n \nxyz\n1000\n1000 10\n1000 10 \n-1 10 a\n+1 10 a\n1000 0 a\nffffffffffffffff 2 a\n\
         10000000000000000 1 a\n1000 10 good\n2000 10 unfinished",
        &[(0x1000, Some("good")), (0x2000, None), (0, None), (u64::MAX, None)],
    );
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), address in any::<u64>()) {
        let map = PerfMap::parse(bytes);
        let name = map.lookup(address);
        prop_assert!(name.is_none() || !map.functions.is_empty());
    }

    #[test]
    fn the_last_line_that_covers_an_address_names_it(
        lines in proptest::collection::vec((0_u64..64, 1_u64..40), 1..30),
    ) {
        let text: String = lines.iter().enumerate().map(|(i, (start, size))| format!("{start:x} {size:x} f{i}\n")).collect();
        let map = PerfMap::parse(text.into_bytes());
        for address in 0..110 {
            let last = lines.iter().enumerate().rev().find(|(_, (start, size))| (*start..start + size).contains(&address));
            prop_assert_eq!(map.lookup(address), last.map(|(i, _)| format!("f{i}")), "at {:#x} of {:?}", address, lines);
        }
    }
}

/// A process root in a temporary directory.
struct Root {
    folder: tempfile::TempDir,
}

impl Root {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("temporary directory");
        fs::create_dir(folder.path().join("tmp")).expect("creates tmp");
        Self { folder }
    }

    fn map_path(&self) -> PathBuf {
        self.folder.path().join("tmp/perf-7.map")
    }

    fn jit(&self) -> JitProcess {
        let root = OpenOptions::new().read(true).custom_flags(libc::O_PATH).open(self.folder.path());
        let uid = fs::metadata(self.folder.path()).expect("exists").uid();
        JitProcess { pid: 4711, ns_pid: 7, root: root.expect("opens"), uid }
    }

    fn frame(&self, jit: &JitProcess) -> Resolved {
        PerfMapCache::default().frames(jit, &[0x1000]).remove(0)
    }
}

#[test]
fn the_map_is_read_under_the_inner_pid_and_read_again_when_it_grows() {
    let root = Root::new();
    let jit = root.jit();
    assert_eq!(root.frame(&jit), Resolved::Missing(Reason::UnknownJit));

    let mut cache = PerfMapCache::default();
    let mut seen = Vec::new();
    for text in ["1000 10 before\n", "1000 10 before\n1000 10 after it\n"] {
        fs::write(root.map_path(), text).expect("writes");
        for _ in 0..2 {
            seen.extend(cache.frames(&jit, &[0x1000, 0x3000]));
        }
    }
    let named =
        |name: &str| Resolved::Symbols(vec![Symbol { name: name.to_owned(), source: None, inlined: false }]);
    let miss = || Resolved::Missing(Reason::NotInPerfMap);
    let (before, after) = (named("before"), named("after it"));
    assert_eq!(seen, [before.clone(), miss(), before, miss(), after.clone(), miss(), after, miss()]);
    assert_eq!(cache.entries.len(), 1, "the older state is dropped");
}

#[test]
fn links_pipes_and_other_peoples_files_are_not_believed() {
    let root = Root::new();
    let jit = root.jit();
    let secret = root.folder.path().join("secret");
    fs::write(&secret, "1000 10 stolen\n").expect("writes");

    symlink(&secret, root.map_path()).expect("links");
    assert_eq!(root.frame(&jit), Resolved::Missing(Reason::PerfMapUntrusted), "symbolic link");

    fs::remove_file(root.map_path()).expect("removes");
    let made = std::process::Command::new("mkfifo").arg(root.map_path()).status().expect("mkfifo runs");
    assert!(made.success(), "{made:?}");
    assert_eq!(root.frame(&jit), Resolved::Missing(Reason::PerfMapUntrusted), "pipe");

    fs::remove_file(root.map_path()).expect("removes");
    fs::write(root.map_path(), "1000 10 forged\n").expect("writes");
    let owner = jit.uid;
    let other = JitProcess { uid: owner.wrapping_add(1), ..root.jit() };
    let seen = root.frame(&other);
    if owner == 0 {
        assert!(matches!(seen, Resolved::Symbols(_)), "root's files are believed: {seen:?}");
        std::os::unix::fs::chown(root.map_path(), Some(4242), None).expect("root may give files away");
        let seen = root.frame(&other);
        assert_eq!(seen, Resolved::Missing(Reason::PerfMapUntrusted), "another user's file");
    } else {
        assert_eq!(seen, Resolved::Missing(Reason::PerfMapUntrusted), "another user's file");
    }
}

#[test]
fn a_linked_tmp_stays_inside_the_root() {
    let root = Root::new();
    fs::remove_dir(root.folder.path().join("tmp")).expect("removes");
    fs::create_dir(root.folder.path().join("var")).expect("creates");
    symlink("/var", root.folder.path().join("tmp")).expect("links");
    fs::write(root.folder.path().join("var/perf-7.map"), "1000 10 inside\n").expect("writes");
    let seen = root.frame(&root.jit());
    assert!(matches!(&seen, Resolved::Symbols(symbols) if symbols[0].name == "inside"), "{seen:?}");
}

#[test]
fn of_a_map_above_the_limit_both_ends_are_read() {
    use std::os::unix::fs::FileExt;
    let root = Root::new();
    let file = File::create(root.map_path()).expect("creates");
    file.write_all_at(b"1000 10 oldest\n", 0).expect("writes");
    let size = 3 * MAX_MAP_BYTES;
    file.write_all_at(b"\n2000 10 newest\n", size).expect("writes");
    let seen = PerfMapCache::default().frames(&root.jit(), &[0x1000, 0x2000]);
    let seen: Vec<_> = seen
        .iter()
        .map(|frame| match frame {
            Resolved::Symbols(symbols) => symbols[0].name.clone(),
            Resolved::Missing(reason) => reason.sentence().to_owned(),
        })
        .collect();
    assert_eq!(seen, ["oldest", "newest"]);
}
