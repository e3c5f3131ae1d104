//! What receivers make of what the agent sends: totals, keys, headers, over both protocols, with and without TLS.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::Path,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use agent::send::{
    batch::{Batch, Form, Keys, Signal},
    make,
    retry::RetryLimits,
    shipper::{Shipper, ShipperSettings},
    sink::{Compression, Connection, OtlpGrpc, OtlpHttp, ProxyChoice, Sink, Tls},
    spool::{Limits, Spool},
};
use anyhow::{Result, ensure};
use profile::{Frame, KERNEL_MAPPING, Labels, Mapping, Meta, Profile, ValueType};
use serde_json::{Value, json};
use tests::{
    disk::Disk,
    process::Running,
    servers::{Certificates, OtlpReceiver},
    wait,
};

/// Two threads of nginx, one of them in the kernel.
fn profile() -> Result<Profile> {
    let meta = Meta {
        start_unix_ns: 1_700_000_000_000_000_000,
        duration_ns: 10_000_000_000,
        host: "edge-1".into(),
        event: "cpu-clock".into(),
        ..Meta::default()
    };
    let mut profile = Profile::new(ValueType::CPU, meta);
    let [nginx, kernel] = ["/usr/sbin/nginx", KERNEL_MAPPING].map(|path| {
        let path = profile.intern(path);
        profile.mapping(Mapping::file(path, None))
    });
    let [main, write] = ["main", "do_writev"].map(|name| profile.intern(name));
    let main = profile.frame(Frame::native(nginx, 0x1000).named(main));
    let write = profile.frame(Frame::kernel(kernel, 0xffff_ffff_8100_0000).named(write));
    let process = profile.process(4711, "nginx");
    for (tid, stack, n) in [(4711, vec![main], 7), (4712, vec![main, write], 35)] {
        let stack = profile.stack(stack);
        let thread = profile.thread(process, tid, &format!("worker {tid}"));
        profile.add(stack, thread, &[n, n * 10_000_000])?;
    }
    Ok(profile)
}

fn labels() -> Labels {
    [("service.name", "edge"), ("deployment.environment.name", "test")].into_iter().collect()
}

fn profile_batch(keys: &mut Keys) -> Result<Batch> {
    Ok(make::of_profile(&profile()?, "cpu", &labels(), keys.next_key(), &BTreeSet::from([Form::Otlp]))?)
}

fn shipper(dir: &Path, sinks: Vec<(&str, Box<dyn Sink>)>) -> Result<Shipper> {
    let retry = RetryLimits { first: Duration::from_millis(20), longest: Duration::from_millis(100) };
    let sinks = sinks.into_iter().map(|(name, sink)| (name.to_owned(), sink)).collect();
    Ok(Shipper::start(ShipperSettings {
        spool_dir: dir.join("spool"),
        limits: Limits::default(),
        retry,
        sinks,
    })?)
}

fn skipped() {
    // Not by a macro: the test runner would swallow that.
    let _ = io::stderr()
        .write_all(b"\nskipped: no packages for a receiver of OTLP (`cargo xtask test` fetches them)\n");
}

fn of_protocol<'a>(requests: &'a [Value], protocol: &str) -> Vec<&'a Value> {
    requests.iter().filter(|request| request["protocol"] == protocol).collect()
}

#[test]
fn both_protocols_deliver_the_same_totals_once_after_the_receiver_asked_to_come_again() -> Result<()> {
    let Some(receiver) = OtlpReceiver::start(2, None)? else {
        skipped();
        return Ok(());
    };
    let dir = tempfile::tempdir()?;
    let token = dir.path().join("token");
    std::fs::write(&token, "secret\n")?;
    let connection = |address| Connection {
        tenant: Some("tenant-1".into()),
        token_file: Some(token.clone()),
        proxy: ProxyChoice::Direct,
        ..Connection::to(format!("http://{address}"))
    };
    let grpc = OtlpGrpc::new(&connection(receiver.grpc))?;
    let http = OtlpHttp::new(&connection(receiver.http))?;
    let shipper = shipper(dir.path(), vec![("grpc", Box::new(grpc)), ("http", Box::new(http))])?;

    let mut keys = Keys::random()?;
    let profile_key = shipper.ship(profile_batch(&mut keys)?)?;
    let figures = shipper.figures().metrics(1, 2);
    let metrics_key =
        shipper.ship(make::of_metrics(&figures, &labels(), "edge-1", keys.next_key(), (1, 2)))?;
    let left = shipper.flush(wait::PATIENCE);
    let requests = receiver.requests()?;
    ensure!(left.is_empty(), "{left:?} {:?} {}", shipper.figures(), receiver.messages()?);

    let profile = profile()?;
    for protocol in ["grpc", "http"] {
        let seen = of_protocol(&requests, protocol);
        let [profiles, metrics] = seen.as_slice() else { anyhow::bail!("{protocol}: {requests:#?}") };
        let totals = json!({"cpu/nanoseconds": profile.total(1), "samples/count": profile.total(0)});
        assert_eq!(profiles["totals"], totals, "{profiles:#}");
        assert_eq!(profiles["functions"], json!(["do_writev", "main"]), "{profiles:#}");
        assert_eq!(profiles["threads"], json!(["worker 4711", "worker 4712"]), "{profiles:#}");
        let resource = json!([{
            "service.name": "edge",
            "deployment.environment.name": "test",
            "host.name": "edge-1",
            "brazier.batch.key": profile_key.to_string(),
        }]);
        assert_eq!(profiles["resources"], resource, "{profiles:#}");
        for (request, key) in [(profiles, profile_key), (metrics, metrics_key)] {
            let headers = &request["headers"];
            assert_eq!(headers["idempotency-key"], key.to_string(), "{request:#}");
            assert_eq!(headers["authorization"], "Bearer secret", "{request:#}");
            assert_eq!(headers["x-scope-orgid"], "tenant-1", "{request:#}");
        }
        let waiting = &metrics["values"]["brazier.sink.waiting{sink=grpc} {batch}"];
        assert!(waiting.is_number(), "{metrics:#}");
    }
    let figures: BTreeMap<_, _> =
        shipper.figures().sinks.into_iter().map(|sink| (sink.name.clone(), sink.figures)).collect();
    for (name, figures) in &figures {
        assert_eq!((figures.delivered, figures.retried, figures.given_up), (2, 2, 0), "{name}: {figures:?}");
    }
    Ok(())
}

