//! Tests of file symbols, on small programs compiled here, on the vdso and on a stripped Go program.

use super::*;
use crate::object::vdso::open_vdso;
use proptest::prelude::{ProptestConfig, any, prop, prop_assert_eq, proptest};
use std::collections::BTreeMap;
use std::process::Command;
use std::sync::LazyLock;

const PROGRAM: &str = r#"
#include <stdlib.h>
#ifdef OTHER
volatile int other_sink;
#endif
volatile int sink;
static int __attribute__((noinline, used)) hidden_helper(int x) { sink += x; return sink * 3; }
int __attribute__((noinline)) exported_entry(int x) { sink += 1; return hidden_helper(x) + 1; }
int __attribute__((noinline)) _ZN5proxy7Session6handleEi(int x) { sink += 2; return exported_entry(x) + 2; }
static inline int __attribute__((always_inline)) inlined_callee(int x) {
    sink += x;
    sink *= 5;
    return sink;
}
int __attribute__((noinline)) calls_inlined(int x) {
    sink -= 1;
    return inlined_callee(x) + 7;
}
int main(int argc, char **argv) { return _ZN5proxy7Session6handleEi(argc) + calls_inlined(argc); }
"#;

/// The program in the forms that are found on hosts.
struct Programs {
    folder: tempfile::TempDir,
    /// Start and size of every function of the program, as nm says.
    functions: BTreeMap<String, (u64, u64)>,
}

static PROGRAMS: LazyLock<Programs> = LazyLock::new(|| {
    let folder = tempfile::tempdir().expect("temporary directory");
    std::fs::write(folder.path().join("program.c"), PROGRAM).expect("writes");
    let run = |command: &str| {
        let mut words = command.split(' ');
        let program = words.next().expect("a program");
        let output = Command::new(program).args(words).current_dir(folder.path()).output().expect(program);
        assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text")
    };
    run("cc -g -O1 -rdynamic -Wl,--build-id -o full program.c");
    run("cc -g -gz=zlib -O1 -rdynamic -Wl,--build-id -o compressed program.c");
    run("strip -o stripped full");
    run("objcopy --only-keep-debug full stripped.debug");
    run("objcopy --add-gnu-debuglink=stripped.debug stripped linked");
    run("cc -g -O1 -rdynamic -Wl,--build-id -DOTHER -o other program.c");
    run("objcopy --only-keep-debug other other.debug");
    run("cc -g -O1 -rdynamic -Wl,--build-id=none -o anonymous_full program.c");
    run("objcopy --only-keep-debug anonymous_full anonymous.debug");
    run("strip -o anonymous_stripped anonymous_full");
    run("objcopy --add-gnu-debuglink=anonymous.debug anonymous_stripped anonymous");
    let functions = run("nm -S full")
        .lines()
        .filter_map(|line| {
            let mut words = line.split(' ');
            let start = u64::from_str_radix(words.next()?, 16).ok()?;
            let size = u64::from_str_radix(words.next()?, 16).ok()?;
            Some((words.nth(1)?.to_owned(), (start, size)))
        })
        .collect();
    Programs { folder, functions }
});

impl Programs {
    fn object(&self, variant: &str) -> ObjectFile {
        ObjectFile::open(&self.folder.path().join(variant)).expect(variant)
    }

    fn symbols(&self, object: &ObjectFile, inlines: bool) -> FileSymbols {
        FileSymbols::read(object, &[], Options { inlines, ..Default::default() }, &mut CheckBudget::default())
            .expect("reads")
    }

    /// File offsets of the instructions' bytes of a function, the first left out.
    fn inside(&self, object: &ObjectFile, function: &str) -> Vec<u64> {
        let (start, size) = *self.functions.get(function).expect(function);
        let segments = Segments::of(&Elf::parse(&object.file).expect("parses"));
        (start + 1..start + size).map(|svma| segments.file_offset_of(svma).expect("in the file")).collect()
    }

    /// What one instruction of each function is called.
    fn names(&self, variant: &str, symbols: &FileSymbols) -> Vec<String> {
        self.names_in(&self.object(variant), symbols)
    }

    fn names_in(&self, object: &ObjectFile, symbols: &FileSymbols) -> Vec<String> {
        let functions = ["exported_entry", "hidden_helper", "_ZN5proxy7Session6handleEi"];
        let offsets: Vec<u64> = functions.iter().map(|name| self.inside(object, name)[0]).collect();
        let frames = symbols.frames(object, &offsets).expect("no panic");
        frames.iter().map(shown).collect()
    }
}

