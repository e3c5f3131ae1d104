//! What the numbers of a profile mean, by what was sampled.
//!
//! | source | values, the last one first for viewers of pprof |
//! |---|---|
//! | CPU | `samples/count`, `cpu/nanoseconds` |
//! | resident memory | `samples/count`, `rss_released/bytes`, `rss_growth_shared/bytes`, `rss_growth_file/bytes`, `rss_growth_anonymous/bytes`, `rss_growth/bytes` (the sum of the three before) |
//! | time off the CPU | `samples/count`, where CPU time is sampled beside it `cpu/nanoseconds`, `runnable/nanoseconds`, `blocked/nanoseconds`, with idle waits `idle/nanoseconds`, `off_cpu/nanoseconds` (the sum of these three), and with CPU time `wall/nanoseconds` (the sum of both) |
//! | event loops | `samples/count`, `stalled_off_cpu/nanoseconds` (the part that was measured off the CPU), `stalled/nanoseconds` |
//! | requests | `samples/count`, `requests/count` (the same), `time/nanoseconds` |
//! | allocations | `samples/count`, `pool_objects/count`, `pool_space/bytes`, `alloc_objects/count`, `alloc_space/bytes`; where frees were seen, also `inuse_objects/count`, `inuse_space/bytes` (the names that Go's heap profiles gave them) |
//!
//! What a pool of the target handed out it took from an allocator before, so it is in no sum with what those gave.

use abi::{
    event::Event,
    off_cpu::{BLOCKED, IDLE, ON_CPU, RUNNABLE},
};
use profile::{Profile, ValueType, bytes_text};

use crate::{
    aggregate::Counted,
    heap::InUse,
    kernel::{OffCpu, Source},
    off_cpu::kind_of,
};

const SAMPLES: ValueType = ValueType::fixed("samples", "count");

/// The value types of a profile, and which one flamegraphs and reports go by.
pub(super) fn types(source: Source) -> (Vec<ValueType>, usize) {
    match source {
        Source::Cpu { .. } => (ValueType::CPU.to_vec(), 0),
        Source::Resident { .. } => {
            let kinds = [
                "rss_released",
                "rss_growth_shared",
                "rss_growth_file",
                "rss_growth_anonymous",
                "rss_growth",
            ];
            let mut types = vec![SAMPLES];
            types.extend(kinds.map(|kind| ValueType::fixed(kind, "bytes")));
            let last = types.len() - 1;
            (types, last)
        }
        Source::Alloc { live_heap, .. } => {
            let pair =
                |objects, space| [ValueType::fixed(objects, "count"), ValueType::fixed(space, "bytes")];
            let mut types = vec![SAMPLES];
            types.extend(pair("pool_objects", "pool_space"));
            types.extend(pair("alloc_objects", "alloc_space"));
            let of_all = types.len() - 1;
            if live_heap {
                types.extend(pair("inuse_objects", "inuse_space"));
            }
            (types, of_all)
        }
        Source::Loop { .. } => {
            let kinds = ["stalled_off_cpu", "stalled"];
            let mut types = vec![SAMPLES];
            types.extend(kinds.map(|kind| ValueType::fixed(kind, "nanoseconds")));
            (types, kinds.len())
        }
        Source::Requests(_) => {
            let types = [ValueType::fixed("requests", "count"), ValueType::fixed("time", "nanoseconds")];
            (vec![SAMPLES].into_iter().chain(types).collect(), 2)
        }
        Source::OffCpu(OffCpu { has_idle, cpu_frequency_hz, .. }) => {
            let has_cpu = cpu_frequency_hz > 0;
            let mut types = vec![SAMPLES];
            let kinds = [
                ("cpu", has_cpu),
                ("runnable", true),
                ("blocked", true),
                ("idle", has_idle),
                ("off_cpu", true),
                ("wall", has_cpu),
            ];
            let kinds = kinds.into_iter().filter(|(_, is_there)| *is_there);
            types.extend(kinds.map(|(kind, _)| ValueType::fixed(kind, "nanoseconds")));
            let last = types.len() - 1;
            (types, last)
        }
    }
}

/// Where a value of this name stands; the error names those that there are.
///
/// # Errors
/// If there is none.
pub fn index_of(source: Source, name: &str) -> Result<usize, String> {
    let (types, _) = types(source);
    types.iter().position(|it| it.kind == name).ok_or_else(|| {
        let known: Vec<&str> = types.iter().map(|it| it.kind.as_ref()).collect();
        format!("there is no value `{name}` here; there are: {}", known.join(", "))
    })
}

