//! Which series are meant: `{service="nginx", host=~"edge-.*", route!="/health"}`. Pure.

mod parse;

use std::fmt;

use regex::Regex;

use crate::error::Error;

/// How a value is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Op {
    /// `=`
    Is,
    /// `!=`
    IsNot,
    /// `=~`: the whole of it
    Matches,
    /// `!~`
    MatchesNot,
}

impl Op {
    /// As it is written.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Is => "=",
            Self::IsNot => "!=",
            Self::Matches => "=~",
            Self::MatchesNot => "!~",
        }
    }

    /// Of what is written, if it is one.
    #[must_use]
    pub fn of_text(text: &str) -> Option<Self> {
        [Self::Is, Self::IsNot, Self::Matches, Self::MatchesNot].into_iter().find(|op| op.text() == text)
    }
}

/// What the value of a name has to be. A name that is not there has an empty value.
#[derive(Clone, Debug)]
pub struct Matcher {
    name: String,
    op: Op,
    value: String,
    regex: Option<Regex>,
}

impl Matcher {
    /// Compares.
    ///
    /// # Errors
    /// If it should match a regular expression, and that is none, or too large.
    pub fn new(name: &str, op: Op, value: &str) -> Result<Self, String> {
        let regex = match op {
            Op::Is | Op::IsNot => None,
            Op::Matches | Op::MatchesNot => Some(parse::regex(value)?),
        };
        Ok(Self { name: column_of(name).to_owned(), op, value: value.to_owned(), regex })
    }

    /// Of what.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How.
    #[must_use]
    pub const fn op(&self) -> Op {
        self.op
    }

    /// With what.
    #[must_use]
    pub fn value(&self) -> &str {
        &self.value
    }

    /// Whether a value is as it should be.
    #[must_use]
    pub fn is_met(&self, value: &str) -> bool {
        let is_match = || self.regex.as_ref().is_some_and(|regex| regex.is_match(value));
        match self.op {
            Op::Is => value == self.value,
            Op::IsNot => value != self.value,
            Op::Matches => is_match(),
            Op::MatchesNot => !is_match(),
        }
    }
}

impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}{}", quoted(&self.name), self.op.text(), quoted(&self.value))
    }
}

/// As a selector has it, which knows no other escapes than these.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}

/// Matchers, all of which must be met.
#[derive(Clone, Debug, Default)]
pub struct Selector {
    matchers: Vec<Matcher>,
}

impl Selector {
    /// Of matchers.
    #[must_use]
    pub const fn new(matchers: Vec<Matcher>) -> Self {
        Self { matchers }
    }

    /// Of a text; an empty one selects everything.
    ///
    /// # Errors
    /// If it is none, or too large.
    pub fn parse(text: &str) -> Result<Self, Error> {
        parse::selector(text).map(Self::new)
    }

    /// Its matchers.
    #[must_use]
    pub fn matchers(&self) -> &[Matcher] {
        &self.matchers
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts: Vec<String> = self.matchers.iter().map(ToString::to_string).collect();
        write!(f, "{{{}}}", texts.join(","))
    }
}

/// Service and host have columns of their own, whatever the names that others have for them.
pub(crate) fn column_of(name: &str) -> &str {
    match name {
        "service_name" | "service.name" => "service",
        "host_name" | "host.name" | "hostname" => "host",
        other => other,
    }
}
