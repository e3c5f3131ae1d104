//! What is said of profiles of which it is known what is wrong with them, and of some with which nothing is.

mod memory;
mod requests;
mod waits;

use profile::{
    Frame, FrameHandle, KERNEL_MAPPING, Mapping, Meta, Profile, TextStyle, ValueType,
    analysis::{self, Analysis, Evidence, Group, Proxy, Resource},
};
use quick_xml::{Reader, events::Event};

/// Each case: frames `file:function`, root first, of which `k` is the kernel and `jit` code made at run time; and samples of
/// a millisecond in ten seconds.
pub(crate) fn profile(process: &str, stacks: &[(&str, i64)]) -> Profile {
    let meta = Meta {
        duration_ns: 10_000_000_000,
        host: "edge-1".to_owned(),
        command: "pid 4711".to_owned(),
        ..Meta::default()
    };
    let mut profile = Profile::new(ValueType::CPU, meta);
    let process = profile.process(4711, process);
    let thread = profile.thread(process, 4712, "worker");
    for (stack, count) in stacks {
        let frames: Vec<FrameHandle> = stack.split(' ').map(|part| frame(&mut profile, part)).collect();
        let stack = profile.stack(frames);
        profile.add(stack, thread, &[*count, count * 1_000_000]).expect("has two values");
    }
    profile
}

pub(crate) fn frame(profile: &mut Profile, part: &str) -> FrameHandle {
    let (file, function) = part.split_once(':').expect("has a file");
    let name = profile.intern(function);
    let path = profile.intern(if file == "k" { KERNEL_MAPPING } else { file });
    let frame = match file {
        "jit" => Frame::jit(1).named(name),
        "k" => Frame::kernel(profile.mapping(Mapping::file(path, None)), 1).named(name),
        _ => Frame::native(profile.mapping(Mapping::file(path, None)), 1).named(name),
    };
    profile.frame(frame)
}

fn analysis(process: &str, stacks: &[(&str, i64)]) -> Analysis {
    analysis::analyze(&Evidence::of_cpu(&profile(process, stacks)))
}

pub(crate) fn text(analysis: &Analysis) -> String {
    let mut text = Vec::new();
    analysis::write_analysis(analysis, &mut text, TextStyle::default()).expect("writes");
    String::from_utf8(text).expect("is text")
}

/// An nginx with which nothing is wrong: most of it in the kernel's TCP, as it is where a proxy does its work.
pub(crate) const CLEAN: &[(&str, i64)] = &[
    ("nginx:main nginx:ngx_epoll_process_events libc.so.6:epoll_wait k:do_syscall_64 k:do_epoll_wait", 900),
    ("nginx:main nginx:ngx_writev libc.so.6:writev k:do_syscall_64 k:tcp_sendmsg", 2600),
    ("nginx:main nginx:ngx_unix_recv libc.so.6:recv k:do_syscall_64 k:tcp_recvmsg", 1400),
    ("nginx:main nginx:ngx_http_gzip_body_filter libz.so.1:deflate libz.so.1:deflate_fast", 400),
    ("nginx:main libssl.so.3:SSL_do_handshake libcrypto.so.3:EVP_DigestSign libcrypto.so.3:RSA_sign", 80),
    (
        "nginx:main nginx:ngx_http_log_handler libc.so.6:write k:do_syscall_64 k:ksys_write k:ext4_file_write_iter",
        90,
    ),
    ("nginx:main libpcre2-8.so.0:pcre2_match_8 libpcre2-8.so.0:pcre2_jit_match_8 jit:x", 150),
    ("nginx:main nginx:ngx_http_parse_header_line", 500),
    ("nginx:main nginx:ngx_http_core_content_phase", 900),
    ("nginx:main libc.so.6:_int_malloc", 200),
];

#[test]
fn stops_at_probes_are_no_bottleneck_and_a_note_says_what_they_take() {
    let stop = ("nginx:main libssl.so.3:SSL_write k:asm_exc_int3 k:irqentry_exit_to_user_mode", 4000);
    let stacks: Vec<_> = CLEAN.iter().copied().chain([stop]).collect();
    let found = analysis("nginx", &stacks);
    assert_eq!(found.advice, [], "{}", text(&found));
    assert!(found.bottlenecks.iter().all(|it| it.group != Group::Probes), "{}", text(&found));
    let share = found.cpu.as_ref().and_then(|cpu| cpu.groups.iter().find(|it| it.group == Group::Probes));
    assert!(share.is_some_and(|it| it.percent > 20.0), "{}", text(&found));
    let is_said = |found: &Analysis| found.notes.iter().any(|note| note.contains("stops at probes"));
    assert!(is_said(&found) && !is_said(&analysis("nginx", CLEAN)), "{:?}", found.notes);
}

