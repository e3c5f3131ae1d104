//! `agent top`: text where there is no terminal, a terminal that is given back as it was, and routes under a load that is known.

use std::{
    fs::{self, File},
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    path::Path,
    process::Command,
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use profile::Profile;
use tests::{agent, paths, process::Running, servers, wait};

use crate::support::{args, target};

#[test]
fn blocks_of_text_say_what_a_program_does() -> Result<()> {
    let hot = target("hot321")?;
    let dir = tempfile::tempdir()?;
    let pid = hot.pid().to_string();
    let finished = agent::run(dir.path(), args(&["top", "--pid", &pid, "-n", "2", "--rows", "5"]))?;
    ensure!(finished.status.success(), "{finished:?}");
    let text = String::from_utf8(finished.stdout)?;
    let blocks: Vec<&str> = text.split_terminator("\n\n").collect();
    assert_eq!(blocks.len(), 2, "{text}");
    for block in blocks {
        let rows: Vec<&str> = block.lines().collect();
        assert!(rows[0].contains(&format!("pid {pid}: CPU")), "{text}");
        for function in ["spin_a", "spin_b", "spin_c"] {
            assert!(block.contains(function), "{function}: {text}");
        }
        let at = |name: &str| block.find(name);
        // In one second, chance may put the two others in either order.
        assert!(at("spin_a") < at("spin_c"), "the hottest first: {text}");
        assert!(block.contains(&format!("{pid} hot321")), "{text}");
    }
    Ok(())
}

#[test]
fn a_signal_ends_it_and_gives_the_terminal_back() -> Result<()> {
    let hot = target("hot321")?;
    let script = paths::find("script", "bsdutils")?;
    let agent = paths::agent()?;
    // A terminal of nobody has no size.
    let command = format!("stty rows 24 cols 80; exec {} top --pid {}", agent.display(), hot.pid());
    let mut shell = Command::new(script);
    shell.args(["-qfec", &command, "/dev/null"]).env("TERM", "xterm-256color");
    let running = Running::start(&mut shell)?;
    let screen = || running.stdout();
    wait::until("functions are on the screen", wait::PATIENCE, || {
        ensure!(!running.has_ended(), "it ended: {}", screen()?);
        Ok(screen()?.contains("spin_a").then_some(()))
    })?;
    // Of `script` the shell that runs the agent, or the agent itself.
    let mut pid = *running.children()?.first().context("nobody is in the terminal")?;
    while let Some(child) = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?.split(' ').next()
    {
        match child.parse() {
            Ok(child) => pid = child,
            Err(_) => break,
        }
    }
    // SAFETY: takes no pointer; the process belongs to a guard of ours.
    ensure!(unsafe { libc::kill(libc::pid_t::try_from(pid)?, libc::SIGTERM) } == 0, "cannot signal {pid}");
    let finished = running.finish(wait::PATIENCE)?;
    let text = String::from_utf8_lossy(&finished.stdout).into_owned();
    let (enters, leaves) = (text.find("\u{1b}[?1049h"), text.rfind("\u{1b}[?1049l"));
    assert!(enters.is_some() && enters < leaves, "{text:?}");
    assert!(text.rfind("\u{1b}[?25h") > text.rfind("\u{1b}[?25l"), "the cursor is shown again: {text:?}");
    assert!(finished.status.success(), "{finished:?}");
    Ok(())
}

/// What is asked for, with the route and status that it is to be found under, and how often.
const ASKED: [(&str, &str, u64); 3] = [
    ("/users/4711?secret=1", "200 GET /users/{n}", 120),
    ("/", "200 GET /", 60),
    ("/broken", "503 GET /broken", 30),
];

/// nginx with a page for each of them.
fn nginx() -> Result<servers::Server> {
    servers::nginx_with("", "location /users/ { return 200 hello; }\n  location /broken { return 503; }")
}

/// Asks for all of them, each on a connection of its own, at some 200 a second.
fn ask_for_all(address: SocketAddr) -> Result<()> {
    for (path, expected, n) in ASKED {
        for _ in 0..n {
            let mut stream = TcpStream::connect(address)?;
            stream.set_read_timeout(Some(wait::PATIENCE))?;
            write!(stream, "GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")?;
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer)?;
            let status = expected.get(..3).unwrap_or_default();
            let answer = String::from_utf8_lossy(&answer);
            ensure!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{path}: {answer}");
            thread::sleep(Duration::from_millis(5));
        }
    }
    Ok(())
}

/// Requests of a route in blocks of text: rates by the time of their block, which both have one digit behind the point.
fn n_in_blocks(text: &str, route: &str) -> f64 {
    let mut n = 0.0;
    for block in text.split("\n\n") {
        let seconds = block.lines().next().and_then(|line| line.split(" samples in ").nth(1));
        let seconds = seconds.and_then(|rest| rest.split(' ').next()?.parse::<f64>().ok()).unwrap_or(0.0);
        let rows = block.lines().filter(|line| line.ends_with(&format!("  {route}")));
        let rates = rows.filter_map(|line| line.split_whitespace().next()?.parse::<f64>().ok());
        n += rates.sum::<f64>() * seconds;
    }
    n
}

