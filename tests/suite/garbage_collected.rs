//! Programs whose code no ELF symbol names: Go keeps its own table, V8 writes a map as it compiles.

use anyhow::Result;
use tests::{
    agent,
    servers::{self, Load},
};

use crate::support::pid_args;

#[test]
fn go_functions_of_the_runtime_and_the_library_have_names_in_caddy() -> Result<()> {
    let caddy = servers::caddy()?;
    let load = Load::start(&caddy)?;
    let pid = caddy.running().pid();
    let recording = agent::record(pid_args(pid, &["--frequency", "199", "--duration", "3s"]))?;
    assert!(load.is_alive(), "the load ended before the recording\n{recording}");
    for prefix in ["runtime.", "net/http."] {
        let n = recording.folded.count(|stack| stack.user().any(|frame| frame.starts_with(prefix)));
        assert!(n > 20, "{n} samples with a function of {prefix}*\n{recording}");
    }
    assert!(recording.report.samples_of(pid) > 100, "{recording}");
    Ok(())
}

/// `function /some/where/file:LINE`.
fn is_at(frame: &str, function: &str, file: &str) -> bool {
    let place = frame.split_once(' ').filter(|(name, _)| *name == function);
    place.is_some_and(|(_, place)| place.contains(&format!("/{file}:")))
}

/// Neither its /tmp nor, in the second case, its process ID is ours.
#[test]
fn a_javascript_function_is_named_by_the_map_in_the_targets_own_tmp() -> Result<()> {
    for (namespaces, what) in [
        (servers::IN_MOUNT_NAMESPACE, "in its own mount namespace"),
        (servers::IN_PID_NAMESPACE, "in its own mount and PID namespaces"),
    ] {
        let (node, _dir) = servers::node(namespaces)?;
        let recording = agent::record(pid_args(node.pid(), &["--frequency", "199", "--duration", "2s"]))?;
        let named = recording
            .folded
            .share(|_| true, |stack| stack.user().any(|frame| is_at(frame, "scoreRoute", "router.js")));
        assert!(named > 0.5, "{what}: {named:.3} of samples in the function\n{recording}");
    }
    Ok(())
}
