//! Metrics as the agent tells them on `/metrics`: enough of the text format to read numbers out of it.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};

/// Values by name and labels.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Metrics {
    series: Vec<(String, BTreeMap<String, String>, f64)>,
}

impl Metrics {
    /// Reads the text.
    ///
    /// # Errors
    /// If a line is no metric.
    pub fn parse(text: &str) -> Result<Self> {
        let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        let series = lines.map(|line| series(line).with_context(|| format!("no metric: {line}")));
        Ok(Self { series: series.collect::<Result<_>>()? })
    }

    /// The sum over all series of a name that have these labels; none if there is no such series.
    #[must_use]
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let has = |found: &BTreeMap<String, String>| {
            labels.iter().all(|(key, value)| found.get(*key).is_some_and(|it| it == value))
        };
        let values = self.series.iter().filter(|(found, with, _)| found == name && has(with));
        values.map(|(_, _, value)| *value).reduce(|a, b| a + b)
    }

    /// The same of a counter; 0 if it is not there.
    #[must_use]
    pub fn count(&self, name: &str, labels: &[(&str, &str)]) -> u64 {
        self.sum(name, labels).unwrap_or(0.0) as u64
    }

    /// All counters, each by its name and labels.
    #[must_use]
    pub fn counters(&self) -> BTreeMap<String, f64> {
        let counters = self.series.iter().filter(|(name, _, _)| name.ends_with("_total"));
        counters.map(|(name, labels, value)| (format!("{name} {labels:?}"), *value)).collect()
    }

    /// Values of a label, over all series of a name.
    #[must_use]
    pub fn values_of(&self, name: &str, label: &str) -> Vec<String> {
        let of_name = self.series.iter().filter(|(found, _, _)| found == name);
        of_name.filter_map(|(_, labels, _)| labels.get(label).cloned()).collect()
    }
}

/// `name{key="value",...} 1.5`, and a time after it, which nobody asks for.
fn series(line: &str) -> Option<(String, BTreeMap<String, String>, f64)> {
    let (name, rest) = match line.find(['{', ' ']) {
        Some(at) => line.split_at(at),
        None => return None,
    };
    let mut labels = BTreeMap::new();
    let mut rest = rest;
    if let Some(mut inside) = rest.strip_prefix('{') {
        while !inside.starts_with('}') {
            let (key, after) = inside.split_once("=\"")?;
            let (value, after) = quoted(after)?;
            labels.insert(key.to_owned(), value);
            inside = after.strip_prefix(',').unwrap_or(after);
        }
        rest = inside.strip_prefix('}')?;
    }
    Some((name.to_owned(), labels, rest.split_whitespace().next()?.parse().ok()?))
}

/// Up to the quotation mark that ends it.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((value, text.get(at + 1..)?)),
            '\\' => value.push(match chars.next()?.1 {
                'n' => '\n',
                other => other,
            }),
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::Metrics;

    #[test]
    fn series_are_found_by_name_and_labels() {
        let text = "# TYPE a counter\na_total{x=\"1\",y=\"q\\\"},{\\n\"} 5\na_total{x=\"2\",y=\"b\"} 2.5 17\nb 1e3\n# EOF\n";
        let metrics = Metrics::parse(text).expect("parses");
        assert_eq!(metrics.sum("a_total", &[]), Some(7.5), "{metrics:?}");
        assert_eq!(metrics.count("a_total", &[("x", "1")]), 5);
        assert_eq!(metrics.sum("a_total", &[("x", "3")]), None);
        assert_eq!(metrics.count("b", &[]), 1000);
        assert_eq!(metrics.counters().values().sum::<f64>(), 7.5, "{:?}", metrics.counters());
        assert_eq!(metrics.values_of("a_total", "y"), ["q\"},{\n", "b"]);
        for wrong in ["a", "a{x=\"1\" 5", "a{x=1} 5", "a x"] {
            assert!(Metrics::parse(wrong).is_err(), "{wrong}");
        }
    }
}
