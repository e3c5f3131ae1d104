//! What a file says, and what is said of one that is wrong.

use std::{path::Path, time::Duration};

use proptest::prelude::*;

use super::*;
use crate::send::sink::{Compression, ProxyChoice};

const SINK: &str = "[sink.local]\nkind = 'directory'\ndir = '/tmp/profiles'\n";
const EXAMPLE: &str = include_str!("../../../docs/agent.toml");

fn parse(text: &str) -> Result<Config, Vec<Problem>> {
    Config::parse(text, Path::new("agent.toml"))
}

/// With what every configuration needs behind it.
fn parse_part(text: &str) -> Result<Config, Vec<Problem>> {
    parse(&format!("{text}\n{SINK}"))
}

/// Problems as `line:column: wrong; remedy`.
fn told(problems: &[Problem]) -> Vec<String> {
    problems.iter().map(|problem| problem.to_string().replace("agent.toml:", "")).collect()
}

fn problems(text: &str) -> Vec<String> {
    told(&parse(text).expect_err(text))
}

fn warnings(text: &str) -> Vec<String> {
    told(&parse_part(text).expect(text).warnings)
}

#[test]
fn the_least_that_says_something_is_a_whole_configuration() {
    let config = parse_part("all = true").expect("parses");
    assert_eq!(config.preset, Preset::Balanced);
    assert_eq!((config.window, config.events.cpu_frequency_hz), (Duration::from_secs(10), 99));
    assert_eq!(config.listen, "127.0.0.1:9464".parse().ok());
    assert_eq!(config.spool.limits, Limits::default());
    assert_eq!((config.targets.len(), config.sinks.len(), config.warnings), (0, 1, Vec::new()));
}

#[test]
fn the_example_has_every_key_and_nothing_wrong() {
    let config = parse(EXAMPLE).expect("the example parses");
    assert_eq!(told(&config.warnings), [""; 0]);
    // Every key that is known is written in it, as a value or as a comment.
    let unknown = "x = 1\n[spool]\nx = 1\n[events]\nx = 1\ncpu.x = 1\nfaults.x = 1\nmemory.x = 1\nalloc.x = 1\n\
        [[target]]\nx = 1\n[sink.a]\nkind = 'pyroscope'\nx = 1\n[sink.b]\nkind = 'otlp-http'\nx = 1\n\
        [sink.c]\nkind = 'directory'\nx = 1\n";
    let told = problems(unknown);
    let known: Vec<&str> = told
        .iter()
        .filter_map(|line| Some(line.split_once("known here: ")?.1))
        .flat_map(|keys| keys.split(", "))
        .collect();
    assert!(known.len() > 50, "{told:#?}");
    for key in known {
        assert!(
            EXAMPLE.contains(&format!("{key} ="))
                || EXAMPLE.contains(&format!("[{key}"))
                || EXAMPLE.contains(&format!(".{key}]")),
            "{key}"
        );
    }
}

#[test]
fn the_example_says_what_holds_when_it_says_nothing() {
    let (example, least) = (parse(EXAMPLE).expect("parses"), parse_part("all = true").expect("parses"));
    let defaults = |config: Config| {
        let Config { window, overhead_budget_percent, rss_limit_bytes, kill_switch, listen, .. } = config;
        let Config { control_socket, table_memory_bytes, table_cache, events, spool, .. } = config;
        let first = (config.preset, window, overhead_budget_percent, rss_limit_bytes, kill_switch, listen);
        (first, control_socket, table_memory_bytes, table_cache, events, spool)
    };
    let retention = |config: &Config| match &config.sinks["local"].kind {
        SinkKind::Directory { retention, .. } => Some(*retention),
        _ => None,
    };
    assert_eq!(retention(&example), retention(&least));
    assert_eq!(defaults(example), defaults(least));
}

