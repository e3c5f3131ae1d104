//! Values of options, from text.

use std::time::Duration;

/// What the arithmetic of the kernel side can hold (`ebpf::interval`).
pub(crate) const MAX_INTERVAL_BYTES: u64 = 64 << 30;

/// `500ms`, `10s`, `2m`, `1h`; a bare number is seconds.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let digits_end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits_end);
    let seconds_per_unit = match unit {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err("expected a number and a unit, such as 500ms, 10s, 2m or 1h".into()),
    };
    let number: f64 = number.parse().map_err(|_| "expected a number and a unit, such as 500ms or 10s")?;
    match Duration::try_from_secs_f64(number * seconds_per_unit) {
        Ok(duration) if duration >= Duration::from_millis(1) => Ok(duration),
        Ok(_) => Err("must be at least 1ms".into()),
        Err(_) => Err("is longer than this program can count".into()),
    }
}

/// A duration that readings can keep to.
pub(super) fn parse_interval(text: &str) -> Result<Duration, String> {
    match parse_duration(text)? {
        interval if interval < Duration::from_millis(10) => Err("must be at least 10ms".into()),
        interval => Ok(interval),
    }
}

/// The name of a snapshot becomes that of a file.
pub(super) fn parse_label(text: &str) -> Result<String, String> {
    let is_plain = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.');
    if text.is_empty() || text.len() > 100 || text.starts_with('.') || !text.chars().all(is_plain) {
        return Err(
            "must be letters, digits, `-`, `_` and `.`, at most 100 bytes: it becomes the name of a file"
                .into(),
        );
    }
    Ok(text.to_owned())
}

/// Hexadecimal, with or without 0x.
pub(super) fn parse_address(text: &str) -> Result<u64, String> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    u64::from_str_radix(digits, 16).map_err(|_| "expected a hexadecimal address, such as 0x4a210".into())
}

/// `256MiB`, `1GiB`; a bare number is bytes.
pub(crate) fn parse_size(text: &str) -> Result<u64, String> {
    let digits_end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits_end);
    let shift = match unit {
        "" | "B" => 0,
        "KiB" => 10,
        "MiB" => 20,
        "GiB" => 30,
        _ => return Err("expected a number and a unit, such as 64MiB or 1GiB".into()),
    };
    let number: u64 = number.parse().map_err(|_| "expected a number and a unit, such as 64MiB or 1GiB")?;
    number.checked_mul(1 << shift).ok_or_else(|| "is more than any memory".into())
}

/// A distance between samples.
pub(super) fn parse_distance(text: &str) -> Result<u64, String> {
    match parse_size(text)? {
        0 => Err("must be at least 1 byte".into()),
        n_bytes if n_bytes > MAX_INTERVAL_BYTES => Err("must be at most 64GiB".into()),
        n_bytes => Ok(n_bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::{parse_duration, parse_interval, parse_label, parse_size};
    use std::time::Duration;

    #[test]
    fn durations_have_units_and_zero_is_refused() {
        for (text, ms) in [("5", 5000), ("5s", 5000), ("500ms", 500), ("1.5s", 1500), ("2m", 120_000)] {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for text in ["0", "0s", "", "s", "-5", "5 s", "1e9", "5d", "1.2.3s", "99999999999999999999h"] {
            assert!(parse_duration(text).is_err(), "{text}: {:?}", parse_duration(text));
        }
    }

    #[test]
    fn the_name_of_a_snapshot_is_that_of_a_file_in_its_directory() {
        for text in ["before", "nginx-1.24_b"] {
            assert_eq!(parse_label(text).as_deref(), Ok(text));
        }
        for text in ["", ".", "..", "a/b", "../a", "a b", "a\0", &"a".repeat(101)] {
            assert!(parse_label(text).is_err(), "{text}");
        }
        assert!(parse_interval("9ms").is_err() && parse_interval("10ms").is_ok());
    }

    #[test]
    fn sizes_have_binary_units() {
        assert_eq!(
            ["7", "2KiB", "256MiB", "1GiB"].map(parse_size),
            [Ok(7), Ok(2048), Ok(256 << 20), Ok(1 << 30)]
        );
        for text in ["", "MiB", "1MB", "-1", "1.5GiB", "99999999999GiB"] {
            assert!(parse_size(text).is_err(), "{text}: {:?}", parse_size(text));
        }
    }
}
