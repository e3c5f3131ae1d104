//! One small profile with a case of everything a frame can be.

use profile::{
    BuildId, FirstStacks, Frame, FrameHandle, KERNEL_MAPPING, Loss, Mapping, Meta, Overhead, Profile,
    ThreadHandle, Truncation, UnwindTables, ValueType, WrongValueCount,
};

/// 100 Hz, so that sums are easy to follow.
const PERIOD_NS: i64 = 10_000_000;

/// nginx with kernel, inlined and missing symbols, Node with JIT code and a stack that could not be finished.
pub(crate) fn two_proxies() -> Result<Profile, WrongValueCount> {
    let mut profile = Profile::new(ValueType::CPU, meta());
    let kernel = file(&mut profile, KERNEL_MAPPING, &[]);
    let nginx = file(&mut profile, "/usr/sbin/nginx", &[0x0a, 0xbc, 0xde, 0xf0]);
    let libc = file(&mut profile, "/usr/lib/x86_64-linux-gnu/libc.so.6", &[0x51; 20]);
    let node = file(&mut profile, "/usr/bin/node", &[]);

    let main = named(&mut profile, Frame::native(nginx, 0x2_7000), "main");
    let events = named(&mut profile, Frame::native(nginx, 0x4_a210), "ngx_epoll_process_events");
    let epoll_wait = named(&mut profile, Frame::native(libc, 0x10_9e66), "epoll_wait");
    let syscall = named(&mut profile, Frame::kernel(kernel, 0xffff_ffff_8100_0140), "do_syscall_64");
    let unknown_kernel = profile.frame(Frame::kernel(kernel, 0xffff_ffff_c050_1234));
    let source = profile.intern("src/http/ngx_http_parse.c");
    let process_line =
        named(&mut profile, Frame::native(nginx, 0x6_0b31).at(source, 1071), "ngx_http_process_request_line");
    let parse_line = Frame::native(nginx, 0x6_0b31).at(source, 113).inlined();
    let parse_line = named(&mut profile, parse_line, "ngx_http_parse_request_line");
    let unknown_nginx = profile.frame(Frame::native(nginx, 0x7_7777));

    let start = named(&mut profile, Frame::native(node, 0xd0_0000), "node::Start(int; char**)");
    let known_jit = named(&mut profile, Frame::jit(0x7f3a_0000_1000), "JS:*handle /srv/app.js:12");
    let unknown_jit = profile.frame(Frame::jit(0x7f3a_0000_2000));
    let unreadable = profile.reason("[truncated: stack memory not readable]");

    let nginx_process = profile.process(4711, "nginx");
    let nginx_thread = profile.thread(nginx_process, 4711, "nginx");
    let node_process = profile.process(4800, "node");
    let node_thread = profile.thread(node_process, 4800, "node");
    let v8_worker = profile.thread(node_process, 4803, "V8 <Worker> 1");

    let in_kernel = [main, events, epoll_wait, syscall, unknown_kernel];
    count(&mut profile, nginx_thread, &in_kernel, 20)?;
    count(&mut profile, nginx_thread, &[main, process_line, parse_line], 40)?;
    count(&mut profile, nginx_thread, &[main, process_line], 5)?;
    count(&mut profile, nginx_thread, &[main, unknown_nginx], 3)?;
    count(&mut profile, nginx_thread, &[main, process_line, parse_line], 2)?;
    count(&mut profile, node_thread, &[start, known_jit, unknown_jit], 15)?;
    count(&mut profile, v8_worker, &[unreadable, start], 4)?;
    count(&mut profile, v8_worker, &[], 1)?;
    Ok(profile)
}

fn meta() -> Meta {
    let loss = |cause: &str, count| Loss { cause: cause.to_owned(), count };
    let cut = |reason: &str, count| Truncation { reason: reason.to_owned(), count };
    Meta {
        start_unix_ns: 1_700_000_000_000_000_000,
        duration_ns: 5_000_000_000,
        host: "edge-1".to_owned(),
        command: "pids 4711, 4800".to_owned(),
        event: "cpu-clock".to_owned(),
        frequency_hz: 100,
        period_ns: 10_000_000,
        lost: vec![loss("ring buffer full", 2), loss("stack table full", 1)],
        stacks_complete: 85,
        truncated: vec![cut("[truncated: stack memory not readable]", 4), cut("[no frames]", 1)],
        first_stacks: Some(FirstStacks {
            until_first_whole_ns: Some(10_120_000),
            new_images: 4,
            whole_at_once: 3,
            never_whole: 0,
            median_ns: Some(1_400_000),
            max_ns: Some(17_000_000),
        }),
        overhead: Some(Overhead {
            kernel_ns_per_sample: Some(812.4),
            kernel_cpu_percent: Some(0.08),
            agent_cpu_percent: Some(0.25),
            agent_rss_bytes: Some(60_817_408),
            table_bytes: None,
        }),
        probes: None,
        times: None,
        loops: None,
        allocations: None,
        unwind_tables: Some(UnwindTables {
            tables_evicted: 3,
            tables_from_cache: 41,
            ..UnwindTables::default()
        }),
        comments: vec!["rate lowered once".to_owned()],
    }
}

fn file(profile: &mut Profile, path: &str, build_id: &[u8]) -> profile::MappingHandle {
    let path = profile.intern(path);
    profile.mapping(Mapping::file(path, BuildId::new(build_id)))
}

fn named(profile: &mut Profile, frame: Frame, function: &str) -> FrameHandle {
    let function = profile.intern(function);
    profile.frame(frame.named(function))
}

fn count(
    profile: &mut Profile,
    thread: ThreadHandle,
    root_to_leaf: &[FrameHandle],
    n_samples: i64,
) -> Result<(), WrongValueCount> {
    let stack = profile.stack(root_to_leaf.iter().copied());
    profile.add(stack, thread, &[n_samples, n_samples * PERIOD_NS])
}
