//! The targets of a configuration, compiled: all patterns of one kind are held against a process at once.

use std::{cell::OnceCell, collections::BTreeSet, path::Path};

use globset::{GlobSet, GlobSetBuilder};
use profile::Labels;
use regex::{RegexSet, RegexSetBuilder};
use thiserror::Error;

use super::{Facts, Users, labels::Naming};
use crate::config::{Conditions, Config, ExtraEvent, Target, compiled_glob};

/// Of all regular expressions together, compiled, and of what they remember while they run.
const MAX_REGEXES_BYTES: usize = 16 << 20;
const MAX_REGEX_MEMORY_BYTES: usize = 2 << 20;

/// Why there are no rules.
#[derive(Debug, Error)]
#[error("the patterns of all targets cannot be compiled: {reason}")]
pub struct SelectError {
    /// What their compiler says.
    pub reason: String,
}

/// The rules, in the order of the configuration.
#[derive(Debug)]
pub(super) struct Rules {
    rules: Vec<Rule>,
    exes: Globs,
    /// Rules that do not ask for an executable.
    without_exe: Vec<usize>,
    groups: Globs,
    units: Globs,
    cmdlines: RegexSet,
    /// The rule of each expression.
    of_cmdline: Vec<usize>,
    labels: Labels,
}

#[derive(Debug)]
struct Rule {
    conditions: Conditions,
    /// Of the user; none if nobody is called so, and then nobody matches.
    uid: Option<u32>,
    naming: Naming,
    events: BTreeSet<ExtraEvent>,
    /// The target's, and those of the configuration that the target does not have.
    labels: Labels,
}

impl Rules {
    pub(super) fn new(config: &Config, users: &Users) -> Result<Self, SelectError> {
        let targets = &config.targets;
        let of = |condition: fn(&Conditions) -> &Option<String>| {
            targets
                .iter()
                .enumerate()
                .filter_map(move |(idx, target)| Some((idx, condition(&target.conditions).as_deref()?)))
        };
        let groups = of(|it| &it.cgroup).flat_map(|(idx, path)| {
            // What is below a group belongs to it.
            [(idx, path.to_owned()), (idx, format!("{}/**", path.trim_end_matches("/**")))]
        });
        let (of_cmdline, expressions): (Vec<usize>, Vec<&str>) = of(|it| &it.cmdline).unzip();
        let cmdlines = RegexSetBuilder::new(expressions)
            .size_limit(MAX_REGEXES_BYTES)
            .dfa_size_limit(MAX_REGEX_MEMORY_BYTES)
            .build()
            .map_err(|error| SelectError { reason: error.to_string() })?;
        let is_without_exe = |idx: &usize| targets.get(*idx).is_some_and(|it| it.conditions.exe.is_none());
        Ok(Self {
            rules: targets.iter().map(|target| Rule::new(target, config, users)).collect(),
            exes: Globs::new(of(|it| &it.exe), true)?,
            without_exe: (0..targets.len()).filter(is_without_exe).collect(),
            groups: Globs::new(groups, true)?,
            units: Globs::new(of(|it| &it.unit), false)?,
            cmdlines,
            of_cmdline,
            labels: config.labels.clone(),
        })
    }

    /// The first rule that a process matches. Nothing is read of it that no rule asks for.
    pub(super) fn first_match(&self, facts: &Facts) -> Option<usize> {
        let mut candidates = self.exes.matching(|| facts.exe());
        candidates.extend(&self.without_exe);
        candidates.sort_unstable();
        let seen = Seen::default();
        candidates
            .into_iter()
            .find(|&idx| self.rules.get(idx).is_some_and(|rule| self.holds(idx, rule, facts, &seen)))
    }

