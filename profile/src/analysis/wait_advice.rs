//! Advice on waits, stalls and uneven work: what makes a worker wait, and what would do that in its place.

use super::{
    advice::{Advice, Gain, Resource},
    groups::Group,
    lost::Loss,
    proxy::Proxy,
    report::Bottleneck,
    waits::WaitKind,
};
use crate::LoopGroup;

/// A worker that loses less is not worth the change.
const WORTH_PERCENT: f64 = 2.0;

/// What to do about a kind of wait.
struct Change {
    title: &'static str,
    change: String,
    directive: Option<String>,
    low_share: f64,
    high_share: f64,
    how: &'static str,
}

/// Advice on what holds a worker up, if there is any.
pub(super) fn of(loss: &Loss, proxy: Option<Proxy>) -> Option<Advice> {
    let percent = loss.bottleneck.weight_percent;
    if percent < WORTH_PERCENT || !loss.has_loop {
        return None;
    }
    let change = match loss.waits_for {
        Some(kind) if kind.is_of_files() => of_files(loss, kind, proxy)?,
        Some(WaitKind::Connect | WaitKind::SocketRead | WaitKind::SocketWrite) => Change {
            title: "a worker waits for one peer, and with it all of its connections",
            change: "make the call without waiting, or on another thread".to_owned(),
            directive: None,
            low_share: 0.9,
            high_share: 1.0,
            how: "the wait is no longer the worker's; the request takes as long as before",
        },
        // What else is waited for, the stack says, and not what would do without it.
        Some(_) => return None,
        None => of_running(loss, proxy)?,
    };
    let mut evidence = vec![format!("{}: {}", loss.bottleneck.what, loss.bottleneck.evidence)];
    evidence.extend(loss.hints.elsewhere.map(|place| format!("the files are on {place}")));
    Some(Advice {
        title: change.title.to_owned(),
        group: loss.bottleneck.group,
        weight_percent: percent,
        evidence,
        stack: loss.bottleneck.stack.clone(),
        gain: Gain {
            of: Resource::WorkerTime,
            percent_low: change.low_share * percent,
            percent_high: change.high_share * percent,
            how: change.how.to_owned(),
        },
        change: change.change,
        directive: change.directive,
    })
}

fn of_files(loss: &Loss, kind: WaitKind, proxy: Option<Proxy>) -> Option<Change> {
    const BY_POOL: &str =
        "threads of a pool wait in the place of the worker; the request takes as long as before";
    let is_write = matches!(kind, WaitKind::FileWrite | WaitKind::PipeWrite | WaitKind::FileSync);
    let is_log = loss.hints.is_log || is_write && loss.hints.is_plain_write;
    let directive = |text: &str| Some(text.to_owned());
    Some(match (proxy, kind) {
        (Some(Proxy::Nginx), _) if is_log => Change {
            title: "the access log keeps a worker waiting",
            change:
                "write the log from a buffer, to a faster disk, or by syslog over UDP, which does not wait"
                    .to_owned(),
            directive: directive("access_log /path combined buffer=64k flush=5s;"),
            low_share: 0.5,
            high_share: 1.0,
            how: "a line of 200 bytes fits 300 times into a buffer of 64 KiB: one wait in the place of 300, which may be as \
                  long as two; by syslog, none",
        },
        (Some(Proxy::Nginx), WaitKind::FileOpen) => Change {
            title: "opening files keeps a worker waiting",
            change: "keep files open, and what is known of them: threads of a pool do not open files"
                .to_owned(),
            directive: directive(
                "open_file_cache max=10000 inactive=60s; open_file_cache_valid 60s; open_file_cache_errors on;",
            ),
            low_share: 0.5,
            high_share: 0.95,
            how: "a file that is open needs not be found again: half of the requests are for one, or nearly all",
        },
        (Some(Proxy::Nginx), WaitKind::FileWrite | WaitKind::FileSync) => Change {
            title: "writing temporary files keeps a worker waiting",
            change: "have threads write what does not fit into the buffers, or make these larger".to_owned(),
            directive: directive("aio threads; aio_write on; proxy_buffers 16 64k;"),
            low_share: 0.8,
            high_share: 1.0,
            how: BY_POOL,
        },
        (Some(Proxy::Nginx), WaitKind::FileRead | WaitKind::PageFault) => Change {
            title: "reading files keeps a worker waiting",
            change: "have threads read them".to_owned(),
            directive: directive("aio threads; sendfile on; sendfile_max_chunk 512k;"),
            low_share: 0.8,
            high_share: 1.0,
            how: BY_POOL,
        },
        (Some(Proxy::Node), WaitKind::PageFault) | (_, WaitKind::PageFault) => return None,
        (Some(Proxy::Node), _) => Change {
            title: "a synchronous call of fs keeps the event loop waiting",
            change: match &loss.function {
                Some(function) => format!("have {function} call the asynchronous form"),
                None => "call the asynchronous form".to_owned(),
            },
            directive: directive("await fs.promises.readFile(path)   // writeFile, open, stat"),
            low_share: 0.9,
            high_share: 1.0,
            how: "a thread of libuv's pool waits in the place of the event loop",
        },
        _ => Change {
            title: "a worker waits for files, and with it all of its connections",
            change: "have a pool of threads do it".to_owned(),
            directive: None,
            low_share: 0.8,
            high_share: 1.0,
            how: BY_POOL,
        },
    })
}

