//! How many parts a protobuf message has, before it is decoded, as `profile::read::weigh` counts them.

use profile::read::weigh::{LEAF, PAIR, RESOURCE, SCOPE, Shape, WeighError};
pub(super) use profile::read::weigh::{PPROF, PROFILES};

use crate::refusal::{Reason, Refusal};

static EXEMPLAR: Shape = Shape(&[(7, &PAIR)]);
static POINT: Shape =
    Shape(&[(5, &EXEMPLAR), (7, &PAIR), (1, &PAIR), (9, &PAIR), (11, &EXEMPLAR), (6, &LEAF), (8, &EXEMPLAR)]);
static POINTS: Shape = Shape(&[(1, &POINT)]);
static METRIC: Shape =
    Shape(&[(12, &PAIR), (5, &POINTS), (7, &POINTS), (9, &POINTS), (10, &POINTS), (11, &POINTS)]);
static SCOPE_METRICS: Shape = Shape(&[(1, &SCOPE), (2, &METRIC)]);
static RESOURCE_METRICS: Shape = Shape(&[(1, &RESOURCE), (2, &SCOPE_METRICS)]);
/// `ExportMetricsServiceRequest`.
pub(super) static METRICS: Shape = Shape(&[(1, &RESOURCE_METRICS)]);

static SERIES: Shape = Shape(&[(1, &LEAF), (2, &LEAF)]);
/// `push.v1.PushRequest`.
pub(super) static PUSH: Shape = Shape(&[(1, &SERIES)]);

/// Looks whether a message has few enough parts to be decoded.
///
/// # Errors
/// If it has too many, or is none.
pub(super) fn weigh(message: &[u8], shape: &Shape) -> Result<(), Refusal> {
    profile::read::weigh::weigh(message, shape).map_err(|error| {
        let reason = match error {
            WeighError::Malformed => Reason::Malformed,
            WeighError::TooMany => Reason::TooMany,
        };
        Refusal::new(reason, error.to_string())
    })
}
