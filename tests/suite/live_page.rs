//! Collector, daemon and an nginx under load, and the page over all of it: Chromium, driven by `live_page.py`, sees profiles
//! come in by themselves, and what the load's change did to them.

mod browser;
mod rows;

use std::{
    fs,
    io::{self, Write as _},
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use tests::{
    collector::Collector,
    own_daemon::OwnDaemon,
    paths,
    servers::{self, Answers, Load, Server},
};

use crate::routes::page;
use browser::{Browser, Seen};
use rows::{numbers, seconds, share};

/// Where nothing listens by default, and no other test.
const HOST: &str = "127.0.0.5";
/// `{service="nginx"}`
const NGINX: &str = "match=%7Bservice%3D%22nginx%22%7D";
/// The same file is sent from two places; from one of them compressed.
const PACKED: &str = "location /packed/ { alias html/; gzip on; gzip_types *; gzip_comp_level 6; }";
/// Of a second each, in which nginx was seen, under each load.
const N_WINDOWS: usize = 6;
/// Of a load's time, at both its ends: windows there may have something of what was before or after it.
const MARGIN: f64 = 0.15;
/// Of nginx' time, in percent: at least what it compresses for, and what is sent, that it has no reason to do anything but.
const MOST: f64 = 50.0;
const MUCH: f64 = 10.0;

/// Everything that runs, but for the load.
struct Live {
    // Before what it sends to.
    daemon: OwnDaemon,
    collector: Collector,
    nginx: Server,
    browser: Browser,
}

impl Live {
    fn start(collector: Collector, browser: Browser) -> Result<Self> {
        let nginx = servers::nginx_with("", PACKED)?;
        fs::write(nginx.dir().join("html/page.txt"), page()).context("cannot write a page")?;
        // No other nginx of this host, if there is one.
        let targets = format!("[[target]]\nname = \"nginx\"\ncmdline = {:?}", nginx.dir());
        let daemon = OwnDaemon::start_with(targets, |config| {
            let sink =
                format!("kind = \"otlp-grpc\"\naddress = \"http://{}\"\nproxy = \"none\"", collector.grpc);
            config.sinks = vec![("collector".to_owned(), sink)];
            Ok(())
        })?;
        Ok(Self { daemon, collector, nginx, browser })
    }

    /// Waits until the collector has some windows from this moment on.
    fn wait_for_windows(&self, from_ms: u64) -> Result<()> {
        let path = format!("/api/v1/timeline?type=cpu:nanoseconds&{NGINX}&from={from_ms}&step_ms=1000");
        self.daemon.until("windows are in the store", |_| {
            let answer = self.collector.ask(&path)?;
            let points = answer.pointer("/series/0/points").and_then(Value::as_array);
            let n_windows = points.map_or(0, Vec::len);
            ensure!(n_windows >= N_WINDOWS, "{n_windows} windows");
            Ok(Some(()))
        })
    }
}

fn now_ms() -> Result<u64> {
    Ok(u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())?)
}

/// When the loads were there.
struct Loads {
    packed_ms: u64,
    plain_ms: u64,
    end_ms: u64,
}

impl Loads {
    /// The middle of a time, as parts of all of it, to be dragged over.
    fn part(&self, from_ms: u64, until_ms: u64) -> String {
        let at = |ms: u64| (ms - self.packed_ms) as f64 / (self.end_ms - self.packed_ms) as f64;
        let (from, until) = (at(from_ms), at(until_ms));
        let margin = MARGIN * (until - from);
        format!("{:.4}-{:.4}", from + margin, until - margin)
    }
}

#[test]
fn the_page_of_a_live_nginx_follows_it_and_names_compression_as_what_is_gone() -> Result<()> {
    let Some(packages) = paths::playwright_packages() else {
        writeln!(io::stderr(), "\nskipped: no Playwright or no Chromium (`cargo xtask test` fetches them)")?;
        return Ok(());
    };
    let dir = tempfile::tempdir()?;
    let Some(collector) = Collector::start(HOST, dir.path())? else {
        writeln!(io::stderr(), "\nskipped: no collector (`cargo build -p collector` makes it)")?;
        return Ok(());
    };
    let browser = Browser::new(&collector.web, packages)?;
    println!("pictures: {}", browser.out.display());
    let live = Live::start(collector, browser)?;

    let packed_ms = now_ms()?;
    let load = Load::of_page(&live.nginx, "packed/page.txt")?;
    live.wait_for_windows(packed_ms)?;
    let watching = live.browser.start(&["watch", &format!("?{NGINX}&from=now-5m&live=1")])?;
    let first = live.daemon.until("the page shows something", |_| watching.line(0))?;
    let packed = load.end()?;
    let plain_ms = now_ms()?;
    let load = Load::of_page(&live.nginx, "page.txt")?;
    live.wait_for_windows(plain_ms)?;
    let later = watching.finish(1)?;
    let loads = Loads { packed_ms, plain_ms, end_ms: now_ms()? };
    println!("{first}\n{later}");
    follows(&live, &first, &later)?;

    // The load goes on meanwhile.
    let search = format!("?{NGINX}&from={}&until={}", loads.packed_ms, loads.end_ms);
    let parts = [loads.part(packed_ms, plain_ms), loads.part(plain_ms, loads.end_ms)];
    let seen = live.browser.start(&["read", &search, &parts[0], &parts[1]])?.finish(0)?;
    println!("{seen}");
    assert!(load.is_alive(), "the load has ended\n{seen}");
    let plain = load.end()?;
    // Where others use the machine, an answer may come too late for wrk.
    let is_answered = |it: &Answers| it.n_failed * 20 <= it.n_requests;
    assert!(is_answered(&packed) && is_answered(&plain), "{packed:?} {plain:?}");
    is_read(&seen, &loads)?;
    names_what_is_gone(&seen)?;
    has_no_fault(&live, &seen)
}

