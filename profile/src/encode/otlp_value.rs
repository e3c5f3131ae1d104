//! Attributes as OTLP has them.

use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue, any_value::Value};

pub(super) fn key_value(key: &str, value: AnyValue) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(value), ..KeyValue::default() }
}

pub(super) fn text(text: &str) -> AnyValue {
    AnyValue { value: Some(Value::StringValue(text.to_owned())) }
}

pub(super) fn integer(number: i64) -> AnyValue {
    AnyValue { value: Some(Value::IntValue(number)) }
}

pub(super) fn text_list<'a>(texts: impl Iterator<Item = &'a String>) -> AnyValue {
    let values = texts.map(|it| text(it)).collect();
    AnyValue { value: Some(Value::ArrayValue(ArrayValue { values })) }
}
