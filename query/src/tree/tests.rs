//! What trees must hold, whatever is added.

use proptest::prelude::{prop_assert, prop_assert_eq, proptest};

use super::*;

fn tree(stacks: &[(&[u32], Values)]) -> Tree {
    let mut tree = Tree::default();
    for (frames, values) in stacks {
        tree.add(frames.iter().copied(), *values);
    }
    tree
}

/// Parent, frame, own and total of what is looked at.
fn check(
    stacks: &[(&[u32], Values)],
    max_nodes: usize,
    expected: &[(i64, i64, i64, i64)],
    n_left_out: usize,
) {
    let layout = tree(stacks).layout(max_nodes, |frame| frame);
    let place = |it: Option<u32>| it.map_or(-1, i64::from);
    let nodes: Vec<_> =
        layout.nodes.iter().map(|it| (place(it.parent), place(it.frame), it.own[0], it.total[0])).collect();
    assert_eq!((nodes.as_slice(), layout.n_left_out), (expected, n_left_out), "{stacks:?}");
}

#[test]
fn common_beginnings_are_one_and_children_stand_beside_each_other() {
    let stacks: &[(&[u32], Values)] =
        &[(&[7, 9], [3, 0]), (&[7], [1, 0]), (&[7, 8, 9], [2, 0]), (&[5], [4, 0])];
    check(
        stacks,
        100,
        &[(-1, -1, 0, 10), (0, 5, 4, 4), (0, 7, 1, 6), (2, 8, 0, 2), (3, 9, 2, 2), (2, 9, 3, 3)],
        0,
    );
    check(stacks, 3, &[(-1, -1, 0, 10), (0, 5, 4, 4), (0, 7, 1, 6)], 3);
    check(stacks, 0, &[(-1, -1, 0, 10)], 5);
    check(&[], 100, &[(-1, -1, 0, 0)], 0);
    check(&[(&[], [3, 0])], 100, &[(-1, -1, 3, 3)], 0);
}

#[test]
fn what_is_only_in_one_of_two_is_there_with_nothing_in_the_other() {
    let layout = tree(&[(&[1, 2], [3, 0]), (&[1, 3], [0, 5])]).layout(10, |frame| frame);
    let totals: Vec<Values> = layout.nodes.iter().map(|it| it.total).collect();
    assert_eq!(totals, [[3, 5], [3, 5], [3, 0], [0, 5]]);
}

#[test]
fn sums_stay_at_what_can_be_held() {
    let layout = tree(&[(&[1], [i64::MAX, i64::MIN]), (&[1], [9, -9])]).layout(10, |frame| frame);
    assert_eq!(layout.nodes[1].own, [i64::MAX, i64::MIN]);
}

proptest! {
    #[test]
    fn parents_come_first_and_what_is_kept_adds_up(
        stacks in proptest::collection::vec((proptest::collection::vec(0..6_u32, 0..8), -50..50_i64, 0..50_i64), 0..60),
        max_nodes in 0..80_usize,
    ) {
        let mut tree = Tree::default();
        for (frames, now, before) in &stacks {
            tree.add(frames.iter().copied(), [*now, *before]);
        }
        let layout = tree.layout(max_nodes, |frame| frame);
        prop_assert!(layout.nodes.len() <= max_nodes.max(1), "{} of {max_nodes}", layout.nodes.len());
        prop_assert_eq!(layout.nodes.len() + layout.n_left_out, tree.n_nodes());
        let mut below = vec![[0_i64; 2]; layout.nodes.len()];
        for (place, node) in layout.nodes.iter().enumerate() {
            prop_assert_eq!(node.parent.is_none(), place == 0);
            let Some(parent) = node.parent.map(|it| it as usize) else { continue };
            prop_assert!(parent < place);
            saturating_add(&mut below[parent], node.total);
        }
        if layout.n_left_out == 0 {
            for (node, below) in layout.nodes.iter().zip(&below) {
                let mut sum = node.own;
                saturating_add(&mut sum, *below);
                prop_assert_eq!(sum, node.total);
            }
        }
        prop_assert_eq!(layout.nodes[0].total, tree.total());
    }
}
