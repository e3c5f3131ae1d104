//! Quantities for people: a number and its unit, in as many digits as are read.

/// `5.0 s`, `20 ms`, `740 ns`.
pub(crate) fn time_text(ns: u64) -> String {
    match ns {
        0..1_000 => format!("{ns} ns"),
        1_000..1_000_000 => scaled(ns, 1e3, "us"),
        1_000_000..1_000_000_000 => scaled(ns, 1e6, "ms"),
        _ => scaled(ns, 1e9, "s"),
    }
}

/// `512 B`, `58.0 MiB`.
#[must_use]
pub fn bytes_text(bytes: u64) -> String {
    const KIB: u64 = 1 << 10;
    const MIB: u64 = 1 << 20;
    const GIB: u64 = 1 << 30;
    match bytes {
        0..KIB => format!("{bytes} B"),
        KIB..MIB => scaled(bytes, 1024.0, "KiB"),
        MIB..GIB => scaled(bytes, 1_048_576.0, "MiB"),
        _ => scaled(bytes, 1_073_741_824.0, "GiB"),
    }
}

/// `+58.0 MiB`, `-512 B`, `0 B`.
pub(crate) fn change_text(bytes: i64) -> String {
    let sign = match bytes {
        0 => "",
        1.. => "+",
        _ => "-",
    };
    format!("{sign}{}", bytes_text(bytes.unsigned_abs()))
}

/// A value for people: bytes and times in a larger unit, all else as it is.
pub(crate) fn value_text(value: i64, unit: &str) -> String {
    match u64::try_from(value) {
        Ok(bytes) if unit == "bytes" => bytes_text(bytes),
        Ok(ns) if unit == "nanoseconds" => time_text(ns),
        _ => value.to_string(),
    }
}

/// `part` of `whole` as a percentage; 0 of nothing.
pub(crate) fn percent(part: i64, whole: i64) -> f64 {
    if whole == 0 { 0.0 } else { 100.0 * part as f64 / whole as f64 }
}

/// To two digits after the point: more are noise, and they make reports differ for no reason.
pub(crate) fn rounded(percent: f64) -> f64 {
    (percent * 100.0).round() / 100.0
}

fn scaled(value: u64, unit: f64, name: &str) -> String {
    format!("{:.1} {name}", value as f64 / unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_shown_in_the_unit_people_would_say() {
        let times = [0, 740, 5_800, 20_000_000, 5_000_000_000, u64::MAX].map(time_text);
        assert_eq!(times, ["0 ns", "740 ns", "5.8 us", "20.0 ms", "5.0 s", "18446744073.7 s"]);
        let sizes = [0, 1023, 1024, 60_817_408, 3 << 30].map(bytes_text);
        let values = [(2048, "bytes"), (2048, "count"), (-2048, "bytes")];
        let values = values.map(|(value, unit)| value_text(value, unit));
        assert_eq!(values, ["2.0 KiB", "2048", "-2048"]);
        assert_eq!(sizes, ["0 B", "1023 B", "1.0 KiB", "58.0 MiB", "3.0 GiB"]);
        let changes = [0, 1024, -512, i64::MIN].map(change_text);
        assert_eq!(changes, ["0 B", "+1.0 KiB", "-512 B", "-8589934592.0 GiB"]);
    }
}
