//! `--event alloc` with each allocator: the one in front is probed, and what it gives counts once.

use std::{
    ffi::OsString,
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Result;
use tests::{
    agent::{self, Recording},
    paths,
    servers::{self, Load},
};

use crate::support::{TAKEN_IN_ROUND, command_args, pid_args};

const MIB: u64 = 1 << 20;
/// Four thousand samples or more of each function: a standard deviation of at most 1.6 %.
const OPTIONS: [&str; 7] =
    ["--event", "alloc", "--no-live-heap", "--interval", "4KiB", "--probe-budget", "1000"];
const LIBRARIES: &str = "/usr/lib/x86_64-linux-gnu";

/// Not by a macro: the test runner would swallow that.
fn skip(name: &str) {
    let _ = std::io::stderr().write_all(format!("\nskipped: no {name}\n").as_bytes());
}

/// A library of the system, if it is there.
fn library(name: &str) -> Option<PathBuf> {
    let found = Path::new(LIBRARIES).join(name);
    if !found.exists() {
        skip(name);
    }
    Some(found).filter(|found| found.exists())
}

/// Until the probes of a preloaded library are there.
const PAUSE_MS: &str = "4000";

/// Bytes asked for below a function: an operator of C++ stands between it and the allocator.
fn taken_by(recording: &Recording, function: &str) -> u64 {
    recording.folded.count(|stack| stack.has(function))
}

fn assert_takes(recording: &Recording, function: &str, expected: u64) {
    let found = taken_by(recording, function);
    let ratio = found as f64 / expected as f64;
    assert!((ratio - 1.0).abs() < 0.05, "{function}: {found}, not {expected}: {ratio:.3}\n{recording}");
}

/// What `tests/programs/allocate.c` takes in one round, but for what an allocator may grow where it is.
fn assert_takes_all(recording: &Recording) {
    for (function, expected) in TAKEN_IN_ROUND {
        assert_takes(recording, function, expected);
    }
}

fn preloaded(library: &Path) -> Result<Recording> {
    let env = paths::find("env", "coreutils")?;
    let mut preload = OsString::from("LD_PRELOAD=");
    preload.push(library);
    let mut args = command_args(&OPTIONS, &env, &[]);
    args.extend([preload, paths::program("allocate")?.into(), "1".into(), PAUSE_MS.into()]);
    agent::record(args)
}

/// The C library's `malloc` is there, too, and nobody calls it.
fn assert_counts_once_in(library: &str) -> Result<()> {
    let Some(path) = self::library(library) else { return Ok(()) };
    let recording = preloaded(&path)?;
    assert_takes_all(&recording);
    let name = path.canonicalize()?.file_name().map(|name| name.to_string_lossy().into_owned());
    let name = name.unwrap_or_default();
    let comments = &recording.report.comments;
    let is_probed = comments.iter().any(|comment| comment.contains("malloc+") && comment.contains(&name));
    assert!(is_probed, "no probe on malloc of {name}: {comments:?}\n{recording}");
    Ok(())
}

#[test]
fn a_preloaded_jemalloc_counts_once() -> Result<()> {
    assert_counts_once_in("libjemalloc.so.2")
}

#[test]
fn a_preloaded_tcmalloc_counts_once() -> Result<()> {
    assert_counts_once_in("libtcmalloc_minimal.so.4")
}

#[test]
fn a_preloaded_mimalloc_counts_once() -> Result<()> {
    assert_counts_once_in("libmimalloc.so.2.0")
}

#[test]
fn a_jemalloc_within_the_program_counts_once() -> Result<()> {
    if library("libjemalloc.a").is_none() {
        return Ok(());
    }
    let dir = tempfile::tempdir()?;
    let program = dir.path().join("allocate");
    let flags = ["-O2", "-fno-builtin", "-static"];
    let libraries = ["-l:libjemalloc.a", "-lstdc++", "-lm", "-lpthread"];
    paths::compile_with("programs/allocate.c", &flags, &libraries, &program)?;
    assert_takes_all(&agent::record(command_args(&OPTIONS, &program, &["1", PAUSE_MS]))?);
    Ok(())
}

#[test]
fn what_cpp_takes_is_counted_once_through_every_operator() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let program = dir.path().join("operators");
    let compiler = paths::find("g++", "g++")?;
    let source = paths::root()?.join("tests/suite/operators.cpp");
    let status = Command::new(compiler)
        .args(["-O2", "-Wall", "-Werror"])
        .arg("-o")
        .arg(&program)
        .arg(source)
        .status()?;
    assert!(status.success(), "{status}");
    let recording = agent::record(command_args(&OPTIONS, &program, &[PAUSE_MS]))?;
    for function in ["one()", "many()", "aligned()", "without_exception()"] {
        assert_takes(&recording, function, 64 * MIB);
    }
    Ok(())
}

#[test]
fn what_rust_takes_is_counted_once() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let program = dir.path().join("boxes");
    let compiler = paths::find("rustc", "rustc")?;
    let source = paths::root()?.join("tests/suite/boxes.rs");
    let status = Command::new(compiler).args(["-O", "-g", "-o"]).arg(&program).arg(source).status()?;
    assert!(status.success(), "{status}");
    let recording = agent::record(command_args(&OPTIONS, &program, &[PAUSE_MS]))?;
    for function in ["boxes::boxed", "boxes::zeroed", "boxes::aligned"] {
        assert_takes(&recording, function, 64 * MIB);
    }
    Ok(())
}

#[test]
fn operators_of_a_stripped_envoy_are_found_by_who_calls_them() -> Result<()> {
    let Some(program) = paths::envoy() else {
        skip("Envoy (`cargo xtask test` fetches it)");
        return Ok(());
    };
    let envoy = servers::envoy(&program)?;
    let load = Load::start(&envoy)?;
    let pid = envoy.running().pid();
    let options = ["--event", "alloc", "--interval", "64KiB", "--probe-budget", "1000", "--duration", "3s"];
    let recording = agent::record(pid_args(pid, &options))?;
    assert!(load.is_alive(), "the load ended before the recording\n{recording}");
    let comments = &recording.report.comments;
    for operator in ["operator new@", "operator delete@"] {
        assert!(comments.iter().any(|comment| comment.contains(operator)), "{operator} in {comments:?}");
    }
    // `malloc` is called a few dozen times in its life.
    assert!(recording.report.total("alloc_objects") > 10_000, "{recording}");
    Ok(())
}

#[test]
fn what_is_asked_of_the_pools_of_nginx_is_told_apart() -> Result<()> {
    let nginx = servers::nginx()?;
    let load = Load::start(&nginx)?;
    let pid = nginx.running().pid();
    let options = ["--event", "alloc", "--interval", "16KiB", "--probe-budget", "1000", "--duration", "3s"];
    let recording = agent::record(pid_args(pid, &options))?;
    assert!(load.is_alive(), "the load ended before the recording\n{recording}");
    let report = &recording.report;
    assert!(report.total("pool_objects") > 1000 && report.total("pool_space") > MIB, "{recording}");
    assert!(report.total("alloc_space") > MIB, "{recording}");
    assert_eq!(recording.folded.total(), report.total("alloc_space"), "pools are in the sum\n{recording}");
    Ok(())
}
