//! What the configuration says of watching: as it is written, before it is checked.

use std::path::PathBuf;

use serde::Deserialize;

/// How rules are looked at, and who is told.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AlertSettings {
    /// From one look at all rules to the next.
    pub every_seconds: u64,
    /// Of one rule and one tenant, at most.
    pub timeout_seconds: u64,
    /// Whether the rules hold that there are without any configuration.
    pub built_in: bool,
    /// Where the page is for people: what links begin with. Unless set, the web address.
    pub page_url: Option<String>,
    /// Who is told.
    pub webhook: Option<WebhookSettings>,
}

impl Default for AlertSettings {
    fn default() -> Self {
        Self { every_seconds: 60, timeout_seconds: 20, built_in: true, page_url: None, webhook: None }
    }
}

/// Who is told.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebhookSettings {
    /// Where messages go, with POST.
    pub url: String,
    /// A file with the bearer token of the receiver, read for each message.
    pub token_file: Option<PathBuf>,
    /// Authorities of the receiver's certificate, as PEM; unless set, those of the web.
    pub ca_file: Option<PathBuf>,
    /// Of one attempt.
    #[serde(default = "ten")]
    pub timeout_seconds: u64,
}

const fn ten() -> u64 {
    10
}

/// A rule. Which keys a kind takes is checked later, so that what is wrong can be said by its name.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WatchSection {
    /// What it is called, in alerts and everywhere.
    pub name: String,
    /// What is looked at.
    pub kind: KindName,
    /// Whose data; unless set, those of every tenant.
    pub tenant: Option<String>,
    /// Which series.
    #[serde(default, rename = "match")]
    pub selector: String,
    /// How much of the past is looked at.
    pub window_seconds: Option<u64>,
    /// How long it has to hold.
    pub for_seconds: Option<u64>,
    /// A word for whoever is told.
    pub severity: Option<String>,
    /// `leak`, `growth`: of what.
    pub metric: Option<String>,
    /// `growth`: what must not be reached.
    pub limit: Option<f64>,
    /// `growth`: the metric that has it.
    pub limit_metric: Option<String>,
    /// `growth`: reached sooner than this.
    pub within_seconds: Option<u64>,
    /// `growth`: of the limit; `share`: of all; `lost`: of all that were due.
    pub over_percent: Option<f64>,
    /// `share`: what values count, `cpu:nanoseconds`.
    #[serde(rename = "type")]
    pub value_type: Option<String>,
    /// `share`: the name of a function.
    pub function: Option<String>,
    /// `share`: a regular expression that the whole name matches.
    pub function_regex: Option<String>,
    /// `share`: only what the function itself takes.
    pub only_self: Option<bool>,
    /// `share`: what it is compared with.
    pub baseline: Option<BaselineName>,
    /// `share`: windows of `windows_before`.
    pub n_windows: Option<u64>,
    /// `share`: more than that of the baseline by so much of it.
    pub grown_percent: Option<f64>,
}

/// What is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KindName {
    /// Whether memory leaks.
    Leak,
    /// What grows towards a limit.
    Growth,
    /// What a function takes.
    Share,
    /// Samples that agents lose.
    Lost,
}

impl KindName {
    /// As it is written.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Leak => "leak",
            Self::Growth => "growth",
            Self::Share => "share",
            Self::Lost => "lost",
        }
    }
}

/// What a share is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BaselineName {
    /// The same window, a day before.
    PreviousDay,
    /// The windows before this one.
    WindowsBefore,
}
