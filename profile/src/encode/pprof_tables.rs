//! The tables of a pprof profile while it is being made: strings, functions, locations.

use std::collections::HashMap;

use proto::pprof::{Function, Line, Location};

use super::address_layout::AddressLayout;
use crate::{
    frames::{Frame, FrameHandle},
    model::Profile,
};

/// The string table. The format wants the empty string first.
pub(super) struct StringTable {
    texts: Vec<String>,
    index_of: HashMap<String, i64>,
}

impl StringTable {
    pub(super) fn new() -> Self {
        let mut table = Self { texts: Vec::new(), index_of: HashMap::new() };
        table.index(String::new());
        table
    }

    pub(super) fn index(&mut self, text: impl Into<String>) -> i64 {
        let text = text.into();
        if let Some(&index) = self.index_of.get(&text) {
            return index;
        }
        let index = i64::try_from(self.texts.len()).unwrap_or(0);
        self.texts.push(text.clone());
        self.index_of.insert(text, index);
        index
    }

    pub(super) fn into_texts(self) -> Vec<String> {
        self.texts
    }
}

/// The locations and functions. Ids count from 1, in the order of first appearance.
pub(super) struct CodeTables<'a> {
    profile: &'a Profile,
    layout: &'a AddressLayout,
    pub(super) locations: Vec<Location>,
    pub(super) functions: Vec<Function>,
    location_ids: HashMap<Vec<FrameHandle>, u64>,
    function_ids: HashMap<(i64, i64), u64>,
}

impl<'a> CodeTables<'a> {
    pub(super) fn new(profile: &'a Profile, layout: &'a AddressLayout) -> Self {
        Self {
            profile,
            layout,
            locations: Vec::new(),
            functions: Vec::new(),
            location_ids: HashMap::new(),
            function_ids: HashMap::new(),
        }
    }

    /// The location ids of a stack, leaf first. A function and those inlined into it are one location.
    pub(super) fn stack(&mut self, leaf_to_root: &[FrameHandle], strings: &mut StringTable) -> Vec<u64> {
        let mut ids = Vec::with_capacity(leaf_to_root.len());
        let profile = self.profile;
        let is_inlined_into = |callee: &FrameHandle, caller: &FrameHandle| {
            let (callee, caller) = (profile.frame_at(*callee), profile.frame_at(*caller));
            callee.zip(caller).is_some_and(|(callee, caller)| callee.inlined && same_place(callee, caller))
        };
        for inline_group in leaf_to_root.chunk_by(is_inlined_into) {
            ids.push(match self.location_ids.get(inline_group) {
                Some(&id) => id,
                None => self.add_location(inline_group, strings),
            });
        }
        ids
    }

    fn add_location(&mut self, inline_group: &[FrameHandle], strings: &mut StringTable) -> u64 {
        let profile = self.profile;
        let frames: Vec<&Frame> =
            inline_group.iter().filter_map(|&handle| profile.frame_at(handle)).collect();
        let mapping = frames.first().and_then(|frame| frame.mapping).map(|mapping| mapping.index());
        let address = frames.first().map_or(0, |frame| frame.address);
        let id = next_id(self.locations.len());
        let line = frames.iter().map(|frame| self.line(frame, strings)).collect();
        self.locations.push(Location {
            id,
            mapping_id: mapping.map_or(0, next_id),
            address: mapping.map_or(address, |index| self.layout.address(index, address)),
            line,
            is_folded: false,
        });
        self.location_ids.insert(inline_group.to_vec(), id);
        id
    }

    fn line(&mut self, frame: &Frame, strings: &mut StringTable) -> Line {
        let name = strings.index(self.profile.frame_name(frame));
        let filename = frame.source.map_or(0, |source| strings.index(self.profile.text(source.file)));
        let next = next_id(self.functions.len());
        let function_id = *self.function_ids.entry((name, filename)).or_insert(next);
        if function_id == next {
            self.functions.push(Function { id: next, name, system_name: name, filename, start_line: 0 });
        }
        Line { function_id, line: frame.source.map_or(0, |source| source.line.into()), column: 0 }
    }
}

/// The id of the entry at `index`: the format keeps 0 for none.
pub(super) fn next_id(index: usize) -> u64 {
    u64::try_from(index).unwrap_or(u64::MAX).saturating_add(1)
}

fn same_place(callee: &Frame, caller: &Frame) -> bool {
    (callee.kind, callee.mapping, callee.address) == (caller.kind, caller.mapping, caller.address)
}
