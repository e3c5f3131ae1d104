//! What a rule finds: of whom, how much, in words, and where it is to be seen.

use std::collections::BTreeMap;

/// Labels of series and alerts.
pub type LabelMap = BTreeMap<String, String>;

/// Something that a rule is about, as it is now.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// Of whom.
    pub labels: LabelMap,
    /// How much.
    pub value: f64,
    /// Of what: `percent`, `seconds`, or a unit by the hour.
    pub unit: String,
    /// What it would have to be, if it is one number that decides.
    pub threshold: Option<f64>,
    /// In words.
    pub sentence: String,
    /// The query of the page's address, at which it is to be seen.
    pub link: String,
}
