//! Reading what is analyzed: files of any kind, told by what they count.

use anyhow::ensure;
use profile::Profile;

use super::Measured;
use crate::{args::AnalyzeArgs, inputs};

/// What a profile is of, by a value that only this kind has, and what is looked at.
const KINDS: [(Kind, &str); 6] = [
    (Kind::Stalls, "stalled"),
    (Kind::OffCpu, "blocked"),
    (Kind::OffCpu, "off_cpu"),
    (Kind::Growth, "rss_growth"),
    (Kind::Other, "alloc_space"),
    (Kind::Cpu, "cpu"),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Cpu,
    OffCpu,
    Stalls,
    Growth,
    /// Nothing that is analyzed.
    Other,
}

/// All files, those of one kind as one profile.
pub(super) fn read(args: &AnalyzeArgs) -> anyhow::Result<Measured> {
    let files = inputs::expand(&args.files)?;
    let mut measured = Measured::default();
    let mut n_unlike = 0;
    for file in &files {
        let profile = inputs::read(file)?;
        let kind = kind_of(&profile).filter(|_| inputs::has_labels(&profile, &args.labels));
        let place = match kind {
            Some((Kind::Cpu, _)) => {
                if let Some(n) = profile.meta().n_requests() {
                    measured.n_requests = Some(measured.n_requests.unwrap_or(0) + n);
                }
                &mut measured.cpu
            }
            Some((Kind::OffCpu, _)) => &mut measured.off_cpu,
            Some((Kind::Stalls, _)) => &mut measured.stalls,
            Some((Kind::Growth, _)) => &mut measured.growth,
            Some((Kind::Other, _)) | None => {
                n_unlike += 1;
                continue;
            }
        };
        let value = kind.map_or(0, |(_, value)| value);
        if let Some((Kind::OffCpu, _)) = kind
            && let Some(cpu) = cpu_part(&profile)
        {
            add(&mut measured.cpu, cpu, 1);
            add(&mut measured.off_cpu, profile, value);
            continue;
        }
        add(place, profile, value);
    }
    ensure!(
        n_unlike < files.len(),
        "none of {n_unlike} profiles is of CPU time, waits, stalls or growth, and has these labels"
    );
    if n_unlike > 0 {
        measured.notes.push(format!(
            "{n_unlike} files were left out: they are of something else, or have other labels"
        ));
    }
    Ok(measured)
}

fn kind_of(profile: &Profile) -> Option<(Kind, usize)> {
    let column = |kind: &str| profile.value_types().iter().position(|it| it.kind == kind);
    let known = KINDS.iter().find_map(|(kind, name)| Some((*kind, column(name)?)));
    known.or_else(|| Some((Kind::Cpu, column("samples")?)))
}

fn add(whole: &mut Option<Profile>, mut profile: Profile, value: usize) {
    profile.weigh_by(value);
    match whole {
        None => *whole = Some(profile),
        Some(whole) => whole.append(&profile),
    }
}

/// The CPU time of a profile that has waits as well.
fn cpu_part(profile: &Profile) -> Option<Profile> {
    let at = profile.value_types().iter().position(|it| it.kind == "cpu")?;
    Some(profile.only(at))
}

#[cfg(test)]
mod tests {
    use super::{Kind, cpu_part, kind_of};
    use profile::{Meta, Profile, ValueType};

    fn profile(kinds: &[&'static str]) -> Profile {
        let types: Vec<ValueType> = kinds.iter().map(|kind| ValueType::fixed(kind, "nanoseconds")).collect();
        Profile::new(types, Meta::default())
    }

    #[test]
    fn a_profile_is_told_by_what_it_counts() {
        for (kinds, expected) in [
            (&["samples", "cpu"][..], Some((Kind::Cpu, 1))),
            (&["samples"], Some((Kind::Cpu, 0))),
            (&["samples", "cpu", "runnable", "blocked", "off_cpu", "wall"], Some((Kind::OffCpu, 3))),
            (&["samples", "stalled_off_cpu", "stalled"], Some((Kind::Stalls, 2))),
            (&["samples", "rss_released", "rss_growth"], Some((Kind::Growth, 2))),
            (&["samples", "alloc_objects", "alloc_space"], Some((Kind::Other, 2))),
            (&["delay"], None),
        ] {
            assert_eq!(kind_of(&profile(kinds)), expected, "{kinds:?}");
        }
    }

    #[test]
    fn cpu_time_among_waits_is_a_profile_of_its_own() {
        let mut both = profile(&["samples", "cpu", "blocked"]);
        let process = both.process(1, "nginx");
        let thread = both.thread(process, 1, "nginx");
        let (runs, waits) = (both.reason("runs"), both.reason("waits"));
        let (runs, waits) = (both.stack([runs]), both.stack([waits]));
        both.add(runs, thread, &[3, 30, 0]).expect("has three values");
        both.add(waits, thread, &[1, 0, 500]).expect("has three values");
        let cpu = cpu_part(&both).expect("has CPU time");
        assert_eq!((cpu.total(0), cpu.total(1), cpu.samples().count()), (3, 30, 1));
    }
}