fn shown(frame: &Resolved) -> String {
    match frame {
        Resolved::Symbols(symbols) => {
            let names: Vec<&str> = symbols.iter().map(|symbol| symbol.name.as_str()).collect();
            names.join(" < ")
        }
        Resolved::Missing(reason) => format!("{reason:?}"),
    }
}

#[test]
fn static_exported_and_mangled_functions_are_named_from_the_symbol_table() {
    let object = PROGRAMS.object("full");
    let expected = ["exported_entry", "hidden_helper", "proxy::Session::handle(int)"];
    for inlines in [false, true] {
        let symbols = PROGRAMS.symbols(&object, inlines);
        assert_eq!(PROGRAMS.names("full", &symbols), expected, "inlines: {inlines}");
    }
}

#[test]
fn a_stripped_program_names_what_it_exports_and_says_why_the_rest_is_missing() {
    let object = PROGRAMS.object("stripped");
    let symbols = PROGRAMS.symbols(&object, false);
    let seen = PROGRAMS.names("stripped", &symbols);
    assert_eq!(seen, ["exported_entry", "NotInAnySymbol", "proxy::Session::handle(int)"]);
}

#[test]
fn offsets_outside_of_the_loaded_parts_say_so() {
    let object = PROGRAMS.object("full");
    let symbols = PROGRAMS.symbols(&object, false);
    let frames = symbols.frames(&object, &[u64::MAX, object.size_bytes - 1]).expect("no panic");
    assert_eq!(frames, [Resolved::Missing(Reason::NotMapped), Resolved::Missing(Reason::NotMapped)]);
}

#[test]
fn inlined_functions_come_first_with_their_lines_and_compressed_debug_information_is_read() {
    let line_of = |text: &str| {
        let line = PROGRAM.lines().position(|line| line.contains(text)).expect(text);
        u32::try_from(line + 1).expect("small")
    };
    for variant in ["full", "compressed"] {
        let object = PROGRAMS.object(variant);
        let symbols = PROGRAMS.symbols(&object, true);
        assert!(symbols.snapshots[0].has_debug, "{variant}: {:?}", symbols.snapshots);
        let offsets = PROGRAMS.inside(&object, "calls_inlined");
        let frames = symbols.frames(&object, &offsets).expect("no panic");
        let all: Vec<String> = frames.iter().map(shown).collect();
        assert!(all.iter().all(|name| name.ends_with("calls_inlined")), "{variant}: {all:?}");
        let inlined = frames
            .iter()
            .find_map(|frame| match frame {
                Resolved::Symbols(symbols) if symbols.len() == 2 => Some(symbols),
                _ => None,
            })
            .unwrap_or_else(|| panic!("{variant}: nothing inlined in {all:?}"));
        let [callee, caller] = inlined.as_slice() else { panic!("{inlined:?}") };
        assert_eq!((callee.name.as_str(), callee.inlined), ("inlined_callee", true), "{inlined:?}");
        assert_eq!((caller.name.as_str(), caller.inlined), ("calls_inlined", false), "{inlined:?}");
        let callee_line = callee.source.as_ref().expect("callee's line");
        let body = line_of("inlined_callee(int x) {") + 1..=line_of("return sink;");
        assert!(callee_line.file.ends_with("program.c") && body.contains(&callee_line.line), "{inlined:?}");
        let caller_line = caller.source.as_ref().map(|source| source.line);
        assert_eq!(caller_line, Some(line_of("return inlined_callee(x) + 7")), "{inlined:?}");
    }
}

const ALL_NAMED: [&str; 3] = ["exported_entry", "hidden_helper", "proxy::Session::handle(int)"];
const STATIC_NAMELESS: [&str; 3] = ["exported_entry", "NotInAnySymbol", "proxy::Session::handle(int)"];

/// What a program of another root is called if this is all that its root has.
fn names_with(variant: &str, debug: &str, path: &str) -> Vec<String> {
    let root = tempfile::tempdir().expect("temporary directory");
    let target = root.path().join(path);
    std::fs::create_dir_all(target.parent().expect("a directory")).expect("creates");
    std::fs::copy(PROGRAMS.folder.path().join(debug), &target).expect("copies");
    let mut object = PROGRAMS.object(variant);
    object.path = format!("/opt/app/{variant}").into();
    object.root = Some(std::sync::Arc::new(File::open(root.path()).expect("opens")));
    PROGRAMS.names_in(&object, &PROGRAMS.symbols(&object, false))
}