#[test]
fn over_tls_both_sides_show_their_certificate_or_nothing_is_delivered() -> Result<()> {
    let certificates = Certificates::new("127.0.0.3")?;
    let Some(receiver) = OtlpReceiver::start(0, Some(&certificates))? else {
        skipped();
        return Ok(());
    };
    let file = |name: &str| Some(certificates.dir().join(name));
    let connection = |address, tls| Connection {
        tls,
        proxy: ProxyChoice::Direct,
        timeout: Duration::from_secs(10),
        ..Connection::to(format!("https://{address}"))
    };
    let whole =
        Tls { ca_file: file("ca.pem"), certificate_file: file("client.pem"), key_file: file("client.key") };
    let nameless = Tls { certificate_file: None, key_file: None, ..whole.clone() };
    let credulous = Tls { ca_file: None, ..whole.clone() };
    let mut sinks: Vec<(&str, Box<dyn Sink>)> = Vec::new();
    for (grpc, http, tls) in [
        ("grpc", "http", whole),
        ("grpc without a certificate", "http without a certificate", nameless),
        ("grpc that does not know the authority", "http that does not know the authority", credulous),
    ] {
        sinks.push((grpc, Box::new(OtlpGrpc::new(&connection(receiver.grpc, tls.clone()))?)));
        sinks.push((http, Box::new(OtlpHttp::new(&connection(receiver.http, tls))?)));
    }
    let dir = tempfile::tempdir()?;
    let shipper = shipper(dir.path(), sinks)?;
    shipper.ship(profile_batch(&mut Keys::random()?)?)?;
    let end = std::time::Instant::now() + wait::PATIENCE;
    let is_settled = |shipper: &Shipper| {
        shipper.figures().sinks.iter().all(|sink| sink.figures.delivered > 0 || sink.figures.retried > 1)
    };
    while !is_settled(&shipper) && std::time::Instant::now() < end {
        thread::sleep(Duration::from_millis(20));
    }
    let figures = shipper.figures();
    for sink in &figures.sinks {
        let is_whole = ["grpc", "http"].contains(&sink.name.as_str());
        assert_eq!(sink.figures.delivered, u64::from(is_whole), "{sink:#?} {}", receiver.messages()?);
        let reason = sink.figures.last_trouble.as_ref().map_or("", |trouble| &trouble.reason);
        assert_eq!(reason.is_empty(), is_whole, "{sink:#?}");
        assert_eq!(reason.contains("UnknownIssuer"), sink.name.contains("authority"), "{sink:#?}");
    }
    let requests = receiver.requests()?;
    assert_eq!((requests.len(), of_protocol(&requests, "grpc").len()), (2, 1), "{requests:#?}");
    Ok(())
}

/// A proxy that connects whoever asks by CONNECT, and counts them.
fn connect_proxy() -> Result<(String, Arc<AtomicUsize>)> {
    let listener = TcpListener::bind(("127.0.0.3", 0))?;
    let address = listener.local_addr()?;
    let n_connected = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&n_connected);
    thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            let mut head = Vec::new();
            let mut byte = [0];
            while !head.ends_with(b"\r\n\r\n") && client.read_exact(&mut byte).is_ok() {
                head.extend(byte);
            }
            let head = String::from_utf8_lossy(&head).to_lowercase();
            // user:pass
            let is_known = head.contains("proxy-authorization: basic dxnlcjpwyxnz");
            let target = head.strip_prefix("connect ").and_then(|rest| rest.split(' ').next());
            let (Some(target), true) = (target, is_known) else { continue };
            let Ok(mut server) = TcpStream::connect(target) else { continue };
            count.fetch_add(1, Ordering::Relaxed);
            if client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").is_err() {
                continue;
            }
            let (Ok(mut from), Ok(mut to)) = (client.try_clone(), server.try_clone()) else { continue };
            thread::spawn(move || io::copy(&mut from, &mut to));
            thread::spawn(move || io::copy(&mut server, &mut client));
        }
    });
    Ok((format!("http://user:pass@{address}"), n_connected))
}

