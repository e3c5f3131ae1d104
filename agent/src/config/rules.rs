//! What contradicts something else in the file.

use std::{collections::BTreeMap, path::Path};

use super::{Conditions, Config, SinkKind, Target, section::Section};

pub(super) fn check(top: &Section<'_, '_>, config: &Config) {
    same_conditions(top, &config.targets);
    directories(top, config);
}

/// The first target that matches counts: a second one with the same conditions never does.
fn same_conditions(top: &Section<'_, '_>, targets: &[Target]) {
    let mut known: BTreeMap<&Conditions, &Target> = BTreeMap::new();
    for target in targets.iter().filter(|target| !target.conditions.are_none()) {
        let Some(first) = known.get(&target.conditions) else {
            known.insert(&target.conditions, target);
            continue;
        };
        let line = first.place.line;
        let is_same =
            |a: &Target, b: &Target| (&a.name, &a.events, &a.labels) == (&b.name, &b.events, &b.labels);
        if is_same(first, target) {
            let wrong = format!("this target is the same as the one in line {line}");
            top.sheet.warning(Some(target.place), wrong, "leave it out");
        } else {
            let wrong = format!(
                "this target has the conditions of the one in line {line} and says otherwise; only the first would count"
            );
            top.sheet.problem(Some(target.place), wrong, "put both into one, or change a condition");
        }
    }
}

/// Each directory has one user, which removes what is too old or too much.
fn directories(top: &Section<'_, '_>, config: &Config) {
    let mut known: BTreeMap<&Path, String> = BTreeMap::new();
    known.insert(&config.spool.dir, "the spool".to_owned());
    let cache = config.table_cache.as_deref();
    if let Some(other) = cache.and_then(|dir| known.insert(dir, "table_cache".to_owned())) {
        let wrong = format!("`table_cache` is the directory of {other}");
        top.problem("table_cache", wrong, "give each a directory of its own");
    }
    for (name, sink) in &config.sinks {
        let SinkKind::Directory { dir, .. } = &sink.kind else { continue };
        let place = sink.places.get("dir").copied().unwrap_or(sink.place);
        if let Some(other) = known.insert(dir, format!("the sink `{name}`")) {
            let wrong = format!("the sink `{name}` has the directory of {other}");
            top.sheet.problem(Some(place), wrong, "give each a directory of its own");
        }
    }
}