#[test]
fn everything_that_is_wrong_is_told_at_once_from_top_to_bottom() {
    let text = "\
presett = 'balanced'
all = 'yes'
window = 10
overhead_budget = 0
rss_limit = '1KiB'
kill_switch = 'off'
listen = 'localhost:1'
[events]
cpu = { frequency = 0, rate = 1 }
faults = 1
alloc.live_heap = true
[[target]]
name = ''
exe = 'nginx'
cmdline = '('
cgroup = 'web.slice'
unit = 'nginx'
container = 'web'
user = 33
events = ['allocs', 'cpu']
labels = { team = 1, 'service.name' = 'x' }
[[target]]
[sink.'a b']
kind = 'otlp-grpc'
address = 'otlp:4317'
compression = 'lz4'
proxy = 'socks5://x'
[sink.c]
kind = 'directory'
[sink.d]
";
    let expected = [
        "1:1: `presett` is no key that is known; did you mean `preset`?",
        "2:7: `all` is a text; write true or false",
        "3:10: `window` is a number; write a time from \"1s\" to \"10m\"",
        "4:19: `overhead_budget` is `0`; write a number above 0 and up to 100, without a unit: it is percent",
        "5:13: `rss_limit` is `1KiB`; write a number of bytes such as \"64KiB\" or \"1GiB\", from 32.0 MiB to 64.0 GiB",
        "6:15: `kill_switch` is `off`; write the whole path, from / on",
        "7:10: `listen` is `localhost:1`; write an address and a port such as \"127.0.0.1:9464\" or \"[::1]:9464\"; \"\" for none",
        "9:21: `events.cpu.frequency` is `0`; write a whole number from 1 to 100000",
        "9:24: `events.cpu.rate` is no key that is known; known here: frequency",
        "10:10: `events.faults` is a number, not a table; write [events.faults] and what belongs to it in lines of their own",
        "11:7: `events.alloc.live_heap` is no key that is known; known here: interval, probe_budget",
        "13:8: `target.name` is ``; write 1 to 256 bytes without control characters",
        "14:7: `target.exe` is `nginx`, which no path is; write the whole path, or `**/nginx` for any directory",
        "15:11: `target.cmdline` is `(`, which cannot be read: unclosed group; write a regular expression as Rust's crate regex has them",
        "16:10: `target.cgroup` is `web.slice`; write the whole path, such as \"/sys/fs/cgroup/web.slice\" or \"/web.slice\"",
        "17:8: `target.unit` is `nginx`, which lacks its ending; write \"nginx.service\" or \"nginx.scope\"",
        "18:13: `target.container` is `web`; write the ID of a container or its first characters: 4 to 64 of 0-9 and a-f, as `docker ps` shows them",
        "19:8: `target.user` is a number; write it in quotes: \"33\"",
        "20:10: `target.events` holds what is `allocs`; did you mean \"alloc\"?",
        "21:19: label `team` is a number; write a text in quotes",
        "21:22: label `service.name` has a key of its own; write it as the `name` of a target",
        "22:1: this target has no condition; give exe, cmdline, cgroup, unit, container or user; `all = true` at the top is for every process",
        "23:1: `a b` is no name for a sink; write at most 64 letters, digits, `-`, `_` and `.`",
        "25:11: `sink.a b.address` begins with neither http:// nor https://; write http://HOST:PORT or https://HOST:PORT",
        "26:15: `sink.a b.compression` is `lz4`; write one of: none, gzip, zstd",
        "27:9: `sink.a b.proxy` is no proxy; write \"environment\" for what HTTPS_PROXY and its like say, \"none\", or \"http://HOST:PORT\"",
        "28:1: this sink has no dir; write dir = \"/var/lib/brazier/profiles\" or another",
        "30:1: the sink `d` has no kind; write kind = \"otlp-grpc\", \"otlp-http\", \"pyroscope\" or \"directory\"",
    ];
    let told = problems(text);
    assert_eq!(told, expected, "{told:#?}");
}

#[test]
fn what_is_no_toml_is_told_by_line_and_nothing_else_is_guessed() {
    let told = problems("all = true\nwindow = \n[sink\n");
    assert!(told.len() >= 2 && told[0].starts_with("2:10: this is no TOML: "), "{told:#?}");
    assert!(!told.iter().any(|line| line.contains("no sink")), "{told:#?}");
    let twice = problems("all = true\nall = true\n");
    assert!(twice[0].starts_with("2:1: this is no TOML: duplicate key"), "{twice:#?}");
}

#[test]
fn nothing_to_measure_and_nowhere_to_deliver_are_problems() {
    let told = problems("");
    assert_eq!(told.len(), 2, "{told:#?}");
    assert!(told[0].contains("no target") && told[1].contains("no sink"), "{told:#?}");
    assert_eq!(problems("target = []\nsink = {}").len(), 2);
}

