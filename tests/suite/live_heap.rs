//! `--event alloc`: what of the allocations lives, and whether it grows without end.

use std::{path::Path, process::Command};

use anyhow::{Context as _, Result, ensure};
use tests::{
    agent::{self, Recording},
    bpf::Objects,
    paths,
    report::{Allocations, Report},
};
use xtask::sites::{SITES, Site};

use crate::support::command_args;

const MIB: u64 = 1 << 20;
const OPTIONS: [&str; 9] = [
    "--event",
    "alloc",
    "--interval",
    "8KiB",
    "--probe-budget",
    "1000",
    "--value",
    "inuse_space",
    "--duration",
];

/// What `objects` did in one of its modes, recorded until it only waits.
fn record(mode: &str, duration: &str) -> Result<Recording> {
    let mut options = OPTIONS.to_vec();
    options.push(duration);
    agent::record(command_args(&options, &paths::program("objects")?, &[mode]))
}

fn allocations(report: &Report) -> Result<&Allocations> {
    report.allocations.as_ref().context("no allocations in the report")
}

/// Asserts what a function allocated and what of that lives, in MiB. 2,000 samples and more have a standard deviation
/// of 2.2 % at most.
fn assert_fate(recording: &Recording, function: &str, expected: (u64, u64)) -> Result<()> {
    let found = allocations(&recording.report)?.of(function);
    for (found, expected) in [(found.0, expected.0), (found.1, expected.1)] {
        let is_near = found.abs_diff(expected * MIB) <= expected * MIB / 10;
        assert!(is_near, "{function}: {found} bytes, not {expected} MiB\n{recording}");
    }
    Ok(())
}

#[test]
fn what_is_kept_lives_and_what_is_freed_does_not() -> Result<()> {
    let before = Objects::all()?;
    let recording = record("kept", "3s")?;
    for (function, expected) in [("kept_1k", (16, 16)), ("kept_64k", (32, 32)), ("freed_1k", (16, 0))] {
        assert_fate(&recording, function, expected)?;
    }
    // The profile says the same as the list of stacks.
    let in_profile = recording.folded.count(|stack| stack.has("kept_1k"));
    assert_eq!(in_profile, allocations(&recording.report)?.of("kept_1k").1, "{recording}");
    assert_eq!(recording.folded.total(), recording.report.total("inuse_space"), "{recording}");
    assert_eq!(recording.report.counted("live allocations whose address"), 0, "{recording}");
    before.nothing_left_since()
}

#[test]
fn another_thread_may_free() -> Result<()> {
    let recording = record("crossed", "3s")?;
    assert_fate(&recording, "taken_here", (32, 0))?;
    assert_fate(&recording, "left_here", (16, 16))
}

#[test]
fn a_child_frees_its_own_copies_and_what_it_held_goes_with_it() -> Result<()> {
    assert_fate(&record("forked", "4s")?, "kept_64k", (32, 32))?;
    let recording = record("forked_more", "4s")?;
    assert_fate(&recording, "kept_64k", (32, 32))?;
    assert_fate(&recording, "kept_1k", (16, 16))
}

#[test]
fn what_an_image_held_goes_when_the_process_executes_another() -> Result<()> {
    let recording = record("executed", "4s")?;
    assert_fate(&recording, "kept_64k", (64, 32))?;
    assert_fate(&recording, "kept_1k", (16, 16))
}

#[test]
fn what_the_last_process_held_when_it_ended_is_told() -> Result<()> {
    let mut options = OPTIONS.to_vec();
    options.push("20s");
    let recording = agent::record(command_args(&options, &paths::program("objects")?, &["kept", "0"]))?;
    assert!(recording.status.success(), "{recording}");
    assert_fate(&recording, "kept_64k", (32, 32))?;
    assert_fate(&recording, "freed_1k", (16, 0))
}