#[test]
fn a_debug_file_is_found_wherever_a_distribution_puts_it() {
    let build_id = PROGRAMS.object("linked").build_id.expect("has one").to_string();
    let (first, rest) = build_id.split_at(2);
    for path in [
        &format!("usr/lib/debug/.build-id/{first}/{rest}.debug"),
        "opt/app/stripped.debug",
        "opt/app/.debug/stripped.debug",
        "usr/lib/debug/opt/app/stripped.debug",
        "usr/lib/debug/opt/app/linked.debug",
    ] {
        assert_eq!(names_with("linked", "stripped.debug", path), ALL_NAMED, "{path}");
    }
    assert_eq!(names_with("linked", "stripped.debug", "opt/stripped.debug"), STATIC_NAMELESS);
}

#[test]
fn a_debug_file_of_another_build_is_not_believed() {
    let build_id = PROGRAMS.object("linked").build_id.expect("has one").to_string();
    let (first, rest) = build_id.split_at(2);
    for path in [
        &format!("usr/lib/debug/.build-id/{first}/{rest}.debug"),
        "opt/app/stripped.debug",
        "usr/lib/debug/opt/app/linked.debug",
    ] {
        for debug in ["other.debug", "anonymous.debug", "program.c"] {
            assert_eq!(names_with("linked", debug, path), STATIC_NAMELESS, "{debug} at {path}");
        }
    }
}

#[test]
fn what_a_link_leads_to_must_have_its_checksum() {
    let mut damaged = std::fs::read(PROGRAMS.folder.path().join("stripped.debug")).expect("reads");
    let flipped = PROGRAMS.folder.path().join("flipped.debug");
    *damaged.last_mut().expect("not empty") ^= 1;
    std::fs::write(&flipped, damaged).expect("writes");
    let seen = names_with("linked", "flipped.debug", "opt/app/stripped.debug");
    assert_eq!(seen, STATIC_NAMELESS);
    // Without a build ID, it is all that there is.
    assert_eq!(names_with("anonymous", "anonymous.debug", "opt/app/anonymous.debug"), ALL_NAMED);
    assert_eq!(names_with("anonymous", "anonymous_full", "opt/app/anonymous.debug"), STATIC_NAMELESS);
}

#[test]
fn a_pipe_where_a_debug_file_would_be_is_not_opened() {
    let root = tempfile::tempdir().expect("temporary directory");
    std::fs::create_dir_all(root.path().join("opt/app")).expect("creates");
    let pipe = root.path().join("opt/app/stripped.debug");
    let made = Command::new("mkfifo").arg(&pipe).status().expect("mkfifo runs");
    assert!(made.success(), "{made:?}");
    let mut object = PROGRAMS.object("linked");
    object.path = "/opt/app/linked".into();
    object.root = Some(std::sync::Arc::new(File::open(root.path()).expect("opens")));
    // Would hang if the pipe were opened.
    assert_eq!(PROGRAMS.names_in(&object, &PROGRAMS.symbols(&object, false)), STATIC_NAMELESS);
}

#[test]
fn static_functions_are_named_from_the_table_inside_a_stripped_file() {
    let folder = PROGRAMS.folder.path();
    let Ok(packed) = Command::new("sh")
        .args(["-c", "strip --strip-debug -o inside stripped.debug && xz --stdout inside > inside.xz"])
        .current_dir(folder)
        .status()
    else {
        println!("no shell here");
        return;
    };
    if !packed.success() {
        println!("no xz here: nothing to pack the table with");
        return;
    }
    let added = Command::new("objcopy")
        .args(["--add-section", ".gnu_debugdata=inside.xz", "stripped", "mini"])
        .current_dir(folder)
        .status();
    assert!(added.as_ref().is_ok_and(|status| status.success()), "{added:?}");
    let object = PROGRAMS.object("mini");
    assert_eq!(PROGRAMS.names_in(&object, &PROGRAMS.symbols(&object, false)), ALL_NAMED);
}

#[test]
fn this_test_is_named_as_rust_writes_it() {
    let object = ObjectFile::open(Path::new("/proc/self/exe")).expect("own executable");
    let here = this_test_is_named_as_rust_writes_it as fn() as usize as u64;
    let maps = crate::procfs::maps::read_executable(std::process::id()).expect("own maps");
    let map = maps.iter().find(|map| (map.start..map.end).contains(&here)).expect("own mapping");
    let offset = here - map.start + map.file_offset;
    let symbols = PROGRAMS.symbols(&object, false);
    let seen = shown(&symbols.frames(&object, &[offset]).expect("no panic")[0]);
    assert!(seen.ends_with("symbolize::user::tests::this_test_is_named_as_rust_writes_it"), "{seen}");
}