#[test]
fn rules_that_contradict_each_other_are_told_with_both_lines() {
    let same = "[[target]]\nexe = '/a'\nlabels = { a = '1' }\n[[target]]\nlabels = { a = 'B' }\nexe = '/a'\n";
    let told = problems(&format!("{same}{SINK}"));
    assert_eq!(told.len(), 1, "{told:#?}");
    assert!(told[0].starts_with("4:1: ") && told[0].contains("line 1 and says otherwise"), "{told:#?}");
    let twice = warnings(&same.replace('B', "1"));
    assert!(twice[0].starts_with("4:1: this target is the same as the one in line 1"), "{twice:#?}");
    // The same group, however it was written.
    let groups =
        "[[target]]\ncgroup = '/sys/fs/cgroup/web.slice/'\n[[target]]\nname = 'x'\ncgroup = '/web.slice'\n";
    assert_eq!(problems(&format!("{groups}{SINK}")).len(), 1);
}

#[test]
fn two_users_of_one_directory_are_problems() {
    let text = "all = true\ntable_cache = '/d/spool/'\nspool.dir = '/d/spool'\n\
        [sink.a]\nkind = 'directory'\ndir = '/d/p'\n[sink.b]\nkind = 'directory'\ndir = '/d/./p'\n";
    let told = problems(text);
    assert_eq!(told.len(), 2, "{told:#?}");
    assert!(told[0].starts_with("2:15: ") && told[0].contains("the spool"), "{told:#?}");
    assert!(told[1].starts_with("9:7: ") && told[1].contains("the sink `a`"), "{told:#?}");
}

#[test]
fn secrets_over_http_are_warned_of_beyond_this_host_and_never_shown() {
    let sink = |address: &str, rest: &str| {
        format!("all = true\n[sink.a]\nkind = 'otlp-http'\naddress = '{address}'\n{rest}\n")
    };
    for (address, n_warnings) in [
        ("http://otlp.example:4318", 1),
        ("http://10.0.0.1", 1),
        ("http://127.9.0.1:4318", 0),
        ("http://localhost:4318", 0),
        ("http://[::1]:4318", 0),
        ("https://otlp.example", 0),
    ] {
        let told = warnings(&sink(address, "token_file = '/t'"));
        assert_eq!(told.len(), n_warnings, "{address}: {told:#?}");
        let told = warnings(&sink(address, "headers = { X-Key = 'secret' }"));
        assert!(told.len() == n_warnings && !told.concat().contains("secret"), "{address}: {told:#?}");
    }
    let told = problems(&sink("ftp://u:secret@h", "headers = { X-Key = \"sec\\nret\", 'a b' = 'secret' }"));
    assert!(told.len() == 3 && !told.concat().contains("sec"), "{told:#?}");
    let told = problems(&sink("http://h", "ca_file = '/ca'\ncert_file = '/c'"));
    assert_eq!(told.len(), 3, "{told:#?}");
    let open = warnings("all = true\nlisten = '0.0.0.0:9464'");
    assert!(open.len() == 1 && open[0].starts_with("2:10: "), "{open:#?}");
}

#[test]
fn sinks_have_what_the_file_says() {
    let text = "all = true\n[sink.a]\nkind = 'otlp-grpc'\naddress = 'https://h:1'\ncompression = 'zstd'\n\
        tenant = 't'\nproxy = 'none'\ntimeout = '5s'\ncert_file = '/c'\nkey_file = '/k'\nheaders = { x = 'y' }\n";
    let config = parse(text).expect("parses");
    let SinkKind::OtlpGrpc(connection) = &config.sinks["a"].kind else { panic!("{config:?}") };
    assert_eq!(connection.endpoint, "https://h:1");
    assert_eq!((connection.compression, &connection.proxy), (Compression::Zstd, &ProxyChoice::Direct));
    assert_eq!((connection.tenant.as_deref(), connection.timeout.as_secs()), (Some("t"), 5));
    assert_eq!(connection.tls.key_file.as_deref(), Some(Path::new("/k")));
    assert_eq!(connection.headers, [("x".to_owned(), "y".to_owned())]);
    let Place { line, column } = config.sinks["a"].places["timeout"];
    assert_eq!((line, column), (8, 11));
}

