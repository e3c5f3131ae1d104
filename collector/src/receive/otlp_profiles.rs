//! OTLP profiles, the development version that `opentelemetry-proto` has.

use opentelemetry_proto::tonic::{
    collector::profiles::v1development::ExportProfilesServiceRequest,
    profiles::v1development::{Profile, ProfilesDictionary, ResourceProfiles},
};
use prost::Message as _;
use proto::log;

use super::{
    Decoded, Envelope,
    decoded::Builders,
    otlp_tables::{Seen, Tables},
    value::{self, Origin},
    weigh,
};
use crate::{
    model::{Builder, LabelSet, Room},
    refusal::{Reason, Refusal, Rejected},
};

/// The batches of a request: one for each key that its resources have.
///
/// # Errors
/// If it is no such message. What is wrong with a profile of it is said beside the rest.
pub(super) fn decode(message: &[u8], envelope: &Envelope<'_>) -> Result<Decoded, Refusal> {
    weigh::weigh(message, &weigh::PROFILES)?;
    let request = ExportProfilesServiceRequest::decode(message).map_err(|error| {
        Refusal::new(Reason::Malformed, format!("it is no request of OTLP profiles: {error}"))
    })?;
    let none = ProfilesDictionary::default();
    let tables = Tables(request.dictionary.as_ref().unwrap_or(&none));
    let mut decoding = Decoding {
        tables,
        builders: Builders::new(envelope),
        seen: Vec::new(),
        room: Room::default(),
        rejected: Rejected::default(),
    };
    for resource in &request.resource_profiles {
        decoding.resource(resource, envelope);
    }
    Ok(decoding.builders.finish(decoding.rejected))
}

struct Decoding<'a> {
    tables: Tables<'a>,
    builders: Builders<'a>,
    /// One for each builder.
    seen: Vec<Seen>,
    room: Room,
    rejected: Rejected,
}

impl Decoding<'_> {
    fn resource(&mut self, resource: &ResourceProfiles, envelope: &Envelope<'_>) {
        let attributes = resource.resource.iter().flat_map(|it| &it.attributes);
        let origin = Origin::of(value::labels(attributes, self.tables.strings()));
        // A profile that does not say its time gets that of its receipt, which is another one each time.
        let says_when = scopes(resource).all(|profile| profile.time_unix_nano != 0);
        let key = origin.key.as_deref().map_or_else(|| envelope.key(says_when), |key| envelope.key_of(key));
        let place = match self.builders.place(key) {
            Ok(place) => place,
            Err(refusal) => return self.rejected.add(refusal, n(scopes(resource).count())),
        };
        if self.seen.len() <= place {
            self.seen.resize_with(place.saturating_add(1), Seen::default);
        }
        let (Some(builder), Some(seen)) = (self.builders.at(place), self.seen.get_mut(place)) else { return };
        for profile in scopes(resource) {
            match one(profile, &origin, self.tables, seen, builder, &mut self.room) {
                Ok(profile) => builder.profile(profile),
                Err(refusal) => self.rejected.add(refusal, 1),
            }
        }
    }
}

fn scopes(resource: &ResourceProfiles) -> impl Iterator<Item = &Profile> {
    resource.scope_profiles.iter().flat_map(|scope| &scope.profiles)
}

fn one(
    profile: &Profile,
    origin: &Origin,
    tables: Tables<'_>,
    seen: &mut Seen,
    builder: &mut Builder<'_>,
    room: &mut Room,
) -> Result<log::Profile, Refusal> {
    let sample_type = profile.sample_type.unwrap_or_default();
    let [name, unit] = [sample_type.type_strindex, sample_type.unit_strindex].map(|it| tables.string(it));
    let (name, unit) = (name?, unit?);
    if name.is_empty() {
        return Err(Refusal::new(Reason::NoType, "a profile that does not say what it counts"));
    }
    let time_unix_ns = builder.time(profile.time_unix_nano, profile.duration_nano)?;
    let period_type = profile.period_type.unwrap_or_default();
    let labels: LabelSet =
        origin.labels.clone().into_iter().chain(tables.attributes(&profile.attribute_indices)?).collect();
    room.take_rows(profile.samples.len())?;
    let mut samples = Vec::with_capacity(profile.samples.len());
    for sample in &profile.samples {
        // Where there are times and no values, each time is one.
        let value = match (sample.values.as_slice(), sample.timestamps_unix_nano.len()) {
            ([], n_times) => i64::try_from(n_times).unwrap_or(i64::MAX),
            (values, _) => values.iter().fold(0, |sum: i64, value| sum.saturating_add(*value)),
        };
        let stack = tables.stack(sample.stack_index, seen, builder, room)?;
        let labels = tables.labels(&sample.attribute_indices, seen, builder)?;
        if value != 0 {
            samples.push(log::Sample { stack, labels, value });
        }
    }
    Ok(log::Profile {
        source: builder.source(&origin.service, &origin.host, &labels)?,
        r#type: builder.string(name),
        unit: builder.string(unit),
        period_type: builder.string(tables.string(period_type.type_strindex)?),
        period_unit: builder.string(tables.string(period_type.unit_strindex)?),
        period: profile.period,
        time_unix_ns,
        duration_ns: profile.duration_nano,
        samples,
    })
}

pub(super) fn n(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
