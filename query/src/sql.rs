//! SQL of people: one SELECT over the tables of one tenant and one time, within limits.

use std::sync::Arc;

use arrow_schema::ArrowError;
use datafusion::{
    datasource::TableProvider as _,
    error::DataFusionError,
    execution::context::SQLOptions,
    prelude::SessionContext,
    sql::{
        parser::Statement as Parsed,
        sqlparser::{
            ast,
            dialect::GenericDialect,
            keywords::Keyword,
            tokenizer::{Token, Tokenizer},
        },
    },
};
use futures::TryStreamExt as _;
use layout::Table;
use serde::Serialize;

use crate::{
    engine::{Answer, Engine},
    error::{Error, one_line},
    plan,
    range::TimeRange,
    scan::Scan,
    sql_value::{Value, values},
};

const MAX_BYTES: usize = 64 << 10;
/// Words, signs and blanks.
const MAX_TOKENS: usize = 20_000;
/// Signs and words of the language: each may be one more expression around the others, and these are worked on by functions that
/// call themselves.
const MAX_NESTING: usize = 500;
/// Rows of an answer.
const MAX_ROWS: usize = 100_000;
/// Bytes of all its values, about.
const MAX_ANSWER_BYTES: usize = 64 << 20;
/// Functions that make much out of little, or rows out of nothing.
const SCALAR_FUNCTIONS_LEFT_OUT: [&str; 9] = [
    "repeat",
    "lpad",
    "rpad",
    "array_repeat",
    "array_resize",
    "range",
    "generate_series",
    "gen_series",
    "list_repeat",
];
const TABLE_FUNCTIONS_LEFT_OUT: [&str; 2] = ["range", "generate_series"];

/// A statement.
#[derive(Clone, Debug)]
pub struct Statement {
    /// Whose tables.
    pub tenant: String,
    /// What is asked.
    pub sql: String,
    /// Rows of samples and metrics of this time; stacks and frames of its days.
    pub range: TimeRange,
    /// Rows of the answer.
    pub limit: usize,
}

/// A column of an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its type, as Arrow calls it.
    #[serde(rename = "type")]
    pub kind: String,
}

/// The answer to a statement.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Rows {
    /// In their order.
    pub columns: Vec<Column>,
    /// A value for each column.
    pub rows: Vec<Vec<Value>>,
    /// Whether there are more.
    pub truncated: bool,
}

/// The statement, if it is one that is answered, and the tables that it names.
fn parsed(context: &SessionContext, sql: &str) -> Result<(Parsed, Vec<Table>), Error> {
    let refused = |what: String| Error::Sql { what };
    if sql.len() > MAX_BYTES {
        return Err(refused(format!("it has {} bytes, and {MAX_BYTES} may be", sql.len())));
    }
    let tokens = Tokenizer::new(&GenericDialect {}, sql).tokenize();
    let tokens = tokens.map_err(|error| refused(one_line(&error.to_string())))?;
    let n_nesting = tokens.iter().filter(|token| may_nest(token)).count();
    for (n, max, what) in [
        (tokens.len(), MAX_TOKENS, "words, signs and blanks"),
        (n_nesting, MAX_NESTING, "operators and keywords"),
    ] {
        if n > max {
            return Err(refused(format!("it has {n} {what}, and {max} may be")));
        }
    }
    let state = context.state();
    let dialect = state.config_options().sql_parser.dialect;
    let statement = state.sql_to_statement(sql, &dialect).map_err(|error| of_statement(&error))?;
    let is_query = match &statement {
        Parsed::Statement(statement) => matches!(statement.as_ref(), ast::Statement::Query(_)),
        _ => false,
    };
    if !is_query {
        return Err(refused("only SELECT is".to_owned()));
    }
    let named = state.resolve_table_references(&statement).map_err(|error| of_statement(&error))?;
    let tables = Table::ALL.into_iter().filter(|table| named.iter().any(|it| it.table() == table.name()));
    Ok((statement, tables.collect()))
}

