//! What is asked about profiles.

use std::fmt;

use crate::{error::Error, range::TimeRange, selector::Selector};

/// What values count, and in which unit: `cpu:nanoseconds`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypeUnit {
    /// What.
    pub kind: String,
    /// In which unit.
    pub unit: String,
}

impl TypeUnit {
    /// Of a text: what, a colon, the unit.
    ///
    /// # Errors
    /// If there is no colon.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let (kind, unit) = text.rsplit_once(':').ok_or_else(|| Error::Parameter {
            name: "type",
            what: "is not written as cpu:nanoseconds: see /api/v1/types".to_owned(),
        })?;
        Ok(Self { kind: kind.to_owned(), unit: unit.to_owned() })
    }
}

impl fmt::Display for TypeUnit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.kind, self.unit)
    }
}

/// Which samples are asked for.
#[derive(Clone, Debug)]
pub struct Question {
    /// Whose.
    pub tenant: String,
    /// Of what.
    pub what: TypeUnit,
    /// Of whom.
    pub selector: Selector,
    /// Of when: samples whose measurement began in it.
    pub range: TimeRange,
}
