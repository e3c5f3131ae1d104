//! A flamegraph of characters: root at the top, each line one frame deeper, widths by time.

use std::collections::BTreeMap;

use profile::{FrameKind, Profile};

/// Deeper frames are on no screen.
const MAX_DEPTH: usize = 512;

/// A frame on a line.
#[derive(Clone, Debug, PartialEq)]
pub struct Cell {
    /// Its first column.
    pub column: usize,
    /// How many columns it has.
    pub width: usize,
    /// Its name.
    pub name: String,
    /// What code it is.
    pub kind: FrameKind,
    /// Of all that is drawn, in percent.
    pub percent: f64,
}

#[derive(Default)]
struct Node {
    value: f64,
    kind: Option<FrameKind>,
    children: BTreeMap<String, Node>,
}

/// The lines of a drawing, `width` columns wide. With a `focus`, only stacks with this function count, from it on.
#[must_use]
pub fn draw(profile: &Profile, focus: Option<&str>, width: usize) -> Vec<Vec<Cell>> {
    let mut root = Node::default();
    for sample in profile.samples() {
        let value = sample.values.get(profile.weight_idx()).map_or(0.0, |value| (*value).max(0) as f64);
        let mut path: Vec<(String, FrameKind)> = profile
            .leaf_to_root(sample.stack)
            .filter_map(|handle| profile.frame_at(handle))
            .map(|frame| (profile.frame_name(frame).into_owned(), frame.kind))
            .collect();
        path.reverse();
        if let Some(focus) = focus {
            let Some(at) = path.iter().position(|(name, _)| name == focus) else { continue };
            path.drain(..at);
        }
        root.value += value;
        let mut node = &mut root;
        for (name, kind) in path.into_iter().take(MAX_DEPTH) {
            node = node.children.entry(name).or_default();
            node.value += value;
            node.kind = Some(kind);
        }
    }
    let mut lines = Vec::new();
    if root.value > 0.0 && width > 0 {
        place(&root, root.value, (0, width), 0, &mut lines);
    }
    lines
}

/// Puts the children of a frame below it, the widest first; those without a column are left out.
fn place(node: &Node, total: f64, (first, width): (usize, usize), depth: usize, lines: &mut Vec<Vec<Cell>>) {
    let mut children: Vec<(&String, &Node)> = node.children.iter().collect();
    children.sort_by(|a, b| b.1.value.total_cmp(&a.1.value).then_with(|| a.0.cmp(b.0)));
    let (mut column, end) = (first, first + width);
    for (name, child) in children {
        // The conversion saturates.
        let wanted = (width as f64 * child.value / node.value).round() as usize;
        let own = wanted.min(end - column);
        if own == 0 {
            continue;
        }
        if lines.len() <= depth {
            lines.resize_with(depth + 1, Vec::new);
        }
        if let Some(line) = lines.get_mut(depth) {
            line.push(Cell {
                column,
                width: own,
                name: name.clone(),
                kind: child.kind.unwrap_or(FrameKind::Native),
                percent: 100.0 * child.value / total,
            });
        }
        place(child, total, (column, own), depth + 1, lines);
        column += own;
    }
}
