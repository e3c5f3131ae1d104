//! Stacks as a prefix tree: stacks with a common root share its nodes.

use std::iter;

use crate::{
    frames::FrameHandle,
    table::{Table, handle},
};

handle! {
    /// A whole stack, named by its leaf.
    StackHandle
}

/// A frame and the stack that called it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Node {
    parent: Option<StackHandle>,
    frame: FrameHandle,
}

/// A parent is always older than its child, so walking to the root ends.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stacks {
    nodes: Table<Node>,
}

impl Stacks {
    /// The stack of `parent` with one more call on it.
    pub(crate) fn push(&mut self, parent: Option<StackHandle>, frame: FrameHandle) -> StackHandle {
        // A parent that this tree did not give out could close a cycle once its number is taken.
        let parent = parent.filter(|parent| self.nodes.get(parent.0).is_some());
        StackHandle(self.nodes.intern(Node { parent, frame }))
    }

    pub(crate) fn leaf_to_root(&self, stack: StackHandle) -> impl Iterator<Item = FrameHandle> {
        let node_of = |stack: StackHandle| self.nodes.get(stack.0).copied();
        iter::successors(node_of(stack), move |node| node.parent.and_then(node_of)).map(|node| node.frame)
    }

    pub(crate) fn n_nodes(&self) -> usize {
        self.nodes.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stacks_with_a_common_root_share_its_nodes() {
        let mut stacks = Stacks::default();
        let [main, read, write] = [0, 1, 2].map(FrameHandle);
        let root = stacks.push(None, main);
        let reading = stacks.push(Some(root), read);
        let writing = stacks.push(Some(root), write);
        assert_eq!(stacks.push(Some(root), read), reading);
        assert_eq!(stacks.n_nodes(), 3);
        assert_eq!(stacks.leaf_to_root(writing).collect::<Vec<_>>(), [write, main]);
    }

    #[test]
    fn a_parent_from_elsewhere_cannot_make_a_stack_endless() {
        let mut stacks = Stacks::default();
        let stack = stacks.push(Some(StackHandle(0)), FrameHandle(0));
        assert_eq!(stacks.leaf_to_root(stack).collect::<Vec<_>>(), [FrameHandle(0)]);
        assert_eq!(stacks.leaf_to_root(StackHandle(9)).count(), 0);
    }
}
