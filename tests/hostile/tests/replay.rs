//! Every input of the committed corpora, through what the fuzzer runs: what was once found stays found.

use std::{fs, path::Path};

use hostile::{TARGETS, seeds};

const CORPUS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../fuzz/corpus");

#[test]
fn every_input_of_every_corpus_holds() {
    for target in TARGETS {
        let dir = Path::new(CORPUS).join(target.name);
        let entries = fs::read_dir(&dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
        let mut n_inputs = 0;
        for entry in entries {
            let path = entry.expect("lists").path();
            let bytes = fs::read(&path).expect("reads");
            // Names the input if it does not hold: the output of a test that passes is not shown.
            println!("{}", path.display());
            (target.body)(&bytes);
            n_inputs += 1;
        }
        assert!(n_inputs > 10, "{n_inputs} inputs in {}", dir.display());
    }
}

#[test]
fn every_seed_holds() {
    let seeds = seeds::all(&[("nothing", Vec::new(), Vec::new())]);
    for seed in &seeds {
        println!("{} {}", seed.target, seed.name);
        hostile::run(seed.target, &seed.bytes);
    }
    let is_seeded = |name| seeds.iter().any(|seed| seed.target == name);
    assert!(TARGETS.iter().all(|target| is_seeded(target.name)), "a target without seeds");
}

#[test]
fn every_target_has_its_program_and_every_program_its_target() {
    let dir = Path::new(CORPUS).join("../fuzz_targets");
    let mut programs: Vec<String> = fs::read_dir(&dir)
        .expect("lists")
        .map(|entry| {
            entry.expect("lists").path().file_stem().expect("has a name").to_string_lossy().into_owned()
        })
        .collect();
    let mut targets = TARGETS.map(|target| target.name.to_owned()).to_vec();
    programs.sort();
    targets.sort();
    assert_eq!(programs, targets);
}