#[test]
fn a_clean_run_gets_no_advice_and_what_weighs_most_is_first() {
    let seen = analysis("nginx", CLEAN);
    assert_eq!(seen.advice, [], "{}", text(&seen));
    assert_eq!(seen.proxy, Some(Proxy::Nginx));
    let first = seen.bottlenecks.first().expect("has one");
    assert_eq!(first.what, "system calls", "{}", text(&seen));
    let cpu = seen.cpu.as_ref().expect("has CPU time");
    let sum: f64 = cpu.groups.iter().map(|group| group.percent).sum();
    assert!((sum - 100.0).abs() < 0.1, "{sum} % in all: {cpu:#?}");
    assert!(text(&seen).contains("nothing to advise"), "{}", text(&seen));
}

/// What is wrong, by which stacks that is seen, and the group and the directive of the advice.
type Fault = (&'static str, &'static [(&'static str, i64)], Group, &'static str);

#[test]
fn each_planted_fault_is_named_first_with_its_evidence_and_directive() {
    let cases: [Fault; 7] = [
        (
            "gzip at level 6",
            &[(
                "nginx:main nginx:ngx_http_gzip_body_filter libz.so.1:deflate libz.so.1:deflate_slow libz.so.1:longest_match",
                3000,
            )],
            Group::Compression,
            "gzip_comp_level",
        ),
        (
            "no session cache",
            &[(
                "nginx:main libssl.so.3:SSL_do_handshake libcrypto.so.3:EVP_DigestSign libcrypto.so.3:RSA_sign",
                2500,
            )],
            Group::Tls,
            "ssl_session_cache",
        ),
        (
            "access log unbuffered, nginx stripped",
            &[(
                "nginx:nginx+0x2100 libc.so.6:write k:do_syscall_64 k:ksys_write k:ext4_buffered_write_iter",
                700,
            )],
            Group::Logging,
            "buffer=64k",
        ),
        (
            "no JIT of PCRE",
            &[("nginx:main libpcre2-8.so.0:pcre2_match_8", 2000)],
            Group::Regex,
            "pcre_jit on;",
        ),
        (
            "a regex hot spot",
            &[("nginx:main libpcre2-8.so.0:pcre2_match_8 libpcre2-8.so.0:pcre2_jit_match_8 jit:x", 4000)],
            Group::Regex,
            "location ^~",
        ),
        (
            "one queue for all workers",
            &[(
                "nginx:main libc.so.6:accept4 k:__x64_sys_accept4 k:inet_csk_accept k:native_queued_spin_lock_slowpath",
                900,
            )],
            Group::Locks,
            "reuseport",
        ),
        (
            "malloc of one arena",
            &[(
                "nginx:main libc.so.6:malloc libc.so.6:__lll_lock_wait_private k:do_syscall_64 k:do_futex",
                900,
            )],
            Group::Allocation,
            "jemalloc",
        ),
    ];
    for (fault, planted, group, directive) in cases {
        let stacks: Vec<(&str, i64)> = CLEAN.iter().chain(planted).copied().collect();
        let seen = analysis("nginx", &stacks);
        let [only] = seen.advice.as_slice() else { panic!("{fault}: {}", text(&seen)) };
        assert_eq!(only.group, group, "{fault}: {only:#?}");
        assert!(only.directive.as_ref().is_some_and(|it| it.contains(directive)), "{fault}: {only:#?}");
        assert!(
            !only.evidence.is_empty() && !only.stack.is_empty() && !only.gain.how.is_empty(),
            "{only:#?}"
        );
        assert!(only.gain.percent_low <= only.gain.percent_high, "{only:#?}");
        assert_eq!(only.gain.of, Resource::CpuTime, "{only:#?}");
        assert!(text(&seen).contains(&only.title), "{}", text(&seen));
    }
}

#[test]
fn files_are_copied_only_where_neither_tls_nor_compression_needs_them() {
    let read = (
        "nginx:main libc.so.6:pread64 k:do_syscall_64 k:__x64_sys_pread64 k:filemap_read k:copy_page_to_iter",
        2000,
    );
    let write = ("nginx:main libc.so.6:writev k:do_syscall_64 k:tcp_sendmsg", 3000);
    let seen = analysis("nginx", &[read, write]);
    assert_eq!(
        seen.advice.first().and_then(|it| it.directive.as_deref()),
        Some("sendfile on; tcp_nopush on;"),
        "{seen:#?}"
    );
    for other in [
        ("nginx:main libssl.so.3:SSL_write libcrypto.so.3:x", 1000),
        ("nginx:main nginx:ngx_http_gzip_body_filter libz.so.1:deflate", 1000),
        ("nginx:main libc.so.6:sendfile64 k:do_syscall_64 k:do_sendfile", 1000),
    ] {
        assert_eq!(analysis("nginx", &[read, write, other]).advice, [], "{other:?}");
    }
}

#[test]
fn of_too_little_nothing_is_said() {
    for (count, note) in [(100, "too few"), (400, "does not hold it up")] {
        let seen = analysis("nginx", &[("nginx:main libz.so.1:deflate_slow", count)]);
        assert!(seen.advice.is_empty() && seen.bottlenecks.is_empty(), "{seen:#?}");
        assert!(seen.notes.iter().any(|it| it.contains(note)), "{seen:#?}");
    }
    let nothing = analysis::analyze(&Evidence::default());
    assert_eq!((nothing.cpu.is_none(), nothing.advice.len()), (true, 0), "{nothing:#?}");
}

#[test]
fn a_library_without_names_is_said_to_have_none_and_its_level_is_told_by_its_hottest_function() {
    let mut stripped = profile("nginx", CLEAN);
    let path = stripped.intern("/usr/lib/libz.so.1.2.13");
    let libz = stripped.mapping(Mapping::file(path, None));
    let place = stripped.frame(Frame::native(libz, 0x4970));
    let process = stripped.process(4711, "nginx");
    let thread = stripped.thread(process, 4712, "worker");
    let other = stripped.frame(Frame::native(libz, 0x57e0));
    // As at level 1, by what was measured: half of it searches for matches.
    for (place, count) in [(place, 1250), (other, 1250)] {
        let stack = stripped.stack([place]);
        stripped.add(stack, thread, &[count, count * 1_000_000]).expect("has two values");
    }
    let seen = analysis::analyze(&Evidence::of_cpu(&stripped));
    assert_eq!(seen.advice, [], "{}", text(&seen));
    assert!(seen.notes.iter().any(|note| note.contains("libz.so.1.2.13 have no names")), "{:?}", seen.notes);
    // As at level 6.
    let stack = stripped.stack([place]);
    stripped.add(stack, thread, &[4000, 4_000_000_000]).expect("has two values");
    let seen = analysis::analyze(&Evidence::of_cpu(&stripped));
    let [only] = seen.advice.as_slice() else { panic!("{}", text(&seen)) };
    assert_eq!(only.directive.as_deref(), Some("gzip_comp_level 2;"), "{only:#?}");
}

#[test]
fn what_a_thread_without_time_left_does_is_the_first_bottleneck() {
    let seen =
        analysis("haproxy", &[("haproxy:main haproxy:run_poll_loop haproxy:h1_headers_to_hdr_list", 9500)]);
    assert_eq!(seen.proxy, Some(Proxy::HAProxy));
    let [only] = seen.bottlenecks.as_slice() else { panic!("{}", text(&seen)) };
    assert_eq!((only.what.as_str(), only.group), ("parsing", Group::Parsing), "{only:#?}");
    assert!(only.evidence.contains("was on a CPU for 95 % of the time"), "{only:#?}");
    assert!((only.weight_percent - 90.25).abs() < 0.1, "95 % of the time, and all of it counts: {only:#?}");
    // A thread with time left loses little by what it does.
    let seen = analysis("haproxy", &[("haproxy:main haproxy:h1_headers_to_hdr_list", 2000)]);
    let weights: Vec<f64> = seen.bottlenecks.iter().map(|it| it.weight_percent).collect();
    assert_eq!(weights, [4.0], "{seen:#?}");
}

#[test]
fn proxies_are_told_by_name_or_by_what_only_they_have() {
    for (process, stack, expected) in [
        ("nginx", "x:x", Some(Proxy::Nginx)),
        ("web", "web:run_poll_loop", Some(Proxy::HAProxy)),
        ("istio", "envoy:main envoy:Envoy::MainCommonBase::run()", Some(Proxy::Envoy)),
        ("edge", "edge:pingora_core::server::Server::run_forever", Some(Proxy::Pingora)),
        ("caddy", "caddy:main.main", Some(Proxy::Caddy)),
        ("MainThread", "node:node::Start(int,*char**)", Some(Proxy::Node)),
        ("postgres", "postgres:main", None),
    ] {
        assert_eq!(analysis(process, &[(stack, 1000)]).proxy, expected, "{process} {stack}");
    }
}

#[test]
fn the_page_is_well_formed_whatever_functions_are_called() {
    let hostile = "nginx:</code><script>alert(1)</script>&\"'";
    let stacks: Vec<(&str, i64)> = CLEAN
        .iter()
        .copied()
        .chain([(hostile, 9000), ("nginx:main libpcre2-8.so.0:pcre2_match_8", 4000)])
        .collect();
    let mut page = Vec::new();
    analysis::write_html(&analysis("nginx", &stacks), &mut page).expect("writes");
    let page = String::from_utf8(page).expect("is text");
    assert!(!page.contains("<script"), "{page}");
    assert!(page.contains("pcre_jit on;") && page.contains("system calls"), "{page}");
    // As XML, but for what HTML leaves open.
    let body = page.replace("<!doctype html>", "").replace("<meta charset=\"utf-8\">", "");
    let body = body.replace("<meta name=\"viewport\" content=\"width=device-width\">", "");
    let mut reader = Reader::from_str(&body);
    while reader.read_event().unwrap_or_else(|error| panic!("{error}: {page}")) != Event::Eof {}
}
