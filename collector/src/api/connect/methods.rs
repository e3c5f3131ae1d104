//! The calls, each: a message -> a question -> an answer -> a message.

use std::collections::BTreeSet;

use proto::{push::LabelPair, querier as api};
use query::{Error, Question, Selector, TimelineQuestion};

use super::{
    Caller,
    codec::{self, Asked, Form, decode, encode},
    names::{PROFILE_TYPE, SERVICE, levels, profile_type, range, selector, type_of_id},
};
use crate::{
    api::reply::{Failure, Reply},
    refusal::{Reason, Refusal},
};

/// Selectors of one request: each is a question.
const MAX_SELECTORS: usize = 8;
/// Nodes unless somebody says otherwise.
const NODES: usize = 2_048;

pub(super) async fn answer(
    caller: &Caller<'_>,
    method: &str,
    form: Form,
    body: &[u8],
) -> Result<Reply, Failure> {
    match method {
        "ProfileTypes" => {
            let request = decode(form, body, api::ProfileTypesRequest::from)?;
            Ok(encode(form, &types(caller, request).await?, codec::types))
        }
        "LabelNames" => {
            let request = decode(form, body, api::LabelNamesRequest::from)?;
            Ok(encode(form, &label_names(caller, request).await?, |it| codec::names(&it.names)))
        }
        "LabelValues" => {
            let request = decode(form, body, api::LabelValuesRequest::from)?;
            Ok(encode(form, &label_values(caller, request).await?, |it| codec::names(&it.names)))
        }
        "Series" => {
            let request = decode(form, body, api::SeriesRequest::from)?;
            Ok(encode(form, &series(caller, request).await?, codec::series))
        }
        "SelectMergeStacktraces" => {
            let request = decode(form, body, |asked: Asked| api::SelectMergeStacktracesRequest::from(asked))?;
            Ok(encode(form, &stacktraces(caller, request).await?, codec::flamegraph))
        }
        "SelectSeries" => {
            let request = decode(form, body, api::SelectSeriesRequest::from)?;
            Ok(encode(form, &select_series(caller, request).await?, codec::points))
        }
        _ => Err(Refusal::new(Reason::NoSuchPath, "there is no such method").into()),
    }
}

/// A series is wanted if one of them means it.
fn selectors(matchers: &[String]) -> Result<Vec<Selector>, Error> {
    if matchers.len() > MAX_SELECTORS {
        let what = format!("has more than {MAX_SELECTORS} selectors");
        return Err(Error::Parameter { name: "matchers", what });
    }
    match matchers {
        [] => Ok(vec![Selector::default()]),
        some => some.iter().map(|text| selector(text)).collect(),
    }
}

fn their_name(name: String) -> String {
    if name == "service" { SERVICE.to_owned() } else { name }
}

async fn types(
    caller: &Caller<'_>,
    request: api::ProfileTypesRequest,
) -> Result<api::ProfileTypesResponse, Failure> {
    let range = range(request.start, request.end, caller.now_unix_ns)?;
    let found = caller.engine.types(caller.tenant, &Selector::default(), range).await?.value;
    let one = |it: &query::ProfileType| profile_type([&it.kind, &it.unit, &it.period_type, &it.period_unit]);
    Ok(api::ProfileTypesResponse { profile_types: found.iter().map(one).collect() })
}

async fn label_names(
    caller: &Caller<'_>,
    request: api::LabelNamesRequest,
) -> Result<api::LabelNamesResponse, Failure> {
    let range = range(request.start, request.end, caller.now_unix_ns)?;
    let mut names = BTreeSet::from([PROFILE_TYPE.to_owned()]);
    for selector in selectors(&request.matchers)? {
        let found = caller.engine.labels(caller.tenant, &selector, range).await?.value;
        names.extend(found.labels.into_iter().map(their_name));
    }
    Ok(api::LabelNamesResponse { names: names.into_iter().collect() })
}

