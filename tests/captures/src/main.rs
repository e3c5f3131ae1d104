//! Records one stack of a running program: `cargo xtask capture` calls it.
#![expect(clippy::print_stdout, reason = "a command line tool: its output is its purpose")]

use std::{env, fs, path::PathBuf};

use anyhow::{Context as _, Result, bail};
use captures::{live::Process, opinion, trace::Stopped, walk};
use clap::Parser;

/// Instructions stepped through, at most, until the wanted place is reached.
const MAX_STEPS: usize = 5_000_000;

#[derive(Parser)]
#[command(name = "capture", about = "Record the stack of a thread for the walk tests")]
struct Args {
    /// The thread
    tid: u32,
    /// Name of the recording
    name: String,
    /// Step until a frame lies in this file (`[vdso]`, `libc.so.6`...)
    #[arg(long)]
    within: Option<String>,
    /// Step until an address between these file offsets, in hexadecimal (START-END), is executed
    #[arg(long, requires = "within")]
    offsets: Option<String>,
    /// Step until a rule of this kind (`CFA_*`, a number) is met in any frame
    #[arg(long)]
    rule: Option<u8>,
    /// Where recordings are
    #[arg(long)]
    dir: PathBuf,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let paths = ["capture", "frames"].map(|kind| args.dir.join(format!("{}.{kind}", args.name)));
    let may_rewrite = env::var_os("BLESS").is_some_and(|value| value == "1");
    if !may_rewrite && paths.iter().any(|path| path.exists()) {
        bail!("`{}` is recorded already; BLESS=1 records it anew", args.name);
    }
    let offsets = args.offsets.as_deref().map(range).transpose()?;
    let process = Process::open(args.tid)?;
    let thread = Stopped::new(args.tid)?;
    for _ in 0..MAX_STEPS {
        let (_, ip) = thread.registers()?;
        let place = process.mappings.iter().find(|mapping| (mapping.start..mapping.end).contains(&ip));
        let is_there = place.is_some_and(|mapping| {
            let offset = ip - mapping.start + mapping.file_offset;
            args.within.as_ref().is_none_or(|name| *name == mapping.name)
                && offsets.as_ref().is_none_or(|offsets| offsets.contains(&offset))
        });
        if is_there {
            let (capture, walked) = process.record(&thread)?;
            if args.rule.is_none_or(|cfa| capture.rules.values().any(|rule| rule.cfa == cfa)) {
                let expected = opinion::unwind(&process, ip, &capture.registers)?;
                let seen = walked.text(&capture.mappings);
                // It gives no reason for its end: ours stands in its place.
                let expected = walk::Walked { addresses: expected, ..walked }.text(&capture.mappings);
                println!("{seen}");
                if seen != expected {
                    println!("the other unwinder differs:\n{expected}");
                }
                for (path, text) in paths.iter().zip([capture.text(), expected]) {
                    fs::write(path, text).with_context(|| format!("cannot write `{}`", path.display()))?;
                }
                return Ok(());
            }
        }
        thread.step()?;
    }
    bail!("the place was not reached in {MAX_STEPS} instructions")
}

fn range(text: &str) -> Result<std::ops::Range<u64>> {
    let (start, end) = text.split_once('-').context("a range is START-END")?;
    Ok(u64::from_str_radix(start, 16)?..u64::from_str_radix(end, 16)?)
}
