//! The steps of a test run, in order: cheap checks first, then what takes root, then other kernels.

use std::{
    path::{Path, PathBuf},
    process::Command,
    thread,
};

use anyhow::{Context, Result, anyhow};

use super::{
    libtest, node,
    tally::{Outcome, Tally},
    tidy,
};
use crate::{
    ebpf, fetch, packages,
    shell::{self, Workspace, is_debian, is_root},
    vm,
};

const NOT_ROOT: &str = "needs root";
/// What the collector's tests of a cluster need.
const CLUSTER: &str = "collector/cluster";

/// What the privileged tests are handed, through the environment.
#[derive(Default)]
struct Targets {
    agent: Option<PathBuf>,
    programs: Option<PathBuf>,
    envoy: Option<PathBuf>,
    otlp: Option<PathBuf>,
    pingora: Option<PathBuf>,
    playwright: Option<PathBuf>,
    prometheus: Option<PathBuf>,
    workerd: Option<PathBuf>,
}

impl Targets {
    fn agent(&self) -> Result<&Path> {
        self.agent.as_deref().context("the release build failed")
    }

    fn programs(&self) -> Result<&Path> {
        self.programs.as_deref().context("the target programs did not compile")
    }
}

pub(super) fn run_all(workspace: &Workspace, tally: &mut Tally) {
    let root = is_root();
    if root && is_debian() {
        tally.step("packages", || {
            packages::install(&packages::EBPF)?;
            packages::install(&packages::TESTS)?;
            Ok(Outcome::Held)
        });
    }
    checks(workspace, tally);
    tally.step("modules of the page", || node::run(&workspace.root));
    let playwright = fetched(workspace, "playwright", fetch::playwright::find, tally);
    let chdb = fetched(workspace, "chdb", fetch::chdb::find, tally);
    tally.step("unprivileged tests", || {
        let mut command = workspace.cargo();
        command.args(["test", "--workspace", "--features", CLUSTER, "--no-fail-fast"]);
        for (name, part) in [("BRAZIER_CHDB", &chdb), ("BRAZIER_PLAYWRIGHT", &playwright)] {
            if let Some(part) = part {
                command.env(name, part);
            }
        }
        libtest::run(&mut command)
    });
    if !root {
        for name in ["privileged tests", "kernel 6.1", "kernel 6.12"] {
            tally.step(name, || Ok(Outcome::Skipped(NOT_ROOT.into())));
        }
        return;
    }
    let mut targets = Targets { playwright, ..Targets::default() };
    tally.step("release build", || {
        targets.agent = Some(workspace.release("agent")?);
        let dir = workspace.target.join("programs");
        xtask::programs::build_all(&workspace.root, &dir)?;
        targets.programs = Some(dir);
        Ok(Outcome::Held)
    });
    let fetched = |name, find, tally: &mut Tally| fetched(workspace, name, find, tally);
    targets.envoy = fetched("envoy", fetch::envoy::find, tally);
    targets.otlp = fetched("receiver of OTLP", fetch::otlp::find, tally);
    targets.pingora = fetched("pingora", fetch::pingora::find, tally);
    targets.prometheus = fetched("parser of Prometheus", fetch::prometheus::find, tally);
    targets.workerd = fetched("workerd", fetch::workerd::find, tally);
    tally.step("privileged tests", || libtest::run(&mut privileged(workspace, &targets)?));
    kernels(workspace, &targets, tally);
}

/// Both at once: an emulator takes one CPU.
fn kernels(workspace: &Workspace, targets: &Targets, tally: &mut Tally) {
    thread::scope(|scope| {
        let running = [("kernel 6.1", vm::Kernel::V6_1), ("kernel 6.12", vm::Kernel::V6_12)]
            .map(|(name, kernel)| (name, scope.spawn(move || virtual_machine(workspace, targets, kernel))));
        for (name, guest) in running {
            tally.step(name, || guest.join().unwrap_or_else(|_| Err(anyhow!("its thread panicked"))));
        }
    });
}

/// Tests that take one of these skip themselves without it.
fn fetched(
    workspace: &Workspace,
    name: &'static str,
    find: fn(&Workspace) -> Result<PathBuf>,
    tally: &mut Tally,
) -> Option<PathBuf> {
    let mut found = None;
    tally.step(name, || match find(workspace) {
        Ok(path) => {
            found = Some(path);
            Ok(Outcome::Held)
        }
        Err(error) => Ok(Outcome::Skipped(format!("{error:#}"))),
    });
    found
}

/// What needs no test binary.
fn checks(workspace: &Workspace, tally: &mut Tally) {
    let held = |command: &mut Command| shell::run(command).map(|()| Outcome::Held);
    tally.step("tidy", || tidy::check(&workspace.root).map(|()| Outcome::Held));
    tally.step("format", || held(workspace.cargo().args(["fmt", "--all", "--check"])));
    tally.step("lints", || {
        let args = ["clippy", "--workspace", "--all-targets", "--all-features", "--", "-D", "warnings"];
        held(workspace.cargo().args(args))
    });
    tally.step("kernel programs", || {
        stamp::check(&workspace.root).context("run `cargo xtask build-ebpf`")?;
        match ebpf::can_build(workspace) {
            Ok(()) => {}
            Err(error) => return Ok(Outcome::Skipped(format!("{error:#}"))),
        }
        Ok(match ebpf::check(workspace, false)? {
            ebpf::Checked::Same { .. } => Outcome::Held,
            ebpf::Checked::NotCompared { here, stamp } => {
                Outcome::Skipped(format!("not compared: toolchain {here} differs from {stamp}"))
            }
        })
    });
}

/// The same packages as in the unprivileged run are selected, so that nothing is compiled a second time.
fn privileged(workspace: &Workspace, targets: &Targets) -> Result<Command> {
    let mut command = workspace.cargo();
    command
        .args([
            "test",
            "--workspace",
            "--features",
            CLUSTER,
            "--features",
            "tests/privileged",
            "--test",
            "suite",
        ])
        .args(["--", "--test-threads=1"])
        .env("BRAZIER_AGENT", targets.agent()?)
        .env("BRAZIER_PROGRAMS", targets.programs()?)
        // Built for the unprivileged tests.
        .env("BRAZIER_COLLECTOR", workspace.root.join(&workspace.target).join("debug/collector"));
    let fetched = [
        ("BRAZIER_ENVOY", &targets.envoy),
        ("BRAZIER_OTLP", &targets.otlp),
        ("BRAZIER_PINGORA", &targets.pingora),
        ("BRAZIER_PLAYWRIGHT", &targets.playwright),
        ("BRAZIER_PROMETHEUS", &targets.prometheus),
        ("BRAZIER_WORKERD", &targets.workerd),
    ];
    for (name, program) in fetched {
        if let Some(program) = program {
            command.env(name, program);
        }
    }
    Ok(command)
}

fn virtual_machine(workspace: &Workspace, targets: &Targets, kernel: vm::Kernel) -> Result<Outcome> {
    let report = vm::run_cases(workspace, kernel, targets.agent()?, targets.programs()?)?;
    let counts =
        libtest::Counts { passed: report.n_ok(), failed: report.n_failed(), ..libtest::Counts::default() };
    Ok(Outcome::Ran { counts, succeeded: report.n_failed() == 0 })
}