/// What came later was shown by itself: nobody loaded the page again, or asked for something.
fn follows(live: &Live, first: &Seen, later: &Seen) -> Result<()> {
    assert_eq!(first.text("live")?, "true", "{first}");
    assert_eq!(first.text("service")?, "nginx", "{first}");
    assert_eq!(first.list("services")?, ["all services", "nginx"], "{first}");
    assert!(!first.list("all_functions")?.is_empty(), "{first}");
    let of_libz = first.list("functions")?;
    assert!(!of_libz.is_empty() && of_libz.iter().all(|it| it.contains("libz.so.1")), "{first}");
    assert!(share(first.text("found")?)? > MOST, "{first}");
    assert!(first.text("timeline")?.contains("CPU on average"), "{first}");

    assert_eq!(later.list("loads")?.len(), 1, "{later}");
    assert!(later.text("search")?.contains("live=1"), "{later}");
    assert!(share(later.text("found")?)? < share(first.text("found")?)?, "{first}\n{later}");
    assert!(seconds(later.text("whole")?)? > seconds(first.text("whole")?)?, "{first}\n{later}");
    has_no_fault(live, later)
}

/// A part that is dragged over, a function that is searched for, and the frame that was zoomed to.
fn is_read(seen: &Seen, loads: &Loads) -> Result<()> {
    let part_s = seconds(seen.text("part")?)?;
    assert!(part_s > 0.0 && part_s < seconds(seen.text("whole")?)?, "{seen}");
    let [from_ms, until_ms] = ["a", "b"].map(|name| seen.parameter("part_search", name));
    let (from_ms, until_ms) = (from_ms?, until_ms?);
    let is_of_load = loads.packed_ms <= from_ms && from_ms < until_ms && until_ms <= loads.plain_ms;
    assert!(is_of_load, "{from_ms} to {until_ms}\n{seen}");

    let found = seen.of("found");
    assert_eq!(found.text("count")?, "1 function", "{seen}");
    let functions = found.list("functions")?;
    assert!(functions.len() == 1 && functions[0].starts_with("deflate libz.so.1"), "{seen}");
    let found = share(found.text("share")?)?;
    assert!(found > MOST, "{found} % in deflate\n{seen}");
    // Self and total: amount and share.
    let [.., total] = numbers::<4>(functions[0])?;
    assert!((total - found).abs() < 0.01, "{total} % and {found} %\n{seen}");

    assert!(seen.text("announced")?.starts_with("deflate, libz.so.1"), "{seen}");
    let crumbs = seen.text("crumbs")?;
    assert!(crumbs.starts_with("All › ") && crumbs.ends_with(" › deflate"), "{seen}");
    assert!(seen.text("zoomed_search")?.contains("at="), "{seen}");
    assert_eq!(seen.text("after_escape")?, seen.text("part")?, "{seen}");
    assert_eq!(seen.text("search_after_escape")?, seen.text("part_search")?, "{seen}");
    Ok(())
}

/// The comparison knows nothing of the loads.
fn names_what_is_gone(seen: &Seen) -> Result<()> {
    assert!(seen.text("compared")?.contains(" against "), "{seen}");
    let [base_until_ms, from_ms] = ["base_b", "a"].map(|name| seen.parameter("compared_search", name));
    assert!(base_until_ms? < from_ms?, "{seen}");
    // Shares of the function itself before and after, their difference, and that with all that is called.
    let [before, after, change, _] = numbers(seen.list("changes")?.first().context("no changes")?)?;
    assert!(seen.list("changes")?[0].contains(" libz.so.1") && change < -MUCH, "{seen}");
    assert!(after < before, "{seen}");
    let mut changes = 0.0;
    for row in seen.list("library")? {
        let [.., change, _] = numbers::<4>(row)?;
        assert!(change <= 0.0, "{row}\n{seen}");
        changes += change;
    }
    assert!(changes < -MOST, "{changes}\n{seen}");
    let change_of = |name: &str| -> Result<f64> {
        let rows = seen.list(name)?;
        ensure!(rows.len() == 1, "{} rows of {name}\n{seen}", rows.len());
        let [.., change] = numbers::<4>(rows[0])?;
        Ok(change)
    };
    let (deflate, writev) = (change_of("deflate")?, change_of("writev")?);
    assert!(deflate < -MOST && writev > MUCH, "deflate {deflate}, writev {writev}\n{seen}");
    Ok(())
}

fn has_no_fault(live: &Live, seen: &Seen) -> Result<()> {
    assert_eq!(seen.list("errors")?, Vec::<&str>::new(), "what the browser complains of\n{seen}");
    assert_eq!(seen.list("hosts")?, [live.collector.web.as_str()], "where it asked\n{seen}");
    Ok(())
}
