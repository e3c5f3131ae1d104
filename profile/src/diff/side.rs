//! One side of a comparison: windows of time, each with the sums of every function, and all of them as one profile.

use std::collections::HashMap;

use crate::{
    frames::FrameKind,
    meta::Meta,
    model::Profile,
    samples::{Sample, ValueType},
    units::percent,
};

/// A type of value that says how many requests were served while it was recorded.
const REQUESTS: &str = "requests";
/// Endings that compilers give to parts and copies of a function. Which ones there are differs from build to build.
const DECORATIONS: [&str; 6] = [".isra.", ".constprop.", ".part.", ".cold", ".llvm.", ".lto_priv."];

/// What a function took in a window.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Sums {
    pub(super) own: f64,
    pub(super) total: f64,
}

/// One profile of a side, or several of one host at one time.
#[derive(Debug, Clone, Default)]
pub(super) struct Window {
    pub(super) start_ns: u64,
    pub(super) duration_ns: u64,
    pub(super) host: String,
    pub(super) n_requests: Option<f64>,
    pub(super) total: f64,
    /// Samples behind the total; None where the profile does not say.
    pub(super) n_samples: Option<f64>,
    /// By position in [`Side::functions`].
    pub(super) sums: HashMap<usize, Sums>,
}

/// A function of a side.
#[derive(Debug, Clone)]
pub(super) struct Function {
    pub(super) name: String,
    pub(super) module: Option<String>,
    /// Whether there is a symbol; else the name is a place in a file, which another build has elsewhere.
    pub(super) is_named: bool,
}

/// The profile has no value of that name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("has no value `{asked}`: it has {known}")]
pub struct NoSuchValue {
    /// What was asked for.
    pub asked: String,
    /// What there is.
    pub known: String,
}

/// A baseline or a comparison.
#[derive(Debug, Clone)]
pub struct Side {
    /// What to look at; that of the first profile if None.
    value: Option<String>,
    value_type: ValueType,
    pub(super) functions: Vec<Function>,
    index_of: HashMap<String, usize>,
    pub(super) windows: Vec<Window>,
    n_files: usize,
    n_requests: Option<f64>,
    merged: Profile,
}

impl Side {
    /// Nothing yet. `value` is the kind of value to look at, such as `cpu` or `alloc_space`.
    #[must_use]
    pub fn new(value: Option<&str>) -> Self {
        Self {
            value: value.map(str::to_owned),
            value_type: ValueType::fixed("", ""),
            functions: Vec::new(),
            index_of: HashMap::new(),
            windows: Vec::new(),
            n_files: 0,
            n_requests: None,
            merged: Profile::new([], Meta::default()),
        }
    }

    /// Adds a profile: a window of its own, unless it is of the same host and time as another.
    ///
    /// # Errors
    /// If it has no value of the kind that this side looks at.
    pub fn add(&mut self, profile: &Profile) -> Result<(), NoSuchValue> {
        let value_idx = self.value_index(profile)?;
        if self.n_files == 0 {
            self.value_type =
                profile.value_types().get(value_idx).cloned().unwrap_or(ValueType::fixed("", ""));
            let counts = samples_index(profile).and_then(|at| profile.value_types().get(at)).cloned();
            let types: Vec<ValueType> =
                [Some(self.value_type.clone()), counts].into_iter().flatten().collect();
            self.merged = Profile::new(types, profile.meta().clone());
        } else {
            let meta = self.merged.meta_mut();
            meta.duration_ns = meta.duration_ns.saturating_add(profile.meta().duration_ns);
        }
        self.n_files += 1;
        self.merged.absorb(profile, undecorated);
        let window = self.window(profile, value_idx);
        let same = |known: &&mut Window| known.is_same_time(&window);
        match self.windows.iter_mut().rev().find(same) {
            Some(known) => known.join(window),
            None => self.windows.push(window),
        }
        Ok(())
    }

