//! Watching: rules over trends and shares become alerts, and alerts messages. `docs/watch.md` says what for.
//!
//! `settings` (as it is written) -> `checked` -> `rule`; `watcher` asks the engine on a timer, `judge` and `shares` say what a rule finds
//! in the answer, `state` what becomes of it, `outbox` what is told, and `webhook` tells it. [`Board`] is what all of them and the
//! API share. Only `watcher` and `webhook` do I/O or know a clock.

mod board;
mod change;
mod checked;
mod finding;
mod judge;
mod link;
mod message;
mod outbox;
mod rule;
mod settings;
mod shares;
mod state;
mod watcher;
mod webhook;

pub use board::{Board, Look, Standing, WatchFigures};
pub use checked::rules;
pub use finding::{Finding, LabelMap};
pub use rule::{Baseline, Grown, Growth, Kind, Limit, Rule, Share};
pub use settings::{AlertSettings, BaselineName, KindName, WatchSection, WebhookSettings};
pub use state::{Alert, AlertState, Alerts, Changes};
pub use watcher::{Pace, Watcher};
pub use webhook::Webhook;
