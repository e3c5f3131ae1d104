//! Allocations by stack, for people.

use std::fmt;

use crate::{
    allocations::{AllocationStack, Allocations, Live},
    report_text::printable,
    trend::{VerdictKind, clock_text, rate_text},
    units::{bytes_text, change_text},
};

/// How many stacks are shown. The rest is in the JSON report.
const MAX_STACKS: usize = 10;
/// Frames shown of each, from the leaf: further out, stacks are much alike.
const MAX_FRAMES: usize = 8;
/// A class of age with less than this share is left out.
const MIN_AGE_PERCENT: f64 = 1.0;

/// Writes them; `fitted` cuts a line, less what stands before it, to the width of the report.
pub(crate) fn write(
    f: &mut fmt::Formatter<'_>,
    allocations: &Allocations,
    head: impl Fn(&str) -> String,
    fitted: impl Fn(&str, usize) -> String,
) -> fmt::Result {
    let title = match &allocations.live {
        Some(live) if live.bytes == 0 => "live heap: all that was sampled was freed".to_owned(),
        Some(live) => format!("live heap: {}, {}", amount(live.bytes, live.bytes_error), judged(live)),
        None => "allocations by stack".to_owned(),
    };
    writeln!(f, "\n{}", head(&title))?;
    if let Some(live) = allocations.live.as_ref().filter(|live| live.bytes > 0) {
        writeln!(f, "{:>10}  {}", "ages", ages(live))?;
    }
    let shown = || allocations.stacks.iter().take(MAX_STACKS).filter(|it| it.alloc_bytes > 0);
    for stack in shown() {
        writeln!(f, "{}", fitted(&line(stack), 0))?;
        writeln!(f, "            {}", fitted(&path(stack), 12))?;
        if let Some(live) = stack.live.as_ref().filter(|live| live.bytes > 0) {
            writeln!(f, "            ages: {}", ages(live))?;
        }
    }
    match allocations.n_stacks.saturating_sub(shown().count()) {
        0 => Ok(()),
        n_more => writeln!(f, "        and {n_more} more stacks"),
    }
}

/// `10.0 MiB ± 1.1 MiB`.
fn amount(bytes: u64, error: u64) -> String {
    format!("{} ± {}", bytes_text(bytes), bytes_text(error))
}

fn line(stack: &AllocationStack) -> String {
    let allocated = format!("{} allocated", amount(stack.alloc_bytes, stack.alloc_bytes_error));
    match &stack.live {
        Some(live) if live.bytes > 0 => {
            let of_growth = if live.growth_bytes > 0 {
                format!(", {:.0} % of the growth", live.growth_percent)
            } else {
                String::new()
            };
            format!(
                "{:>10}  ± {} in use, {}{of_growth}; {allocated}",
                bytes_text(live.bytes),
                bytes_text(live.bytes_error),
                judged(live)
            )
        }
        Some(_) => format!("{:>10}  in use; {allocated}", "nothing"),
        None => format!("{:>10}  ± {}", bytes_text(stack.alloc_bytes), bytes_text(stack.alloc_bytes_error)),
    }
}

/// `growing by 1.00 MiB/s`, `grew until 00:00:12, then stayed: no leak`.
fn judged(live: &Live) -> String {
    let verdict = &live.verdict;
    match verdict.kind {
        VerdictKind::Leak => format!("growing by {}", rate_text(verdict.rate_bytes_per_second)),
        VerdictKind::NoLeak => match verdict.reasons.first() {
            Some(reason) => format!("{reason}: no leak"),
            None => "no leak".to_owned(),
        },
        VerdictKind::Undecided => {
            let since = verdict.since_ns.map(|since_ns| format!(" since {}", clock_text(since_ns)));
            format!("{}{}: undecided", change_text(live.growth_bytes), since.unwrap_or_default())
        }
    }
}

fn ages(live: &Live) -> String {
    let share = |bytes: u64| 100.0 * bytes as f64 / live.bytes.max(1) as f64;
    let classes = live.ages.classes().into_iter().filter(|(_, bytes)| share(*bytes) >= MIN_AGE_PERCENT);
    let texts: Vec<String> = classes.map(|(name, bytes)| format!("{name} {:.0} %", share(bytes))).collect();
    if texts.is_empty() { "-".to_owned() } else { texts.join(", ") }
}

/// From the leaf outwards.
fn path(stack: &AllocationStack) -> String {
    let frames: Vec<String> =
        stack.frames.iter().rev().take(MAX_FRAMES).map(|frame| printable(frame)).collect();
    let more = if stack.frames.len() > MAX_FRAMES { " < ..." } else { "" };
    format!("{}{more}", frames.join(" < "))
}

#[cfg(test)]
mod tests {
    use std::fmt;

    use super::write;
    use crate::{
        allocations::{AllocationStack, Allocations, Live, LiveAges},
        trend::{Point, judge},
    };

    struct Shown(Allocations);

    impl fmt::Display for Shown {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write(f, &self.0, str::to_owned, |text, _| text.to_owned())
        }
    }

    /// A MiB a second for 30 s.
    fn leak() -> Live {
        let points: Vec<Point> =
            (0..30).map(|second| Point::at(second * 1_000_000_000, second << 20)).collect();
        Live {
            objects: 3000,
            bytes: 29 << 20,
            bytes_error: 1 << 20,
            ages: LiveAges {
                under_1s: 1 << 20,
                under_10s: 9 << 20,
                under_1min: 19 << 20,
                ..LiveAges::default()
            },
            growth_bytes: 29 << 20,
            late_growth_bytes: 14 << 20,
            growth_percent: 97.0,
            verdict: judge(&points, None),
        }
    }

    fn stack(leaf: &str, live: Option<Live>) -> AllocationStack {
        AllocationStack {
            frames: ["main", leaf].map(str::to_owned).into(),
            alloc_objects: 3000,
            alloc_bytes: 30 << 20,
            alloc_bytes_error: 1 << 20,
            live,
        }
    }

    #[test]
    fn a_stack_that_grows_says_so_and_one_that_is_freed_holds_nothing() {
        let freed = Live { bytes: 0, growth_bytes: 0, ..leak() };
        let shown = Shown(Allocations {
            live: Some(leak()),
            n_stacks: 3,
            stacks: vec![stack("keeps", Some(leak())), stack("frees\x1b", Some(freed))],
        });
        let expected = [
            "",
            "live heap: 29.0 MiB ± 1.0 MiB, growing by 1.00 MiB/s",
            "      ages  under 1 s 3 %, under 10 s 31 %, under 1 min 66 %",
            "  29.0 MiB  ± 1.0 MiB in use, growing by 1.00 MiB/s, 97 % of the growth; 30.0 MiB ± 1.0 MiB allocated",
            "            keeps < main",
            "            ages: under 1 s 3 %, under 10 s 31 %, under 1 min 66 %",
            "   nothing  in use; 30.0 MiB ± 1.0 MiB allocated",
            "            frees? < main",
            "        and 1 more stacks",
        ];
        assert_eq!(shown.to_string().lines().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn where_frees_were_not_seen_there_is_nothing_about_them() {
        let shown = Shown(Allocations { live: None, n_stacks: 1, stacks: vec![stack("takes", None)] });
        let expected = ["", "allocations by stack", "  30.0 MiB  ± 1.0 MiB", "            takes < main"];
        assert_eq!(shown.to_string().lines().collect::<Vec<_>>(), expected);
    }
}
