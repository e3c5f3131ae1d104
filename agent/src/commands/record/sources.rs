//! What to sample, from what was asked for.

use std::time::Duration;

use anyhow::{Result, bail};

use crate::{
    args::{CutBy, Event, RecordArgs},
    commands::requests::followed,
    kernel::{OffCpu, Source},
};

/// How far samples of resident memory are apart when nothing says otherwise.
pub(in crate::commands) const DEFAULT_FAULTS_INTERVAL_BYTES: u64 = 64 << 10;
/// The same for allocations, of which there are many more.
const DEFAULT_ALLOC_INTERVAL_BYTES: u64 = 512 << 10;

/// The sources, requests among them where the profile is cut by their routes, and which of the sources the profile is of.
pub(super) fn sources(
    args: &RecordArgs,
    frequency_hz: impl FnOnce() -> Result<u64>,
) -> Result<(Vec<Source>, Source)> {
    let is_by_route = args.requests.by == Some(CutBy::Route);
    let has_requests = !args.off_cpu.wall && args.events.contains(&Event::Requests);
    let follow = &args.requests.follow;
    if follow.is_given() && !is_by_route && !has_requests {
        bail!(
            "--no-paths and --tls go with --by route or --event requests: no request is looked at otherwise"
        );
    }
    let requests = followed(follow);
    match (has_requests, is_by_route) {
        (true, true) => bail!("--event requests is by route as it is: leave --by route out"),
        (true, false) if args.events.len() > 1 => bail!("--event requests goes with no other event"),
        (true, false) => return Ok((vec![requests], requests)),
        (false, _) => {}
    }
    let (mut sources, source) = sampled(args, frequency_hz)?;
    if is_by_route {
        sources.insert(0, requests);
    }
    Ok((sources, source))
}