/// Whether a word or sign may make an expression that has others in it.
fn may_nest(token: &Token) -> bool {
    match token {
        Token::Word(word) => word.keyword != Keyword::NoKeyword,
        Token::Whitespace(_)
        | Token::Comma
        | Token::Period
        | Token::Number(_, _)
        | Token::RParen
        | Token::RBracket
        | Token::SingleQuotedString(_)
        | Token::DoubleQuotedString(_)
        | Token::EOF => false,
        _ => true,
    }
}

/// What is wrong with a statement is said by the planner; what is wrong with files is not its fault.
pub(crate) fn of_statement(error: &DataFusionError) -> Error {
    // A text that is no number, a division by zero: no other set of files would do better.
    if let DataFusionError::ArrowError(of_values, _) = error.find_root()
        && matches!(
            of_values.as_ref(),
            ArrowError::ArithmeticOverflow(_)
                | ArrowError::CastError(_)
                | ArrowError::ComputeError(_)
                | ArrowError::DivideByZero
                | ArrowError::ParseError(_)
        )
    {
        return Error::Sql { what: one_line(&of_values.to_string()) };
    }
    if let DataFusionError::External(other) = error.find_root()
        && other.is::<regex::Error>()
    {
        return Error::Sql { what: one_line(&other.to_string()) };
    }
    match Error::of(error) {
        Error::Internal { what } => Error::Sql { what },
        other => other,
    }
}

async fn rows(scan: &Scan, statement: &Statement) -> Result<Rows, Error> {
    let context = scan.context();
    for name in SCALAR_FUNCTIONS_LEFT_OUT {
        context.deregister_udf(name);
    }
    for name in TABLE_FUNCTIONS_LEFT_OUT {
        context.deregister_udtf(name);
    }
    let (parsed, tables) = parsed(context, &statement.sql)?;
    for table in tables {
        let provider = Arc::new(scan.provider(table, &[statement.range]).await?);
        let has_time = provider.schema().column_with_name("time").is_some();
        let rows = context.read_table(provider)?;
        let rows = if has_time { rows.filter(plan::within(statement.range))? } else { rows };
        context.register_table(table.name(), rows.into_view())?;
    }
    let plan = context.state().statement_to_plan(parsed).await.map_err(|error| of_statement(&error))?;
    let options = SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
    options.verify_plan(&plan).map_err(|error| of_statement(&error))?;
    let limit = statement.limit.clamp(1, MAX_ROWS);
    let answer = context.execute_logical_plan(plan).await.map_err(|error| of_statement(&error))?;
    let answer = answer.limit(0, Some(limit.saturating_add(1)))?;
    let columns = answer.schema().fields().iter();
    let columns =
        columns.map(|field| Column { name: field.name().clone(), kind: field.data_type().to_string() });
    let mut found = Rows { columns: columns.collect(), ..Rows::default() };
    let mut batches = answer.execute_stream().await.map_err(|error| of_statement(&error))?;
    let mut n_bytes = 0_usize;
    while let Some(batch) = batches.try_next().await.map_err(|error| of_statement(&error))? {
        for row in values(&batch)? {
            n_bytes = row.iter().map(Value::n_bytes).fold(n_bytes, usize::saturating_add);
            if found.rows.len() >= limit || n_bytes > MAX_ANSWER_BYTES {
                found.truncated = true;
                return Ok(found);
            }
            found.rows.push(row);
        }
    }
    Ok(found)
}

impl Engine {
    /// The rows of a statement.
    ///
    /// # Errors
    /// If it is not answered.
    pub async fn sql(&self, statement: &Statement) -> Result<Answer<Rows>, Error> {
        self.answer(&statement.tenant, |scan| {
            let statement = statement.clone();
            async move { rows(&scan, &statement).await }
        })
        .await
    }
}
