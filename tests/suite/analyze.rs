//! `agent analyze`: what holds a server up besides CPU time is the first bottleneck, with the stack that says so and what
//! to change; and of a server with which nothing is wrong nothing is advised.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use tests::{
    agent,
    analysis::{Analysis, Analyzing},
    servers::{self, Load},
};

use crate::{
    event_loop::{SlowReader, ask},
    support::args,
};

/// Asks a Node server for a page once in a second, and for others in between, while it is analyzed.
fn analyze_node(page: &'static str) -> Result<Analysis> {
    let (node, address, _dir) = servers::node_server()?;
    // Compiled and warm.
    for _ in 0..20 {
        ask(address, "/")?;
    }
    ask(address, page)?;
    let analyzing = Analyzing::start(node.pid(), &["--duration", "8s"])?;
    agent::wait_until_sampling(analyzing.running())?;
    let is_over = Arc::new(AtomicBool::new(false));
    let asks_until = Arc::clone(&is_over);
    let asking = thread::spawn(move || -> Result<()> {
        while !asks_until.load(Ordering::Relaxed) {
            ask(address, page)?;
            for _ in 0..9 {
                ask(address, "/")?;
                thread::sleep(Duration::from_millis(100));
            }
        }
        Ok(())
    });
    let analysis = analyzing.finish();
    is_over.store(true, Ordering::Relaxed);
    asking.join().ok().context("whoever asks panicked")??;
    analysis
}

#[test]
fn a_handler_that_blocks_the_event_loop_of_node_is_the_first_bottleneck() -> Result<()> {
    let analysis = analyze_node("/slow")?;
    let first = analysis.first()?;
    assert_eq!(analysis.proxy.as_deref(), Some("node"), "{analysis}");
    assert!(first.what.contains("held up by holdUp"), "{analysis}");
    assert!(first.stack.iter().any(|frame| frame.contains("holdUp")), "{analysis}");
    // 50 ms in each second, or a little less often: asking takes its time, too.
    assert!((3.0..10.0).contains(&first.weight_percent), "{analysis}");
    let advice = analysis.first_advice()?;
    assert!(advice.change.contains("holdUp"), "{analysis}");
    assert!(advice.directive.as_ref().is_some_and(|it| it.contains("worker_threads")), "{analysis}");
    Ok(())
}

#[test]
fn a_node_that_answers_at_once_gets_no_advice() -> Result<()> {
    let analysis = analyze_node("/")?;
    assert!(analysis.advice.is_empty(), "{analysis}");
    assert!(!analysis.bottlenecks.iter().any(|it| it.what.contains("held up by")), "{analysis}");
    Ok(())
}

#[test]
fn a_worker_of_nginx_that_waits_for_its_log_is_the_first_bottleneck() -> Result<()> {
    let (nginx, log) = servers::nginx_with_slow_log()?;
    let dir = tempfile::tempdir()?;
    let save = dir.path().join("run.pb.gz");
    let save = save.to_str().context("no text")?;
    let reader = SlowReader::start(nginx.address(), log);
    let analysis = Analyzing::start(nginx.running().pid(), &["--duration", "5s", "--save", save])?.finish();
    let slow = reader.finish()?;
    let analysis = analysis?;
    ensure!(!slow.is_empty(), "no answer was slow\n{analysis}");
    let check = |analysis: &Analysis| -> Result<()> {
        let first = analysis.first()?;
        assert!(first.what.contains("waits to write into a pipe that is full"), "{analysis}");
        assert!(first.stack.iter().any(|frame| frame.contains("pipe_write")), "{analysis}");
        assert!(
            first.stack.iter().any(|frame| frame.trim_start_matches('_').ends_with("write")),
            "{analysis}"
        );
        assert!(first.weight_percent > 50.0, "{analysis}");
        let advice = analysis.first_advice()?;
        assert!(advice.directive.as_ref().is_some_and(|it| it.contains("buffer=64k")), "{analysis}");
        Ok(())
    };
    check(&analysis)?;
    // The same from what was kept, told by what each file counts.
    let files =
        ["", ".off-cpu", ".loop", ".memory"].map(|kind| save.replace(".pb.gz", &format!("{kind}.pb.gz")));
    let files = args(&files.each_ref().map(String::as_str));
    let of_files = Analyzing::of_files(&files)?.finish()?;
    check(&of_files)?;
    // The number of requests is in the files, too.
    for analysis in [&analysis, &of_files] {
        let ns_per_request = analysis.cpu.as_ref().and_then(|cpu| cpu.get("ns_per_request"));
        assert!(ns_per_request.is_some_and(serde_json::Value::is_number), "{analysis}");
    }
    Ok(())
}

#[test]
fn an_nginx_with_which_nothing_is_wrong_gets_no_advice() -> Result<()> {
    let nginx = servers::nginx_with("gzip on;", "")?;
    let load = Load::with_rests(&nginx, Duration::from_millis(5), Duration::from_secs(20))?;
    let analysis = Analyzing::start(nginx.running().pid(), &["--duration", "8s"])?.finish()?;
    ensure!(load.is_alive(), "the load ended before the recording\n{analysis}");
    assert!(analysis.advice.is_empty(), "{analysis}");
    let parts =
        [&analysis.cpu, &analysis.off_cpu, &analysis.event_loop, &analysis.memory, &analysis.requests];
    assert!(parts.into_iter().all(Option::is_some), "{analysis}");
    Ok(())
}
