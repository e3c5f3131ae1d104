//! Names of what was stripped: from the debug file, from the table inside the file, from a server; and what a
//! function is called when nobody has its name.

use std::{
    ffi::OsString,
    fs,
    io::{BufRead as _, BufReader, Write as _},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::Command,
    thread,
};

use anyhow::{Context as _, Result, ensure};
use tests::{
    agent::{self, Recording},
    paths,
};

use crate::support::{build_id, command_args};

/// Static functions, which a stripped program has no symbol for.
const STATIC: [&str; 3] = ["spin_a", "spin_b", "spin_c"];

/// A program, its debug file, and stripped copies of it.
struct Stripped {
    dir: tempfile::TempDir,
}

impl Stripped {
    fn build() -> Result<Self> {
        let stripped = Self { dir: tempfile::tempdir().context("cannot create a directory")? };
        paths::compile("programs/hot321.c", &["-O2", "-g", "-Wl,--build-id"], &stripped.path("whole"))?;
        stripped.tool("objcopy", &["--only-keep-debug", "whole", "whole.debug"])?;
        stripped.tool("strip", &["-o", "bare", "whole"])?;
        Ok(stripped)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn tool(&self, name: &str, arguments: &[&str]) -> Result<()> {
        let path = paths::find(name, "binutils or xz-utils")?;
        let output = Command::new(path).args(arguments).current_dir(self.dir.path()).output();
        let output = output.with_context(|| format!("cannot start {name}"))?;
        let messages = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{name} {arguments:?}: {messages}");
        Ok(())
    }

    /// Records a second of one of the programs.
    fn record(&self, name: &str, options: &[&str], environment: &[(&str, OsString)]) -> Result<Recording> {
        let mut all = vec!["-F", "199"];
        all.extend(options);
        agent::record_with(environment, command_args(&all, &self.path(name), &["1"]))
    }
}

/// The share of samples in the program's own code that have the names of its functions.
fn named(recording: &Recording) -> f64 {
    recording.folded.share(|_| true, |stack| STATIC.iter().any(|name| stack.has(name)))
}

#[test]
fn without_any_table_functions_are_called_by_where_they_begin() -> Result<()> {
    let stripped = Stripped::build()?;
    let recording = stripped.record("bare", &[], &[])?;
    let share =
        recording.folded.share(|_| true, |stack| stack.user().any(|frame| frame.starts_with("bare+0x")));
    assert!(share > 0.9 && named(&recording) == 0.0, "{share:.3} by place\n{recording}");
    Ok(())
}

#[test]
fn a_debug_link_names_static_functions_unless_the_file_is_of_another_build() -> Result<()> {
    let stripped = Stripped::build()?;
    stripped.tool("objcopy", &["--add-gnu-debuglink=whole.debug", "bare", "linked"])?;
    fs::create_dir(stripped.path(".debug"))?;
    fs::rename(stripped.path("whole.debug"), stripped.path(".debug/whole.debug"))?;
    let recording = stripped.record("linked", &[], &[])?;
    assert!(named(&recording) > 0.9, "{:.3} named\n{recording}", named(&recording));

    let flags = ["-O1", "-g", "-Wl,--build-id"];
    paths::compile("programs/hot321.c", &flags, &stripped.path("other"))?;
    stripped.tool("objcopy", &["--only-keep-debug", "other", ".debug/whole.debug"])?;
    let recording = stripped.record("linked", &[], &[])?;
    assert!(named(&recording) == 0.0, "{:.3} named\n{recording}", named(&recording));
    Ok(())
}

#[test]
fn a_symbol_table_packed_into_the_file_names_static_functions() -> Result<()> {
    let stripped = Stripped::build()?;
    stripped.tool("strip", &["--strip-debug", "-o", "inside", "whole.debug"])?;
    stripped.tool("xz", &["--keep", "inside"])?;
    stripped.tool("objcopy", &["--add-section", ".gnu_debugdata=inside.xz", "bare", "mini"])?;
    let recording = stripped.record("mini", &[], &[])?;
    assert!(named(&recording) > 0.9, "{:.3} named\n{recording}", named(&recording));
    Ok(())
}

#[test]
fn a_server_names_static_functions_when_it_is_asked_and_only_once() -> Result<()> {
    let stripped = Stripped::build()?;
    let listener = TcpListener::bind(("127.0.0.1", 0)).context("no free port")?;
    let url = format!("http://{}", listener.local_addr()?);
    let debug = fs::read(stripped.path("whole.debug"))?;
    let build_id = build_id(&stripped.path("bare"))?;
    // It ends with the test run.
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // A client that goes away early is its own problem.
            let _gone = answer(stream, &debug, &build_id);
        }
    });
    let environment = |url: &str| {
        let cache = stripped.path("cache").into_os_string();
        [("DEBUGINFOD_URLS", OsString::from(url)), ("DEBUGINFOD_CACHE_PATH", cache)]
    };

    let recording = stripped.record("bare", &[], &environment(&url))?;
    assert!(named(&recording) == 0.0, "asked for by nobody: {:.3} named\n{recording}", named(&recording));
    assert!(!stripped.path("cache").exists(), "a cache\n{recording}");

    for (url, expected) in [(url.as_str(), "1 fetched"), ("http://127.0.0.1:1", "1 in the cache")] {
        let recording = stripped.record("bare", &["--debuginfod"], &environment(url))?;
        assert!(named(&recording) > 0.9, "{url}: {:.3} named\n{recording}", named(&recording));
        let comments = &recording.report.comments;
        let said = comments.iter().any(|it| it.starts_with("debuginfod: ") && it.contains(expected));
        assert!(said, "{url}: {expected:?} in {comments:?}");
    }
    Ok(())
}

#[test]
fn a_server_that_does_not_answer_costs_names_and_no_profile() -> Result<()> {
    let stripped = Stripped::build()?;
    let cache = stripped.path("cache").into_os_string();
    let environment =
        [("DEBUGINFOD_URLS", OsString::from("http://127.0.0.1:1")), ("DEBUGINFOD_CACHE_PATH", cache)];
    let recording = stripped.record("bare", &["--debuginfod"], &environment)?;
    assert!(recording.status.success() && recording.report.samples > 50, "{recording}");
    let comments = &recording.report.comments;
    let said = comments.iter().any(|it| it.starts_with("debuginfod: ") && it.contains("no connection"));
    assert!(said, "{comments:?}");

    let finished = agent::run(Path::new("/"), ["record", "--debuginfod", "--pid", "1"])?;
    let said = finished.stderr.contains("DEBUGINFOD_URLS names no server");
    assert!(!finished.status.success() && said, "{finished:?}");
    Ok(())
}

/// The debug file of the one build that there is, and nothing else.
fn answer(mut stream: TcpStream, debug: &[u8], build_id: &str) -> Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let request = lines.next().context("no request")??;
    while lines.next().transpose()?.is_some_and(|line| !line.is_empty()) {}
    let is_there = request.split(' ').nth(1) == Some(&format!("/buildid/{build_id}/debuginfo"));
    let (status, body) = if is_there { ("200 OK", debug) } else { ("404 Not Found", &[] as &[u8]) };
    let n = body.len();
    write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {n}\r\nConnection: close\r\n\r\n")?;
    stream.write_all(body)?;
    Ok(())
}