async fn label_values(
    caller: &Caller<'_>,
    request: api::LabelValuesRequest,
) -> Result<api::LabelValuesResponse, Failure> {
    let range = range(request.start, request.end, caller.now_unix_ns)?;
    let mut values = BTreeSet::new();
    for selector in selectors(&request.matchers)? {
        if request.name == PROFILE_TYPE {
            let found = caller.engine.types(caller.tenant, &selector, range).await?.value;
            let id = |it: &query::ProfileType| {
                profile_type([&it.kind, &it.unit, &it.period_type, &it.period_unit]).id
            };
            values.extend(found.iter().map(id));
        } else {
            values.extend(
                caller.engine.values(caller.tenant, &request.name, &selector, range).await?.value.values,
            );
        }
    }
    Ok(api::LabelValuesResponse { names: values.into_iter().collect() })
}

async fn series(caller: &Caller<'_>, request: api::SeriesRequest) -> Result<api::SeriesResponse, Failure> {
    let range = range(request.start, request.end, caller.now_unix_ns)?;
    let wants_type =
        request.label_names.is_empty() || request.label_names.iter().any(|it| it == PROFILE_TYPE);
    let mut sets: BTreeSet<Vec<(String, String)>> = BTreeSet::new();
    for selector in selectors(&request.matchers)? {
        let found = caller.engine.series(caller.tenant, &selector, range, &request.label_names).await?.value;
        for it in found {
            let mut labels = it.labels;
            if wants_type {
                let id = profile_type(it.what.each_ref().map(String::as_str)).id;
                labels.insert(PROFILE_TYPE.to_owned(), id);
            }
            sets.insert(labels.into_iter().map(|(name, value)| (their_name(name), value)).collect());
        }
    }
    let pairs = |labels: Vec<(String, String)>| api::Labels {
        labels: labels.into_iter().map(|(name, value)| LabelPair { name, value }).collect(),
    };
    Ok(api::SeriesResponse { labels_set: sets.into_iter().map(pairs).collect() })
}

async fn stacktraces(
    caller: &Caller<'_>,
    request: api::SelectMergeStacktracesRequest,
) -> Result<api::SelectMergeStacktracesResponse, Failure> {
    let question = Question {
        tenant: caller.tenant.to_owned(),
        what: type_of_id(&request.profile_type_id)?,
        selector: selector(&request.label_selector)?,
        range: range(request.start, request.end, caller.now_unix_ns)?,
    };
    let max_nodes = request.max_nodes.and_then(|n| usize::try_from(n).ok()).filter(|n| *n > 0);
    let found = caller.engine.flamegraph(&question, None, Some(max_nodes.unwrap_or(NODES))).await?.value;
    Ok(api::SelectMergeStacktracesResponse { flamegraph: Some(levels(&found)) })
}

async fn select_series(
    caller: &Caller<'_>,
    request: api::SelectSeriesRequest,
) -> Result<api::SelectSeriesResponse, Failure> {
    let of = Question {
        tenant: caller.tenant.to_owned(),
        what: type_of_id(&request.profile_type_id)?,
        selector: selector(&request.label_selector)?,
        range: range(request.start, request.end, caller.now_unix_ns)?,
    };
    // What is no time makes a step of its own.
    let step_ms = (request.step > 0.0).then(|| (request.step * 1_000.0).ceil() as u64);
    let by =
        request.group_by.iter().map(|name| if name == SERVICE { "service".to_owned() } else { name.clone() });
    let question = TimelineQuestion { of, step_ms, by: by.collect() };
    let found = caller.engine.timeline(&question).await?.value;
    let limit = request.limit.and_then(|n| usize::try_from(n).ok()).filter(|n| *n > 0).unwrap_or(usize::MAX);
    let one = |it: query::Series| api::Series {
        labels: it
            .labels
            .into_iter()
            .map(|(name, value)| LabelPair { name: their_name(name), value })
            .collect(),
        points: it
            .points
            .into_iter()
            .map(|(ms, value)| api::Point {
                value: value as f64,
                timestamp: i64::try_from(ms).unwrap_or(i64::MAX),
            })
            .collect(),
    };
    Ok(api::SelectSeriesResponse { series: found.series.into_iter().take(limit).map(one).collect() })
}