    /// The conditions of a rule other than that on the executable. What costs least comes first, and what was read
    /// for one rule is there for the next.
    fn holds(&self, idx: usize, rule: &Rule, facts: &Facts, seen: &Seen) -> bool {
        let Conditions { exe: _, cmdline, cgroup, unit, container, user } = &rule.conditions;
        let group = |globs: &Globs, text: fn(&super::Group) -> Option<&str>| {
            globs.matching(|| facts.group().and_then(text).map(Path::new))
        };
        let is_in_group = || {
            let groups = seen.groups.get_or_init(|| group(&self.groups, |group| Some(&group.path)));
            groups.binary_search(&idx).is_ok()
        };
        let is_of_unit = || {
            let units = seen.units.get_or_init(|| group(&self.units, |group| group.unit.as_deref()));
            units.binary_search(&idx).is_ok()
        };
        let is_in_container = |prefix: &String| {
            let id = facts.group().and_then(|group| group.container.as_deref());
            id.is_some_and(|id| id.starts_with(prefix))
        };
        let has_cmdline = || {
            let cmdlines = seen.cmdlines.get_or_init(|| match facts.cmdline() {
                Some(line) => self
                    .cmdlines
                    .matches(line)
                    .iter()
                    .filter_map(|at| self.of_cmdline.get(at))
                    .copied()
                    .collect(),
                None => Vec::new(),
            });
            cmdlines.binary_search(&idx).is_ok()
        };
        (cgroup.is_none() || is_in_group())
            && (unit.is_none() || is_of_unit())
            && container.as_ref().is_none_or(is_in_container)
            && (user.is_none() || (rule.uid.is_some() && rule.uid == facts.uid()))
            && (cmdline.is_none() || has_cmdline())
    }

    pub(super) fn naming(&self, idx: usize) -> &Naming {
        self.rules.get(idx).map_or(&Naming::Whatever, |rule| &rule.naming)
    }

    pub(super) fn events(&self, idx: Option<usize>) -> BTreeSet<ExtraEvent> {
        self.rule(idx).map(|rule| rule.events.clone()).unwrap_or_default()
    }

    /// What is seen, with the user's own labels behind it.
    pub(super) fn with_own(&self, idx: Option<usize>, seen: Labels) -> Labels {
        let own = self.rule(idx).map_or(&self.labels, |rule| &rule.labels);
        own.iter().fold(seen, |labels, (name, value)| labels.with(name, value))
    }

    fn rule(&self, idx: Option<usize>) -> Option<&Rule> {
        self.rules.get(idx?)
    }
}

impl Rule {
    fn new(target: &Target, config: &Config, users: &Users) -> Self {
        let conditions = &target.conditions;
        let naming = match &target.name {
            Some(name) => Naming::Name(name.clone()),
            None if conditions.exe.is_some() || conditions.cmdline.is_some() => Naming::Exe,
            None if conditions.unit.is_some() => Naming::Unit,
            None => Naming::Whatever,
        };
        let mut labels = target.labels.clone();
        for (name, value) in config.labels.iter().filter(|(name, _)| target.labels.get(name).is_none()) {
            labels.set(name, value);
        }
        Self {
            uid: conditions.user.as_deref().and_then(|user| users.uid(user)),
            conditions: conditions.clone(),
            naming,
            events: target.events.clone(),
            labels,
        }
    }
}

/// Which rules' patterns match, once it was looked at.
#[derive(Default)]
struct Seen {
    groups: OnceCell<Vec<usize>>,
    units: OnceCell<Vec<usize>>,
    cmdlines: OnceCell<Vec<usize>>,
}

/// The patterns of many rules as one.
#[derive(Debug)]
struct Globs {
    set: GlobSet,
    /// The rule of each pattern.
    rules: Vec<usize>,
}

impl Globs {
    fn new(
        patterns: impl Iterator<Item = (usize, impl AsRef<str>)>,
        has_escapes: bool,
    ) -> Result<Self, SelectError> {
        let error = |error: globset::Error| SelectError { reason: error.to_string() };
        let mut set = GlobSetBuilder::new();
        let mut rules = Vec::new();
        for (idx, pattern) in patterns {
            set.add(compiled_glob(pattern.as_ref(), has_escapes).map_err(error)?);
            rules.push(idx);
        }
        Ok(Self { set: set.build().map_err(error)?, rules })
    }

    /// The rules, in order, whose patterns match what is only looked up if there are any.
    fn matching<'path>(&self, path: impl FnOnce() -> Option<&'path Path>) -> Vec<usize> {
        if self.rules.is_empty() {
            return Vec::new();
        }
        let Some(path) = path() else { return Vec::new() };
        // In the order of patterns, which is that of rules.
        self.set.matches(path).into_iter().filter_map(|at| self.rules.get(at)).copied().collect()
    }
}
