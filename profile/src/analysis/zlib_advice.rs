//! Advice on the level of zlib where its functions have no names, as in a stripped library: then the share of its hottest
//! function tells, which is the search for matches.

use std::collections::BTreeMap;

use super::{
    advice::{Advice, Gain, Resource},
    groups::Group,
    pattern,
    proxy::Proxy,
    stacks::{self, Stacks},
};
use crate::Profile;

/// zlib itself, and not what others built under another name.
const ZLIB: &str = "libz.so.1 libz.so.1.2.* libz.so.1.3 libz.so.1.3.1";
/// Below, a change is not worth the reading.
const WORTH_PERCENT: f64 = 10.0;
/// Of zlib's own time, in its hottest function. Measured with zlib 1.2.13 and four texts (docs/analyze.md).
const HIGH_LEVEL_PERCENT: f64 = 70.0;

/// The advice, if zlib has no names and works hard.
pub(super) fn of(profile: &Profile, proxy: Option<Proxy>, total: f64) -> Option<Advice> {
    let weight_idx = profile.weight_idx();
    let mut by_function: BTreeMap<String, f64> = BTreeMap::new();
    let mut stacks = Stacks::default();
    for sample in profile.samples() {
        let value = sample.values.get(weight_idx).map_or(0.0, |&value| value.max(0) as f64);
        let leaf_first: Vec<_> = profile.leaf_to_root(sample.stack).collect();
        let Some(leaf) = leaf_first.first().and_then(|leaf| profile.frame_at(*leaf)) else { continue };
        if !profile.module_name(leaf).is_some_and(|module| pattern::any(ZLIB, module)) {
            continue;
        }
        if leaf.function.is_none() {
            *by_function.entry(profile.frame_name(leaf).into_owned()).or_default() += value;
        }
        stacks.add(value, &leaf_first);
    }
    let percent = 100.0 * stacks.total / total.max(1.0);
    let (_, hottest) = by_function.into_iter().max_by(|a, b| a.1.total_cmp(&b.1))?;
    let search_percent = 100.0 * hottest / stacks.total.max(1.0);
    if percent < WORTH_PERCENT || search_percent < HIGH_LEVEL_PERCENT {
        return None;
    }
    let directive = match proxy {
        Some(Proxy::Nginx) => Some("gzip_comp_level 2;"),
        Some(Proxy::HAProxy) => Some("tune.comp.maxlevel 1"),
        Some(Proxy::Envoy) => Some("compression_level: BEST_SPEED"),
        Some(Proxy::Node) => Some("{ level: 2 }"),
        _ => None,
    };
    Some(Advice {
        title: "responses are compressed at a high level".to_owned(),
        group: Group::Compression,
        weight_percent: 0.0,
        evidence: vec![
            format!("{percent:.1} % of CPU time in zlib, whose functions have no names here"),
            format!(
                "{search_percent:.0} % of that in one function, the search for matches: levels 1 and 2 spend 36 to 51 % there, 3 \
                 to 5 46 to 81 %, 6 to 9 72 to 94 %"
            ),
        ],
        stack: stacks::names(profile, stacks.heaviest()),
        gain: Gain {
            of: Resource::CpuTime,
            percent_low: 0.3 * percent,
            percent_high: 0.85 * percent,
            how: "from level 3, or from level 9, to level 1: zlib 1.2.13 takes 2.1 ms at level 1 for 212 KB of text, 3.6 at level 3, \
                  8.6 at level 6 and 13.8 at level 9"
                .to_owned(),
        },
        change: "compress at level 1 or 2".to_owned(),
        directive: directive.map(str::to_owned),
    })
}