/// The values of time that a thread spent; CPU time is given in nanoseconds, too.
pub(super) fn of_time(off_cpu: OffCpu, kind: usize, n_samples: u64, n_ns: u64) -> Vec<i64> {
    let of = |which: usize| if kind == which { n_ns } else { 0 };
    let has_cpu = off_cpu.cpu_frequency_hz > 0;
    let mut values = vec![n_samples];
    if has_cpu {
        values.push(of(ON_CPU));
    }
    values.extend([of(RUNNABLE), of(BLOCKED)]);
    if off_cpu.has_idle {
        values.push(of(IDLE));
    }
    values.push(if kind == ON_CPU { 0 } else { n_ns });
    if has_cpu {
        values.push(n_ns);
    }
    values.into_iter().map(|value| i64::try_from(value).unwrap_or(i64::MAX)).collect()
}

/// The values of what was counted, and of what of it lives.
pub(super) fn of(source: Source, event: Event, counted: Counted, in_use: InUse) -> Vec<i64> {
    let weight = counted.weight;
    let values = match source {
        Source::Cpu { frequency_hz } => {
            let period_ns = 1_000_000_000_u64.checked_div(frequency_hz).unwrap_or(0);
            vec![weight, weight.saturating_mul(period_ns)]
        }
        Source::Resident { .. } => {
            let of = |which: Event| if event == which { weight } else { 0 };
            vec![
                counted.n_samples,
                of(Event::RELEASED),
                of(Event::RESIDENT_SHARED),
                of(Event::RESIDENT_FILE),
                of(Event::RESIDENT_ANONYMOUS),
                if event == Event::RELEASED { 0 } else { weight },
            ]
        }
        Source::Alloc { live_heap, .. } => {
            // The conversions saturate.
            let n_objects = counted.n_events.round() as u64;
            let (asked, nothing) = ([n_objects, weight], [0, 0]);
            let (pool, alloc) = if event == Event::POOLED { (asked, nothing) } else { (nothing, asked) };
            let mut values = vec![counted.n_samples];
            values.extend(pool);
            values.extend(alloc);
            if live_heap {
                values.extend([in_use.n_objects.round() as u64, in_use.n_bytes]);
            }
            values
        }
        Source::Loop { .. } => {
            let off_cpu_ns = if kind_of(event).is_some() { weight } else { 0 };
            vec![counted.n_samples, off_cpu_ns, weight]
        }
        // They are no samples: [`super::requests`] has them.
        Source::Requests(_) => vec![counted.n_samples, 0, 0],
        Source::OffCpu(off_cpu) => {
            let kind = kind_of(event).unwrap_or(ON_CPU);
            return of_time(off_cpu, kind, counted.n_samples, weight);
        }
    };
    values.into_iter().map(|value| i64::try_from(value).unwrap_or(i64::MAX)).collect()
}

/// The sums in a sentence, where flamegraph and report show only one of them.
pub(super) fn remark(profile: &Profile, source: Source) -> Option<String> {
    let Source::Resident { .. } = source else { return None };
    let sum = |kind| {
        let index = profile.value_types().iter().position(|it| it.kind == kind)?;
        Some(bytes_text(u64::try_from(profile.total(index)).ok()?))
    };
    Some(format!(
        "resident memory grew by {} (anonymous {}, files {}, shared {}); {} were released",
        sum("rss_growth")?,
        sum("rss_growth_anonymous")?,
        sum("rss_growth_file")?,
        sum("rss_growth_shared")?,
        sum("rss_released")?,
    ))
}

#[cfg(test)]
mod tests {
    use super::{index_of, of, types};
    use crate::{
        aggregate::Counted,
        heap::InUse,
        kernel::{OffCpu, Source},
    };
    use abi::event::Event;

