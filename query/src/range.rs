//! From when until when. Pure: what `now` is, is an argument.

use crate::error::Error;

const MS_NS: u64 = 1_000_000;
/// Longest text of a time.
const MAX_TEXT_BYTES: usize = 32;

/// A time: its first moment is in it, its last is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeRange {
    /// In nanoseconds since the Unix epoch.
    pub from_unix_ns: u64,
    /// The first moment behind it.
    pub until_unix_ns: u64,
}

impl TimeRange {
    /// From two texts; what is not given is the last hour.
    ///
    /// # Errors
    /// If one is no time, or nothing is between them.
    pub fn of(from: Option<&str>, until: Option<&str>, now_unix_ns: u64) -> Result<Self, Error> {
        let until_unix_ns = instant("until", until.unwrap_or("now"), now_unix_ns)?;
        let from_unix_ns = instant("from", from.unwrap_or("now-1h"), now_unix_ns)?;
        if from_unix_ns >= until_unix_ns {
            return Err(Error::Parameter { name: "from", what: "is not before until".to_owned() });
        }
        Ok(Self { from_unix_ns, until_unix_ns })
    }

    /// How long it is.
    #[must_use]
    pub const fn duration_ns(&self) -> u64 {
        self.until_unix_ns.saturating_sub(self.from_unix_ns)
    }
}

/// A moment: milliseconds since the Unix epoch, `now`, or `now-` and a number with `s`, `m`, `h` or `d`.
///
/// # Errors
/// If it is none of these.
pub fn instant(name: &'static str, text: &str, now_unix_ns: u64) -> Result<u64, Error> {
    let wrong = || Error::Parameter {
        name,
        what: "is neither milliseconds since 1970 nor now, now-30m, now-1h, now-7d".to_owned(),
    };
    if text.len() > MAX_TEXT_BYTES {
        return Err(wrong());
    }
    if let Some(rest) = text.strip_prefix("now") {
        if rest.is_empty() {
            return Ok(now_unix_ns);
        }
        let ago = rest.strip_prefix('-').and_then(span_ns).ok_or_else(wrong)?;
        return Ok(now_unix_ns.saturating_sub(ago));
    }
    let ms: u64 = text.parse().map_err(|_| wrong())?;
    // What a column of times cannot hold is no time.
    ms.checked_mul(MS_NS).filter(|ns| i64::try_from(*ns).is_ok()).ok_or_else(wrong)
}

fn span_ns(text: &str) -> Option<u64> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let seconds: u64 = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return None,
    };
    if !number.bytes().all(|c| c.is_ascii_digit()) {
        return None;
    }
    number.parse::<u64>().ok()?.checked_mul(seconds)?.checked_mul(1_000_000_000)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{prop_assert, proptest};

    use super::*;

    const NOW: u64 = 1_795_281_230_000_000_000;

    #[test]
    fn moments_are_milliseconds_or_so_long_ago() {
        let at = |text: &str| instant("from", text, NOW).ok();
        assert_eq!(at("now"), Some(NOW));
        assert_eq!(at("now-90s"), Some(NOW - 90_000_000_000));
        assert_eq!(at("now-2d"), Some(NOW - 172_800_000_000_000));
        assert_eq!(at("1795281230000"), Some(NOW));
        assert_eq!(at("now-9999999999d"), None);
        for text in [
            "",
            "now-",
            "now-1",
            "now-h",
            "now+1h",
            "now-+1h",
            "-1",
            "1.5",
            "yesterday",
            "99999999999999999999",
        ] {
            assert_eq!(at(text), None, "{text}");
        }
    }

    #[test]
    fn a_range_is_not_empty_and_is_the_last_hour_unless_it_says() {
        let range = TimeRange::of(None, None, NOW).expect("is one");
        assert_eq!(range.duration_ns(), 3_600_000_000_000);
        assert_eq!(range.until_unix_ns, NOW);
        let error = TimeRange::of(Some("now"), Some("now"), NOW).expect_err("is empty");
        assert_eq!((error.reason(), error.status()), ("bad_parameter", 400), "{error}");
    }

    proptest! {
        #[test]
        fn any_text_is_a_moment_that_can_be_stored_or_refused(text in ".{0,40}") {
            if let Ok(ns) = instant("from", &text, NOW) {
                prop_assert!(i64::try_from(ns).is_ok(), "{text}: {ns}");
            }
        }
    }
}
