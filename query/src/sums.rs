//! Samples added up by stack: what DataFusion does with most of the rows.

use std::collections::HashMap;

use ahash::RandomState;
use datafusion::{
    functions_aggregate::expr_fn::{count, sum},
    logical_expr::{col, lit},
};
use futures::TryStreamExt as _;
use layout::Table;

use crate::{
    column::{Id, ids, integers},
    error::Error,
    plan,
    question::Question,
    scan::Scan,
};

/// What is compared: now, and before; where nothing is, the second is zero.
pub(crate) type Values = [i64; 2];

/// Sums of stacks.
#[derive(Debug, Default)]
pub(crate) struct Sums {
    /// The largest.
    pub(crate) by_stack: Vec<(Id, Values)>,
    /// Of all stacks.
    pub(crate) total: Values,
    /// Of those that are not among the largest.
    pub(crate) rest: Values,
    pub(crate) n_rest: usize,
    /// Rows of samples.
    pub(crate) n_rows: u64,
}

/// The sums of a question, and of one to compare it with.
pub(crate) async fn sums(
    scan: &Scan,
    question: &Question,
    baseline: Option<&Question>,
) -> Result<Sums, Error> {
    let (now, n_rows) = side(scan, question).await?;
    let now = now.into_iter().map(|(stack, value)| (stack, [value, 0]));
    let (by_stack, n_more_rows): (Vec<(Id, Values)>, u64) = match baseline {
        None => (now.collect(), 0),
        Some(baseline) => {
            let mut sums: HashMap<Id, Values, RandomState> = now.collect();
            let (before, n_rows) = side(scan, baseline).await?;
            for (stack, value) in before {
                let [_, sum] = sums.entry(stack).or_default();
                *sum = value;
            }
            (sums.into_iter().collect(), n_rows)
        }
    };
    Ok(largest(by_stack, scan.limits().max_stacks, n_rows.saturating_add(n_more_rows)))
}

async fn side(scan: &Scan, question: &Question) -> Result<(Vec<(Id, i64)>, u64), Error> {
    let samples = scan.table(Table::Samples, &[question.range]).await?;
    let mut rows = plan::of_type(&question.what).and(plan::within(question.range));
    if let Some(chosen) = plan::chosen(&question.selector, plan::SAMPLE_LABELS) {
        rows = rows.and(chosen);
    }
    let values = [sum(col("value")).alias("value"), count(lit(1)).alias("n_rows")];
    let by_stack = samples.filter(rows)?.aggregate(vec![col("stack")], values.to_vec())?;
    let mut batches = by_stack.execute_stream().await?;
    let (mut sums, mut n_all_rows) = (Vec::new(), 0_u64);
    while let Some(batch) = batches.try_next().await? {
        let max_sums = scan.limits().max_sums;
        if sums.len().saturating_add(batch.num_rows()) > max_sums {
            return Err(Error::TooMuch { what: format!("more than {max_sums} distinct stacks") });
        }
        let (stacks, values) = (ids(&batch, "stack")?, integers(&batch, "value")?);
        sums.extend((0..stacks.len()).zip(values.values()).map(|(row, value)| (stacks.at(row), *value)));
        let n_rows = integers(&batch, "n_rows")?;
        n_all_rows = n_rows.values().iter().fold(n_all_rows, |n, more| n.saturating_add(more.unsigned_abs()));
    }
    Ok((sums, n_all_rows))
}

/// Keeps the largest, and adds the others up.
fn largest(mut by_stack: Vec<(Id, Values)>, max: usize, n_rows: u64) -> Sums {
    let size =
        |values: &Values| values.iter().fold(0_u64, |sum, value| sum.saturating_add(value.unsigned_abs()));
    let mut sums = Sums { n_rows, ..Sums::default() };
    for (_, values) in &by_stack {
        add(&mut sums.total, *values);
    }
    if by_stack.len() > max {
        // Of the same size, the same ones each time.
        let order =
            |(a, of_a): &(Id, Values), (b, of_b): &(Id, Values)| size(of_b).cmp(&size(of_a)).then(a.cmp(b));
        by_stack.select_nth_unstable_by(max, order);
        for (_, values) in by_stack.drain(max..) {
            sums.n_rest = sums.n_rest.saturating_add(1);
            add(&mut sums.rest, values);
        }
    }
    by_stack.sort_unstable();
    sums.by_stack = by_stack;
    sums
}

/// Adds, and stays at what can be held.
pub(crate) fn add(sum: &mut Values, values: Values) {
    for (sum, value) in sum.iter_mut().zip(values) {
        *sum = sum.saturating_add(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_stacks_are_kept_and_the_others_are_one_sum() {
        let stacks = vec![([1; 16], [5, 0]), ([2; 16], [1, 0]), ([3; 16], [0, -7]), ([4; 16], [2, 2])];
        let sums = largest(stacks.clone(), 2, 9);
        assert_eq!(sums.by_stack, [([1; 16], [5, 0]), ([3; 16], [0, -7])]);
        assert_eq!((sums.total, sums.rest, sums.n_rest, sums.n_rows), ([8, -5], [3, 2], 2, 9));
        let all = largest(stacks, 4, 9);
        assert_eq!((all.by_stack.len(), all.rest, all.n_rest), (4, [0, 0], 0));
    }
}