/// What runs for too long. How a server's own code is to be changed is not for its configuration to say.
fn of_running(loss: &Loss, proxy: Option<Proxy>) -> Option<Change> {
    let function = loss.function.as_ref()?;
    let (change, directive) = match proxy {
        Some(Proxy::Node) => (
            format!("run {function} in a worker thread, or let it yield (setImmediate) between parts"),
            Some("new Worker(file, { workerData })   // node:worker_threads".to_owned()),
        ),
        None => (format!("run {function} on another thread, or let it yield between parts"), None),
        Some(_) => return None,
    };
    Some(Change {
        title: "a function runs for so long that the event loop stalls",
        change,
        directive,
        low_share: 0.8,
        high_share: 1.0,
        how: "the time of its stalls is that of other requests again; handing over arguments and results costs up to a fifth \
              of it: assumed, not measured here",
    })
}

/// Advice on workers of which one has most of the work.
pub(super) fn of_imbalance(group: &LoopGroup, bottleneck: &Bottleneck, proxy: Option<Proxy>) -> Advice {
    let (change, directive) = match proxy {
        Some(Proxy::Nginx) => (
            "have the kernel share out connections among workers, each with a queue of its own",
            Some("listen 443 ssl reuseport;   # and accept_mutex off in events"),
        ),
        Some(Proxy::HAProxy) => {
            ("give each thread a listener of its own", Some("bind :443 shards by-thread"))
        }
        Some(Proxy::Envoy) => (
            "have Envoy balance connections over its workers",
            Some("connection_balance_config: { exact_balance: {} }"),
        ),
        Some(Proxy::Node) => (
            "have the primary hand out connections in turn",
            Some("cluster.schedulingPolicy = cluster.SCHED_RR"),
        ),
        _ => (
            "share out connections among workers (SO_REUSEPORT), or requests in the place of connections",
            None,
        ),
    };
    let gain = group.busiest_percent - group.busy_percent;
    Advice {
        title: "connections are not shared out evenly".to_owned(),
        group: Group::EventLoop,
        weight_percent: bottleneck.weight_percent,
        evidence: vec![bottleneck.evidence.clone()],
        stack: Vec::new(),
        gain: Gain {
            of: Resource::WorkerTime,
            percent_low: 0.5 * gain,
            percent_high: gain,
            how: "the busiest worker comes halfway down to the average, or all of the way: few connections with many \
                  requests each stay uneven"
                .to_owned(),
        },
        change: change.to_owned(),
        directive: directive.map(str::to_owned),
    }
}
