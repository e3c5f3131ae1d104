//! An agent that is not ours, profile-bee, sends OTLP to the collector: it is received, stored, and shown.

use std::{
    io::{self, Write as _},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use tests::{paths, process::Running, wait};

use crate::support::target;

const SERVICE: &str = "spinning";
const ROWS: &str = "brazier_receive_rows_total{receiver=\"otlp_profiles\"} ";

/// A collector on ports of its own: those of gRPC and of the web.
fn collector(dir: &std::path::Path) -> Result<Option<(Running, String, String)>> {
    let Some(program) = paths::collector()? else { return Ok(None) };
    let config = dir.join("collector.toml");
    std::fs::write(&config, "[log]\nflush_after_seconds = 1\n").context("cannot write")?;
    let mut command = Command::new(program);
    command.args([
        "serve",
        "--grpc",
        "127.0.0.4:0",
        "--http",
        "127.0.0.4:0",
        "--web",
        "127.0.0.4:0",
        "--data",
    ]);
    let running = Running::start(command.arg(dir.join("data")).arg("--config").arg(config))?;
    let address = |name: &str| {
        wait::until("the collector listens", wait::PATIENCE, || {
            ensure!(!running.has_ended(), "the collector ended: {}", running.stderr()?);
            let said = running.stdout()?;
            Ok(said.lines().find_map(|line| line.strip_prefix(name)).map(|address| address.trim().to_owned()))
        })
    };
    let (grpc, web) = (address("grpc")?, address("web")?);
    Ok(Some((running, grpc, web)))
}

fn ask(web: &str, path: &str) -> Result<Value> {
    let mut response = ureq::get(format!("http://{web}{path}")).call().with_context(|| path.to_owned())?;
    Ok(serde_json::from_str(&response.body_mut().read_to_string()?)?)
}

#[test]
fn what_another_agent_sends_is_received_and_shown() -> Result<()> {
    let Some(probee) = paths::probee() else {
        writeln!(io::stderr(), "\nskipped: no profile-bee (`cargo xtask bench peers` builds it)")?;
        return Ok(());
    };
    let dir = tempfile::tempdir()?;
    let Some((collector, grpc, web)) = collector(dir.path())? else {
        writeln!(io::stderr(), "\nskipped: no collector (`cargo build -p collector` makes it)")?;
        return Ok(());
    };
    let hot = target("hot321")?;
    let mut command = Command::new(probee);
    command
        .args(["--dwarf", "--time", "10000", "--frequency", "99", "--pid", &hot.pid().to_string()])
        .args(["--otlp-endpoint", &grpc, "--otlp-insecure", "--otlp-service-name", SERVICE]);
    let sent = Running::start(command.current_dir(dir.path()))?.finish(wait::PATIENCE)?;
    ensure!(sent.status.success(), "{}: {}", sent.status, sent.stderr);

    let metrics = ureq::get(format!("http://{web}/metrics")).call()?.body_mut().read_to_string()?;
    let n_rows = metrics.lines().find_map(|line| line.strip_prefix(ROWS)?.trim().parse::<u64>().ok());
    let n_rows = n_rows.with_context(|| format!("nothing was received\n{metrics}\n{}", sent.stderr))?;
    let found = wait::until("all that was sent is in the store", wait::PATIENCE, || {
        let types = ask(&web, "/api/v1/types?from=now-1h")?;
        let of = types["types"].as_array().into_iter().flatten();
        Ok(of.clone().find(|it| it["n_rows"] == n_rows).cloned())
    })
    .with_context(|| collector.stderr().unwrap_or_default())?;
    let kind = format!(
        "{}:{}",
        found["type"].as_str().unwrap_or_default(),
        found["unit"].as_str().unwrap_or_default()
    );
    let services = ask(&web, "/api/v1/labels/service?from=now-1h")?;
    assert_eq!(services["values"], serde_json::json!([SERVICE]), "{services}");
    let top = ask(&web, &format!("/api/v1/top?type={kind}&from=now-1h&limit=20"))?;
    println!("{kind}: {top:#}");
    let total = top["total"].as_f64().unwrap_or_default();
    for (name, percent) in [("spin_a", 50.0), ("spin_b", 100.0 / 3.0), ("spin_c", 100.0 / 6.0)] {
        let function = top["functions"].as_array().into_iter().flatten().find(|it| it["name"] == name);
        let own =
            function.and_then(|it| it["self"].as_f64()).with_context(|| format!("no {name} in {top:#}"))?;
        // Some hundred samples, by somebody else's clock.
        assert!((100.0 * own / total - percent).abs() < 6.0, "{name} should have {percent:.1} %: {top:#}");
    }
    let flamegraph = ask(&web, &format!("/api/v1/flamegraph?type={kind}&from=now-1h"))?;
    assert_eq!(flamegraph["total"], top["total"], "{flamegraph}");
    assert!(!metrics.contains("brazier_receive_rejected_total{"), "{metrics}");
    Ok(())
}
