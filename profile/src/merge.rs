//! Several profiles as one, by function: what stands at different addresses of one function becomes one frame.

use std::collections::HashMap;

use crate::{
    frames::{Frame, FrameHandle, Mapping},
    model::Profile,
    stacks::StackHandle,
};

impl Profile {
    /// Adds what another profile holds. Its values go to those of the same name and unit; what this profile does not
    /// have is left out. Threads and processes of one name become one, as their numbers differ from run to run.
    ///
    /// `name_of` says what a function is called here: compilers decorate the names of some.
    pub fn absorb(&mut self, other: &Self, name_of: impl Fn(&str) -> &str) {
        let column_of = |kind: &_| other.value_types().iter().position(|known| known == kind);
        let columns: Vec<Option<usize>> = self.value_types().iter().map(column_of).collect();
        let frames: Vec<FrameHandle> =
            other.frames().map(|frame| self.same_frame(other, frame, &name_of)).collect();
        let mut stacks: HashMap<StackHandle, StackHandle> = HashMap::new();
        for sample in other.samples() {
            let stack = match stacks.get(&sample.stack) {
                Some(&known) => known,
                None => {
                    let mut path: Vec<FrameHandle> = other
                        .leaf_to_root(sample.stack)
                        .filter_map(|frame| frames.get(frame.index()).copied())
                        .collect();
                    path.reverse();
                    let new = self.stack(path);
                    stacks.insert(sample.stack, new);
                    new
                }
            };
            let process = other.thread_at(sample.thread).and_then(|thread| other.process_at(thread.process));
            let process = self.process(0, process.map_or("", |process| other.text(process.name)));
            let thread = self.thread(process, 0, "");
            let value_at =
                |column: &Option<usize>| column.and_then(|at| sample.values.get(at)).copied().unwrap_or(0);
            let values: Vec<i64> = columns.iter().map(value_at).collect();
            // As many values as there are columns, and these are the types.
            let _ = self.add(stack, thread, &values);
        }
    }

    fn same_frame(&mut self, other: &Self, frame: &Frame, name_of: impl Fn(&str) -> &str) -> FrameHandle {
        let mapping = frame.mapping.and_then(|mapping| other.mapping_at(mapping)).map(|mapping| {
            let path = self.intern(other.text(mapping.path));
            self.mapping(Mapping::file(path, None))
        });
        let own = match frame.function {
            Some(function) => {
                let function = self.intern(name_of(other.text(function)));
                Frame { function: Some(function), mapping, address: 0, source: None, ..*frame }
            }
            None => Frame { mapping, source: None, ..*frame },
        };
        self.frame(own)
    }
}
