//! Programs whose code no ELF symbol names: Go keeps its own table, V8 writes a map as it compiles.

use anyhow::Result;
use tests::{
    agent::{self, Recording},
    paths,
    process::Running,
    servers::{self, Load},
};

use crate::support::pid_args;

/// What Go's runtime itself takes for the outermost function of a stack, and the first function of a thread that
/// the C library made.
const GO_ROOTS: [&str; 6] =
    ["runtime.goexit", "runtime.mcall", "runtime.mstart", "runtime.rt0_go", "clone3", "_start"];

/// Nothing is cut, and what a stack ends with is a root, not where the walk lost its way.
fn assert_whole(recording: &Recording) {
    let stacks = &recording.report.stacks;
    let truncated: u64 = stacks.truncated.values().sum();
    let whole = stacks.complete as f64 / (stacks.complete + truncated).max(1) as f64;
    assert!(whole >= 0.999, "{whole:.5} of stacks are whole\n{recording}");
    let rooted = recording.folded.share(
        |stack| stack.user().next().is_some(),
        |stack| stack.user().next().is_some_and(|root| GO_ROOTS.contains(&root)),
    );
    assert!(rooted >= 0.999, "{rooted:.5} of stacks begin with a root\n{recording}");
}

#[test]
fn go_functions_of_the_runtime_and_the_library_have_names_in_caddy() -> Result<()> {
    let caddy = servers::caddy()?;
    let load = Load::start(&caddy)?;
    let pid = caddy.running().pid();
    let recording = agent::record(pid_args(pid, &["--frequency", "997", "--duration", "3s"]))?;
    assert!(load.is_alive(), "the load ended before the recording\n{recording}");
    for prefix in ["runtime.", "net/http."] {
        let n = recording.folded.count(|stack| stack.user().any(|frame| frame.starts_with(prefix)));
        assert!(n > 20, "{n} samples with a function of {prefix}*\n{recording}");
    }
    assert!(recording.report.samples_of(pid) > 100, "{recording}");
    assert_whole(&recording);
    Ok(())
}

/// At a fixed address and at any, with symbols and without: Go keeps its table in another section each time.
#[test]
fn a_go_stack_leads_through_c_and_the_collector_down_to_its_goroutine() -> Result<()> {
    let dir = tempfile::tempdir()?;
    for flags in [&[] as &[&str], &["-buildmode=pie", "-ldflags=-s"]] {
        let program = dir.path().join("through_c");
        paths::compile_go("suite/through_c.go", flags, &program)?;
        let target = Running::start(std::process::Command::new(&program).arg("60"))?;
        std::thread::sleep(std::time::Duration::from_millis(200));
        let recording = agent::record(pid_args(target.pid(), &["--frequency", "997", "--duration", "2s"]))?;
        assert_whole(&recording);
        let is_in_order = |frames: &[String]| {
            let mut rest = frames.iter();
            ["main.outerGo", "middle_c", "main.innerGo"].iter().all(|wanted| {
                // A stripped program says of its C functions only where they begin.
                let is_stripped = !flags.is_empty() && *wanted == "middle_c";
                is_stripped || rest.any(|frame| frame == wanted || is_glue(frame, wanted))
            })
        };
        for (what, n) in [
            ("through C and back", recording.folded.count(|stack| is_in_order(&stack.frames))),
            (
                "in the collector",
                recording
                    .folded
                    .count(|stack| stack.frames.iter().any(|it| it.starts_with("runtime.gcDrain"))),
            ),
            (
                "in a stack that grows",
                recording.folded.count(|stack| {
                    stack.has("main.grow") && stack.frames.iter().any(|it| it.starts_with("runtime.newstack"))
                }),
            ),
        ] {
            assert!(n > 10, "{flags:?}: {n} samples {what}\n{recording}");
        }
    }
    Ok(())
}

/// The Go side of an exported function is called by the name of what cgo wraps it in, once it is inlined.
fn is_glue(frame: &str, wanted: &str) -> bool {
    let function = wanted.trim_start_matches("main.");
    frame.starts_with("_cgoexp_") && frame.ends_with(function)
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
