//! The text of a selector. Total: any text is a selector or an error that says where.

use regex::{Regex, RegexBuilder};

use super::{Matcher, Op};
use crate::error::Error;

const MAX_TEXT_BYTES: usize = 16 << 10;
const MAX_MATCHERS: usize = 32;
const MAX_REGEX_BYTES: usize = 2 << 10;
/// Compiled: `.{1000}{1000}` is short.
const MAX_COMPILED_BYTES: usize = 1 << 20;
/// Brackets within brackets.
const MAX_NESTING: u32 = 32;

/// A regular expression that a whole value matches.
pub(super) fn regex(text: &str) -> Result<Regex, String> {
    if text.len() > MAX_REGEX_BYTES {
        return Err(format!("a regular expression has {} bytes, and {MAX_REGEX_BYTES} may be", text.len()));
    }
    let build = |text: &str| {
        let mut builder = RegexBuilder::new(text);
        builder
            .size_limit(MAX_COMPILED_BYTES)
            .dfa_size_limit(MAX_COMPILED_BYTES)
            .nest_limit(MAX_NESTING)
            .build()
    };
    // By itself first: `a)(b` is none, whatever stands around it.
    build(text)
        .and_then(|_| build(&format!("^(?:{text})$")))
        .map_err(|error| crate::error::one_line(&format!("{text:?} is no regular expression: {error}")))
}

pub(super) fn selector(text: &str) -> Result<Vec<Matcher>, Error> {
    if text.len() > MAX_TEXT_BYTES {
        let what = format!("it has {} bytes, and {MAX_TEXT_BYTES} may be", text.len());
        return Err(Error::Selector { at: MAX_TEXT_BYTES, what });
    }
    let mut rest = Rest { text, at: 0 };
    rest.skip_blanks();
    if rest.is_empty() {
        return Ok(Vec::new());
    }
    rest.expect("{")?;
    let mut matchers = Vec::new();
    loop {
        rest.skip_blanks();
        // Also after a comma, as others allow it.
        if rest.take("}") {
            break;
        }
        if matchers.len() >= MAX_MATCHERS {
            return Err(rest.error(format!("more than {MAX_MATCHERS} comparisons")));
        }
        matchers.push(rest.matcher()?);
        rest.skip_blanks();
        if !rest.take(",") {
            rest.expect("}")?;
            break;
        }
    }
    rest.skip_blanks();
    if rest.is_empty() { Ok(matchers) } else { Err(rest.error("nothing may stand behind }".to_owned())) }
}