/// The sources of samples, and which of them the profile is of: it has room for the others.
fn sampled(args: &RecordArgs, frequency_hz: impl FnOnce() -> Result<u64>) -> Result<(Vec<Source>, Source)> {
    let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    let has = |event| args.off_cpu.wall || args.events.contains(&event);
    let is_off_cpu = args.off_cpu.wall || args.events.contains(&Event::OffCpu);
    if args.off_cpu.wakers && !is_off_cpu {
        bail!(
            "--wakers goes with --event off-cpu or --wall: who ends a wait is told only where waits are recorded"
        );
    }
    if is_off_cpu {
        if args.events.iter().any(|event| !matches!(event, Event::Cpu | Event::OffCpu)) {
            bail!("--event off-cpu goes with --event cpu, and with no other");
        }
        let cpu_frequency_hz = if has(Event::Cpu) { frequency_hz()? } else { 0 };
        let source = Source::OffCpu(OffCpu {
            min_block_ns: nanos(args.off_cpu.min_block),
            has_idle: args.off_cpu.idle || args.off_cpu.wall,
            has_wakers: args.off_cpu.wakers,
            cpu_frequency_hz,
            is_wall: args.off_cpu.wall,
        });
        let mut sources = vec![source];
        if cpu_frequency_hz > 0 {
            sources.insert(0, Source::Cpu { frequency_hz: cpu_frequency_hz });
        }
        return Ok((sources, source));
    }
    if args.events == [Event::Loop] {
        let (stall_ns, frequency_hz) = (nanos(args.off_cpu.stall), frequency_hz()?);
        let source = Source::Loop { stall_ns, frequency_hz };
        let off_cpu = Source::OffCpu(OffCpu {
            min_block_ns: nanos(args.off_cpu.min_block),
            has_idle: false,
            has_wakers: false,
            cpu_frequency_hz: 0,
            is_wall: false,
        });
        return Ok((vec![Source::Cpu { frequency_hz }, off_cpu, source], source));
    }
    let source = match args.events[..] {
        [Event::Faults] => {
            Source::Resident { interval_bytes: args.interval.unwrap_or(DEFAULT_FAULTS_INTERVAL_BYTES) }
        }
        [Event::Alloc] => {
            let interval_bytes = args.interval.unwrap_or(DEFAULT_ALLOC_INTERVAL_BYTES);
            Source::Alloc { interval_bytes, live_heap: !args.no_live_heap }
        }
        [Event::Cpu] | [] => Source::Cpu { frequency_hz: frequency_hz()? },
        _ => bail!("only --event cpu and --event off-cpu can be recorded together"),
    };
    Ok((vec![source], source))
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::sources;
    use crate::{
        args::{Cli, Subcommands},
        kernel::{OffCpu, Requests, Source},
    };

    fn of(options: &[&str]) -> anyhow::Result<(Vec<Source>, Source)> {
        let cli = Cli::try_parse_from([&["agent", "record", "--all"], options].concat())?;
        match cli.command {
            Subcommands::Record(args) => sources(&args, || Ok(99)),
            other => anyhow::bail!("{other:?}"),
        }
    }

    #[test]
    fn cpu_time_and_time_off_the_cpu_are_one_profile() -> anyhow::Result<()> {
        let off_cpu = OffCpu {
            min_block_ns: 1_000_000,
            has_idle: false,
            has_wakers: false,
            cpu_frequency_hz: 0,
            is_wall: false,
        };
        let cpu = Source::Cpu { frequency_hz: 99 };
        assert_eq!(of(&[])?, (vec![cpu], cpu));
        let alone = Source::OffCpu(off_cpu);
        assert_eq!(of(&["-e", "off-cpu"])?, (vec![alone], alone));
        let with_wakers = Source::OffCpu(OffCpu { has_wakers: true, ..off_cpu });
        assert_eq!(of(&["-e", "off-cpu", "--wakers"])?, (vec![with_wakers], with_wakers));
        let beside = Source::OffCpu(OffCpu { cpu_frequency_hz: 99, ..off_cpu });
        assert_eq!(of(&["-e", "cpu", "-e", "off-cpu"])?, (vec![cpu, beside], beside));
        let wall = Source::OffCpu(OffCpu { has_idle: true, cpu_frequency_hz: 99, is_wall: true, ..off_cpu });
        assert_eq!(of(&["--wall"])?, (vec![cpu, wall], wall));
        Ok(())
    }

    #[test]
    fn a_profile_that_is_cut_by_route_has_requests_beside_it() -> anyhow::Result<()> {
        let requests = |hides_paths, has_tls| Source::Requests(Requests { hides_paths, has_tls });
        let cpu = Source::Cpu { frequency_hz: 99 };
        assert_eq!(of(&["--by", "route"])?, (vec![requests(false, false), cpu], cpu));
        let alone = |source| (vec![source], source);
        assert_eq!(of(&["-e", "requests", "--no-paths"])?, alone(requests(true, false)));
        assert_eq!(of(&["-e", "requests", "--tls"])?, alone(requests(false, true)));
        let (sources, source) = of(&["--by", "route", "--wall"])?;
        assert!(sources.len() == 3 && source.off_cpu().is_some_and(|it| it.is_wall), "{sources:?}");
        for options in [
            &["--no-paths"][..],
            &["--tls"],
            &["-e", "requests", "--by", "route"],
            &["-e", "requests", "-e", "cpu"],
        ] {
            assert!(of(options).is_err(), "{options:?}: {:?}", of(options));
        }
        Ok(())
    }

    #[test]
    fn what_cannot_be_recorded_together_is_refused() {
        for options in [["cpu", "faults"], ["off-cpu", "alloc"], ["cpu", "cpu"]] {
            let [a, b] = options;
            let found = of(&["-e", a, "-e", b]);
            assert!(found.is_err(), "{options:?}: {found:?}");
        }
        assert!(of(&["--wall", "-e", "cpu"]).is_err());
        assert!(of(&["--wakers"]).is_err());
    }
}
