//! Where the values go: by function, by process, by thread.

use std::{borrow::Cow, collections::HashMap, hash::Hash};

use crate::{
    model::Profile,
    samples::{ProcessHandle, Sample, ThreadHandle},
};

/// What one function took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hotspot {
    /// The name shown for the function.
    pub name: String,
    /// The file it lies in, without its folder; functions of the same name in two files are two hotspots.
    pub module: Option<String>,
    /// The sum over the samples taken in the function itself.
    pub self_value: i64,
    /// The sum over the samples with the function anywhere on the stack; recursion counts once.
    pub total_value: i64,
}

/// Every function on a sampled stack, the one with the largest self value first.
pub fn top(profile: &Profile, value_idx: usize) -> Vec<Hotspot> {
    let functions = Functions::of(profile);
    let mut sums = vec![Sums::default(); functions.names.len()];
    for (n_seen, sample) in (1..).zip(profile.samples()) {
        let value = value_of(&sample, value_idx);
        for (depth, frame) in profile.leaf_to_root(sample.stack).enumerate() {
            let function = functions.by_frame.get(frame.index()).copied();
            let Some(sums) = function.and_then(|function| sums.get_mut(function)) else { continue };
            if depth == 0 {
                sums.self_value = sums.self_value.saturating_add(value);
            }
            if sums.last_sample != n_seen {
                sums.last_sample = n_seen;
                sums.total_value = sums.total_value.saturating_add(value);
            }
        }
    }
    let mut hotspots: Vec<Hotspot> = functions
        .names
        .into_iter()
        .zip(sums)
        .filter(|(_, sums)| sums.last_sample != 0)
        .map(|((name, module), sums)| Hotspot {
            name: name.into_owned(),
            module: module.map(str::to_owned),
            self_value: sums.self_value,
            total_value: sums.total_value,
        })
        .collect();
    hotspots.sort_by(|a, b| {
        let by_value = (b.self_value, b.total_value).cmp(&(a.self_value, a.total_value));
        by_value.then_with(|| (&a.name, &a.module).cmp(&(&b.name, &b.module)))
    });
    hotspots
}

/// The sum of every process, the largest first.
pub fn by_process(profile: &Profile, value_idx: usize) -> Vec<(ProcessHandle, i64)> {
    sums_by(profile, value_idx, |sample| profile.thread_at(sample.thread).map(|thread| thread.process))
}

/// The sum of every thread, the largest first.
pub fn by_thread(profile: &Profile, value_idx: usize) -> Vec<(ThreadHandle, i64)> {
    sums_by(profile, value_idx, |sample| Some(sample.thread))
}

/// What a function took so far.
#[derive(Debug, Clone, Default)]
struct Sums {
    self_value: i64,
    total_value: i64,
    /// The last sample that counted, from 1, so that recursion does not count again.
    last_sample: u64,
}

/// The functions of a profile, told apart by name and file.
struct Functions<'a> {
    names: Vec<(Cow<'a, str>, Option<&'a str>)>,
    /// For each frame the position of its function in `names`.
    by_frame: Vec<usize>,
}

impl<'a> Functions<'a> {
    fn of(profile: &'a Profile) -> Self {
        let mut names = Vec::new();
        let mut index_of = HashMap::new();
        let by_frame = profile
            .frames()
            .map(|frame| {
                let name = (profile.frame_name(frame), profile.module_name(frame));
                *index_of.entry(name.clone()).or_insert_with(|| {
                    names.push(name);
                    names.len() - 1
                })
            })
            .collect();
        Self { names, by_frame }
    }
}

fn sums_by<K: Copy + Eq + Hash + Ord>(
    profile: &Profile,
    value_idx: usize,
    key_of: impl Fn(&Sample<'_>) -> Option<K>,
) -> Vec<(K, i64)> {
    let mut sums: HashMap<K, i64> = HashMap::new();
    for sample in profile.samples() {
        if let Some(key) = key_of(&sample) {
            let sum = sums.entry(key).or_default();
            *sum = sum.saturating_add(value_of(&sample, value_idx));
        }
    }
    let mut sums: Vec<(K, i64)> = sums.into_iter().collect();
    sums.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
    sums
}

fn value_of(sample: &Sample<'_>, value_idx: usize) -> i64 {
    sample.values.get(value_idx).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Frame, Mapping, Meta, ValueType};

    /// Each case: a stack root first, and how many samples it has.
    fn check(stacks: &[(&[&str], i64)], expected: &[(&str, i64, i64)]) {
        let mut profile = Profile::new([ValueType::fixed("samples", "count")], Meta::default());
        let path = profile.intern("/bin/proxy");
        let proxy = profile.mapping(Mapping::file(path, None));
        let process = profile.process(1, "proxy");
        let thread = profile.thread(process, 1, "proxy");
        for (names, count) in stacks {
            let frames: Vec<_> = names
                .iter()
                .map(|name| {
                    let function = profile.intern(name);
                    profile.frame(Frame::native(proxy, 16).named(function))
                })
                .collect();
            let stack = profile.stack(frames);
            assert_eq!(profile.add(stack, thread, &[*count]), Ok(()));
        }
        let found = top(&profile, 0);
        let found: Vec<_> =
            found.iter().map(|spot| (spot.name.as_str(), spot.self_value, spot.total_value)).collect();
        assert_eq!(found, expected, "{stacks:?}");
    }

    #[test]
    fn the_leaf_has_the_self_value_and_all_callers_have_the_total() {
        check(&[(&["main", "a"], 3), (&["main", "b"], 5)], &[("b", 5, 5), ("a", 3, 3), ("main", 0, 8)]);
    }

    #[test]
    fn recursion_counts_once_per_sample() {
        check(
            &[(&["main", "a", "b", "a"], 3), (&["main", "a"], 1)],
            &[("a", 4, 4), ("main", 0, 4), ("b", 0, 3)],
        );
    }

    #[test]
    fn a_profile_without_samples_has_no_hotspots() {
        check(&[], &[]);
    }
}
