//! Questions as expressions of DataFusion.

use arrow_schema::DataType;
use datafusion::{
    common::ScalarValue,
    logical_expr::{Expr, col, lit},
};

use crate::{
    chosen,
    question::TypeUnit,
    range::TimeRange,
    selector::{Matcher, Op, Selector},
};

/// Columns that hold labels, those nearest to a row last.
pub(crate) const SAMPLE_LABELS: &[&str] = &["labels", "sample_labels"];
/// The same of metrics.
pub(crate) const METRIC_LABELS: &[&str] = &["labels"];
/// Names that have columns of their own.
pub(crate) const COLUMNS: [&str; 2] = ["service", "host"];

/// Rows of a time.
pub(crate) fn within(range: TimeRange) -> Expr {
    let at = |ns: u64| {
        let ns = i64::try_from(ns).unwrap_or(i64::MAX);
        lit(ScalarValue::TimestampNanosecond(Some(ns), Some(layout::schema::UTC.into())))
    };
    col("time").gt_eq(at(range.from_unix_ns)).and(col("time").lt(at(range.until_unix_ns)))
}

/// Rows of a type.
pub(crate) fn of_type(what: &TypeUnit) -> Expr {
    is("type", &what.kind).and(is("unit", &what.unit))
}

/// Rows with a text in a column.
pub(crate) fn is(column: &str, text: &str) -> Expr {
    col(column).eq(text_lit(text))
}

/// Rows that a selector means, if it does not mean all of them.
pub(crate) fn chosen(selector: &Selector, label_columns: &[&str]) -> Option<Expr> {
    let is_of_column = |matcher: &&Matcher| COLUMNS.contains(&matcher.name());
    let of_columns = selector.matchers().iter().filter(is_of_column).map(|matcher| match matcher.op() {
        // Statistics of files know what these mean.
        Op::Is => is(matcher.name(), matcher.value()),
        Op::IsNot => col(matcher.name()).not_eq(text_lit(matcher.value())),
        Op::Matches | Op::MatchesNot => chosen::is_met(matcher.name(), matcher),
    });
    let of_labels: Vec<Matcher> =
        selector.matchers().iter().filter(|matcher| !is_of_column(matcher)).cloned().collect();
    let of_labels = (!of_labels.is_empty()).then(|| chosen::has_labels(label_columns, of_labels));
    of_columns.chain(of_labels).reduce(Expr::and)
}

/// Of the same type as the columns, so that nothing is converted row by row.
fn text_lit(text: &str) -> Expr {
    let value = ScalarValue::Utf8(Some(text.to_owned()));
    lit(ScalarValue::Dictionary(Box::new(DataType::Int32), Box::new(value)))
}
