//! Every recording, walked again: the frames that another unwinder found, and with a word that cannot be read,
//! the frames before it and the reason.

use std::{collections::BTreeSet, fs, path::PathBuf};

use abi::{
    fault::Fault,
    unwind::{CFA_NONE, CFA_PLT, CFA_SIGNAL},
};
use captures::{capture::Capture, walk};

const DIRECTORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/data");

fn all() -> Vec<(PathBuf, Capture)> {
    let mut paths: Vec<PathBuf> =
        fs::read_dir(DIRECTORY).expect("lists").map(|entry| entry.expect("lists").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|it| it == "capture"));
    paths.sort();
    let capture = |path: &PathBuf| Capture::parse(&fs::read_to_string(path).expect("reads")).expect("parses");
    paths.iter().map(|path| (path.clone(), capture(path))).collect()
}

#[test]
fn every_recording_is_walked_to_the_frames_that_another_unwinder_found() {
    for (path, capture) in all() {
        let (walked, _) = walk::again(&capture, None);
        let seen = walked.text(&capture.mappings);
        // Never written here, not for BLESS=1 either: they are another unwinder's, which needs the process.
        let golden = path.with_extension("frames");
        let expected =
            fs::read_to_string(&golden).expect("recorded beside the capture, by `cargo xtask capture`");
        assert_eq!(seen, expected, "{}", path.display());
    }
}

#[test]
fn a_word_that_cannot_be_read_ends_the_walk_there_and_never_leads_elsewhere() {
    let mut n_words = 0;
    for (path, capture) in all() {
        let (whole, read) = walk::again(&capture, None);
        for unreadable in read.into_iter().collect::<BTreeSet<u64>>() {
            let (cut, read) = walk::again(&capture, Some(unreadable));
            let case = format!("{}, {unreadable:#x}: {cut:x?}", path.display());
            assert_eq!((cut.fault, read.last()), (Fault::STACK_UNREADABLE, Some(&unreadable)), "{case}");
            assert!(whole.addresses.starts_with(&cut.addresses), "{case}");
            assert!(!cut.addresses.is_empty(), "{case}");
            n_words += 1;
        }
    }
    assert!(n_words > 100, "{n_words} words");
}

#[test]
fn every_word_recorded_is_read_and_every_rule_recorded_is_used() {
    for (path, capture) in all() {
        let (whole, read) = walk::again(&capture, None);
        let read: BTreeSet<u64> = read.into_iter().collect();
        let visited: BTreeSet<u64> = whole.addresses.into_iter().collect();
        assert!(capture.words.keys().all(|address| read.contains(address)), "{}", path.display());
        assert!(capture.rules.keys().all(|address| visited.contains(address)), "{}", path.display());
        assert_eq!(Capture::parse(&capture.text()).expect("parses"), capture, "{}", path.display());
    }
}

#[test]
fn the_recordings_hold_what_is_hard_to_unwind() {
    let captures = all();
    let has_rule =
        |cfa| captures.iter().any(|(_, capture)| capture.rules.values().any(|rule| rule.cfa == cfa));
    for (what, cfa) in [("a signal frame", CFA_SIGNAL), ("a linkage stub", CFA_PLT), ("no rule", CFA_NONE)] {
        assert!(has_rule(cfa), "{what}");
    }
    let passes = |name: &str| {
        captures.iter().any(|(_, capture)| capture.mappings.iter().any(|mapping| mapping.name == name))
    };
    for name in ["nginx", "haproxy", "node", "envoy", "deep_nofp", "libc.so.6", "[vdso]"] {
        assert!(passes(name), "no recording passes through {name}");
    }
}
