//! Where things are: what `cargo xtask test` hands over through the environment, else where it would be.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use anyhow::{Context as _, Result, ensure};

/// The checkout.
///
/// # Errors
/// If this does not run inside one.
pub fn root() -> Result<PathBuf> {
    let manifest = env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    let start = manifest.map_or_else(env::current_dir, Ok).context("no current directory")?;
    let root = start.ancestors().find(|dir| dir.join("Cargo.lock").is_file());
    Ok(root.context("not inside a checkout of the project")?.to_owned())
}

fn target_dir() -> Result<PathBuf> {
    match env::var_os("CARGO_TARGET_DIR") {
        Some(dir) => Ok(root()?.join(dir)),
        None => Ok(root()?.join("target")),
    }
}

/// The agent as users get it.
///
/// # Errors
/// If it has not been built; the text says how to.
pub fn agent() -> Result<PathBuf> {
    let path = match env::var_os("BRAZIER_AGENT") {
        Some(path) => PathBuf::from(path),
        None => target_dir()?.join("release/agent"),
    };
    ensure!(path.is_file(), "no agent at {}: run `cargo build --release -p agent` first", path.display());
    Ok(path)
}

/// The collector as tests have built it; none if nobody has.
///
/// # Errors
/// If this is no checkout.
pub fn collector() -> Result<Option<PathBuf>> {
    let handed_over = env::var_os("BRAZIER_COLLECTOR").map(PathBuf::from);
    let path =
        handed_over.map_or_else(|| Ok(target_dir()?.join("debug/collector")), Ok::<_, anyhow::Error>)?;
    Ok(path.is_file().then_some(path))
}

/// One of the target programs; compiled if it is not there yet.
///
/// # Errors
/// If it cannot be compiled.
pub fn program(name: &str) -> Result<PathBuf> {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let dir = BUILT.get_or_init(|| build_programs().map_err(|error| format!("{error:#}")));
    let dir = dir.as_ref().map_err(|error| anyhow::anyhow!("{error}"))?;
    let path = dir.join(name);
    ensure!(path.is_file(), "no target program {}: run `cargo xtask programs DIR`", path.display());
    Ok(path)
}

fn build_programs() -> Result<PathBuf> {
    if let Some(dir) = env::var_os("BRAZIER_PROGRAMS") {
        return Ok(PathBuf::from(dir));
    }
    find("gcc", "gcc")?;
    let dir = target_dir()?.join("programs");
    xtask::programs::build_all(&root()?, &dir)?;
    Ok(dir)
}

/// Compiles a program of tests/programs or tests/suite with flags of the test's own.
///
/// # Errors
/// If the compiler is missing or refuses.
pub fn compile(source: &str, flags: &[&str], output: &Path) -> Result<()> {
    compile_with(source, flags, &[], output)
}

/// Compiles a C program of tests/ and links it with libraries.
///
/// # Errors
/// If the compiler is missing or refuses.
pub fn compile_with(source: &str, flags: &[&str], libraries: &[&str], output: &Path) -> Result<()> {
    let gcc = find("gcc", "gcc")?;
    let source = root()?.join("tests").join(source);
    let finished = Command::new(gcc)
        .args(["-std=gnu11", "-Wall", "-Wextra", "-Werror", "-fno-optimize-sibling-calls"])
        .args(flags)
        .arg("-o")
        .arg(output)
        .arg(&source)
        .args(libraries)
        .output()
        .context("cannot start gcc")?;
    let messages = String::from_utf8_lossy(&finished.stderr);
    ensure!(finished.status.success(), "gcc refused {}:\n{messages}", source.display());
    Ok(())
}

/// Compiles a Go program of tests/suite with flags of the test's own.
///
/// # Errors
/// If the compiler is missing or refuses.
pub fn compile_go(source: &str, flags: &[&str], output: &Path) -> Result<()> {
    let go = find("go", "golang-1.19-go")?;
    let source = root()?.join("tests").join(source);
    let dir = output.parent().context("an output without a directory")?;
    let finished = Command::new(go)
        .arg("build")
        .args(flags)
        .arg("-o")
        .arg(output)
        .arg(&source)
        .current_dir(dir)
        .env("GOCACHE", dir.join("go-cache"))
        .env("GO111MODULE", "off")
        .env("CGO_ENABLED", "1")
        .output()
        .context("cannot start go")?;
    let messages = String::from_utf8_lossy(&finished.stderr);
    ensure!(finished.status.success(), "go refused {}:\n{messages}", source.display());
    Ok(())
}