    /// Says how many requests all of this side served, where the profiles do not.
    pub fn set_requests(&mut self, n_requests: u64) {
        self.n_requests = Some(n_requests as f64);
    }

    /// All profiles of the side as one, by function; its first value is the one that is compared.
    #[must_use]
    pub fn profile(&self) -> &Profile {
        &self.merged
    }

    /// How many profiles were added.
    #[must_use]
    pub fn n_files(&self) -> usize {
        self.n_files
    }

    /// How long the windows are together.
    #[must_use]
    pub fn duration_ns(&self) -> u64 {
        self.windows.iter().fold(0, |sum, window| sum.saturating_add(window.duration_ns))
    }

    /// Requests of all windows; None unless every one of them says so.
    #[must_use]
    pub fn n_requests(&self) -> Option<f64> {
        let counted: Option<f64> = self.windows.iter().map(|window| window.n_requests).sum();
        self.n_requests.or(counted).filter(|&n| n > 0.0)
    }

    pub(super) fn total(&self) -> f64 {
        self.windows.iter().map(|window| window.total).sum()
    }

    /// Samples of all windows; None unless every one of them says so.
    pub(super) fn n_samples(&self) -> Option<f64> {
        self.windows.iter().map(|window| window.n_samples).sum()
    }

    /// `cpu (nanoseconds)`.
    pub(super) fn value_text(&self) -> String {
        format!("{} ({})", self.value_type.kind, self.value_type.unit)
    }

    pub(super) fn value_type(&self) -> &ValueType {
        &self.value_type
    }

    /// The position of a function by its name here.
    pub(super) fn function(&self, name: &str) -> Option<usize> {
        self.index_of.get(name).copied()
    }

    fn value_index(&self, profile: &Profile) -> Result<usize, NoSuchValue> {
        let types = profile.value_types();
        let position = |kind: &str| types.iter().position(|it| it.kind == kind);
        let found = match (&self.value, self.n_files) {
            (Some(kind), _) => position(kind),
            // Time says what samples mean. Whoever chose something else as the main value wants that.
            (None, 0) => position("cpu").or(Some(profile.weight_idx())),
            (None, _) => types.iter().position(|it| *it == self.value_type),
        };
        found.filter(|&at| at < types.len()).ok_or_else(|| NoSuchValue {
            asked: self.value.clone().unwrap_or_else(|| self.value_type.kind.clone().into_owned()),
            known: types.iter().map(|it| format!("`{}`", it.kind)).collect::<Vec<_>>().join(", "),
        })
    }

    fn window(&mut self, profile: &Profile, value_idx: usize) -> Window {
        let functions: Vec<usize> = profile.frames().map(|frame| self.intern(profile, frame)).collect();
        let mut sums: HashMap<usize, (Sums, usize)> = HashMap::new();
        let mut total = 0.0;
        for (n_seen, sample) in (1..).zip(profile.samples()) {
            let value = value_of(&sample, value_idx);
            total += value;
            let stack = profile.leaf_to_root(sample.stack);
            for (depth, function) in stack.filter_map(|frame| functions.get(frame.index())).enumerate() {
                let (sums, last_seen) = sums.entry(*function).or_default();
                if depth == 0 {
                    sums.own += value;
                }
                // Recursion counts once.
                if *last_seen != n_seen {
                    *last_seen = n_seen;
                    sums.total += value;
                }
            }
        }
        let meta = profile.meta();
        Window {
            start_ns: meta.start_unix_ns,
            duration_ns: meta.duration_ns,
            host: meta.host.clone(),
            n_requests: n_requests(profile),
            total,
            n_samples: n_samples(profile, value_idx, total),
            sums: sums.into_iter().map(|(function, (sums, _))| (function, sums)).collect(),
        }
    }

