//! The query of the page's address at which something is to be seen. Pure; `web/pure/state.js` reads it.

use query::{Op, Selector, TimeRange};

use super::finding::LabelMap;

/// The page leaves longer values out.
const MAX_SELECTOR_BYTES: usize = 2_048;
const MAX_MATCHERS: usize = 32;
const NS_PER_MS: u64 = 1_000_000;

/// A metric over time.
pub(super) fn metric(name: &str, labels: &LabelMap, range: TimeRange) -> String {
    let [from, until] = times(range);
    let fields = [("tab", "memory"), ("match", &of_labels(labels)), ("metric", name)];
    written(fields.into_iter().chain([("from", from.as_str()), ("until", until.as_str())]))
}

/// A flamegraph, with functions searched for.
pub(super) fn profile(what: &str, selector: &Selector, search: &str, range: TimeRange) -> String {
    let [from, until] = times(range);
    written([
        ("type", what),
        ("match", &of_selector(selector)),
        ("from", &from),
        ("until", &until),
        ("q", search),
    ])
}

/// Two flamegraphs, the second time compared with the first.
pub(super) fn comparison(
    what: &str,
    selector: &Selector,
    search: &str,
    [before, now]: [TimeRange; 2],
) -> String {
    let [base_a, base_b] = times(before);
    let [a, b] = times(now);
    written([
        ("tab", "compare"),
        ("type", what),
        ("match", &of_selector(selector)),
        ("from", &base_a),
        ("until", &b),
        ("a", &a),
        ("b", &b),
        ("base_a", &base_a),
        ("base_b", &base_b),
        ("q", search),
    ])
}

fn times(range: TimeRange) -> [String; 2] {
    [range.from_unix_ns, range.until_unix_ns].map(|ns| (ns / NS_PER_MS).to_string())
}

fn written<'a>(fields: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(fields.into_iter().filter(|(_, value)| !value.is_empty()));
    format!("?{}", query.finish())
}

/// A selector that means these labels; of service and host alone, if it would be too long.
pub(super) fn of_labels(labels: &LabelMap) -> String {
    let text = |is_wanted: &dyn Fn(&str) -> bool| {
        let there = labels.iter().filter(|(name, value)| !value.is_empty() && is_wanted(name));
        let of = there.take(MAX_MATCHERS).map(|(name, value)| matcher(name, Op::Is, value));
        format!("{{{}}}", of.collect::<Vec<_>>().join(","))
    };
    let whole = text(&|_| true);
    if whole.len() <= MAX_SELECTOR_BYTES {
        return whole;
    }
    let short = text(&|name| ["service", "host"].contains(&name));
    if short.len() <= MAX_SELECTOR_BYTES { short } else { String::new() }
}

fn of_selector(selector: &Selector) -> String {
    let of = selector.matchers().iter().map(|it| matcher(it.name(), it.op(), it.value()));
    let text = of.collect::<Vec<_>>().join(",");
    if text.is_empty() { String::new() } else { format!("{{{text}}}") }
}

fn matcher(name: &str, op: Op, value: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || ['_', '.', ':', '-', '/'].contains(&c);
    let name = if !name.is_empty() && name.chars().all(is_plain) { name.to_owned() } else { quoted(name) };
    format!("{name}{}{}", op.text(), quoted(value))
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RANGE: TimeRange = TimeRange { from_unix_ns: 1_000_000_000, until_unix_ns: 3_000_000_000 };

    #[test]
    fn labels_become_a_selector_that_means_them() {
        let labels: LabelMap = [("service", "edge"), ("a b", "x\"y\\z\n"), ("empty", "")]
            .map(|(a, b)| (a.to_owned(), b.to_owned()))
            .into();
        let text = of_labels(&labels);
        assert_eq!(text, "{\"a b\"=\"x\\\"y\\\\z\\n\",service=\"edge\"}");
        let selector = Selector::parse(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
        let found: Vec<_> = selector.matchers().iter().map(|it| (it.name(), it.value())).collect();
        assert_eq!(found, [("a b", "x\"y\\z\n"), ("service", "edge")]);
        let long =
            LabelMap::from([("service".to_owned(), "edge".to_owned()), ("l".to_owned(), "x".repeat(5_000))]);
        assert_eq!(of_labels(&long), "{service=\"edge\"}");
    }

    #[test]
    fn links_are_queries_of_the_page() {
        let labels = LabelMap::from([("service".to_owned(), "a&b".to_owned())]);
        let found = metric("process.memory.usage", &labels, RANGE);
        let expected =
            "?tab=memory&match=%7Bservice%3D%22a%26b%22%7D&metric=process.memory.usage&from=1000&until=3000";
        assert_eq!(found, expected);
        let selector = Selector::parse("{host=~\"e.*\"}").expect("is one");
        let before = TimeRange { from_unix_ns: 0, until_unix_ns: 1_000_000_000 };
        let found = comparison("cpu:nanoseconds", &selector, "^f$", [before, RANGE]);
        let expected = "?tab=compare&type=cpu%3Ananoseconds&match=%7Bhost%3D%7E%22e.*%22%7D&from=0&until=3000&a=1000&b=3000\
                        &base_a=0&base_b=1000&q=%5Ef%24";
        assert_eq!(found, expected);
    }
}
