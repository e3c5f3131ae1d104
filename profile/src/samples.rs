//! What was measured: value types, processes, threads, and the sums per stack and thread.

use std::{borrow::Cow, collections::HashMap};

use crate::{
    stacks::StackHandle,
    strings::StrId,
    table::{Table, handle},
};

handle! {
    /// A process.
    ProcessHandle
}
handle! {
    /// A thread of a process.
    ThreadHandle
}

/// What one of the numbers of a sample means, in the words of the pprof format.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ValueType {
    /// The quantity, such as `cpu`.
    pub kind: Cow<'static, str>,
    /// Its unit: `count`, `nanoseconds` or `bytes`.
    pub unit: Cow<'static, str>,
}

impl ValueType {
    /// A CPU profile: how often a stack was seen, and the CPU time that stands for.
    pub const CPU: [Self; 2] = [Self::fixed("samples", "count"), Self::fixed("cpu", "nanoseconds")];

    /// A value type whose words are known when the program is built.
    pub const fn fixed(kind: &'static str, unit: &'static str) -> Self {
        Self { kind: Cow::Borrowed(kind), unit: Cow::Borrowed(unit) }
    }
}

/// A process, as the kernel names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Process {
    /// The process id.
    pub pid: u32,
    /// Its name.
    pub name: StrId,
}

/// A thread, as the kernel names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Thread {
    /// The process it belongs to.
    pub process: ProcessHandle,
    /// The thread id; that of the main thread is the process id.
    pub tid: u32,
    /// Its name.
    pub name: StrId,
}

/// All that was measured on one stack of one thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample<'a> {
    /// The stack.
    pub stack: StackHandle,
    /// The thread.
    pub thread: ThreadHandle,
    /// One sum for each value type of the profile.
    pub values: &'a [i64],
}

/// A sample came with another number of values than the profile has value types.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("add sample: {n_given} values given, the profile has {n_expected} value types")]
pub struct WrongValueCount {
    /// How many values came.
    pub n_given: usize,
    /// How many value types the profile has.
    pub n_expected: usize,
}

/// The processes and threads of a profile, and the sums.
#[derive(Debug, Clone, Default)]
pub(crate) struct Samples {
    pub(crate) processes: Table<Process>,
    pub(crate) threads: Table<Thread>,
    keys: Vec<(StackHandle, ThreadHandle)>,
    /// As many values for each key as there are value types, end to end.
    values: Vec<i64>,
    index_of: HashMap<(StackHandle, ThreadHandle), usize>,
}

impl Samples {
    /// Every call of one profile gives the same number of values; sums stay at the bounds of an i64.
    pub(crate) fn add(&mut self, stack: StackHandle, thread: ThreadHandle, values: &[i64]) {
        let key = (stack, thread);
        match self.index_of.get(&key) {
            Some(&index) => {
                let sums = self.values.iter_mut().skip(index.saturating_mul(values.len()));
                for (sum, value) in sums.zip(values) {
                    *sum = sum.saturating_add(*value);
                }
            }
            None => {
                self.index_of.insert(key, self.keys.len());
                self.keys.push(key);
                self.values.extend_from_slice(values);
            }
        }
    }

    /// In the order of first appearance.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Sample<'_>> {
        let n_values = self.values.len().checked_div(self.keys.len()).unwrap_or(0);
        self.keys.iter().enumerate().map(move |(index, &(stack, thread))| {
            let start = index.saturating_mul(n_values);
            let values = self.values.get(start..start.saturating_add(n_values)).unwrap_or_default();
            Sample { stack, thread, values }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_of_one_stack_and_thread_become_one_sum_that_cannot_overflow() {
        let mut samples = Samples::default();
        let (stack, thread) = (StackHandle(0), ThreadHandle(0));
        samples.add(stack, ThreadHandle(1), &[1, 10]);
        samples.add(stack, thread, &[1, i64::MAX]);
        samples.add(stack, thread, &[2, 5]);
        let found: Vec<_> = samples.iter().map(|sample| (sample.thread, sample.values.to_vec())).collect();
        assert_eq!(found, [(ThreadHandle(1), vec![1, 10]), (thread, vec![3, i64::MAX])]);
    }
}