#[test]
fn a_resize_that_succeeds_replaces_and_one_that_fails_changes_nothing() -> Result<()> {
    let recording = record("resized", "3s")?;
    // Of 64: 32 are larger, 16 stayed, 16 are no more.
    assert_fate(&recording, "taken_1m", (64, 16))?;
    assert_fate(&recording, "grown_here", (64, 64))?;
    assert_fate(&recording, "refused_here", (0, 0))?;
    assert_fate(&recording, "given_up", (0, 0))
}

#[test]
fn a_call_that_fails_is_counted_and_allocates_nothing() -> Result<()> {
    let recording = record("failing", "3s")?;
    assert_eq!(
        recording.report.counted("sampled calls of allocators that gave nothing"),
        1000,
        "{recording}"
    );
    assert_fate(&recording, "fails_here", (0, 0))
}

#[test]
fn what_is_given_through_a_pointer_or_zeroed_is_followed() -> Result<()> {
    let recording = record("aligned", "3s")?;
    assert_fate(&recording, "aligned_here", (16, 16))?;
    assert_fate(&recording, "zeroed_here", (16, 16))
}

#[test]
fn what_was_freed_unseen_does_not_live_once_its_place_is_given_out_again_and_is_counted() -> Result<()> {
    // Every call is sampled.
    let options = ["--event", "alloc", "--interval", "1", "--probe-budget", "1000", "--duration", "3s"];
    let recording = agent::record(command_args(&options, &paths::program("objects")?, &["unseen"]))?;
    let allocations = allocations(&recording.report)?;
    assert_eq!(allocations.of("taken_64"), (4096, 0), "{recording}");
    assert_eq!(allocations.of("again_64"), (4096, 4096), "{recording}");
    assert_eq!(recording.report.counted("live allocations whose address"), 64, "{recording}");
    Ok(())
}

#[test]
fn a_hundred_threads_at_once_are_all_accounted_for() -> Result<()> {
    let recording = record("crowd", "4s")?;
    let report = &recording.report;
    assert_eq!(report.lost_by_cause.get("unexplained"), None, "{recording}");
    let n_lost = report.lost as f64 / (report.samples + report.lost) as f64;
    let (allocated, live) = allocations(report)?.of("crowd_takes");
    for (found, expected) in [(allocated, 200 * MIB), (live, 100 * MIB)] {
        let ratio = found as f64 / expected as f64;
        assert!(ratio > 0.95 - n_lost && ratio < 1.05 + n_lost, "{found} of {expected}\n{recording}");
    }
    Ok(())
}

#[test]
fn without_live_heap_there_is_nothing_about_what_lives_and_a_wrong_value_names_the_right_ones() -> Result<()>
{
    let program = paths::program("objects")?;
    let options = ["--event", "alloc", "--no-live-heap", "--duration", "1s"];
    let recording = agent::record(command_args(&options, &program, &["kept"]))?;
    assert!(allocations(&recording.report)?.live.is_none(), "{recording}");
    assert_eq!(recording.report.total("inuse_space"), 0, "{recording}");
    let frees = recording.report.comments.iter().filter(|it| it.starts_with("probe on free"));
    assert_eq!(frees.count(), 0, "{recording}");
    let dir = tempfile::tempdir()?;
    let value = ["record", "--event", "alloc", "--no-live-heap", "--value", "inuse_space"];
    let refused = agent::run(dir.path(), command_args(&value, &program, &["kept"]))?;
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    assert!(
        refused.stderr.contains("there are: samples, pool_objects, pool_space, alloc_objects, alloc_space"),
        "{refused:?}"
    );
    Ok(())
}