    #[test]
    fn growth_is_under_its_kind_and_in_the_sum_and_release_in_neither() {
        let source = Source::Resident { interval_bytes: 1 };
        let counted = Counted { n_samples: 2, n_events: 2.0, weight: 8192, ..Counted::default() };
        let cases = [
            (Event::RELEASED, [2, 8192, 0, 0, 0, 0]),
            (Event::RESIDENT_SHARED, [2, 0, 8192, 0, 0, 8192]),
            (Event::RESIDENT_FILE, [2, 0, 0, 8192, 0, 8192]),
            (Event::RESIDENT_ANONYMOUS, [2, 0, 0, 0, 8192, 8192]),
        ];
        for (event, expected) in cases {
            assert_eq!(of(source, event, counted, InUse::default()), expected, "{event:?}");
        }
        let (types, weight_idx) = types(source);
        assert_eq!((types.len(), types[weight_idx].kind.as_ref()), (6, "rss_growth"));
    }

    #[test]
    fn what_a_pool_hands_out_is_in_no_sum_with_what_it_took() {
        let source = Source::Alloc { interval_bytes: 1, live_heap: false };
        let counted = Counted { n_samples: 2, n_events: 2.6, weight: 100, ..Counted::default() };
        let values = |event| of(source, event, counted, InUse::default());
        assert_eq!(values(Event::ALLOCATED), [2, 0, 0, 3, 100]);
        assert_eq!(values(Event::POOLED), [2, 3, 100, 0, 0]);
        let (types, weight_idx) = types(source);
        assert_eq!((types.len(), types[weight_idx].kind.as_ref()), (5, "alloc_space"));
    }

    #[test]
    fn a_cpu_sample_stands_for_its_period() {
        let counted = Counted { n_samples: 3, n_events: 3.0, weight: 3, ..Counted::default() };
        let values = of(Source::Cpu { frequency_hz: 100 }, Event::CPU, counted, InUse::default());
        assert_eq!(values, [3, 30_000_000]);
    }

    #[test]
    fn time_is_under_its_kind_and_in_the_sums_that_it_belongs_to() {
        let off_cpu = OffCpu {
            min_block_ns: 1,
            has_idle: true,
            has_wakers: false,
            cpu_frequency_hz: 99,
            is_wall: true,
        };
        let names = |off_cpu| {
            let (types, weight_idx) = types(Source::OffCpu(off_cpu));
            let names: Vec<String> = types.iter().map(|it| it.kind.to_string()).collect();
            (names.join(" "), names[weight_idx].clone())
        };
        let all = "samples cpu runnable blocked idle off_cpu wall".to_owned();
        assert_eq!(names(off_cpu), (all, "wall".to_owned()));
        let counted = Counted { n_samples: 2, n_events: 2.0, weight: 500, ..Counted::default() };
        let cases = [
            (Event::CPU, [2, 500, 0, 0, 0, 0, 500]),
            (Event::RUNNABLE, [2, 0, 500, 0, 0, 500, 500]),
            (Event::BLOCKED, [2, 0, 0, 500, 0, 500, 500]),
            (Event::IDLE, [2, 0, 0, 0, 500, 500, 500]),
        ];
        for (event, expected) in cases {
            assert_eq!(of(Source::OffCpu(off_cpu), event, counted, InUse::default()), expected, "{event:?}");
        }
        let alone = OffCpu { has_idle: false, cpu_frequency_hz: 0, is_wall: false, ..off_cpu };
        assert_eq!(names(alone), ("samples runnable blocked off_cpu".to_owned(), "off_cpu".to_owned()));
        assert_eq!(of(Source::OffCpu(alone), Event::BLOCKED, counted, InUse::default()), [2, 0, 500, 500]);
    }

    #[test]
    fn what_lives_is_among_the_values_only_where_frees_were_seen_and_a_wrong_name_is_told_of_the_right_ones()
    {
        let source = |live_heap| Source::Alloc { interval_bytes: 1, live_heap };
        let counted = Counted { n_samples: 2, n_events: 5.0, weight: 500, ..Counted::default() };
        let in_use = InUse { n_objects: 2.4, n_bytes: 240, variance: 0.0 };
        assert_eq!(of(source(true), Event::ALLOCATED, counted, in_use), [2, 0, 0, 5, 500, 2, 240]);
        assert_eq!(of(source(false), Event::ALLOCATED, counted, in_use), [2, 0, 0, 5, 500]);
        assert_eq!(index_of(source(true), "inuse_space"), Ok(6));
        let said = index_of(source(false), "inuse_space").expect_err("it is not there");
        assert!(
            said.ends_with("there are: samples, pool_objects, pool_space, alloc_objects, alloc_space"),
            "{said}"
        );
    }
}