    fn intern(&mut self, profile: &Profile, frame: &crate::Frame) -> usize {
        let name = profile.frame_name(frame);
        let name = undecorated(&name);
        if let Some(&known) = self.index_of.get(name) {
            return known;
        }
        self.functions.push(Function {
            name: name.to_owned(),
            module: profile.module_name(frame).map(str::to_owned),
            is_named: frame.function.is_some() && frame.kind != FrameKind::Reason,
        });
        self.index_of.insert(name.to_owned(), self.functions.len() - 1);
        self.functions.len() - 1
    }

    /// The share of samples that were taken in code without a name, in percent.
    pub(super) fn unnamed_percent(&self) -> f64 {
        let is_unnamed = |at: &usize| self.functions.get(*at).is_some_and(|function| !function.is_named);
        let windows = self.windows.iter().flat_map(|window| &window.sums);
        let unnamed: f64 = windows.filter(|(at, _)| is_unnamed(at)).map(|(_, sums)| sums.own).sum();
        percent(unnamed as i64, self.total() as i64)
    }
}

impl Window {
    /// Two profiles of one host of which one begins while the other is recorded: events or groups of one window.
    fn is_same_time(&self, other: &Self) -> bool {
        let until = |window: &Self| window.start_ns.saturating_add(window.duration_ns / 2);
        !self.host.is_empty()
            && self.host == other.host
            && self.start_ns.max(other.start_ns) < until(self).min(until(other))
    }

    fn join(&mut self, other: Self) {
        self.duration_ns = self.duration_ns.max(other.duration_ns);
        self.absorb(other);
    }

    /// Makes one longer window of two that follow each other.
    pub(super) fn append(&mut self, other: Self) {
        self.duration_ns = self.duration_ns.saturating_add(other.duration_ns);
        self.absorb(other);
    }

    fn absorb(&mut self, other: Self) {
        let both = |a: Option<f64>, b: Option<f64>| a.zip(b).map(|(a, b)| a + b);
        self.n_requests = both(self.n_requests, other.n_requests);
        self.n_samples = both(self.n_samples, other.n_samples);
        self.total += other.total;
        for (function, sums) in other.sums {
            let known = self.sums.entry(function).or_default();
            known.own += sums.own;
            known.total += sums.total;
        }
    }
}

fn value_of(sample: &Sample<'_>, value_idx: usize) -> f64 {
    sample.values.get(value_idx).map_or(0.0, |&value| value.max(0) as f64)
}

/// A function without what compilers add to the names of its parts and copies.
pub(super) fn undecorated(name: &str) -> &str {
    let end = DECORATIONS.iter().filter_map(|decoration| name.find(decoration)).min();
    end.filter(|&end| end > 0).and_then(|end| name.get(..end)).unwrap_or(name)
}

/// The value that counts samples one by one.
fn samples_index(profile: &Profile) -> Option<usize> {
    profile.value_types().iter().position(|it| it.kind == "samples" && it.unit == "count")
}

fn n_samples(profile: &Profile, value_idx: usize, total: f64) -> Option<f64> {
    if let Some(counts) = samples_index(profile) {
        return Some(profile.samples().map(|sample| value_of(&sample, counts)).sum());
    }
    let is_time = profile.value_types().get(value_idx).is_some_and(|it| it.unit == "nanoseconds");
    let period_ns = profile.meta().period_ns;
    (is_time && period_ns > 0).then(|| total / period_ns as f64)
}

fn n_requests(profile: &Profile) -> Option<f64> {
    if let Some(at) = profile.value_types().iter().position(|it| it.kind == REQUESTS) {
        return Some(profile.samples().map(|sample| value_of(&sample, at)).sum());
    }
    profile.meta().n_requests().map(|n| n as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_or_a_part_of_a_function_goes_by_the_name_of_the_function() {
        let cases = [
            ("ngx_http_parse.isra.0", "ngx_http_parse"),
            ("memcpy", "memcpy"),
            ("deflate_slow.part.3.cold", "deflate_slow"),
            ("tls_read.llvm.1234567890", "tls_read"),
            (".cold", ".cold"),
        ];
        for (name, expected) in cases {
            assert_eq!(undecorated(name), expected, "{name}");
        }
    }
}
