//! What is sent where.

use super::{Decoded, Envelope, otlp_metrics, otlp_profiles, pyroscope};
use crate::refusal::Refusal;

/// What a request is, by its path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Target {
    /// OTLP profiles.
    OtlpProfiles,
    /// OTLP metrics.
    OtlpMetrics,
    /// A pprof file.
    Pprof,
    /// Pyroscope's `/ingest`.
    Ingest,
    /// Pyroscope's push.
    Push,
}

impl Target {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::OtlpProfiles, Self::OtlpMetrics, Self::Pprof, Self::Ingest, Self::Push];

    /// By the path of an HTTP request.
    #[must_use]
    pub fn of_path(path: &str) -> Option<Self> {
        Some(match path {
            "/v1development/profiles" => Self::OtlpProfiles,
            "/v1/metrics" => Self::OtlpMetrics,
            "/api/v1/pprof" => Self::Pprof,
            "/ingest" => Self::Ingest,
            "/push.v1.PusherService/Push" => Self::Push,
            _ => return None,
        })
    }

    /// By the path of a gRPC request.
    #[must_use]
    pub fn of_grpc_path(path: &str) -> Option<Self> {
        Some(match path {
            "/opentelemetry.proto.collector.profiles.v1development.ProfilesService/Export" => {
                Self::OtlpProfiles
            }
            "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export" => Self::OtlpMetrics,
            _ => return None,
        })
    }

    /// Its name, for programs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::OtlpProfiles => "otlp_profiles",
            Self::OtlpMetrics => "otlp_metrics",
            Self::Pprof => "pprof",
            Self::Ingest => "ingest",
            Self::Push => "push",
        }
    }

    /// Whether it is of OTLP, where what was rejected of a request has a place in the answer.
    #[must_use]
    pub const fn is_otlp(self) -> bool {
        matches!(self, Self::OtlpProfiles | Self::OtlpMetrics)
    }
}

/// The batches of a message, which is not compressed any more.
///
/// # Errors
/// If nothing of it can be taken.
pub fn decode(target: Target, message: &[u8], envelope: &Envelope<'_>) -> Result<Decoded, Refusal> {
    match target {
        Target::OtlpProfiles => otlp_profiles::decode(message, envelope),
        Target::OtlpMetrics => otlp_metrics::decode(message, envelope),
        Target::Pprof => pyroscope::upload(message, envelope),
        Target::Ingest => pyroscope::ingest(message, envelope),
        Target::Push => pyroscope::push(message, envelope),
    }
}
