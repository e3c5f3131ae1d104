//! Messages in protobuf and in JSON. In JSON, names are in camel case and numbers of 64 bits are texts.

use prost::Message;
use proto::{push::LabelPair, querier as api};
use query::Error;
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

use crate::api::reply::{Failure, Reply};

/// How a message is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Proto,
    Json,
}

/// Everything that a request may say, in JSON.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Asked {
    name: String,
    matchers: Vec<String>,
    label_names: Vec<String>,
    #[serde(rename = "profileTypeID", alias = "profile_typeID")]
    profile_type_id: String,
    label_selector: String,
    #[serde(deserialize_with = "integer")]
    start: i64,
    #[serde(deserialize_with = "integer")]
    end: i64,
    #[serde(deserialize_with = "integer")]
    max_nodes: i64,
    group_by: Vec<String>,
    step: f64,
    #[serde(deserialize_with = "integer")]
    limit: i64,
}

fn integer<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either {
        Number(i64),
        Text(String),
    }
    match Either::deserialize(deserializer)? {
        Either::Number(number) => Ok(number),
        Either::Text(text) => text.parse().map_err(serde::de::Error::custom),
    }
}

/// A request.
pub(super) fn decode<T: Message + Default>(
    form: Form,
    body: &[u8],
    of_json: impl FnOnce(Asked) -> T,
) -> Result<T, Failure> {
    let wrong =
        |what: String| Error::Parameter { name: "the body", what: format!("is no such request: {what}") };
    match form {
        Form::Proto => Ok(T::decode(body).map_err(|error| wrong(error.to_string()))?),
        Form::Json => {
            let asked = serde_json::from_slice(body).map_err(|error| wrong(error.to_string()))?;
            Ok(of_json(asked))
        }
    }
}

/// An answer.
pub(super) fn encode<T: Message>(form: Form, message: &T, to_json: impl FnOnce(&T) -> Value) -> Reply {
    match form {
        Form::Proto => Reply::file(message.encode_to_vec().into(), "application/proto", None),
        Form::Json => Reply::file(to_json(message).to_string().into(), "application/json", None),
    }
}

impl From<Asked> for api::ProfileTypesRequest {
    fn from(asked: Asked) -> Self {
        Self { start: asked.start, end: asked.end }
    }
}

impl From<Asked> for api::LabelNamesRequest {
    fn from(asked: Asked) -> Self {
        Self { matchers: asked.matchers, start: asked.start, end: asked.end }
    }
}

impl From<Asked> for api::LabelValuesRequest {
    fn from(asked: Asked) -> Self {
        Self { name: asked.name, matchers: asked.matchers, start: asked.start, end: asked.end }
    }
}

impl From<Asked> for api::SeriesRequest {
    fn from(asked: Asked) -> Self {
        let Asked { matchers, label_names, start, end, .. } = asked;
        Self { matchers, label_names, start, end }
    }
}

impl From<Asked> for api::SelectMergeStacktracesRequest {
    fn from(asked: Asked) -> Self {
        Self {
            profile_type_id: asked.profile_type_id,
            label_selector: asked.label_selector,
            start: asked.start,
            end: asked.end,
            max_nodes: (asked.max_nodes > 0).then_some(asked.max_nodes),
        }
    }
}

impl From<Asked> for api::SelectSeriesRequest {
    fn from(asked: Asked) -> Self {
        Self {
            profile_type_id: asked.profile_type_id,
            label_selector: asked.label_selector,
            start: asked.start,
            end: asked.end,
            group_by: asked.group_by,
            step: asked.step,
            limit: (asked.limit > 0).then_some(asked.limit),
        }
    }
}

pub(super) fn names(names: &[String]) -> Value {
    json!({ "names": names })
}

pub(super) fn types(message: &api::ProfileTypesResponse) -> Value {
    let one = |it: &api::ProfileType| {
        json!({
            "ID": it.id, "name": it.name, "sampleType": it.sample_type, "sampleUnit": it.sample_unit,
            "periodType": it.period_type, "periodUnit": it.period_unit,
        })
    };
    json!({ "profileTypes": message.profile_types.iter().map(one).collect::<Vec<_>>() })
}

fn pairs(labels: &[LabelPair]) -> Value {
    labels.iter().map(|it| json!({ "name": it.name, "value": it.value })).collect()
}

pub(super) fn series(message: &api::SeriesResponse) -> Value {
    let one = |it: &api::Labels| json!({ "labels": pairs(&it.labels) });
    json!({ "labelsSet": message.labels_set.iter().map(one).collect::<Vec<_>>() })
}

pub(super) fn flamegraph(message: &api::SelectMergeStacktracesResponse) -> Value {
    let Some(it) = &message.flamegraph else { return json!({}) };
    let texts =
        |level: &api::Level| json!({ "values": level.values.iter().map(i64::to_string).collect::<Vec<_>>() });
    json!({ "flamegraph": {
        "names": it.names,
        "levels": it.levels.iter().map(texts).collect::<Vec<_>>(),
        "total": it.total.to_string(),
        "maxSelf": it.max_self.to_string(),
    } })
}

pub(super) fn points(message: &api::SelectSeriesResponse) -> Value {
    let point = |it: &api::Point| json!({ "value": it.value, "timestamp": it.timestamp.to_string() });
    let one = |it: &api::Series| json!({ "labels": pairs(&it.labels), "points": it.points.iter().map(point).collect::<Vec<_>>() });
    json!({ "series": message.series.iter().map(one).collect::<Vec<_>>() })
}
