//! What Pyroscope calls what: profile types, labels, times, trees by level. Pure.

use proto::querier as api;
use query::{Error, Flamegraph, Matcher, Selector, TimeRange, TypeUnit};

const MS_NS: u64 = 1_000_000;
const DAY_NS: u64 = 86_400_000_000_000;
/// The label that has the ID of the profile type.
pub(super) const PROFILE_TYPE: &str = "__profile_type__";
/// What others call our `service`.
pub(super) const SERVICE: &str = "service_name";

/// The profile type of type, unit, period type and period unit.
pub(super) fn profile_type(what: [&str; 4]) -> api::ProfileType {
    let [kind, unit, period_type, period_unit] = what;
    let name = match kind {
        "cpu" | "samples" => "process_cpu",
        kind if kind.starts_with("alloc") || kind.starts_with("inuse") => "memory",
        kind => kind,
    };
    // Where nothing is said, it is what is counted.
    let (period_type, period_unit) =
        if period_type.is_empty() { (kind, unit) } else { (period_type, period_unit) };
    api::ProfileType {
        id: format!("{name}:{kind}:{unit}:{period_type}:{period_unit}"),
        name: name.to_owned(),
        sample_type: kind.to_owned(),
        sample_unit: unit.to_owned(),
        period_type: period_type.to_owned(),
        period_unit: period_unit.to_owned(),
    }
}

/// What an ID means.
pub(super) fn type_of_id(id: &str) -> Result<TypeUnit, Error> {
    let parts: Vec<&str> = id.split(':').collect();
    match parts.as_slice() {
        [_, kind, unit, _, _] => Ok(TypeUnit { kind: (*kind).to_owned(), unit: (*unit).to_owned() }),
        _ => Err(Error::Parameter {
            name: "profileTypeID",
            what: "is not written as process_cpu:cpu:nanoseconds:cpu:nanoseconds".to_owned(),
        }),
    }
}

/// A selector, without what Pyroscope says of a series beside its labels.
pub(super) fn selector(text: &str) -> Result<Selector, Error> {
    let parsed = Selector::parse(text)?;
    let labels = parsed.matchers().iter().filter(|matcher| !is_reserved(matcher));
    Ok(Selector::new(labels.cloned().collect()))
}

fn is_reserved(matcher: &Matcher) -> bool {
    matcher.name().starts_with("__")
}

/// From when until when; the last day, if nothing is said.
pub(super) fn range(start_ms: i64, end_ms: i64, now_unix_ns: u64) -> Result<TimeRange, Error> {
    let ns = |ms: i64| u64::try_from(ms).unwrap_or(0).saturating_mul(MS_NS);
    let until_unix_ns = if end_ms > 0 { ns(end_ms) } else { now_unix_ns };
    let from_unix_ns = if start_ms > 0 { ns(start_ms) } else { until_unix_ns.saturating_sub(DAY_NS) };
    if from_unix_ns >= until_unix_ns {
        return Err(Error::Parameter { name: "start", what: "is not before end".to_owned() });
    }
    Ok(TimeRange { from_unix_ns, until_unix_ns })
}

/// A tree by level: of each node how far it is right of the end of the one before, its total, its self value, its name.
pub(super) fn levels(flamegraph: &Flamegraph) -> api::FlameGraph {
    let nodes = &flamegraph.nodes;
    let mut levels: Vec<api::Level> = Vec::new();
    // Of each node: its level, and where its next child begins. Of each level: where its last node ends.
    let mut places: Vec<(usize, i64)> = Vec::with_capacity(nodes.parent.len());
    let mut ends: Vec<i64> = Vec::new();
    let rows = nodes.parent.iter().zip(&nodes.name).zip(nodes.own.iter().zip(&nodes.total));
    for ((parent, name), (own, total)) in rows {
        let above = usize::try_from(*parent).ok().and_then(|parent| places.get_mut(parent));
        let (level, start) = match above {
            None => (0, 0),
            Some((level, next)) => {
                let start = *next;
                *next = start.saturating_add(*total);
                (level.saturating_add(1), start)
            }
        };
        if levels.len() <= level {
            levels.push(api::Level::default());
            ends.push(0);
        }
        if let (Some(level), Some(end)) = (levels.get_mut(level), ends.get_mut(level)) {
            level.values.extend([start.saturating_sub(*end), *total, *own, i64::from(*name)]);
            *end = start.saturating_add(*total);
        }
        // What is of the node itself stands before its children.
        places.push((level, start.saturating_add(*own)));
    }
    api::FlameGraph {
        names: flamegraph.names.clone(),
        levels,
        total: flamegraph.total,
        max_self: nodes.own.iter().copied().max().unwrap_or(0),
    }
}

#[cfg(test)]
mod tests {
    use query::FlamegraphNodes as Nodes;

    use super::*;

    #[test]
    fn a_type_has_an_id_that_leads_back_to_it() {
        let id = profile_type(["cpu", "nanoseconds", "cpu", "nanoseconds"]).id;
        assert_eq!(id, "process_cpu:cpu:nanoseconds:cpu:nanoseconds");
        assert_eq!(type_of_id(&id).map(|it| it.to_string()).ok(), Some("cpu:nanoseconds".to_owned()));
        assert_eq!(
            profile_type(["inuse_space", "bytes", "", ""]).id,
            "memory:inuse_space:bytes:inuse_space:bytes"
        );
        for wrong in ["", "cpu", "a:b:c:d", "a:b:c:d:e:f"] {
            assert!(type_of_id(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_tree_has_levels_and_gaps_where_something_else_stands() {
        // total 10: a 4 (self 1: b 3), c 6 (self 4: b 2).
        let nodes = Nodes {
            parent: vec![-1, 0, 1, 0, 3],
            name: vec![0, 1, 2, 3, 2],
            own: vec![0, 1, 3, 4, 2],
            total: vec![10, 4, 3, 6, 2],
            ..Nodes::default()
        };
        let found = levels(&Flamegraph { nodes, total: 10, ..Flamegraph::default() });
        let values: Vec<&[i64]> = found.levels.iter().map(|level| level.values.as_slice()).collect();
        let expected: [&[i64]; 3] = [&[0, 10, 0, 0], &[0, 4, 1, 1, 0, 6, 4, 3], &[1, 3, 3, 2, 4, 2, 2, 2]];
        assert_eq!(values, expected);
        assert_eq!((found.total, found.max_self), (10, 4));
    }

    #[test]
    fn what_begins_with_two_lines_is_no_label() {
        let text = r#"{__profile_type__="process_cpu:cpu:nanoseconds:cpu:nanoseconds",service_name="a"}"#;
        assert_eq!(selector(text).map(|it| it.to_string()).ok(), Some(r#"{"service"="a"}"#.to_owned()));
    }
}
