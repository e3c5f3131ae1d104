//! Stacks as a tree: what a flamegraph shows. Pure.
//!
//! Frames come by number, the root first, with two values: what is looked at, and what it is compared with. [`Tree::add`] merges
//! common beginnings; [`Tree::layout`] leaves out what is too small to be seen, and puts the rest in the order of drawing.

use std::collections::HashMap;

use ahash::RandomState;

/// What is looked at, and what it is compared with.
pub type Values = [i64; 2];

const ROOT: u32 = 0;
/// More are not made: a node is 40 bytes, and what leads to it as many.
const MAX_NODES: usize = 16 << 20;

#[derive(Clone, Copy, Debug)]
struct Node {
    parent: u32,
    frame: u32,
    own: Values,
    total: Values,
}

/// Merged stacks.
#[derive(Debug)]
pub struct Tree {
    /// A parent stands before its children.
    nodes: Vec<Node>,
    children: HashMap<(u32, u32), u32, RandomState>,
}

impl Default for Tree {
    fn default() -> Self {
        let root = Node { parent: ROOT, frame: u32::MAX, own: [0; 2], total: [0; 2] };
        Self { nodes: vec![root], children: HashMap::default() }
    }
}

/// A node in the order of drawing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placed {
    /// The place of its parent; none of the root.
    pub parent: Option<u32>,
    /// Its frame; none of the root.
    pub frame: Option<u32>,
    /// Of stacks that end here.
    pub own: Values,
    /// Of all stacks that go through here.
    pub total: Values,
}

/// A tree as it is drawn.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    /// The root first, each node before its children, and these beside each other.
    pub nodes: Vec<Placed>,
    /// Nodes that are left out. What they had stands in the totals of those above them.
    pub n_left_out: usize,
}

impl Tree {
    /// Adds a stack, its root first. What goes deeper than there is room for ends where the room does.
    pub fn add(&mut self, root_first: impl IntoIterator<Item = u32>, values: Values) {
        let mut at = ROOT;
        self.add_total(at, values);
        for frame in root_first {
            let Some(child) = self.child(at, frame) else { break };
            at = child;
            self.add_total(at, values);
        }
        if let Some(node) = self.node_mut(at) {
            saturating_add(&mut node.own, values);
        }
    }

    /// The values of all stacks.
    #[must_use]
    pub fn total(&self) -> Values {
        self.nodes.first().map_or([0; 2], |root| root.total)
    }

    /// How many nodes there are, with the root.
    #[must_use]
    pub fn n_nodes(&self) -> usize {
        self.nodes.len()
    }

    /// The largest nodes, `max_nodes` at most. Children are in the order that `order` gives their frames.
    #[must_use]
    pub fn layout<K: Ord>(&self, max_nodes: usize, order: impl Fn(u32) -> K) -> Layout {
        let is_kept = self.largest(max_nodes.max(1));
        let mut children: Vec<Vec<u32>> = vec![Vec::new(); self.nodes.len()];
        for (place, node) in self.nodes.iter().enumerate().skip(1) {
            if !is_kept.get(place).copied().unwrap_or(false) {
                continue;
            }
            if let Some(of_parent) = children.get_mut(index(node.parent)) {
                of_parent.push(number(place));
            }
        }
        let mut layout =
            Layout { nodes: Vec::new(), n_left_out: is_kept.iter().filter(|kept| !**kept).count() };
        // Places of the tree, and of their parents in the layout: the last is next.
        let mut waiting: Vec<(u32, Option<u32>)> = vec![(ROOT, None)];
        while let Some((place, parent)) = waiting.pop() {
            let Some(node) = self.nodes.get(index(place)) else { continue };
            let own_place = number(layout.nodes.len());
            let frame = (place != ROOT).then_some(node.frame);
            layout.nodes.push(Placed { parent, frame, own: node.own, total: node.total });
            let mut below = children.get_mut(index(place)).map(std::mem::take).unwrap_or_default();
            below.sort_by_cached_key(|child| {
                self.nodes.get(index(*child)).map(|node| (order(node.frame), node.frame))
            });
            waiting.extend(below.into_iter().rev().map(|child| (child, Some(own_place))));
        }
        layout
    }

    /// Which nodes are the largest. A parent is among them if a child is: it is as large, and stands before it.
    fn largest(&self, max_nodes: usize) -> Vec<bool> {
        if self.nodes.len() <= max_nodes {
            return vec![true; self.nodes.len()];
        }
        // Not totals: values below zero would hide what is beneath them.
        let size =
            |values: Values| values.iter().fold(0_u64, |sum, value| sum.saturating_add(value.unsigned_abs()));
        let mut sizes: Vec<u64> = self.nodes.iter().map(|node| size(node.own)).collect();
        for place in (1..self.nodes.len()).rev() {
            let parent = self.nodes.get(place).map_or(0, |node| index(node.parent));
            let own = sizes.get(place).copied().unwrap_or_default();
            if let Some(of_parent) = sizes.get_mut(parent) {
                *of_parent = of_parent.saturating_add(own);
            }
        }
        let mut by_size: Vec<(std::cmp::Reverse<u64>, usize)> =
            sizes.into_iter().map(std::cmp::Reverse).zip(0..).collect();
        by_size.select_nth_unstable(max_nodes);
        let mut is_kept = vec![false; self.nodes.len()];
        for (_, place) in by_size.into_iter().take(max_nodes) {
            if let Some(kept) = is_kept.get_mut(place) {
                *kept = true;
            }
        }
        is_kept
    }

    fn child(&mut self, parent: u32, frame: u32) -> Option<u32> {
        if let Some(known) = self.children.get(&(parent, frame)) {
            return Some(*known);
        }
        if self.nodes.len() >= MAX_NODES {
            return None;
        }
        let child = number(self.nodes.len());
        self.nodes.push(Node { parent, frame, own: [0; 2], total: [0; 2] });
        self.children.insert((parent, frame), child);
        Some(child)
    }

    fn add_total(&mut self, at: u32, values: Values) {
        if let Some(node) = self.node_mut(at) {
            saturating_add(&mut node.total, values);
        }
    }

    fn node_mut(&mut self, at: u32) -> Option<&mut Node> {
        self.nodes.get_mut(index(at))
    }
}

fn saturating_add(sum: &mut Values, values: Values) {
    for (sum, value) in sum.iter_mut().zip(values) {
        *sum = sum.saturating_add(value);
    }
}

fn index(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// There are no more than `MAX_NODES`.
fn number(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
