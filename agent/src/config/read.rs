//! From the text to a configuration.

use std::{collections::BTreeMap, path::Path, time::Duration};

use toml::de::{DeTable, DeValue};
use toml_parser::{Source, lexer::TokenKind};

use super::{
    AllocEvent, Config, Events, MAX_FILE_BYTES, MAX_SINKS, MAX_TARGETS, Place, Preset, Problem, SinkSettings,
    SpoolSettings, Target,
    preset::Defaults,
    problem::{Sheet, quoted},
    rules,
    section::{Section, kind},
    sink::{MINUTE, YEAR},
    target,
    values::{boolean, bytes, choice, duration, integer, listen, path, path_or_none, percent, socket_path},
};
use crate::{
    args::MAX_INTERVAL_BYTES,
    send::spool::{DEFAULT_MAX_AGE, DEFAULT_MAX_BYTES, Limits},
};

/// Of a key. The parser sets no limit, and what is nested a hundred thousand times deep can only be dropped by a stack
/// as deep.
const MAX_KEY_PARTS: usize = 16;
const SECOND: Duration = Duration::from_secs(1);
const DEFAULT_RSS_LIMIT_BYTES: u64 = 64 << 20;
const DEFAULT_KILL_SWITCH: &str = "/run/brazier/off";
const DEFAULT_LISTEN: ([u8; 4], u16) = ([127, 0, 0, 1], 9464);
const DEFAULT_CONTROL_SOCKET: &str = "/run/brazier/control.sock";
const DEFAULT_TABLE_CACHE: &str = "/var/cache/brazier/unwind";
const DEFAULT_SPOOL: &str = "/var/lib/brazier/spool";

pub(super) fn parse(text: &str, file: &Path) -> Result<Config, Vec<Problem>> {
    let sheet = Sheet::new(file, text);
    let root = tables(&sheet, text);
    let config = root.and_then(|root| config(&sheet, file, root));
    let (problems, warnings) = sheet.into_found();
    match config {
        Some(config) if problems.is_empty() => Ok(Config { warnings, ..config }),
        _ => Err(problems),
    }
}

/// The tables of the text, also where not all of it can be read; none if it is not worth a look.
fn tables<'text>(sheet: &Sheet<'text>, text: &'text str) -> Option<DeTable<'text>> {
    if text.len() > MAX_FILE_BYTES {
        let wrong = format!("the file has more than {MAX_FILE_BYTES} bytes");
        sheet.problem(None, wrong, "name targets by patterns rather than one by one");
        return None;
    }
    if let Some(at) = first_deep_key(text) {
        let wrong = format!("a key has more than {MAX_KEY_PARTS} parts");
        sheet.problem(Some(sheet.place(&(at..at))), wrong, "write shorter keys");
        return None;
    }
    let (root, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        let place = error.span().map(|span| sheet.place(&span));
        let what: String = error.message().chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        sheet.problem(place, format!("this is no TOML: {what}"), "see https://toml.io for how it is written");
    }
    // What could be read hides what could not: a table that was cut short lacks keys that are there.
    errors.is_empty().then(|| root.into_inner())
}

/// Where a key begins to have too many parts.
fn first_deep_key(text: &str) -> Option<usize> {
    let mut n_dots = 0;
    for token in Source::new(text).lex() {
        match token.kind() {
            TokenKind::Dot => n_dots += 1,
            TokenKind::Newline | TokenKind::Equals | TokenKind::Comma => n_dots = 0,
            TokenKind::LeftSquareBracket | TokenKind::LeftCurlyBracket => n_dots = 0,
            _ => {}
        }
        if n_dots >= MAX_KEY_PARTS {
            return Some(token.span().start());
        }
    }
    None
}

