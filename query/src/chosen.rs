//! Decisions inside the scan: functions of columns that say which rows are meant. Texts come as dictionaries, and each distinct one in
//! a batch is decided once.

use std::{
    collections::{BTreeMap, HashMap},
    hash::{Hash, Hasher},
    sync::Arc,
};

use ahash::RandomState;
use arrow_array::BooleanArray;
use arrow_schema::DataType;
use datafusion::{
    error::{DataFusionError, Result},
    logical_expr::{
        ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility, col,
    },
};

use crate::{
    column::{Id, Texts, ids_of},
    selector::Matcher,
};

/// Identities that are wanted.
pub(crate) type IdSet = std::collections::HashSet<Id, RandomState>;

/// Whether the text in a column meets a matcher.
pub(crate) fn is_met(column: &str, matcher: &Matcher) -> Expr {
    let decision = Decision::Text(matcher.clone());
    Chosen::call(format!("is_met({matcher})"), decision, vec![col(column)])
}

/// Whether the labels in a column, and those of the sample in another, meet all matchers.
pub(crate) fn has_labels(columns: &[&str], matchers: Vec<Matcher>) -> Expr {
    let texts: Vec<String> = matchers.iter().map(ToString::to_string).collect();
    let decision = Decision::Labels(matchers);
    let columns = columns.iter().map(|name| col(*name)).collect();
    Chosen::call(format!("has_labels({})", texts.join(",")), decision, columns)
}

/// Whether an identity is wanted.
pub(crate) fn is_wanted(column: &str, wanted: Arc<IdSet>) -> Expr {
    // Two sets are the same if they are one: their address is their name.
    let name = format!("is_wanted({:p})", Arc::as_ptr(&wanted));
    Chosen::call(name, Decision::Ids(wanted), vec![col(column)])
}

/// Labels as they are stored.
pub(crate) fn labels_of(json: &str) -> BTreeMap<String, String> {
    // What another wrote there is no labels.
    serde_json::from_str(json).unwrap_or_default()
}

#[derive(Debug)]
enum Decision {
    Text(Matcher),
    Labels(Vec<Matcher>),
    Ids(Arc<IdSet>),
}

#[derive(Debug)]
struct Chosen {
    name: String,
    decision: Decision,
    signature: Signature,
}

impl PartialEq for Chosen {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Chosen {}

impl Hash for Chosen {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl Chosen {
    fn call(name: String, decision: Decision, columns: Vec<Expr>) -> Expr {
        let signature = Signature::any(columns.len(), Volatility::Immutable);
        ScalarUDF::new_from_impl(Self { name, decision, signature }).call(columns)
    }

    fn decide(&self, args: &ScalarFunctionArgs) -> std::result::Result<BooleanArray, crate::Error> {
        let n_rows = args.number_rows;
        let array = |at: usize| {
            let arg = args
                .args
                .get(at)
                .ok_or_else(|| crate::Error::Internal { what: "an argument is missing".to_owned() })?;
            arg.to_array(n_rows).map_err(|error| crate::Error::of(&error))
        };
        match &self.decision {
            Decision::Text(matcher) => {
                let texts = Texts::of(&array(0)?)?;
                let mut known: HashMap<Option<usize>, bool, RandomState> = HashMap::default();
                let is_met =
                    |row| *known.entry(texts.key(row)).or_insert_with(|| matcher.is_met(texts.at(row)));
                Ok((0..texts.len()).map(is_met).map(Some).collect())
            }
            Decision::Labels(matchers) => {
                let labels = (0..args.args.len()).map(|at| Texts::of(&array(at)?));
                let labels: Vec<Texts> = labels.collect::<std::result::Result<_, _>>()?;
                Ok(labels_met(matchers, &labels, n_rows))
            }
            Decision::Ids(wanted) => {
                let array = array(0)?;
                let ids = ids_of(&array)
                    .ok_or_else(|| crate::Error::Internal { what: "these are no identities".to_owned() })?;
                Ok((0..ids.len()).map(|row| Some(wanted.contains(&ids.at(row)))).collect())
            }
        }
    }
}

/// Rows whose labels meet all matchers. What stands in a later column is nearer to the sample, and counts first.
fn labels_met(matchers: &[Matcher], columns: &[Texts], n_rows: usize) -> BooleanArray {
    let mut known: HashMap<Vec<Option<usize>>, bool, RandomState> = HashMap::default();
    let mut last: Option<(Vec<Option<usize>>, bool)> = None;
    let mut decide = |row: usize| {
        let is_as_last = last
            .as_ref()
            .is_some_and(|(keys, _)| keys.iter().zip(columns).all(|(key, texts)| *key == texts.key(row)));
        if let (true, Some((_, is_met))) = (is_as_last, &last) {
            return *is_met;
        }
        let keys: Vec<Option<usize>> = columns.iter().map(|texts| texts.key(row)).collect();
        let is_met = *known.entry(keys.clone()).or_insert_with(|| {
            let labels: Vec<_> = columns.iter().map(|texts| labels_of(texts.at(row))).collect();
            matchers.iter().all(|matcher| {
                let value = labels.iter().rev().find_map(|labels| labels.get(matcher.name()));
                matcher.is_met(value.map_or("", String::as_str))
            })
        });
        last = Some((keys, is_met));
        is_met
    };
    (0..n_rows).map(|row| Some(decide(row))).collect()
}

impl ScalarUDFImpl for Chosen {
    fn name(&self) -> &str {
        &self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Boolean)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let decided = self.decide(&args).map_err(|error| DataFusionError::Internal(error.to_string()))?;
        Ok(ColumnarValue::Array(Arc::new(decided)))
    }
}
