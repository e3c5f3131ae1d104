//! What a receiver adds up is what the agent has counted, event by event, after many windows.

use std::{
    env,
    io::{self, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpListener},
    process::Command,
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result};
use tests::{
    bpf::Objects,
    daemon::{Daemon, DaemonConfig},
    ledger::Ledger,
    paths,
    process::Running,
    servers::{self, Load, OtlpReceiver, ReceiverPlace},
};

/// An hour has 360 windows of the usual length: `BRAZIER_WINDOWS=360` makes as many, of a second each.
const N_WINDOWS: u64 = 30;
const END: Duration = Duration::from_secs(30);

fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::new(127, 0, 0, 3), 0))?.local_addr()?)
}

/// What the agent has last told that receiver of itself.
fn told(ledger: &Ledger, name: &str) -> Option<u64> {
    ledger.lines.iter().rev().find_map(|line| line.values.get(name)?.as_u64())
}

#[test]
fn a_receiver_adds_up_every_sample_that_the_agent_has_counted_once() -> Result<()> {
    let n_windows = match env::var("BRAZIER_WINDOWS") {
        Ok(n) => n.parse().context("BRAZIER_WINDOWS is no number")?,
        Err(_) => N_WINDOWS,
    };
    let dir = tempfile::tempdir()?;
    let place = ReceiverPlace {
        grpc: free_address()?,
        http: free_address()?,
        ledger: dir.path().join("ledger"),
        mode: dir.path().join("mode"),
    };
    let Some(_receiver) = OtlpReceiver::at(&place)? else {
        // Not by a macro: the test runner would swallow that.
        let _ = io::stderr().write_all(b"\nskipped: no packages for a receiver of OTLP\n");
        return Ok(());
    };
    let sink = |kind: &str, address| {
        (kind.to_owned(), format!("kind = {kind:?}\naddress = \"http://{address}\"\nproxy = \"none\""))
    };
    let grower = paths::program("grower")?;
    let config = DaemonConfig {
        dir: dir.path().to_owned(),
        window: "1s".to_owned(),
        frequency_hz: 199,
        top: String::new(),
        budget_percent: 50.0,
        targets: format!(
            "[[target]]\nexe = \"/usr/sbin/nginx\"\nlabels = {{ team = \"edge\" }}\n\
             [[target]]\nexe = {grower:?}\nlabels = {{ team = \"edge\" }}"
        ),
        listen: free_address()?,
        spool_dir: dir.path().join("spool"),
        spool_size: "64MiB".to_owned(),
        sinks: vec![sink("otlp-grpc", place.grpc), sink("otlp-http", place.http)],
    };
    let before = Objects::all()?;
    let server = servers::nginx()?;
    // nginx under even load takes no memory.
    let _grower = Running::start(Command::new(&grower).args(["sawtooth", "4096", "3"]))?;
    let run_time = Duration::from_secs(n_windows);
    let _load = Load::with_rests(&server, Duration::from_millis(2), run_time + END)?;
    let daemon = Daemon::start(&config.write()?, config.listen)?;
    daemon.wait_until_up()?;
    thread::sleep(run_time);
    let finished = daemon.terminate(END)?;
    assert!(finished.status.success(), "{finished:?}");
    before.nothing_left_since()?;

    let all = Ledger::read(&place.ledger)?;
    for protocol in ["grpc", "http"] {
        let lines = all.lines.iter().filter(|line| line.protocol == protocol).cloned().collect();
        let ledger = Ledger { lines };
        let n_profiles = ledger.lines.iter().filter(|line| line.samples().is_some()).count() as u64;
        // On a busy machine a window may see nothing of a server.
        assert!(n_profiles >= n_windows / 2, "{protocol}: {n_profiles} profiles of {n_windows} windows");
        assert_eq!(ledger.lines.len(), ledger.taken().len(), "{protocol}: a key came twice without a reason");
        let received = ledger.samples();
        for event in ["cpu", "faults"] {
            let told = told(&ledger, &format!("brazier.samples{{event={event}}} {{sample}}"));
            assert_eq!(received.get(event).copied(), told, "{protocol}, {event}: {}", finished.stderr);
        }
        assert!(received.values().all(|n| *n > 0) && received.len() == 2, "{protocol}: {received:?}");
        let n_cpu = received.get("cpu").copied().unwrap_or(0);
        assert!(n_cpu > n_windows, "{protocol}: {n_cpu} samples of a server under load");
        let teams =
            ledger.lines.iter().filter(|line| line.samples().is_some()).map(|line| {
                line.resources.iter().filter_map(|it| it.get("team")?.as_str()).collect::<Vec<_>>()
            });
        assert!(teams.into_iter().all(|teams| teams == ["edge"]), "{protocol}: not all have the label");
    }
    Ok(())
}
