//! Waits and stalls: whose, for what, and what to do about it.

use profile::{
    LoopGroup, Loops, Meta, Profile, ThreadTime, Times, ValueType, WorkerLoop,
    analysis::{self, Analysis, Evidence, Group, Resource, WaitKind},
};

use crate::{frame, text};

const MS: i64 = 1_000_000;
const SECONDS: u64 = 1_000_000_000;

/// What a thread did in ten seconds: stacks as in `main.rs`, with milliseconds.
struct Worker {
    process: &'static str,
    tid: u32,
    blocked: &'static [(&'static str, i64)],
    stalled_on_cpu: &'static [(&'static str, i64)],
    stalled_off_cpu: &'static [(&'static str, i64)],
    has_loop: bool,
}

const IDLE: Worker = Worker {
    process: "nginx",
    tid: 4712,
    blocked: &[],
    stalled_on_cpu: &[],
    stalled_off_cpu: &[],
    has_loop: true,
};

fn stack(profile: &mut Profile, text: &str) -> profile::StackHandle {
    let frames: Vec<_> = text
        .split(' ')
        .map(|part| match part {
            "[waiting]" => profile.reason("[waiting for a CPU]"),
            // A name with a blank in it.
            _ => frame(profile, &part.replace('|', " ")),
        })
        .collect();
    profile.stack(frames)
}

fn add(profile: &mut Profile, worker: &Worker, text: &str, values: &[i64]) {
    let process = profile.process(4711, worker.process);
    let thread = profile.thread(process, worker.tid, worker.process);
    let stack = stack(profile, text);
    profile.add(stack, thread, values).expect("has as many values");
}

fn analysis(workers: &[Worker], groups: Vec<LoopGroup>) -> Analysis {
    let types = |kinds: &[&'static str]| -> Vec<ValueType> {
        kinds
            .iter()
            .map(|kind| ValueType::fixed(kind, if *kind == "samples" { "count" } else { "nanoseconds" }))
            .collect()
    };
    let meta = Meta { duration_ns: 10 * SECONDS, ..Meta::default() };
    let mut off_cpu = Profile::new(types(&["samples", "runnable", "blocked", "off_cpu"]), meta.clone());
    let mut stalls = Profile::new(types(&["samples", "stalled_off_cpu", "stalled"]), meta);
    let mut times = Vec::new();
    let mut loops = Vec::new();
    for worker in workers {
        let mut blocked_ns = 0;
        for (text, ms) in worker.blocked {
            blocked_ns += ms.unsigned_abs() * 1_000_000;
            let is_runnable = text.ends_with("[waiting]");
            let (runnable, blocked) = if is_runnable { (ms * MS, 0) } else { (0, ms * MS) };
            add(&mut off_cpu, worker, text, &[ms / 20, runnable, blocked, ms * MS]);
        }
        let mut stalled_ms = 0;
        for (text, ms) in worker.stalled_on_cpu {
            add(&mut stalls, worker, text, &[1, 0, ms * MS]);
            stalled_ms += ms;
        }
        for (text, ms) in worker.stalled_off_cpu {
            add(&mut stalls, worker, text, &[1, ms * MS, ms * MS]);
            stalled_ms += ms;
        }
        times.push(ThreadTime {
            pid: 4711,
            process: worker.process.to_owned(),
            tid: worker.tid,
            name: worker.process.to_owned(),
            elapsed_ns: 10 * SECONDS,
            on_cpu_ns: SECONDS,
            blocked_ns,
            idle_ns: 9 * SECONDS - blocked_ns,
            runnable_ns: 0,
        });
        loops.extend(worker.has_loop.then(|| WorkerLoop {
            pid: 4711,
            process: worker.process.to_owned(),
            tid: worker.tid,
            name: worker.process.to_owned(),
            busy_percent: 10.0,
            iterations: 1000,
            mean_ns: 100_000,
            median_ns: 100_000,
            p90_ns: 200_000,
            p99_ns: 400_000,
            max_ns: 52_000_000,
            stalls: (stalled_ms / 50).unsigned_abs(),
            stalled_ns: (stalled_ms * MS).unsigned_abs(),
            histogram: Vec::new(),
        }));
    }
    off_cpu.meta_mut().times = Some(Times { min_block_ns: 1_000_000, threads: times });
    stalls.meta_mut().loops = Some(Loops { stall_ns: 10_000_000, groups, workers: loops });
    analysis::analyze(&Evidence::default().with_off_cpu(Some(&off_cpu)).with_stalls(Some(&stalls)))
}

const IN_LOG: &str = "nginx:main nginx:nginx+0x2100 libc.so.6:write k:do_syscall_64 k:ksys_write k:vfs_write k:anon_pipe_write";
const IN_READ: &str = "nginx:main nginx:nginx+0x3100 libc.so.6:pread64 k:do_syscall_64 k:vfs_read k:fuse_file_read_iter k:folio_wait_bit_common";
const IN_OPEN: &str =
    "nginx:main nginx:nginx+0x3200 libc.so.6:open k:do_sys_openat2 k:path_openat k:request_wait_answer";

