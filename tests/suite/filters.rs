//! Whom to sample: by name, by control group, everyone.

use std::{path::Path, process::Command, time::Duration};

use anyhow::Result;
use tests::{
    agent::{self, Recorder, Recording},
    control_group::{self, ControlGroup},
    paths,
    process::Running,
};

use crate::support::{args, copy, own_name, target};

fn start(program: &Path) -> Result<Running> {
    Running::start(Command::new(program).arg("60"))
}

fn start_in(group: &Path) -> Result<Running> {
    Running::start(control_group::command_in(group, &paths::program("hot321")?)?.arg("60"))
}

fn sampled(recording: &Recording) -> Vec<u32> {
    let mut pids: Vec<u32> = recording.report.processes.iter().map(|process| process.pid).collect();
    pids.sort_unstable();
    // A process that executes another program is listed under both names.
    pids.dedup();
    pids
}

#[test]
fn a_name_finds_processes_that_are_there_and_those_that_start_later_and_no_others() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let name = own_name("bzn");
    let program = copy("hot321", dir.path(), &name)?;
    let _other = target("hot321")?;
    let early = start(&program)?;
    let recorder = Recorder::start(args(&["--comm", &name, "--frequency", "199", "--duration", "3s"]))?;
    recorder.wait_until_sampling()?;
    std::thread::sleep(Duration::from_millis(300));
    let late = start(&program)?;
    let recording = recorder.finish()?;
    let mut expected = [early.pid(), late.pid()];
    expected.sort_unstable();
    assert_eq!(sampled(&recording), expected, "{recording}");
    for pid in expected {
        assert!(recording.report.samples_of(pid) > 20, "few samples of {pid}\n{recording}");
    }
    let named =
        recording.folded.share(|_| true, |stack| stack.frames.iter().any(|it| it.starts_with("spin_")));
    assert!(named > 0.95, "{named:.3} of samples named\n{recording}");
    Ok(())
}

#[test]
fn a_control_group_is_its_members_and_those_of_the_groups_below_it() -> Result<()> {
    let mut group = ControlGroup::create("inside")?;
    let nested = group.create_below("child")?;
    let deepest = group.create_below("child/grandchild")?;
    let other = ControlGroup::create("outside")?;
    let members = [start_in(group.path())?, start_in(&nested)?, start_in(&deepest)?];
    let outsider = start_in(other.path())?;
    let mut options = args(&["--frequency", "199", "--duration", "2s", "--cgroup"]);
    options.push(group.path().into());
    let recording = agent::record(options)?;
    let mut expected: Vec<u32> = members.iter().map(Running::pid).collect();
    expected.sort_unstable();
    assert_eq!(sampled(&recording), expected, "the outsider is {}\n{recording}", outsider.pid());
    assert_eq!(recording.report.lost, 0, "{recording}");
    Ok(())
}

#[test]
fn a_process_that_starts_in_a_control_group_during_the_recording_is_sampled_and_named() -> Result<()> {
    let group = ControlGroup::create("late")?;
    let mut options = args(&["--frequency", "199", "--duration", "2s", "--cgroup"]);
    options.push(group.path().into());
    let recorder = Recorder::start(options)?;
    recorder.wait_until_sampling()?;
    let late = start_in(group.path())?;
    let recording = recorder.finish()?;
    assert_eq!(sampled(&recording), [late.pid()], "{recording}");
    let named =
        recording.folded.share(|_| true, |stack| stack.frames.iter().any(|it| it.starts_with("spin_")));
    assert!(named > 0.9, "{named:.3} of samples named\n{recording}");
    Ok(())
}

#[test]
fn all_processes_are_those_of_several_programs() -> Result<()> {
    let (hot, deep) = (target("hot321")?, target("deep_fp")?);
    let recording = agent::record(args(&["--all", "--frequency", "199", "--duration", "2s"]))?;
    for target in [&hot, &deep] {
        let n = recording.report.samples_of(target.pid());
        assert!(n > 10, "{n} samples of {}\n{recording}", target.pid());
    }
    assert!(recording.folded.count(|stack| stack.has("deep_25")) > 10, "{recording}");
    assert!(recording.folded.count(|stack| stack.has("spin_a")) > 3, "{recording}");
    Ok(())
}
