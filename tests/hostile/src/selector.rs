//! Any text as a selector: it is one, within its bounds, that means the same when it is written down; or the error says where.

use query::{Op, Selector};

const MAX_MATCHERS: usize = 32;

pub(crate) fn body(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    match Selector::parse(&text) {
        Ok(selector) => {
            assert!(selector.matchers().len() <= MAX_MATCHERS, "{} comparisons", selector.matchers().len());
            for matcher in selector.matchers() {
                let is_own_met = matcher.is_met(matcher.value());
                match matcher.op() {
                    Op::Is => assert!(is_own_met, "{matcher}"),
                    Op::IsNot => assert!(!is_own_met, "{matcher}"),
                    Op::Matches | Op::MatchesNot => {}
                }
                let values = ["", &*text, "\u{10ffff}\n"];
                let opinions = values.map(|value| matcher.is_met(value));
                assert_eq!(opinions, values.map(|value| matcher.is_met(value)), "another opinion: {matcher}");
            }
            let written = selector.to_string();
            let again = Selector::parse(&written).unwrap_or_else(|error| unreachable!("{written}: {error}"));
            assert_eq!(again.to_string(), written, "another selector comes back");
        }
        Err(query::Error::Selector { at, what }) => {
            assert!(at <= text.len() && !what.is_empty(), "{what:?} at {at} of {}", text.len());
        }
        Err(error) => unreachable!("{error}"),
    }
}

/// Selectors, and all that is nearly one.
pub(crate) fn seeds() -> Vec<(String, Vec<u8>)> {
    let many = format!("{{{}}}", "a=\"b\",".repeat(33));
    let deep = format!("{{a=~\"{}\"}}", "(".repeat(100));
    [
        r#"{service="edge",host=~"a.*",x!="y",z!~"0|1"}"#,
        r#"{"a b"="c\"d\\e\nf",}"#,
        "{a=`b\"c`}",
        r#"{a=~"(.{1000}){1000}"}"#,
        r#"{a=~"a)(b"}"#,
        r#"{a=~"(?i)\p{Greek}+[^x]"}"#,
        "{}",
        "",
        "{",
        "{service",
        r#"{service="nginx"} x"#,
        &many,
        &deep,
    ]
    .into_iter()
    .enumerate()
    .map(|(n, text)| (format!("selector_{n}"), text.as_bytes().to_vec()))
    .collect()
}