#[test]
fn a_worker_that_waits_for_files_is_the_first_bottleneck_with_what_to_change() {
    for (waited, kind, directive) in [
        (&[(IN_LOG, 6000)], WaitKind::PipeWrite, "buffer=64k"),
        (&[(IN_READ, 6000)], WaitKind::FileRead, "aio threads;"),
        (&[(IN_OPEN, 6000)], WaitKind::FileOpen, "open_file_cache"),
    ] {
        let seen = analysis(&[Worker { blocked: waited, stalled_off_cpu: waited, ..IDLE }], Vec::new());
        let [first] = seen.bottlenecks.as_slice() else { panic!("{kind:?}: {}", text(&seen)) };
        assert_eq!((first.group, first.weight_percent), (Group::Waiting, 60.0), "{first:#?}");
        assert!(first.what.contains(kind.name()) && !first.stack.is_empty(), "{first:#?}");
        let [advice] = seen.advice.as_slice() else { panic!("{kind:?}: {}", text(&seen)) };
        assert_eq!(advice.gain.of, Resource::WorkerTime, "{advice:#?}");
        assert!(advice.directive.as_ref().is_some_and(|it| it.contains(directive)), "{advice:#?}");
        let wait = seen.off_cpu.as_ref().and_then(|it| it.waits.first()).expect("has one");
        assert_eq!((wait.kind, wait.waits, wait.mean_ns, wait.in_event_loop), (kind, 300, 20_000_000, true));
        assert!(text(&seen).contains(kind.name()) && text(&seen).contains(directive), "{}", text(&seen));
        let mut page = Vec::new();
        analysis::write_html(&seen, &mut page).expect("writes");
        let page = String::from_utf8(page).expect("is text");
        for expected in ["What threads wait for", "Event loops", kind.name(), directive] {
            assert!(page.contains(expected), "{expected}: {page}");
        }
    }
}

#[test]
fn a_function_that_runs_for_too_long_is_to_leave_the_event_loop() {
    let node = Worker {
        process: "node",
        stalled_on_cpu: &[(
            "node:node::Start jit:emit|node:events:513 jit:holdUp|/app/server.js:2 libc.so.6:clock_gettime",
            450,
        )],
        stalled_off_cpu: &[("node:node::Start jit:holdUp|/app/server.js:2 [waiting]", 50)],
        blocked: &[("node:node::Start jit:holdUp|/app/server.js:2 [waiting]", 50)],
        ..IDLE
    };
    let seen = analysis(&[node], Vec::new());
    let [first] = seen.bottlenecks.as_slice() else { panic!("{}", text(&seen)) };
    assert!(first.what.ends_with("held up by holdUp /app/server.js:2"), "{first:#?}");
    assert_eq!(first.weight_percent, 5.0, "what it waited for a CPU meanwhile is in it: {first:#?}");
    let [advice] = seen.advice.as_slice() else { panic!("{}", text(&seen)) };
    assert!(advice.change.contains("holdUp") && advice.change.contains("worker thread"), "{advice:#?}");
    assert!(advice.directive.as_ref().is_some_and(|it| it.contains("worker_threads")), "{advice:#?}");
}

#[test]
fn a_busy_host_is_no_fault_of_the_function_that_waits_for_a_cpu() {
    let worker = Worker {
        process: "node",
        stalled_on_cpu: &[("node:node::Start jit:f|/app/a.js:1", 50)],
        stalled_off_cpu: &[("node:node::Start jit:f|/app/a.js:1 [waiting]", 950)],
        ..IDLE
    };
    let seen = analysis(&[worker], Vec::new());
    assert_eq!(seen.advice, [], "{}", text(&seen));
    let first = seen.bottlenecks.first().expect("has one");
    assert!(first.what.contains("for a CPU"), "{first:#?}");
}

#[test]
fn threads_that_wait_in_the_place_of_a_worker_hold_nobody_up() {
    let helper = Worker { tid: 4713, has_loop: false, blocked: &[(IN_READ, 9000)], ..IDLE };
    let seen = analysis(&[IDLE, helper], Vec::new());
    assert!(seen.advice.is_empty() && seen.bottlenecks.is_empty(), "{}", text(&seen));
    let waits = seen.off_cpu.as_ref().map_or(0, |it| it.waits.len());
    assert_eq!(waits, 1, "it is in the table: {seen:#?}");
    // Without an event loop, to wait for a peer may be all that there is to do, and a disk is not.
    let alone = |blocked| Worker { process: "server", has_loop: false, blocked, ..IDLE };
    let seen = analysis(
        &[alone(&[("server:main libc.so.6:recv k:do_syscall_64 k:tcp_recvmsg k:sk_wait_data", 9000)])],
        Vec::new(),
    );
    assert!(seen.bottlenecks.is_empty(), "{}", text(&seen));
    let seen = analysis(&[alone(&[(IN_READ, 3000)])], Vec::new());
    assert_eq!(seen.bottlenecks.first().map(|it| it.weight_percent), Some(30.0), "{}", text(&seen));
}

#[test]
fn one_worker_with_most_of_the_work_is_advised_to_share_it_out() {
    let group = |busiest_percent, busy_percent: f64| LoopGroup {
        process: "nginx".to_owned(),
        workers: 4,
        busy_percent,
        busiest_percent,
        imbalance: busiest_percent / busy_percent,
    };
    let proxy = Worker { blocked: &[("nginx:ngx_process_events_and_timers k:x", 10)], ..IDLE };
    let seen = analysis(&[proxy], vec![group(90.0, 30.0)]);
    let [advice] = seen.advice.as_slice() else { panic!("{}", text(&seen)) };
    assert!(advice.directive.as_ref().is_some_and(|it| it.contains("reuseport")), "{advice:#?}");
    assert_eq!(seen.bottlenecks.first().map(|it| it.weight_percent), Some(54.0), "{}", text(&seen));
    for even in [group(90.0, 80.0), group(20.0, 5.0)] {
        assert_eq!(analysis(&[IDLE], vec![even]).advice, []);
    }
}
