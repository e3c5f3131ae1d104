//! `--inlines`: functions that only debug information knows of.

use anyhow::Result;
use tests::{agent, paths};

use crate::support::command_args;

#[test]
fn an_inlined_function_appears_when_asked_for_and_only_then() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let program = dir.path().join("inlined");
    paths::compile("suite/inlined.c", &["-O2", "-g"], &program)?;
    for (options, expected) in [(&["-F", "199", "--inlines"] as &[&str], true), (&["-F", "199"], false)] {
        let recording = agent::record(command_args(options, &program, &[]))?;
        let caller = recording.folded.share(|_| true, |stack| stack.has("caller"));
        assert!(caller > 0.9, "{options:?}: {caller:.3} of samples in the caller\n{recording}");
        let inlined = recording.folded.share(
            |stack| stack.has("caller"),
            |stack| {
                let callee = stack.frames.iter().position(|frame| frame == "mix_inlined_[i]");
                callee.is_some() && callee > stack.frames.iter().position(|frame| frame == "caller")
            },
        );
        let is_right = if expected { inlined > 0.9 } else { inlined == 0.0 };
        assert!(is_right, "{options:?}: {inlined:.3} of samples in the inlined function\n{recording}");
    }
    Ok(())
}
