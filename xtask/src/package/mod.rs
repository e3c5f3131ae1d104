//! `cargo xtask package`: a Debian package of the agent, out of packaging/ and the release binary.
//!
//! The same sources make the same bytes: every time in it is that of the last commit, and everything belongs to root.

mod stage;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail, ensure};

use crate::{
    packages,
    shell::{Workspace, output, run},
};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// An agent that is built already [default: a release build]
    #[arg(long)]
    agent: Option<PathBuf>,
    /// Version of the package [default: that of the workspace]
    #[arg(long, default_value = env!("CARGO_PKG_VERSION"), value_parser = version)]
    package_version: String,
    /// Where the package goes [default: package/ in the build directory]
    #[arg(long)]
    output: Option<PathBuf>,
    /// Show what lintian has to say
    #[arg(long)]
    lint: bool,
}

/// What goes into the package beside what is in packaging/.
struct Contents<'a> {
    agent: &'a Path,
    version: &'a str,
    architecture: &'a str,
    /// Of the last commit, in seconds since 1970.
    time_s: u64,
}

pub(crate) fn run_command(workspace: &Workspace, args: &Args) -> Result<()> {
    packages::install(&packages::PACKAGE)?;
    let agent = match &args.agent {
        Some(agent) => agent.clone(),
        None => workspace.dist("agent")?,
    };
    ensure!(agent.is_file(), "no agent at {}", agent.display());
    let time = output(Command::new("git").current_dir(&workspace.root).args(["log", "-1", "--format=%ct"]))?;
    let architecture = output(Command::new("dpkg").arg("--print-architecture"))?;
    let contents = Contents {
        agent: &agent,
        version: &args.package_version,
        architecture: architecture.trim(),
        time_s: time.trim().parse().context("git has no time of the last commit")?,
    };
    let output = args.output.clone().unwrap_or_else(|| workspace.target.join("package"));
    fs::create_dir_all(&output).with_context(|| format!("cannot make {}", output.display()))?;
    let package = output.join(format!("brazier-agent_{}_{}.deb", contents.version, contents.architecture));

    let dir = tempfile::tempdir().context("cannot make a directory")?;
    let root = dir.path().join("brazier-agent");
    stage::lay_out(&workspace.root, &contents, &root)?;
    run(Command::new("dpkg-deb")
        .env("SOURCE_DATE_EPOCH", contents.time_s.to_string())
        .args(["--root-owner-group", "--uniform-compression", "-Zxz", "--build"])
        .args([&root, &package]))?;
    if args.lint {
        packages::install(&packages::LINT)?;
        run(Command::new("lintian").args(["--fail-on", "error"]).arg(&package))?;
    }
    println!("{}", package.display());
    Ok(())
}

/// What dpkg takes, and a file name does (deb-version(7)).
fn version(text: &str) -> Result<String> {
    let is_known = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '+' | '~' | '-');
    if !text.starts_with(|c: char| c.is_ascii_digit()) || !text.chars().all(is_known) {
        bail!("expected a version of a Debian package, such as 0.1.0 or 0.1.0+git1");
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::version;

    #[test]
    fn a_version_is_one_that_dpkg_and_a_file_name_take() {
        for text in ["0.1.0", "1", "0.1.0+git20260101", "0.1.0~rc1-2"] {
            assert_eq!(version(text).ok().as_deref(), Some(text));
        }
        for text in ["", "v1", "1/2", "1 2", "1:2", "-1", "1\n2"] {
            assert!(version(text).is_err(), "{text:?}");
        }
    }
}
