//! Answers out of the collector's Parquet files, wherever they are: flamegraphs, tables, time series, differences, SQL.
//!
//! `files` (a tenant and a time -> the files to read) -> `table`, `session` (DataFusion over them) -> `sums` (samples that a
//! [`Selector`] chooses, added up by stack) -> `stacks` (their frames, by name) -> [`tree`], `top` and the other forms of an answer.
//! [`Engine`] has the store, the limits and the threads; a [`Cluster`] carries plans out elsewhere, where they get as [`wire`] writes them; `selector`, `range` and [`tree`] are pure.

pub mod tree;
pub mod wire;

mod chosen;
mod column;
mod download;
mod engine;
mod error;
mod figures;
mod files;
mod flamegraph;
mod labels;
mod metrics;
mod metrics_series;
mod names;
mod plan;
mod question;
mod range;
mod remote;
mod review;
mod scan;
mod selector;
mod series;
mod session;
mod share;
mod sql;
mod sql_value;
mod stacks;
mod sums;
mod table;
mod timeline;
mod top;

pub use download::Format;
pub use engine::{Answer, Engine, Limits};
pub use error::Error;
pub use figures::Figures;
pub use flamegraph::{Flamegraph, Nodes as FlamegraphNodes};
pub use labels::{Labels, ProfileType, Values};
pub use metrics::{MetricName, Metrics, MetricsQuestion};
pub use metrics_series::{MetricSeries, MetricVerdict, VerdictKind};
pub use question::{Question, TypeUnit};
pub use range::{TimeRange, instant};
pub use remote::{Cluster, OF_ANOTHER_STORE};
pub use selector::{Matcher, Op, Selector};
pub use series::SeriesLabels;
pub use share::{ShareQuestion, ShareStep, Shares};
pub use sql::{Column, Rows, Statement};
pub use sql_value::Value;
pub use timeline::{Series, Timeline, TimelineQuestion};
pub use top::{Function, Top};