/// A program on PATH, or where Debian keeps those for root and its Go.
///
/// # Errors
/// If it is not there; the text names the package.
pub fn find(name: &str, package: &str) -> Result<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let mut dirs: Vec<PathBuf> = env::split_paths(&path).collect();
    dirs.extend(["/usr/sbin", "/sbin", "/usr/lib/go-1.19/bin"].map(PathBuf::from));
    dirs.into_iter().map(|dir| dir.join(name)).find(|candidate| candidate.is_file()).with_context(|| {
        format!("no `{name}` here: install Debian's package {package}, as `cargo xtask test` does")
    })
}

/// Envoy, which only `cargo xtask test` fetches, once for all checkouts.
#[must_use]
pub fn envoy() -> Option<PathBuf> {
    fetched("BRAZIER_ENVOY", "envoy/envoy/_bin/envoy")
}

/// The Python packages that a receiver of OTLP is made of, which only `cargo xtask test` fetches: their directory.
#[must_use]
pub fn otlp_packages() -> Option<PathBuf> {
    let part = fetched("BRAZIER_OTLP", "otlp-1.45.2/grpc/__init__.py")?;
    Some(part.parent()?.parent()?.to_owned())
}

/// The Python package that drives Debian's Chromium, which only `cargo xtask test` fetches: its directory. None without Chromium, too.
#[must_use]
pub fn playwright_packages() -> Option<PathBuf> {
    find("chromium", "chromium").ok()?;
    let part = fetched("BRAZIER_PLAYWRIGHT", "playwright-1.65.2/playwright/__init__.py")?;
    Some(part.parent()?.parent()?.to_owned())
}

/// The Python package that has Prometheus' parsers, which only `cargo xtask test` fetches: its directory.
#[must_use]
pub fn prometheus_packages() -> Option<PathBuf> {
    let part = fetched("BRAZIER_PROMETHEUS", "prometheus-client-0.26.0/prometheus_client/parser.py")?;
    Some(part.parent()?.parent()?.to_owned())
}

/// The receiver of OTLP in Python.
///
/// # Errors
/// If this is no checkout.
pub fn otlp_receiver() -> Result<PathBuf> {
    Ok(root()?.join("tests/receivers/otlp.py"))
}

/// A proxy of Pingora, which only `cargo xtask test` builds, once for all checkouts.
#[must_use]
pub fn pingora() -> Option<PathBuf> {
    fetched("BRAZIER_PINGORA", "pingora/pingora-proxy-target")
}

/// profile-bee, another agent, which only `cargo xtask bench peers` builds, once for all checkouts.
#[must_use]
pub fn probee() -> Option<PathBuf> {
    fetched("BRAZIER_PROBEE", "probee/0.3.13/bin/probee")
}

/// workerd, which only `cargo xtask test` fetches, once for all checkouts.
#[must_use]
pub fn workerd() -> Option<PathBuf> {
    fetched("BRAZIER_WORKERD", "workerd/node_modules/@cloudflare/workerd-linux-64/bin/workerd")
}

/// What the variable says, else what is in the cache.
fn fetched(variable: &str, in_cache: &str) -> Option<PathBuf> {
    let handed_over = env::var_os(variable).map(PathBuf::from);
    let cache = || match env::var_os("XDG_CACHE_HOME") {
        Some(dir) => Some(PathBuf::from(dir)),
        None => Some(PathBuf::from(env::var_os("HOME")?).join(".cache")),
    };
    let path = handed_over.or_else(|| Some(cache()?.join("brazier").join(in_cache)))?;
    path.is_file().then_some(path)
}

/// A source beside the tests of the suite.
///
/// # Errors
/// If this is no checkout.
pub fn suite_source(name: &str) -> Result<PathBuf> {
    Ok(root()?.join("tests/suite").join(name))
}

/// The sources of the target program of this name that is a directory of its own.
///
/// # Errors
/// If this is no checkout.
pub fn program_source(name: &str) -> Result<PathBuf> {
    Ok(root()?.join("tests/programs").join(name))
}
