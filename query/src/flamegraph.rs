//! A flamegraph: the stacks of a question as a tree, and what it is compared with.

use serde::Serialize;

use crate::{
    engine::{Answer, Engine},
    error::Error,
    names::{Kind, Names, names},
    question::Question,
    range::TimeRange,
    scan::Scan,
    stacks::{Stacks, stacks},
    sums::{Sums, sums},
    tree::{Layout, Tree},
};

/// Nodes unless somebody says otherwise: as many as a page draws sixty times a second.
const DEFAULT_NODES: usize = 20_000;
/// Nodes of an answer.
const MAX_NODES: usize = 200_000;

/// A flamegraph as columns.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Flamegraph {
    /// Of all values.
    pub unit: String,
    /// The sum of what is looked at.
    pub total: i64,
    /// The sum of what it is compared with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub baseline_total: Option<i64>,
    /// Rows that were added up.
    pub n_sample_rows: u64,
    /// Names of kinds, by number.
    pub kinds: [&'static str; 5],
    /// Names of nodes, by number.
    pub names: Vec<String>,
    /// What has the code of nodes, by number.
    pub packages: Vec<String>,
    /// The tree.
    pub nodes: Nodes,
    /// Nodes that are too small to be in it. What they had stands in the totals above them.
    pub truncated_nodes: usize,
}

/// Nodes in the order of drawing: the root first, each before its children.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Nodes {
    /// Places of parents; -1 of the root.
    pub parent: Vec<i64>,
    /// Places in `names`.
    pub name: Vec<u32>,
    /// Places in `packages`.
    pub package: Vec<u32>,
    /// Places in `kinds`.
    pub kind: Vec<u8>,
    /// Of stacks that end here.
    #[serde(rename = "self")]
    pub own: Vec<i64>,
    /// Of stacks that go through here.
    pub total: Vec<i64>,
    /// As `self`, of what it is compared with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub baseline_self: Option<Vec<i64>>,
    /// As `total`, of what it is compared with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub baseline_total: Option<Vec<i64>>,
}

/// Everything that trees and tables are made of.
pub(crate) struct Merged {
    pub(crate) sums: Sums,
    pub(crate) stacks: Stacks,
    pub(crate) names: Names,
}

/// Samples, stacks and names of a question, and of what it is compared with.
pub(crate) async fn merged(
    scan: &Scan,
    question: &Question,
    baseline: Option<&Question>,
) -> Result<Merged, Error> {
    let ranges: Vec<TimeRange> =
        [Some(question), baseline].into_iter().flatten().map(|it| it.range).collect();
    let sums = sums(scan, question, baseline).await?;
    let stacks = stacks(scan, &ranges, &sums).await?;
    let names = names(scan, &ranges, &stacks.ids).await?;
    if sums.n_rest > 0 {
        scan.warn(format!("{} stacks with little in them are one node", sums.n_rest));
    }
    Ok(Merged { sums, stacks, names })
}

impl Merged {
    /// The tree of all stacks, by label.
    pub(crate) fn tree(&mut self) -> Tree {
        let mut tree = Tree::default();
        for (frames, values) in self.stacks.iter() {
            tree.add(frames.iter().rev().map(|frame| self.names.of_frame(*frame)), values);
        }
        if self.stacks.n_unknown > 0 {
            let label = self.names.label("[stacks that are not in the store]", "", Kind::Missing);
            tree.add([label], self.stacks.unknown);
        }
        if self.sums.n_rest > 0 {
            let name = format!("[{} more stacks, each of them small]", self.sums.n_rest);
            let label = self.names.label(&name, "", Kind::Missing);
            tree.add([label], self.sums.rest);
        }
        tree
    }

    fn flamegraph(mut self, unit: &str, max_nodes: usize, is_compared: bool) -> Flamegraph {
        let tree = self.tree();
        let root = self.names.label("total", "", Kind::Native);
        let names = self.names;
        let name_of = |frame: u32| {
            names.at(frame).map(|label| {
                let text = |texts: &Vec<String>, at: u32| {
                    usize::try_from(at).ok().and_then(|at| texts.get(at)).cloned()
                };
                (text(&names.names.texts, label.name), text(&names.packages.texts, label.package), label.kind)
            })
        };
        let layout = tree.layout(max_nodes.clamp(1, MAX_NODES), name_of);
        let [total, baseline_total] = tree.total();
        let nodes = nodes(&layout, &names, root, is_compared);
        Flamegraph {
            unit: unit.to_owned(),
            total,
            baseline_total: is_compared.then_some(baseline_total),
            n_sample_rows: self.sums.n_rows,
            kinds: Kind::NAMES,
            names: names.names.texts,
            packages: names.packages.texts,
            nodes,
            truncated_nodes: layout.n_left_out,
        }
    }
}

fn nodes(layout: &Layout, names: &Names, root: u32, is_compared: bool) -> Nodes {
    let labels: Vec<_> = layout.nodes.iter().map(|node| names.at(node.frame.unwrap_or(root))).collect();
    let values = |of: usize, is_total: bool| -> Vec<i64> {
        let values = layout.nodes.iter().map(|node| if is_total { node.total } else { node.own });
        values.map(|values| values.get(of).copied().unwrap_or_default()).collect()
    };
    Nodes {
        parent: layout.nodes.iter().map(|node| node.parent.map_or(-1, i64::from)).collect(),
        name: labels.iter().map(|label| label.map_or(0, |it| it.name)).collect(),
        package: labels.iter().map(|label| label.map_or(0, |it| it.package)).collect(),
        kind: labels.iter().map(|label| label.map_or(0, |it| it.kind.number())).collect(),
        own: values(0, false),
        total: values(0, true),
        baseline_self: is_compared.then(|| values(1, false)),
        baseline_total: is_compared.then(|| values(1, true)),
    }
}

impl Engine {
    /// The flamegraph of a question; compared with another, if it is given.
    ///
    /// # Errors
    /// If there is no answer.
    pub async fn flamegraph(
        &self,
        question: &Question,
        baseline: Option<&Question>,
        max_nodes: Option<usize>,
    ) -> Result<Answer<Flamegraph>, Error> {
        let max_nodes = max_nodes.unwrap_or(DEFAULT_NODES);
        self.answer(&question.tenant, |scan| {
            let (question, baseline) = (question.clone(), baseline.cloned());
            async move {
                let merged = merged(&scan, &question, baseline.as_ref()).await?;
                Ok(merged.flamegraph(&question.what.unit, max_nodes, baseline.is_some()))
            }
        })
        .await
    }
}