fn config<'text>(sheet: &Sheet<'text>, file: &Path, root: DeTable<'text>) -> Option<Config> {
    let mut top = Section::new(sheet, String::new(), &(0..0), root);
    let preset = top.take("preset", choice(&Preset::NAMES)).unwrap_or_default();
    let Defaults { window, overhead_budget_percent, table_memory_bytes, events } = preset.defaults();
    let all = top.take("all", boolean).unwrap_or(false);
    let window = top.take("window", duration(SECOND..=10 * MINUTE)).unwrap_or(window);
    let overhead_budget_percent =
        top.take("overhead_budget", percent(100.0)).unwrap_or(overhead_budget_percent);
    let rss_limit = top.take("rss_limit", bytes(32 << 20..=64 << 30));
    let kill_switch = top.take("kill_switch", path_or_none);
    let listen = top.take("listen", listen).unwrap_or(Some(DEFAULT_LISTEN.into()));
    let control_socket = top.take("control_socket", socket_path);
    let table_memory = top.take("table_memory", bytes(2 << 20..=16 << 30));
    let table_cache = top.take("table_cache", path_or_none);
    let labels = target::labels(top.table("labels"));
    let events = read_events(top.table("events"), events);
    let (has_targets, has_sinks) = (top.has_content("target"), top.has_content("sink"));
    let targets = targets(&mut top);
    let mut places = top.places.clone();
    let spool = spool(top.table("spool"), window, &mut places);
    let sinks = sinks(sheet, top.table("sink"));
    let config = Config {
        file: file.to_owned(),
        preset,
        all,
        window,
        overhead_budget_percent,
        rss_limit_bytes: rss_limit.unwrap_or(DEFAULT_RSS_LIMIT_BYTES),
        kill_switch: kill_switch.unwrap_or_else(|| Some(DEFAULT_KILL_SWITCH.into())),
        listen,
        control_socket: control_socket.unwrap_or_else(|| Some(DEFAULT_CONTROL_SOCKET.into())),
        table_memory_bytes: table_memory.unwrap_or(table_memory_bytes),
        table_cache: table_cache.unwrap_or_else(|| Some(DEFAULT_TABLE_CACHE.into())),
        labels,
        events,
        targets,
        spool,
        sinks,
        places,
        warnings: Vec::new(),
    };
    if !all && !has_targets {
        let remedy = "write [[target]] with a condition such as exe = \"/usr/sbin/nginx\", or `all = true`";
        sheet.problem(None, "there is no target, and nothing would be measured".to_owned(), remedy);
    }
    if !has_sinks {
        let remedy = "write [sink.NAME] with its kind, such as \"directory\", and where it is";
        sheet.problem(None, "there is no sink, and nothing would be delivered".to_owned(), remedy);
    }
    if let Some(address) = config.listen.filter(|address| !address.ip().is_loopback()) {
        let wrong = format!("whoever reaches {address} can read what is measured on this host");
        top.warning("listen", wrong, "listen on 127.0.0.1, or see that a firewall stands before it");
    }
    rules::check(&top, &config);
    top.finish();
    Some(config)
}

fn read_events(mut section: Section<'_, '_>, defaults: Events) -> Events {
    let intervals = || bytes(1..=MAX_INTERVAL_BYTES);
    let mut cpu = section.table("cpu");
    let cpu_frequency_hz = cpu.take("frequency", integer(1..=100_000)).unwrap_or(defaults.cpu_frequency_hz);
    let mut faults = section.table("faults");
    let faults_interval = faults.take("interval", intervals());
    let mut memory = section.table("memory");
    let memory_interval = memory.take("interval", duration(SECOND / 10..=60 * MINUTE));
    let mut alloc = section.table("alloc");
    let interval = alloc.take("interval", intervals());
    let probe_budget = alloc.take("probe_budget", percent(100_000.0));
    for section in [cpu, faults, memory, alloc, section] {
        section.finish();
    }
    Events {
        cpu_frequency_hz,
        faults_interval_bytes: faults_interval.unwrap_or(defaults.faults_interval_bytes),
        memory_interval: memory_interval.unwrap_or(defaults.memory_interval),
        alloc: AllocEvent {
            interval_bytes: interval.unwrap_or(defaults.alloc.interval_bytes),
            probe_budget_percent: probe_budget.unwrap_or(defaults.alloc.probe_budget_percent),
        },
    }
}

fn targets(top: &mut Section<'_, '_>) -> Vec<Target> {
    top.list("target", MAX_TARGETS).into_iter().map(Target::read).collect()
}

fn spool(
    mut section: Section<'_, '_>,
    window: Duration,
    places: &mut BTreeMap<&'static str, Place>,
) -> SpoolSettings {
    let dir = section.take("dir", path);
    let limits = Limits {
        max_bytes: section.take("max_bytes", bytes(1 << 20..=1 << 50)).unwrap_or(DEFAULT_MAX_BYTES),
        max_age: section.take("max_age", duration(MINUTE..=YEAR)).unwrap_or(DEFAULT_MAX_AGE),
    };
    if limits.max_age <= window {
        let wrong = "`spool.max_age` is no longer than the window: what cannot be sent at once is lost";
        section.problem("max_age", wrong.to_owned(), "write several windows, better some hours");
    }
    places.extend(section.places.get("dir").map(|place| ("spool.dir", *place)));
    section.finish();
    SpoolSettings { dir: dir.unwrap_or_else(|| DEFAULT_SPOOL.into()), limits }
}

fn sinks<'text>(sheet: &Sheet<'text>, mut section: Section<'_, 'text>) -> BTreeMap<String, SinkSettings> {
    let mut entries = section.rest();
    entries.sort_by_key(|(_, place, ..)| *place);
    if let Some((_, place, ..)) = entries.get(MAX_SINKS) {
        let wrong = format!("there are {} sinks", entries.len());
        sheet.problem(Some(*place), wrong, format!("write at most {MAX_SINKS}"));
    }
    let mut sinks = BTreeMap::new();
    for (name, place, span, value) in entries.into_iter().take(MAX_SINKS) {
        match value {
            DeValue::Table(entries) => {
                let section = Section::new(sheet, format!("sink.{name}"), &span, entries);
                if let Some(sink) = SinkSettings::read(&name, section) {
                    sinks.insert(name, sink);
                }
            }
            other => {
                let wrong = format!("{} is {}, not a sink", quoted(&format!("sink.{name}")), kind(&other));
                sheet.problem(Some(place), wrong, "write [sink.NAME], with a name of your choice");
            }
        }
    }
    sinks
}