#[test]
fn both_protocols_go_through_a_proxy_that_wants_a_password() -> Result<()> {
    let Some(receiver) = OtlpReceiver::start(0, None)? else {
        skipped();
        return Ok(());
    };
    let (proxy, n_connected) = connect_proxy()?;
    let connection = |address, compression| Connection {
        compression,
        proxy: ProxyChoice::Through(proxy.clone()),
        ..Connection::to(format!("http://{address}"))
    };
    let dir = tempfile::tempdir()?;
    let grpc = OtlpGrpc::new(&connection(receiver.grpc, Compression::None))?;
    let http = OtlpHttp::new(&connection(receiver.http, Compression::None))?;
    let shipper = shipper(dir.path(), vec![("grpc", Box::new(grpc)), ("http", Box::new(http))])?;
    let mut keys = Keys::random()?;
    for _ in 0..3 {
        shipper.ship(profile_batch(&mut keys)?)?;
    }
    let left = shipper.flush(wait::PATIENCE);
    ensure!(left.is_empty(), "{left:?} {:?} {}", shipper.figures(), receiver.messages()?);
    assert_eq!(receiver.requests()?.len(), 6);
    // One connection each, kept.
    assert_eq!(n_connected.load(Ordering::Relaxed), 2);
    Ok(())
}

#[test]
fn a_full_disk_is_a_counted_failure_and_what_was_spooled_before_is_still_there() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let disk = dir.path().join("disk");
    let _mounted = Disk::mount(&disk, "256k")?;
    let sinks = ["a".to_owned()];
    let mut spool = Spool::open(&disk.join("spool"), Limits::default(), &sinks, 0)?;
    let mut keys = Keys::random()?;
    let mut kept = Vec::new();
    let error = loop {
        let parts = vec![(Form::Otlp, vec![1; 40_000])];
        match spool.append(Batch { parts, ..profile_batch(&mut keys)? }, 0) {
            Ok(key) => kept.push(key),
            Err(error) => break error,
        }
        ensure!(kept.len() < 100, "a disk of 256 KiB is never full");
    };
    let text = format!("{:#}", anyhow::Error::from(error));
    assert!(text.contains("No space left on device"), "{text}");
    assert_eq!(spool.figures().unspooled, 1);
    drop(spool);
    let mut spool = Spool::open(&disk.join("spool"), Limits::default(), &sinks, 0)?;
    assert_eq!(spool.figures().unfinished, 0, "a file was left half written");
    let mut seen = Vec::new();
    while let Some((number, batch)) = spool.next("a", 0) {
        assert_eq!(batch.signal, Signal::Profiles);
        seen.push(batch.key);
        spool.done("a", number);
    }
    assert!(seen == kept && kept.len() > 2, "{seen:?} {kept:?}");
    Ok(())
}

#[test]
fn what_was_spooled_is_there_after_the_spooler_was_killed_however_often() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("spool");
    let mut kept = Vec::new();
    let mut n_unfinished = 0;
    for n_more in [1, 5, 2, 9, 3, 7, 4, 8] {
        let spooler = Running::start(Command::new(env!("CARGO_BIN_EXE_spooler")).arg(&path))?;
        wait::until("some batches are spooled", wait::PATIENCE, || {
            ensure!(!spooler.has_ended(), "the spooler ended: {}", spooler.stderr()?);
            Ok((spooler.stdout()?.lines().count() >= n_more).then_some(()))
        })?;
        spooler.signal(libc::SIGKILL)?;
        let finished = spooler.finish(wait::PATIENCE)?;
        kept.extend(String::from_utf8(finished.stdout)?.lines().map(str::to_owned));
        let spool = Spool::open(&path, Limits::default(), &["a".to_owned()], 0)?;
        n_unfinished += spool.figures().unfinished;
        assert!(spool.figures().refused.is_empty(), "{:?}", spool.figures());
    }
    let mut spool = Spool::open(&path, Limits::default(), &["a".to_owned()], 0)?;
    let mut seen = Vec::new();
    while let Some((number, batch)) = spool.next("a", 0) {
        seen.push(batch.key.to_string());
        spool.done("a", number);
    }
    // Killed between the file and the line that tells of it, a spooler leaves one batch more than it told.
    let n_untold = seen.iter().filter(|key| !kept.contains(key)).count();
    seen.retain(|key| kept.contains(key));
    assert_eq!(seen, kept, "{n_untold} untold, {n_unfinished} unfinished");
    assert!(n_untold <= 8 && n_unfinished <= 8, "{n_untold} untold, {n_unfinished} unfinished");
    Ok(())
}
