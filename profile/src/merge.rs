//! Several profiles as one, by function: what stands at different addresses of one function becomes one frame.

use std::collections::HashMap;

use crate::{
    frames::{Frame, FrameHandle, Mapping},
    model::Profile,
    samples::ThreadHandle,
    stacks::StackHandle,
};

impl Profile {
    /// Adds what another profile holds. Its values go to those of the same name and unit; what this profile does not
    /// have is left out. Threads and processes of one name become one, as their numbers differ from run to run.
    ///
    /// `name_of` says what a function is called here: compilers decorate the names of some.
    pub fn absorb(&mut self, other: &Self, name_of: impl Fn(&str) -> &str) {
        self.merge(other, name_of, false);
    }

    /// The same with threads and processes by their numbers, as parts of one recording have them; it lasted as long as
    /// both together.
    pub fn append(&mut self, other: &Self) {
        self.merge(other, |name| name, true);
        let (own, of_other) = (self.meta_mut(), other.meta());
        own.duration_ns = own.duration_ns.saturating_add(of_other.duration_ns);
        own.start_unix_ns = own.start_unix_ns.min(of_other.start_unix_ns);
    }

    /// The samples that have something of one value, with `samples/count` and that value alone.
    #[must_use]
    pub fn only(&self, value_idx: usize) -> Self {
        let n_samples = self.value_types().iter().position(|it| it.kind == "samples");
        let value = |sample: &crate::Sample<'_>, at: usize| sample.values.get(at).copied().unwrap_or(0);
        let mut only = self.without_samples([n_samples, Some(value_idx)].into_iter().flatten());
        only.weigh_by(only.value_types().len().saturating_sub(1));
        for sample in self.samples().filter(|sample| value(sample, value_idx) != 0) {
            let columns = [n_samples, Some(value_idx)].into_iter().flatten();
            let values: Vec<i64> = columns.map(|at| value(&sample, at)).collect();
            // As many values as there are types, which were taken from the same columns.
            let _ = only.add(sample.stack, sample.thread, &values);
        }
        only
    }

    fn merge(&mut self, other: &Self, name_of: impl Fn(&str) -> &str, by_number: bool) {
        let column_of = |kind: &_| other.value_types().iter().position(|known| known == kind);
        let columns: Vec<Option<usize>> = self.value_types().iter().map(column_of).collect();
        let frames: Vec<FrameHandle> =
            other.frames().map(|frame| self.same_frame(other, frame, &name_of)).collect();
        self.take_routes(other, &frames);
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
            let thread = self.same_thread(other, sample.thread, by_number);
            let value_at =
                |column: &Option<usize>| column.and_then(|at| sample.values.get(at)).copied().unwrap_or(0);
            let values: Vec<i64> = columns.iter().map(value_at).collect();
            // As many values as there are columns, and these are the types.
            let _ = self.add(stack, thread, &values);
        }
    }

    fn same_thread(&mut self, other: &Self, thread: ThreadHandle, by_number: bool) -> ThreadHandle {
        let thread = other.thread_at(thread);
        let process = thread.and_then(|thread| other.process_at(thread.process));
        let name = process.map_or("", |process| other.text(process.name));
        match thread.zip(process).filter(|_| by_number) {
            Some((thread, process)) => {
                let process = self.process(process.pid, name);
                self.thread(process, thread.tid, other.text(thread.name))
            }
            None => {
                let process = self.process(0, name);
                self.thread(process, 0, "")
            }
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

#[cfg(test)]
mod tests {
    use crate::{Meta, Profile, ValueType};

    #[test]
    fn a_route_that_only_the_other_profile_has_is_one_afterwards() {
        let of = |routes: &[&str]| {
            let mut profile = Profile::new(ValueType::CPU, Meta::default());
            let process = profile.process(1, "nginx");
            let thread = profile.thread(process, 1, "nginx");
            for route in routes {
                let path = [profile.route(route), profile.reason("200")];
                let stack = profile.stack(path);
                profile.add(stack, thread, &[1, 1]).expect("has two values");
            }
            profile
        };
        let mut whole = of(&["GET /a"]);
        whole.append(&of(&["GET /a", "GET /b"]));
        let found: Vec<_> =
            whole.samples().map(|it| (whole.route_of(it.stack), it.values.to_vec())).collect();
        assert_eq!(found, [(Some("GET /a"), vec![2, 2]), (Some("GET /b"), vec![1, 1])]);
    }
}
