//! Batches of what was measured. Pure.

use std::collections::BTreeSet;

use profile::{
    Labels, Profile,
    encode::{
        EncodeError,
        otlp::{self, Envelope},
        otlp_metrics::{self, Metric},
        pprof,
    },
};
use prost::Message as _;

use super::batch::{Batch, EVENT_LABEL, Form, KEY_ATTRIBUTE, Key, Signal};

/// A profile as a batch, in the forms that somebody takes. `event` is what it is a profile of: `cpu`, `alloc`.
///
/// # Errors
/// If it cannot be written in one of them.
pub fn of_profile(
    profile: &Profile,
    event: &str,
    labels: &Labels,
    key: Key,
    forms: &BTreeSet<Form>,
) -> Result<Batch, EncodeError> {
    let part = |&form: &Form| -> Result<(Form, Vec<u8>), EncodeError> {
        let content = match form {
            Form::Otlp => {
                let resource = labels.clone().with(KEY_ATTRIBUTE, key.to_string());
                otlp::message(profile, &Envelope { resource, id: Some(key.0) }).encode_to_vec()
            }
            Form::Pprof => {
                let mut gzipped = Vec::new();
                pprof::write_labelled(profile, labels, &mut gzipped)?;
                gzipped
            }
        };
        Ok((form, content))
    };
    let meta = profile.meta();
    Ok(Batch {
        key,
        signal: Signal::Profiles,
        start_unix_ns: meta.start_unix_ns,
        end_unix_ns: meta.start_unix_ns.saturating_add(meta.duration_ns),
        labels: labels.clone().with(EVENT_LABEL, event),
        parts: forms.iter().map(part).collect::<Result<_, _>>()?,
    })
}

/// Metrics as a batch: of `host`, seen from `start_unix_ns` to `end_unix_ns`.
#[must_use]
pub fn of_metrics(metrics: &[Metric], labels: &Labels, host: &str, key: Key, times: (u64, u64)) -> Batch {
    Batch { labels: labels.clone(), ..of_many_metrics([(labels, metrics)], host, key, times) }
}

/// Metrics of many resources as one batch, which has no labels of its own.
#[must_use]
pub fn of_many_metrics<'a>(
    resources: impl IntoIterator<Item = (&'a Labels, &'a [Metric])>,
    host: &str,
    key: Key,
    (start_unix_ns, end_unix_ns): (u64, u64),
) -> Batch {
    let keyed: Vec<(Labels, &[Metric])> = resources
        .into_iter()
        .map(|(labels, metrics)| (labels.clone().with(KEY_ATTRIBUTE, key.to_string()), metrics))
        .collect();
    let resources = keyed.iter().map(|(labels, metrics)| (labels, *metrics));
    let content = otlp_metrics::message(resources, host).encode_to_vec();
    Batch {
        key,
        signal: Signal::Metrics,
        start_unix_ns,
        end_unix_ns,
        labels: Labels::default(),
        parts: vec![(Form::Otlp, content)],
    }
}
