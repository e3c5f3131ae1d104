//! `cargo xtask fuzz`: hostile input for the readers and the walk, made by a machine until something gives.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};

use crate::shell::{self, Workspace};

/// A target of the fuzzer.
#[derive(Clone, Copy)]
struct Target {
    name: &'static str,
    /// The longest input that makes sense: a fuzzer wastes its time on longer ones.
    max_bytes: usize,
    /// Of the corpus that is committed.
    max_corpus_bytes: u64,
}

const TARGETS: [Target; 12] = [
    Target { name: "object", max_bytes: 8192, max_corpus_bytes: 80_000 },
    Target { name: "frames", max_bytes: 4096, max_corpus_bytes: 40_000 },
    Target { name: "walk", max_bytes: 4096, max_corpus_bytes: 50_000 },
    Target { name: "spool", max_bytes: 4096, max_corpus_bytes: 40_000 },
    Target { name: "config", max_bytes: 4096, max_corpus_bytes: 60_000 },
    Target { name: "collector_log", max_bytes: 4096, max_corpus_bytes: 40_000 },
    Target { name: "collector_receive", max_bytes: 4096, max_corpus_bytes: 40_000 },
    Target { name: "profile_read", max_bytes: 4096, max_corpus_bytes: 40_000 },
    Target { name: "query_selector", max_bytes: 1024, max_corpus_bytes: 20_000 },
    Target { name: "query_sql", max_bytes: 1024, max_corpus_bytes: 40_000 },
    Target { name: "requests", max_bytes: 4096, max_corpus_bytes: 40_000 },
    Target { name: "text", max_bytes: 1024, max_corpus_bytes: 20_000 },
];

/// Much more than any reader may take for an input of kilobytes.
const MEMORY_LIMIT_MIB: u32 = 1024;
/// An input of kilobytes that takes longer is found, like one that panics.
const INPUT_LIMIT_S: u32 = 2;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// One target instead of all, one after the other
    #[arg(value_parser = TARGETS.map(|target| target.name))]
    target: Option<String>,
    /// Seconds for each target
    #[arg(long, default_value_t = 60)]
    seconds: u32,
    /// Put what was learnt into tests/fuzz/corpus: the fewest inputs that reach all that was reached, the smaller
    /// ones where there is no room for all
    #[arg(long)]
    keep: bool,
}

pub(crate) fn run(workspace: &Workspace, args: &Args) -> Result<()> {
    let fuzzer = Fuzzer::find(workspace)?;
    fuzzer.write_seeds()?;
    let wanted = |name: &str| args.target.as_deref().is_none_or(|target| target == name);
    let mut found = Vec::new();
    for target in TARGETS.into_iter().filter(|target| wanted(target.name)) {
        // What is found by one target keeps nobody from running the next.
        if let Err(error) = fuzzer.run(target, args.seconds) {
            found.push(format!("{}: {error:#}", target.name));
        } else if args.keep {
            fuzzer.keep(target)?;
        }
    }
    if !found.is_empty() {
        bail!("the inputs are in `{}`\n{}", fuzzer.artifacts().display(), found.join("\n"));
    }
    Ok(())
}

struct Fuzzer<'workspace> {
    workspace: &'workspace Workspace,
    /// The crate of the targets.
    dir: PathBuf,
    /// What this machine has learnt; too large to be committed.
    corpora: PathBuf,
}

impl<'workspace> Fuzzer<'workspace> {
    fn find(workspace: &'workspace Workspace) -> Result<Self> {
        let toolchains = shell::output(Command::new("rustup").args(["toolchain", "list"]))
            .context("fuzzing takes rustup: https://rustup.rs")?;
        if !toolchains.lines().any(|line| line.starts_with("nightly")) {
            bail!(
                "fuzzing takes a nightly compiler: run `rustup toolchain install nightly --profile minimal`"
            );
        }
        if shell::find_program("cargo-fuzz").is_none() {
            println!("installing cargo-fuzz: it builds the targets and starts them");
            shell::run(workspace.cargo().args(["install", "cargo-fuzz", "--locked"]))?;
        }
        Ok(Self {
            workspace,
            dir: workspace.root.join("tests/fuzz"),
            corpora: workspace.target.join("fuzz/corpus"),
        })
    }

    fn artifacts(&self) -> PathBuf {
        self.workspace.target.join("fuzz/artifacts")
    }