#[test]
fn a_preset_sets_what_is_not_set() {
    for (preset, hz) in [("balanced", 99), ("low-overhead", 19), ("detailed", 499)] {
        let config = parse_part(&format!("all = true\npreset = '{preset}'")).expect(preset);
        assert_eq!(config.events.cpu_frequency_hz, hz, "{preset}");
        assert_eq!(config.preset.name(), preset);
        let config = parse_part(&format!("events.cpu.frequency = 7\nall = true\npreset = '{preset}'"));
        assert_eq!(config.map(|config| config.events.cpu_frequency_hz), Ok(7), "{preset}");
    }
}

#[test]
fn limits_hold_and_are_told() {
    let many = |n: usize, text: fn(usize) -> String| (0..n).map(text).collect::<String>();
    let targets = |n| many(n, |i| format!("[[target]]\nexe = '/{i}'\n"));
    let n_targets = |text: &str| parse_part(text).map(|config| config.targets.len());
    assert_eq!(n_targets(&targets(MAX_TARGETS)), Ok(MAX_TARGETS));
    let sinks = |n| many(n, |i| format!("[sink.s{i}]\nkind = 'directory'\ndir = '/{i}'\n"));
    assert!(parse(&format!("all = true\n{}", sinks(MAX_SINKS))).is_ok());
    let labels = |n| format!("all = true\n[labels]\n{}", many(n, |i| format!("l{i} = 'x'\n")));
    assert!(parse_part(&labels(MAX_LABELS)).is_ok());
    let too_many = [
        format!("{}{SINK}", targets(MAX_TARGETS + 1)),
        format!("all = true\n{}", sinks(MAX_SINKS + 1)),
        format!("{}{SINK}", labels(MAX_LABELS + 1)),
        format!("all = true\nlabels.a = '{}'\n{SINK}", "x".repeat(MAX_LABEL_BYTES + 1)),
        format!("[[target]]\ncmdline = '\\w{{1000}}'\n{SINK}"),
        format!("#{}\n", "x".repeat(MAX_FILE_BYTES)),
    ];
    for text in too_many {
        let told = problems(&text);
        assert_eq!(told.len(), 1, "{told:#?}");
    }
    let told = problems(&"x = 1\n".repeat(1000));
    assert!(told.len() == 101 && told[100].contains("more are not told"), "{}", told[100]);
}

#[test]
fn what_is_nested_deep_is_refused_before_it_is_read() {
    for (open, close) in [("a.", "b = 1"), ("[a.", "b]"), ("a = [", ""), ("a = {b.", ""), ("a = {b=", "")] {
        let start = open.chars().take_while(|c| !"ab".contains(*c)).collect::<String>();
        let again = open.trim_start_matches(['[']).trim_start_matches("a = ");
        let text = format!("{start}{}{close}", again.repeat(MAX_FILE_BYTES / 8));
        let told = problems(&text);
        assert!(!told.is_empty(), "{open}");
    }
    let told = problems(&format!("{}b = 1", "a.".repeat(MAX_FILE_BYTES / 2 - 10)));
    assert!(told[0].contains("more than 16 parts"), "{told:#?}");
}

#[test]
fn a_file_that_is_no_text_or_not_there_is_told() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let path = dir.path().join("a.toml");
    let told = |problems: Result<Config, Vec<Problem>>| told(&problems.expect_err("problems")).concat();
    assert!(told(Config::load(&path)).contains("cannot be read"));
    std::fs::write(&path, b"all = true\n\xff").expect("writes");
    assert!(told(Config::load(&path)).contains("byte 11"));
    std::fs::write(&path, vec![b' '; MAX_FILE_BYTES + 1]).expect("writes");
    assert!(told(Config::load(&path)).contains("more than"));
    assert!(told(Config::load(dir.path())).contains("cannot be read"));
}

proptest! {
    #[test]
    fn whatever_is_changed_in_a_good_file_is_told_or_taken(
        at in 0..EXAMPLE.len(), n_bytes in 0..20_usize, new in "[ -~\n\"\u{1b}é]{0,8}"
    ) {
        let mut text = EXAMPLE.to_owned();
        let (start, end) = (text.floor_char_boundary(at), text.ceil_char_boundary((at + n_bytes).min(text.len())));
        text.replace_range(start..end, &new);
        if let Err(problems) = parse(&text) {
            prop_assert!(!problems.is_empty());
            for problem in problems {
                prop_assert!(!problem.to_string().contains(char::is_control), "{:?}", problem);
            }
        }
    }
}
