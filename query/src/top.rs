//! Functions by what they took.

use serde::Serialize;

use crate::{
    engine::{Answer, Engine},
    error::Error,
    flamegraph::{Merged, merged},
    question::Question,
};

/// Functions of an answer.
const MAX_FUNCTIONS: usize = 10_000;

/// What a function took.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Function {
    /// Its name.
    pub name: String,
    /// What has its code.
    pub package: String,
    /// Of stacks that end in it.
    #[serde(rename = "self")]
    pub own: i64,
    /// Of stacks that have it; recursion counts once.
    pub total: i64,
}

/// Functions, those with the largest self value first.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Top {
    /// Of all values.
    pub unit: String,
    /// Of all stacks.
    pub total: i64,
    /// The largest.
    pub functions: Vec<Function>,
    /// How many there are.
    pub n_functions: usize,
}

#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    own: i64,
    total: i64,
    /// The last stack that counted, from 1.
    last: usize,
}

impl Merged {
    fn top(&self, unit: &str, limit: usize) -> Top {
        let mut sums = vec![Sum::default(); self.names.labels.len()];
        for (n_seen, (frames, [value, _])) in (1..).zip(self.stacks.iter()) {
            for (depth, frame) in frames.iter().enumerate() {
                let label = usize::try_from(self.names.of_frame(*frame)).unwrap_or(usize::MAX);
                let Some(sum) = sums.get_mut(label) else { continue };
                if depth == 0 {
                    sum.own = sum.own.saturating_add(value);
                }
                if sum.last != n_seen {
                    sum.last = n_seen;
                    sum.total = sum.total.saturating_add(value);
                }
            }
        }
        let text = |texts: &[String], at: u32| usize::try_from(at).ok().and_then(|at| texts.get(at)).cloned();
        let functions = self.names.labels.iter().zip(&sums).filter(|(_, sum)| sum.last > 0);
        let functions = functions.map(|(label, sum)| Function {
            name: text(&self.names.names.texts, label.name).unwrap_or_default(),
            package: text(&self.names.packages.texts, label.package).unwrap_or_default(),
            own: sum.own,
            total: sum.total,
        });
        let mut functions: Vec<Function> = functions.collect();
        functions.sort_by(|a, b| (b.own, b.total).cmp(&(a.own, a.total)).then_with(|| a.cmp(b)));
        let n_functions = functions.len();
        functions.truncate(limit.min(MAX_FUNCTIONS));
        let [total, _] = self.sums.total;
        Top { unit: unit.to_owned(), total, functions, n_functions }
    }
}

impl Engine {
    /// The functions of a question.
    ///
    /// # Errors
    /// If there is no answer.
    pub async fn top(&self, question: &Question, limit: usize) -> Result<Answer<Top>, Error> {
        self.answer(&question.tenant, |scan| {
            let question = question.clone();
            async move { Ok(merged(&scan, &question, None).await?.top(&question.what.unit, limit)) }
        })
        .await
    }
}