    /// Seeds of every target, out of code and out of small programs of ours.
    fn write_seeds(&self) -> Result<()> {
        let program = self.workspace.target.join("fuzz/frames.elf");
        fs::create_dir_all(self.artifacts()).context("cannot create the directory for what is found")?;
        let flags =
            "-O2 -nostdlib -static -s -fomit-frame-pointer -Wl,--build-id=sha1 -Wl,-z,noseparate-code -o";
        let source = self.workspace.root.join("tests/programs/frames.c");
        shell::run(Command::new("gcc").args(flags.split(' ')).arg(&program).arg(source))?;
        let forms = self.workspace.root.join("tests/golden/unwind/forms.elf");
        let mut command = self.workspace.cargo();
        command.args(["run", "--quiet", "--package", "hostile", "--bin", "seeds", "--"]);
        shell::run(command.args([&self.corpora, &forms, &program]))
    }

    fn run(&self, target: Target, seconds: u32) -> Result<()> {
        let name = target.name;
        let mut command = self.target(target, &[&*self.corpora.join(name), &*self.committed(name)]);
        command.arg(format!("-max_total_time={seconds}")).arg("-print_final_stats=1");
        command.arg(format!("-artifact_prefix={}/{name}-", self.artifacts().display()));
        shell::run(&mut command)
    }

    /// The fewest inputs that reach everything, in place of those committed before.
    fn keep(&self, target: Target) -> Result<()> {
        let committed = self.committed(target.name);
        let fewest = self.corpora.join(format!("{}.fewest", target.name));
        if fewest.exists() {
            fs::remove_dir_all(&fewest).with_context(|| format!("cannot remove `{}`", fewest.display()))?;
        }
        fs::create_dir_all(&fewest).with_context(|| format!("cannot create `{}`", fewest.display()))?;
        let from = [&fewest, &committed, &self.corpora.join(target.name)];
        shell::run(self.target(target, &from.map(PathBuf::as_path)).arg("-merge=1"))?;
        replace(&committed, &fewest, target.max_corpus_bytes)
    }

    /// The corpus in the tree.
    fn committed(&self, name: &str) -> PathBuf {
        self.dir.join("corpus").join(name)
    }

    /// A run of a target over corpora, new inputs into the first.
    fn target(&self, target: Target, corpora: &[&Path]) -> Command {
        let mut command = Command::new("cargo");
        command.current_dir(&self.dir);
        // A build directory of its own: another compiler, other flags, nothing shared.
        command.env("CARGO_TARGET_DIR", self.workspace.target.join("fuzz/build"));
        // The variables of the cargo that runs us would choose its compiler again.
        for variable in ["CARGO", "RUSTC", "RUSTUP_TOOLCHAIN", "CARGO_MANIFEST_DIR"] {
            command.env_remove(variable);
        }
        command.args(["+nightly", "fuzz", "run", "--fuzz-dir", ".", target.name]);
        command.args(corpora);
        command
            .arg("--")
            .arg(format!("-max_len={}", target.max_bytes))
            .arg(format!("-timeout={INPUT_LIMIT_S}"));
        command.arg(format!("-rss_limit_mb={MEMORY_LIMIT_MIB}"));
        command
    }
}

/// Puts the files of one directory in place of those of another, the smallest first, while there is room.
fn replace(old: &Path, new: &Path, mut room_bytes: u64) -> Result<()> {
    let files = |dir: &Path| -> Result<Vec<(u64, PathBuf)>> {
        let entries = fs::read_dir(dir).with_context(|| format!("cannot list `{}`", dir.display()))?;
        let mut files: Vec<_> = entries
            .map(|entry| entry.and_then(|entry| Ok((entry.metadata()?.len(), entry.path()))))
            .collect::<Result<_, _>>()?;
        files.sort();
        Ok(files)
    };
    for (_, path) in files(old)? {
        fs::remove_file(&path).with_context(|| format!("cannot remove `{}`", path.display()))?;
    }
    for (n_bytes, path) in files(new)? {
        let Some(left) = room_bytes.checked_sub(n_bytes) else { break };
        room_bytes = left;
        let to = old.join(path.file_name().unwrap_or_default());
        fs::copy(&path, &to).with_context(|| format!("cannot write `{}`", to.display()))?;
    }
    Ok(())
}
