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
        ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TypeSignature,
        Volatility, col,
    },
};
use serde::{Deserialize, Serialize};

use crate::{
    column::{Id, Texts, ids_of},
    selector::{Matcher, Op},
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

// What bytes of a decision begin with.
const TEXT: u8 = b't';
const LABELS: u8 = b'l';
const IDS: u8 = b'i';
/// More than there are columns of labels.
const MAX_COLUMNS: usize = 16;

/// A decision by matchers, as it is written.
#[derive(Deserialize, Serialize)]
struct Written {
    n_columns: usize,
    /// Name, comparison, value.
    matchers: Vec<[String; 3]>,
}

/// A decision as a function.
#[derive(Debug)]
pub(crate) struct Chosen {
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
    fn new(name: String, decision: Decision, n_columns: usize) -> Self {
        Self { name, decision, signature: Signature::any(n_columns, Volatility::Immutable) }
    }

    fn call(name: String, decision: Decision, columns: Vec<Expr>) -> Expr {
        ScalarUDF::new_from_impl(Self::new(name, decision, columns.len())).call(columns)
    }

    /// As it goes to another process: which decision, and what it takes.
    pub(crate) fn to_bytes(&self) -> Option<Vec<u8>> {
        let (kind, matchers) = match &self.decision {
            Decision::Text(matcher) => (TEXT, std::slice::from_ref(matcher)),
            Decision::Labels(matchers) => (LABELS, matchers.as_slice()),
            Decision::Ids(wanted) => {
                return Some([IDS].into_iter().chain(wanted.iter().flatten().copied()).collect());
            }
        };
        let text = |it: &Matcher| [it.name(), it.op().text(), it.value()].map(str::to_owned);
        let TypeSignature::Any(n_columns) = self.signature.type_signature else { return None };
        let written = Written { n_columns, matchers: matchers.iter().map(text).collect() };
        let mut bytes = vec![kind];
        serde_json::to_writer(&mut bytes, &written).ok()?;
        Some(bytes)
    }

    /// Of such bytes, if they are.
    pub(crate) fn of_bytes(name: &str, bytes: &[u8]) -> Option<Self> {
        let (kind, rest) = bytes.split_first()?;
        let name = name.to_owned();
        if *kind == IDS {
            let (ids, rest) = rest.as_chunks();
            let wanted: IdSet = ids.iter().copied().collect();
            return rest.is_empty().then(|| Self::new(name, Decision::Ids(Arc::new(wanted)), 1));
        }
        let Written { n_columns, matchers } = serde_json::from_slice(rest).ok()?;
        let matcher = |[name, op, value]: &[String; 3]| Matcher::new(name, Op::of_text(op)?, value).ok();
        let mut matchers = matchers.iter().map(matcher).collect::<Option<Vec<_>>>()?;
        let decision = match *kind {
            TEXT if matchers.len() == 1 => Decision::Text(matchers.pop()?),
            LABELS => Decision::Labels(matchers),
            _ => return None,
        };
        (1..=MAX_COLUMNS).contains(&n_columns).then(|| Self::new(name, decision, n_columns))
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
