//! OTLP profiles, the development version of the OpenTelemetry protocol: for its collector and every backend behind
//! it.
//!
//! The form is pprof's with other words: one dictionary of tables, the first entry of each being nothing, and one
//! profile for each value type. So it is made from the pprof message, whose ids count from 1 and are the indexes
//! here. What has a name in OpenTelemetry's conventions goes under that name:
//!
//! | where | attribute | holds |
//! |---|---|---|
//! | resource | `host.name` | the host, unless the caller names it |
//! | profile | `pprof.profile.comment` | what was run, lost and truncated, as pprof's comments say it |
//! | sample | `process.pid`, `process.executable.name` | the process |
//! | sample | `thread.id`, `thread.name` | the thread |
//! | mapping | `process.executable.build_id.gnu` | the build ID |
//! | location | `profile.frame.type` | `kernel` or `native`, where the frame lies in a file or the kernel |

use std::io;

use opentelemetry_proto::tonic::{
    collector::profiles::v1development::ExportProfilesServiceRequest,
    common::v1::InstrumentationScope,
    profiles::v1development::{Profile as OtlpProfile, ResourceProfiles, Sample, ScopeProfiles, ValueType},
    resource::v1::Resource,
};
use prost::Message as _;
use proto::pprof;

use super::{
    EncodeError,
    otlp_tables::{Dictionary, index},
    otlp_value::{key_value, text, text_list},
    pprof as pprof_form, writing,
};
use crate::{labels::Labels, model::Profile};

const FORMAT: &str = "otlp";
/// Who made the data, as OpenTelemetry calls it.
pub(super) const SCOPE: &str = "brazier";

/// What a profile does not know of itself.
#[derive(Debug, Clone, Default)]
pub struct Envelope {
    /// Attributes of the resource that was profiled, such as `service.name`.
    pub resource: Labels,
    /// Identifies what is sent, however often it is; 16 bytes that are not all zero, or none.
    pub id: Option<[u8; 16]>,
}

/// Writes the profile, with all its values, as one message without compression.
pub fn write(profile: &Profile, out: &mut impl io::Write) -> Result<(), EncodeError> {
    let message = message(profile, &Envelope::default());
    out.write_all(&message.encode_to_vec()).map_err(writing(FORMAT))
}

/// The profile as the message that is sent. On the wire it is the same as `ProfilesData`, the form of a file.
pub fn message(profile: &Profile, envelope: &Envelope) -> ExportProfilesServiceRequest {
    let pprof = pprof_form::message(profile);
    let mut dictionary = Dictionary::new(&pprof);
    let samples = dictionary.samples(&pprof);
    let attribute_indices = dictionary.attributes([("pprof.profile.comment", comments(&pprof))]);
    let value_type =
        |of: &pprof::ValueType| ValueType { type_strindex: index(of.r#type), unit_strindex: index(of.unit) };
    // Readers show the first profile unless told otherwise; pprof's habit is to have the main type last.
    let profiles = pprof.sample_type.iter().enumerate().rev().map(|(value_idx, sample_type)| OtlpProfile {
        sample_type: Some(value_type(sample_type)),
        samples: samples.iter().filter_map(|sample| sample.with_value(value_idx)).collect(),
        time_unix_nano: profile.meta().start_unix_ns,
        duration_nano: profile.meta().duration_ns,
        period_type: pprof.period_type.as_ref().map(value_type),
        period: pprof.period,
        profile_id: profile_id(envelope.id, value_idx),
        attribute_indices: attribute_indices.clone(),
        ..OtlpProfile::default()
    });
    let scope_profiles =
        ScopeProfiles { scope: Some(scope()), profiles: profiles.collect(), ..Default::default() };
    let resource_profiles = ResourceProfiles {
        resource: Some(resource(&envelope.resource, &profile.meta().host)),
        scope_profiles: vec![scope_profiles],
        ..Default::default()
    };
    ExportProfilesServiceRequest {
        resource_profiles: vec![resource_profiles],
        dictionary: Some(dictionary.into_message()),
    }
}

/// A stack of a thread, and all its values.
pub(super) struct CountedStack {
    pub(super) stack_index: i32,
    pub(super) attribute_indices: Vec<i32>,
    pub(super) values: Vec<i64>,
}

impl CountedStack {
    /// None where nothing was counted: a profile of one value type has no use for the stacks of another.
    fn with_value(&self, value_idx: usize) -> Option<Sample> {
        let value = *self.values.get(value_idx).filter(|&&value| value != 0)?;
        Some(Sample {
            stack_index: self.stack_index,
            attribute_indices: self.attribute_indices.clone(),
            values: vec![value],
            ..Sample::default()
        })
    }
}

/// The attributes that the caller gave, and the host if it is not among them.
pub(super) fn resource(labels: &Labels, host: &str) -> Resource {
    let mut attributes: Vec<_> = labels.iter().map(|(key, value)| key_value(key, text(value))).collect();
    if !host.is_empty() && labels.get("host.name").is_none() {
        attributes.push(key_value("host.name", text(host)));
    }
    Resource { attributes, ..Resource::default() }
}

pub(super) fn scope() -> InstrumentationScope {
    InstrumentationScope {
        name: SCOPE.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..InstrumentationScope::default()
    }
}

/// Each profile of a message has an id of its own; they differ in the last byte.
fn profile_id(id: Option<[u8; 16]>, value_idx: usize) -> Vec<u8> {
    let Some(mut id) = id else { return Vec::new() };
    if let Some(last) = id.last_mut() {
        *last = last.wrapping_add(value_idx.to_le_bytes().first().copied().unwrap_or(0));
    }
    id.to_vec()
}

fn comments(pprof: &pprof::Profile) -> opentelemetry_proto::tonic::common::v1::AnyValue {
    let text_at = |&index: &i64| pprof.string_table.get(usize::try_from(index).ok()?);
    text_list(pprof.comment.iter().filter_map(text_at))
}
