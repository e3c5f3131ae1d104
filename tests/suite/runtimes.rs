//! Proxies whose stacks are deep, or cross code made at run time, where `cargo xtask test` could get them.

use std::io::Write as _;

use anyhow::Result;
use tests::{
    agent, paths,
    servers::{self, Load, Server},
};

use crate::support::pid_args;

/// Not by a macro: the test runner would swallow that.
fn skip(name: &str) {
    let _ = std::io::stderr()
        .write_all(format!("\nskipped: no {name} (`cargo xtask test` gets it)\n").as_bytes());
}

/// Records it under load; all but a few stacks have to be whole and begin where a thread began.
fn record(server: &Server) -> Result<agent::Recording> {
    let load = Load::start(server)?;
    let pid = server.running().pid();
    let recording = agent::record(pid_args(pid, &["--frequency", "199", "--duration", "4s"]))?;
    assert!(load.is_alive(), "the load ended before the recording\n{recording}");
    let report = &recording.report;
    assert!(report.samples_of(pid) > 100, "{recording}");
    assert_eq!(report.lost, 0, "{recording}");
    let whole = report.stacks.complete as f64 / report.samples as f64;
    assert!(whole > 0.99, "{whole:.4} of stacks are whole: {:?}\n{recording}", report.stacks.truncated);
    Ok(recording)
}

#[test]
fn the_stacks_of_pingora_are_whole_from_the_thread_through_its_futures_to_the_system_call() -> Result<()> {
    let Some(program) = paths::pingora() else {
        skip("Pingora");
        return Ok(());
    };
    let upstream = servers::nginx()?;
    let recording = record(&servers::pingora(&program, &upstream)?)?;
    let rooted = recording.folded.share(
        |_| true,
        |stack| stack.user().any(|frame| frame.ends_with("::thread_start") || frame == "main"),
    );
    assert!(rooted > 0.95, "{rooted:.4} of stacks begin where a thread of Rust begins\n{recording}");
    let in_proxy = recording.folded.count(|stack| {
        stack.user().any(|frame| frame.contains("pingora_proxy")) && stack.user().count() > 20
    });
    assert!(in_proxy > 50, "{in_proxy} samples of more than 20 frames with one of the proxy\n{recording}");
    Ok(())
}

#[test]
fn the_stacks_of_workerd_are_whole_through_code_that_v8_made() -> Result<()> {
    let Some(program) = paths::workerd() else {
        skip("workerd");
        return Ok(());
    };
    let recording = record(&servers::workerd(&program)?)?;
    let rooted = recording.folded.share(|_| true, |stack| stack.has("main") || stack.has("_start"));
    assert!(rooted > 0.9, "{rooted:.4} of stacks begin where the program began\n{recording}");
    // V8 calls what it has made from here.
    let in_script =
        recording.folded.count(|stack| stack.user().any(|frame| frame.contains("v8::Function::Call")));
    assert!(in_script > 20, "{in_script} samples below a call into JavaScript\n{recording}");
    Ok(())
}
