//! An agent that is not ours, profile-bee, sends OTLP to the collector: it is received, stored, and shown.

use std::{
    io::{self, Write as _},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};
use tests::{collector::Collector, paths, process::Running, wait};

use crate::support::target;

const SERVICE: &str = "spinning";
const ROWS: &str = "brazier_receive_rows_total{receiver=\"otlp_profiles\"} ";

#[test]
fn what_another_agent_sends_is_received_and_shown() -> Result<()> {
    let Some(probee) = paths::probee() else {
        writeln!(io::stderr(), "\nskipped: no profile-bee (`cargo xtask bench peers` builds it)")?;
        return Ok(());
    };
    let dir = tempfile::tempdir()?;
    let Some(collector) = Collector::start("127.0.0.4", dir.path())? else {
        writeln!(io::stderr(), "\nskipped: no collector (`cargo build -p collector` makes it)")?;
        return Ok(());
    };
    let hot = target("hot321")?;
    let mut command = Command::new(probee);
    command
        .args(["--dwarf", "--time", "10000", "--frequency", "99", "--pid", &hot.pid().to_string()])
        .args(["--otlp-endpoint", &collector.grpc, "--otlp-insecure", "--otlp-service-name", SERVICE]);
    let sent = Running::start(command.current_dir(dir.path()))?.finish(wait::PATIENCE)?;
    ensure!(sent.status.success(), "{}: {}", sent.status, sent.stderr);

    let metrics = collector.text("/metrics")?;
    let n_rows = metrics.lines().find_map(|line| line.strip_prefix(ROWS)?.trim().parse::<u64>().ok());
    let n_rows = n_rows.with_context(|| format!("nothing was received\n{metrics}\n{}", sent.stderr))?;
    let found = wait::until("all that was sent is in the store", wait::PATIENCE, || {
        let types = collector.ask("/api/v1/types?from=now-1h")?;
        let of = types["types"].as_array().into_iter().flatten();
        Ok(of.clone().find(|it| it["n_rows"] == n_rows).cloned())
    })
    .with_context(|| collector.running().stderr().unwrap_or_default())?;
    let kind = format!(
        "{}:{}",
        found["type"].as_str().unwrap_or_default(),
        found["unit"].as_str().unwrap_or_default()
    );
    let services = collector.ask("/api/v1/labels/service?from=now-1h")?;
    assert_eq!(services["values"], serde_json::json!([SERVICE]), "{services}");
    let top = collector.ask(&format!("/api/v1/top?type={kind}&from=now-1h&limit=20"))?;
    println!("{kind}: {top:#}");
    let total = top["total"].as_f64().unwrap_or_default();
    for (name, percent) in [("spin_a", 50.0), ("spin_b", 100.0 / 3.0), ("spin_c", 100.0 / 6.0)] {
        let function = top["functions"].as_array().into_iter().flatten().find(|it| it["name"] == name);
        let own =
            function.and_then(|it| it["self"].as_f64()).with_context(|| format!("no {name} in {top:#}"))?;
        // Some hundred samples, by somebody else's clock.
        assert!((100.0 * own / total - percent).abs() < 6.0, "{name} should have {percent:.1} %: {top:#}");
    }
    let flamegraph = collector.ask(&format!("/api/v1/flamegraph?type={kind}&from=now-1h"))?;
    assert_eq!(flamegraph["total"], top["total"], "{flamegraph}");
    assert!(!metrics.contains("brazier_receive_rejected_total{"), "{metrics}");
    Ok(())
}
