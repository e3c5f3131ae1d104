//! From what senders send to validated batches, and from these to the log.
//!
//! `unpack`, `weigh` and the decoders (`otlp_profiles`, `otlp_metrics`, `pprof`, `folded`, `pyroscope`) are pure: bytes
//! and an [`Envelope`] in, [`Decoded`] out. [`Intake`] knows tenants and time, and appends; `http` and `grpc` speak to senders.

mod decoded;
mod figures;
mod folded;
mod grpc;
mod http;
mod intake;
mod location;
mod otlp_metrics;
mod otlp_profiles;
mod otlp_tables;
mod pprof;
mod pyroscope;
mod rate;
mod series;
mod target;
mod tenants;
mod unpack;
mod value;
mod weigh;

pub use decoded::{Decoded, Envelope, Keyed};
pub use figures::IntakeFigures;
pub use grpc::is_grpc;
pub use http::{Answer, answer, text_answer};
pub use intake::{Intake, IntakeLimits};
pub use target::{Target, decode};
pub use tenants::{Tenant, TenantSettings, Tenants, tenant_name};
pub use unpack::{Encoding, unpack};
