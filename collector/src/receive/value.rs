//! Attributes of OTLP as labels.

use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value};

use crate::model::LabelSet;

/// The attribute that identifies a batch, for receivers that see no headers.
const KEY: &str = "brazier.batch.key";
const SERVICE: &str = "service.name";
const HOST: &str = "host.name";
/// What OpenTelemetry calls the service of one who does not say.
pub(super) const NO_SERVICE: &str = "unknown_service";

/// Who was measured, by the attributes of a resource.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Origin {
    pub(super) service: String,
    pub(super) host: String,
    pub(super) labels: LabelSet,
    /// The key of its batch, if it says one.
    pub(super) key: Option<String>,
}

impl Origin {
    pub(super) fn of(mut labels: LabelSet) -> Self {
        let mut take = |names: &[&str]| names.iter().find_map(|name| labels.remove(*name));
        let key = take(&[KEY]).filter(|it| !it.is_empty());
        let service = take(&[SERVICE]).filter(|it| !it.is_empty()).unwrap_or_else(|| NO_SERVICE.to_owned());
        let host = take(&[HOST]).unwrap_or_default();
        Self { service, host, labels, key }
    }
}

/// Texts, numbers and truth values; what is none of these is no label, and is left out.
pub(super) fn labels<'a>(attributes: impl IntoIterator<Item = &'a KeyValue>, strings: &[String]) -> LabelSet {
    let entry = |attribute: &KeyValue| {
        let name =
            if attribute.key.is_empty() { at(strings, attribute.key_strindex)? } else { &attribute.key };
        let value = text(attribute.value.as_ref()?, strings)?;
        (!name.is_empty()).then(|| (name.clone(), value))
    };
    attributes.into_iter().filter_map(entry).collect()
}

/// A value as a text, if it is a single one.
pub(super) fn text(value: &AnyValue, strings: &[String]) -> Option<String> {
    Some(match value.value.as_ref()? {
        Value::StringValue(text) => text.clone(),
        Value::StringValueStrindex(index) => at(strings, *index)?.clone(),
        Value::BoolValue(value) => value.to_string(),
        Value::IntValue(value) => value.to_string(),
        Value::DoubleValue(value) => value.to_string(),
        Value::ArrayValue(_) | Value::KvlistValue(_) | Value::BytesValue(_) => return None,
    })
}

fn at(strings: &[String], index: i32) -> Option<&String> {
    strings.get(usize::try_from(index).ok()?)
}