#[test]
fn text_has_the_rate_of_each_route_and_what_it_is_answered_with() -> Result<()> {
    let nginx = nginx()?;
    let mut command = Command::new(paths::agent()?);
    command.args(["top", "--interval", "2s", "--pid"]).arg(nginx.running().pid().to_string());
    let top = Running::start(&mut command)?;
    let n_blocks = || Ok::<_, anyhow::Error>(top.stdout()?.matches("\n\n").count());
    let wait_for = |n: usize| {
        wait::until("there are blocks", wait::PATIENCE, || {
            ensure!(!top.has_ended(), "it ended: {}", top.stderr()?);
            Ok((n_blocks()? >= n).then_some(()))
        })
    };
    wait_for(1)?;
    ask_for_all(nginx.address())?;
    // The first may be of a window from before the end.
    wait_for(n_blocks()? + 2)?;
    top.signal(libc::SIGINT)?;
    let text = String::from_utf8_lossy(&top.finish(wait::PATIENCE)?.stdout).into_owned();
    for (_, route, n) in ASKED {
        let found = n_in_blocks(&text, &route[4..]);
        assert!((found / n as f64 - 1.0).abs() < 0.1, "{route}: {found} of {n}\n{text}");
    }
    let broken = text.lines().find(|line| line.ends_with("  GET /broken")).context("no row")?;
    assert!(broken.contains(" 100.00 ") && broken.contains("     -     -     - 100.0  "), "{text}");
    assert!(!text.contains("secret"), "a query has left the kernel: {text}");
    Ok(())
}

#[test]
fn what_is_said_through_tls_has_routes_where_that_is_asked_for_and_is_counted_where_it_is_not() -> Result<()>
{
    let nginx = nginx()?;
    let certificates = servers::Certificates::new(servers::HOST)?;
    let proxy = servers::nginx_tls_proxy(("http", nginx.address()), &certificates)?;
    for (option, expected) in
        [("--tls", "  GET /users/{n}\n"), ("--stall=10ms", " connections speak TLS and were not read")]
    {
        let mut command = Command::new(paths::agent()?);
        command.args(["top", option, "--pid"]).arg(proxy.running().pid().to_string());
        let top = Running::start(&mut command)?;
        wait::until(&format!("with {option} there is: {expected}"), wait::PATIENCE, || {
            let text = top.stdout()?;
            ensure!(!top.has_ended(), "it ended: {text}{}", top.stderr()?);
            // It looks for whoever maps a library once it has begun.
            if text.contains("\n\n") {
                let mut curl = Command::new(paths::find("curl", "curl")?);
                curl.args(["-sk", "--http1.1", "--max-time", "10"]);
                let url = format!("https://{}/users/4711", proxy.address());
                let asked = curl.arg(url).output().context("cannot start curl")?;
                ensure!(asked.status.success(), "curl: {}", String::from_utf8_lossy(&asked.stderr));
                thread::sleep(Duration::from_millis(300));
            }
            Ok(text.contains(expected).then_some(()))
        })
        .with_context(|| top.stdout().unwrap_or_default())?;
    }
    Ok(())
}

/// Requests of a route and status in a file that was saved.
fn n_saved(file: &Path, below_route: &str) -> Result<u64> {
    let profile: Profile = profile::read::profile(&fs::read(file)?)?;
    let requests =
        profile.value_types().iter().position(|it| it.kind == "requests").context("no requests")?;
    let leaf = |sample: &profile::Sample<'_>| {
        let frame = profile.leaf_to_root(sample.stack).next().and_then(|handle| profile.frame_at(handle));
        frame.map(|frame| profile.frame_name(frame).into_owned())
    };
    let of_route = profile.samples().filter(|sample| leaf(sample).as_deref() == Some(below_route));
    let n = of_route.filter_map(|sample| sample.values.get(requests).copied()).sum::<i64>();
    Ok(n.unsigned_abs())
}

#[test]
fn the_view_of_routes_shows_them_and_what_it_saves_has_each_request() -> Result<()> {
    let nginx = nginx()?;
    let dir = tempfile::tempdir()?;
    let (keys_path, saved) = (dir.path().join("keys"), dir.path().join("saved.pb.gz"));
    let made = Command::new(paths::find("mkfifo", "coreutils")?).arg(&keys_path).status()?;
    ensure!(made.success(), "no FIFO");
    // Open for both, or whoever opens one end waits for the other.
    let mut keys = File::options().read(true).write(true).open(&keys_path)?;
    let mut press = |key: &str| keys.write_all(key.as_bytes()).context("cannot press a key");
    // A terminal of nobody has no size.
    let command = format!(
        "stty rows 24 cols 120; exec {} top --pid {} --output {}",
        paths::agent()?.display(),
        nginx.running().pid(),
        saved.display()
    );
    let mut shell = Command::new("sh");
    shell.args(["-c", "exec \"$0\" -qfec \"$1\" /dev/null < \"$2\""]);
    shell.arg(paths::find("script", "bsdutils")?).arg(command).arg(&keys_path).env("TERM", "xterm-256color");
    let top = Running::start(&mut shell)?;
    let wait_for = |text: &str| {
        wait::until(&format!("{text} is on the screen"), wait::PATIENCE, || {
            let screen = top.stdout()?;
            ensure!(!top.has_ended(), "it ended: {screen}");
            Ok(screen.contains(text).then_some(()))
        })
    };
    wait_for("resident")?;
    // Routes, and all of the last minute.
    press("6ww")?;
    ask_for_all(nginx.address())?;
    wait_for("/users/{n}")?;
    wait_for("/broken")?;
    let is_saved =
        || ASKED.iter().map(|(_, route, n)| Ok(n_saved(&saved, route)? >= *n)).collect::<Result<Vec<_>>>();
    wait::until("the last window is in what is saved", wait::PATIENCE, || {
        press("s")?;
        thread::sleep(Duration::from_millis(500));
        Ok(is_saved().is_ok_and(|all| all.into_iter().all(|it| it)).then_some(()))
    })?;
    for (_, route, n) in ASKED {
        assert_eq!(n_saved(&saved, route)?, n, "{route}");
    }
    press("q")?;
    let finished = top.finish(wait::PATIENCE)?;
    assert!(finished.status.success(), "{finished:?}");
    Ok(())
}
