//! `agent top`: text where there is no terminal, and a terminal that is given back as it was.

use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use tests::{agent, paths, process::Running, wait};

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
    while let Some(child) =
        std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?.split(' ').next()
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