#[test]
fn the_clock_in_the_vdso_is_named() {
    let object = open_vdso().expect("copies the vdso");
    let elf = Elf::parse(&object.file).expect("parses");
    let section = |name: &str| elf.section_bytes(elf.section(name).expect(name), 1 << 20).expect(name);
    let (table, names) = (section(".dynsym"), section(".dynstr"));
    let wanted = b"__vdso_clock_gettime\0";
    let svma = table.chunks_exact(24).find_map(|entry| {
        let name = u32::from_le_bytes(*entry.first_chunk()?) as usize;
        names
            .get(name..)?
            .starts_with(wanted)
            .then(|| u64::from_le_bytes(entry[8..16].try_into().expect("8")))
    });
    let svma = svma.expect("the vdso has a clock");
    let offset = Segments::of(&elf).file_offset_of(svma).expect("in the image");
    let symbols = PROGRAMS.symbols(&object, true);
    let seen = shown(&symbols.frames(&object, &[offset]).expect("no panic")[0]);
    // The same code has a second, weak name.
    assert!(["__vdso_clock_gettime", "clock_gettime"].contains(&seen.as_str()), "{seen}");
}

#[test]
fn a_stripped_go_program_is_named_from_its_own_table() {
    let Ok(object) = ObjectFile::open(Path::new("/usr/bin/caddy")) else {
        println!("no stripped Go program here: the table's own tests stand in for it");
        return;
    };
    let elf = Elf::parse(&object.file).expect("parses");
    let text = elf.section(".text").expect("text");
    let offsets: Vec<u64> = (0..1000).map(|i| text.file_offset + i * (text.size_bytes / 1000)).collect();
    let symbols = PROGRAMS.symbols(&object, true);
    let names: Vec<String> = symbols.frames(&object, &offsets).expect("no panic").iter().map(shown).collect();
    let n_named = names.iter().filter(|name| name.contains('.')).count();
    assert!(n_named > 950, "{n_named} of 1000: {names:?}");
    assert!(names.iter().any(|name| name.starts_with("runtime.")), "{names:?}");
}

#[test]
fn what_cannot_be_named_gives_a_reason() {
    let reason_of = |object: &ObjectFile| {
        FileSymbols::read(object, &[], Options::default(), &mut CheckBudget::default()).err()
    };
    let script = PROGRAMS.folder.path().join("script");
    std::fs::write(&script, "#!/bin/sh\n").expect("writes");
    assert_eq!(reason_of(&ObjectFile::open(&script).expect("opens")), Some(Reason::UnsupportedFile));

    let stripped = PROGRAMS.object("stripped");
    let nameless = PROGRAMS.folder.path().join("nameless");
    let mut bytes = std::fs::read(PROGRAMS.folder.path().join("stripped")).expect("reads");
    // No section headers at all.
    bytes[40..48].fill(0);
    bytes[60..64].fill(0);
    std::fs::write(&nameless, bytes).expect("writes");
    let object = ObjectFile::open(&nameless).expect("opens");
    let symbols = PROGRAMS.symbols(&object, true);
    let offsets = PROGRAMS.inside(&stripped, "exported_entry");
    let seen = shown(&symbols.frames(&object, &offsets).expect("no panic")[0]);
    assert_eq!(seen, "NoSymbolTable");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn no_damage_to_a_file_keeps_an_answer_from_coming(
        patches in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..40),
        inlines in any::<bool>(),
    ) {
        let full = PROGRAMS.object("full");
        let offsets = PROGRAMS.inside(&full, "calls_inlined");
        let mut bytes = std::fs::read(PROGRAMS.folder.path().join("full")).expect("reads");
        for (at, value) in patches {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        let mut damaged = tempfile::NamedTempFile::new().expect("temporary file");
        std::io::Write::write_all(&mut damaged, &bytes).expect("writes");
        let object = ObjectFile::open(damaged.path()).expect("opens");
        let mut cache = super::super::files::FileCache::new(Options { inlines, ..Default::default() }, None);
        let frames = cache.frames(&object, &offsets);
        prop_assert_eq!(frames.len(), offsets.len());
    }
}