#[test]
fn of_ten_stacks_the_one_that_grows_is_first_and_a_cache_and_a_sawtooth_are_no_leaks() -> Result<()> {
    let program = paths::program("grower")?;
    for (arguments, expected) in [
        (&["leak", "8192"][..], "leak"),
        (&["cache", "8192", "2"][..], "no_leak"),
        (&["sawtooth", "8192", "2"][..], "no_leak"),
    ] {
        let options = ["--event", "alloc", "--interval", "64KiB", "--duration", "9s"];
        let recording = agent::record(command_args(&options, &program, arguments))?;
        let stacks = &allocations(&recording.report)?.stacks;
        let first = stacks.first().context("no stack")?;
        assert!(
            first.frames.iter().any(|frame| frame == "stack_07"),
            "{arguments:?}: {first:?}\n{recording}"
        );
        let live = first.live.as_ref().context("nothing about what lives")?;
        assert_eq!(live.verdict.kind, expected, "{arguments:?}: {live:?}");
        if expected == "leak" {
            let ratio = live.verdict.rate_bytes_per_second / (8 * MIB) as f64;
            assert!((ratio - 1.0).abs() < 0.25 && live.growth_percent > 95.0, "{ratio}: {live:?}");
        }
    }
    Ok(())
}

#[test]
fn an_allocator_in_front_of_the_library_is_followed() -> Result<()> {
    let objects = paths::program("objects")?;
    let objects = objects.to_str().context("a path that is text")?;
    for (library, package) in
        [("libjemalloc.so.2", "libjemalloc2"), ("libtcmalloc_minimal.so.4", "libtcmalloc-minimal4")]
    {
        let path = Path::new("/usr/lib/x86_64-linux-gnu").join(library);
        ensure!(path.is_file(), "no {library} here: install Debian's package {package}");
        let mut options = OPTIONS.to_vec();
        options.push("3s");
        let preload = format!("LD_PRELOAD={}", path.display());
        let env = paths::find("env", "coreutils")?;
        let recording = agent::record(command_args(&options, &env, &[&preload, objects, "kept"]))?;
        for (function, expected) in [("kept_1k", (16, 16)), ("kept_64k", (32, 32)), ("freed_1k", (16, 0))] {
            assert_fate(&recording, function, expected).context(library)?;
        }
    }
    Ok(())
}

#[test]
fn an_exception_leaves_an_allocator_as_ever() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let program = dir.path().join("thrower");
    let source = paths::suite_source("thrower.cc")?;
    let compiled =
        Command::new(paths::find("g++", "g++")?).arg("-O1").arg("-o").arg(&program).arg(&source).output()?;
    ensure!(compiled.status.success(), "g++ refused: {}", String::from_utf8_lossy(&compiled.stderr));
    let program = program.to_str().context("a path that is text")?;
    for library in ["libjemalloc.so.2", "libtcmalloc_minimal.so.4"] {
        let preload = format!("LD_PRELOAD=/usr/lib/x86_64-linux-gnu/{library}");
        let options = ["--event", "alloc", "--probe-budget", "1000", "--duration", "20s"];
        let recording =
            agent::record(command_args(&options, &paths::find("env", "coreutils")?, &[&preload, program]))?;
        assert!(recording.status.success(), "{library}: {recording}");
        let says_so =
            recording.report.comments.iter().any(|it| it.contains("_Zn") && it.contains("is not followed"));
        assert!(says_so, "{library}: {:?}", recording.report.comments);
    }
    Ok(())
}

/// A fifth of the 10 GiB, and the same bounds as `cargo xtask alloc-accuracy` holds the whole to.
#[test]
fn bytes_are_estimated_within_5_percent_from_16_bytes_to_16_mebibytes() -> Result<()> {
    let options = ["--event", "alloc", "--interval", "2KiB", "--probe-budget", "1000"];
    let recording = agent::record(command_args(&options, &paths::program("accounted")?, &["5"]))?;
    let report = &recording.report;
    // A busy machine may come to the ring too late.
    let n_lost = report.lost as f64 / (report.samples + report.lost) as f64;
    for Site { function, mib, keeps } in SITES {
        let expected = mib * MIB / 5;
        let (allocated, live) = allocations(report)?.of(function);
        let kept = keeps.then_some(live);
        for found in [allocated].into_iter().chain(kept) {
            let ratio = found as f64 / expected as f64;
            assert!(
                ratio > 0.95 - n_lost && ratio < 1.05,
                "{function}: {found}, not {expected}: {ratio:.3}\n{recording}"
            );
        }
        assert!(keeps || live == 0, "{function}: {live} bytes live\n{recording}");
    }
    Ok(())
}
