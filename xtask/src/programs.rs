//! Compiles the target programs of tests/programs: small workloads whose right profile is known beforehand.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::{Command, Output},
};

/// Why a target program could not be compiled.
#[derive(Debug, thiserror::Error)]
pub enum ProgramError {
    /// The directory that they go to cannot be had.
    #[error("cannot create directory `{dir}` for target programs")]
    Directory {
        /// The directory.
        dir: PathBuf,
        /// The reason given by the OS.
        #[source]
        source: io::Error,
    },
    /// The compiler is not there.
    #[error("cannot start `{compiler}` to compile `{program}`")]
    Start {
        /// Name of the compiler.
        compiler: &'static str,
        /// Name of the program.
        program: &'static str,
        /// The reason given by the OS.
        #[source]
        source: io::Error,
    },
    /// The compiled program cannot be put into place.
    #[error("cannot rename the compiled `{program}` into place")]
    Keep {
        /// Name of the program.
        program: &'static str,
        /// The reason given by the OS.
        #[source]
        source: io::Error,
    },
    /// The compiler refused.
    #[error("`{compiler}` refused `{program}`:\n{messages}")]
    Compile {
        /// Name of the compiler.
        compiler: &'static str,
        /// Name of the program.
        program: &'static str,
        /// What the compiler printed.
        messages: String,
    },
}

/// One program: its name, its source, and what is special about its compilation.
struct Program {
    name: &'static str,
    source: &'static str,
    flags: &'static [&'static str],
}

/// A frame pointer in every function, leaves included.
const FRAME_POINTERS: [&str; 2] = ["-fno-omit-frame-pointer", "-mno-omit-leaf-frame-pointer"];
/// What distributions ship: only `.eh_frame` tells where the caller is.
const NO_FRAME_POINTERS: [&str; 1] = ["-fomit-frame-pointer"];
/// Calls stay calls: a tail call would take its caller off the stack that the tests expect. Functions with
/// the same code stay apart, each under its own name.
const C_FLAGS: [&str; 8] = [
    "-std=gnu11",
    "-O2",
    "-Wall",
    "-Wextra",
    "-Werror",
    "-fno-optimize-sibling-calls",
    "-fno-ipa-icf",
    "-pthread",
];
const RUST_FLAGS: [&str; 4] = ["--edition=2024", "-Copt-level=2", "-Cpanic=abort", "-Dwarnings"];

const PROGRAMS: &[Program] = &[
    Program { name: "hot321", source: "hot321.c", flags: &NO_FRAME_POINTERS },
    Program { name: "deep_fp", source: "deep.c", flags: &FRAME_POINTERS },
    Program { name: "deep_nofp", source: "deep.c", flags: &NO_FRAME_POINTERS },
    Program { name: "syscalls", source: "syscalls.c", flags: &NO_FRAME_POINTERS },
    Program { name: "short", source: "short.c", flags: &NO_FRAME_POINTERS },
    Program { name: "forker", source: "forker.c", flags: &NO_FRAME_POINTERS },
    Program { name: "threads", source: "threads.c", flags: &NO_FRAME_POINTERS },
    Program { name: "grower", source: "ten_stacks.c", flags: &["-fomit-frame-pointer", "-DONE_SIZE"] },
    Program { name: "ten_stacks", source: "ten_stacks.c", flags: &NO_FRAME_POINTERS },
    Program { name: "handler", source: "handler.c", flags: &NO_FRAME_POINTERS },
    Program { name: "allocate", source: "allocate.c", flags: &NO_FRAME_POINTERS },
    Program { name: "churn", source: "churn.c", flags: &NO_FRAME_POINTERS },
    Program { name: "accounted", source: "accounted.c", flags: &NO_FRAME_POINTERS },
    Program { name: "objects", source: "objects.c", flags: &NO_FRAME_POINTERS },
    Program { name: "refused", source: "refused.c", flags: &NO_FRAME_POINTERS },
    Program { name: "turnover", source: "turnover.c", flags: &NO_FRAME_POINTERS },
    Program { name: "grow", source: "grow.c", flags: &NO_FRAME_POINTERS },
    Program { name: "costly", source: "costly.c", flags: &NO_FRAME_POINTERS },
    Program { name: "waits", source: "waits.c", flags: &NO_FRAME_POINTERS },
    Program { name: "pingpong", source: "pingpong.c", flags: &NO_FRAME_POINTERS },
    Program { name: "asks", source: "asks.c", flags: &NO_FRAME_POINTERS },
    Program { name: "mangled", source: "mangled.rs", flags: &[] },
];

/// Compiles all of them into `dir` and returns their paths. A program newer than its source is kept.
pub fn build_all(workspace_root: &Path, dir: &Path) -> Result<Vec<PathBuf>, ProgramError> {
    fs::create_dir_all(dir).map_err(|source| ProgramError::Directory { dir: dir.to_owned(), source })?;
    let sources = workspace_root.join("tests/programs");
    PROGRAMS.iter().map(|program| program.build(&sources, dir)).collect()
}

impl Program {
    fn build(&self, sources: &Path, dir: &Path) -> Result<PathBuf, ProgramError> {
        let source = sources.join(self.source);
        let built = dir.join(self.name);
        if is_newer(&built, &source) {
            return Ok(built);
        }
        // Renamed into place, so that a test that runs at the same time never starts half a program.
        let fresh = dir.join(format!(".{}.{}", self.name, std::process::id()));
        let (compiler, flags): (_, &[&str]) =
            if self.source.ends_with(".rs") { ("rustc", &RUST_FLAGS) } else { ("gcc", &C_FLAGS) };
        let mut command = Command::new(compiler);
        command.args(flags).args(self.flags).arg("-o").arg(&fresh).arg(&source);
        // Compiled from where the source is: a path in debug information or a panic text stays short.
        command.current_dir(sources);
        let program = self.name;
        let finished =
            command.output().map_err(|source| ProgramError::Start { compiler, program, source })?;
        if !finished.status.success() {
            return Err(ProgramError::Compile { compiler, program, messages: messages(&finished) });
        }
        fs::rename(&fresh, &built).map_err(|source| ProgramError::Keep { program, source })?;
        Ok(built)
    }
}

fn messages(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).trim().to_owned()
}

fn is_newer(built: &Path, source: &Path) -> bool {
    let modified = |path: &Path| fs::metadata(path).and_then(|it| it.modified());
    matches!((modified(built), modified(source)), (Ok(built), Ok(source)) if built > source)
}