/// What is not read yet.
struct Rest<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Rest<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn is_empty(&self) -> bool {
        self.rest().is_empty()
    }

    fn error(&self, what: String) -> Error {
        Error::Selector { at: self.at, what }
    }

    fn skip(&mut self, n_bytes: usize) {
        self.at = self.at.saturating_add(n_bytes);
    }

    fn skip_blanks(&mut self) {
        let rest = self.rest();
        self.skip(rest.len().saturating_sub(rest.trim_start().len()));
    }

    fn take(&mut self, what: &str) -> bool {
        let is_there = self.rest().starts_with(what);
        if is_there {
            self.skip(what.len());
        }
        is_there
    }

    fn expect(&mut self, what: &str) -> Result<(), Error> {
        if self.take(what) { Ok(()) } else { Err(self.error(format!("{what} is expected"))) }
    }

    fn matcher(&mut self) -> Result<Matcher, Error> {
        let name = self.name()?;
        self.skip_blanks();
        let ops = [Op::Matches, Op::MatchesNot, Op::IsNot, Op::Is];
        let op = ops.into_iter().find(|op| self.take(op.text()));
        let op = op.ok_or_else(|| self.error("=, !=, =~ or !~ is expected".to_owned()))?;
        self.skip_blanks();
        let at = self.at;
        let value = self.quoted()?;
        Matcher::new(&name, op, &value).map_err(|what| Error::Selector { at, what })
    }

    /// Names of OpenTelemetry have dots; any other stands in quotes.
    fn name(&mut self) -> Result<String, Error> {
        if self.rest().starts_with('"') {
            return self.quoted();
        }
        let is_of_name = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | ':' | '-' | '/');
        let rest = self.rest();
        let end = rest.find(|c| !is_of_name(c)).unwrap_or(rest.len());
        match rest.get(..end) {
            None | Some("") => Err(self.error("a name is expected".to_owned())),
            Some(name) => {
                self.skip(end);
                Ok(name.to_owned())
            }
        }
    }

    /// In quotes, with escapes; or in backquotes, as it is.
    fn quoted(&mut self) -> Result<String, Error> {
        if self.take("`") {
            let end = self.rest().find('`').ok_or_else(|| self.error("there is no second `".to_owned()))?;
            let value = self.rest().get(..end).unwrap_or_default().to_owned();
            self.skip(end.saturating_add(1));
            return Ok(value);
        }
        if !self.take("\"") {
            return Err(self.error("a value in double quotes is expected".to_owned()));
        }
        let mut value = String::new();
        let mut chars = self.rest().char_indices();
        while let Some((at, c)) = chars.next() {
            match c {
                '"' => {
                    self.skip(at.saturating_add(1));
                    return Ok(value);
                }
                '\\' => match chars.next() {
                    Some((_, 'n')) => value.push('\n'),
                    Some((_, 't')) => value.push('\t'),
                    Some((_, c @ ('"' | '\\' | '\''))) => value.push(c),
                    // A regular expression that somebody forgot to escape: `\d`, `\.`.
                    Some((_, other)) => value.extend(['\\', other]),
                    None => break,
                },
                other => value.push(other),
            }
        }
        Err(self.error("there is no closing quote".to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{prop_assert, prop_assert_eq, proptest};

    use super::super::Selector;
    use super::*;

    fn check(text: &str) -> String {
        match Selector::parse(text) {
            Ok(selector) => selector.to_string(),
            Err(error) => format!("{error}"),
        }
    }

    #[test]
    fn selectors_are_read() {
        assert_eq!(check(""), "{}");
        assert_eq!(check(" { } "), "{}");
        assert_eq!(
            check(r#"{service="nginx", host=~"edge-.*",route!="/x",a!~`\d+`,}"#),
            r#"{"service"="nginx","host"=~"edge-.*","route"!="/x","a"!~"\\d+"}"#
        );
        assert_eq!(check(r#"{ service_name = "a\"b\\\n" }"#), r#"{"service"="a\"b\\\n"}"#);
        assert_eq!(check(r#"{"any name"="x",host.name="y"}"#), r#"{"any name"="x","host"="y"}"#);
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        for (text, at) in [
            ("service", 0),
            ("{", 1),
            ("{service", 8),
            ("{service=", 9),
            ("{service=nginx}", 9),
            (r#"{service="nginx}"#, 10),
            (r#"{service="nginx"} x"#, 18),
            (r#"{service="nginx" host="a"}"#, 17),
            (r#"{="a"}"#, 1),
            (r#"{a=~"("}"#, 4),
            (r#"{a=~"a)(b"}"#, 4),
            (r#"{a=~"(.{1000}){1000}"}"#, 4),
            ("{a=`b}", 4),
        ] {
            let error = Selector::parse(text).expect_err(text);
            assert!(matches!(error, Error::Selector { at: found, .. } if found == at), "{text}: {error:?}");
        }
        let many = format!("{{{}}}", "a=\"b\",".repeat(33));
        assert!(check(&many).contains("more than 32"), "{}", check(&many));
        assert!(check(&"x".repeat(1 << 20)).contains("bytes"), "{}", check("x"));
        assert!(check(&format!("{{a=~\"{}\"}}", "(".repeat(100))).contains("no regular expression"));
    }

    #[test]
    fn values_are_compared_as_a_whole() {
        let is_met =
            |op, value: &str, with: &str| Matcher::new("a", op, value).is_ok_and(|it| it.is_met(with));
        assert!(is_met(Op::Matches, "a|b", "b") && !is_met(Op::Matches, "a|b", "ab"));
        assert!(is_met(Op::MatchesNot, "edge-.*", "core-1") && !is_met(Op::MatchesNot, "edge-.*", "edge-1"));
        assert!(is_met(Op::Is, "", "") && is_met(Op::IsNot, "x", ""), "a name that is not there is empty");
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in r#"[{}"=~!,a`\\. (\n]{0,40}"#) {
            if let Ok(selector) = Selector::parse(&text) {
                let again = Selector::parse(&selector.to_string());
                prop_assert!(again.is_ok(), "{text} as {selector}: {again:?}");
                prop_assert_eq!(again.map(|it| it.to_string()).unwrap_or_default(), selector.to_string());
            }
        }
    }
}
