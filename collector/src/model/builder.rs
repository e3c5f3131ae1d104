//! Fills the tables of a batch, each entry once, within limits.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use proto::log;

use super::Batch;
use crate::{
    limits::{Limits, MAX_FRAMES, MAX_NAME_BYTES, MAX_ROWS, MAX_STACK_FRAMES},
    refusal::{Reason, Refusal},
};

/// Stands for what a stack had beyond the limit.
const CUT: &str = "(cut: more frames than are kept)";

/// Names and values, by name.
pub type LabelSet = BTreeMap<String, String>;

/// A frame as its texts.
#[derive(Clone, Copy, Debug, Default)]
pub struct FrameText<'a> {
    /// The name for people.
    pub function: &'a str,
    /// The source file.
    pub file: &'a str,
    /// The line in it.
    pub line: i64,
    /// The file that has the code.
    pub mapping: &'a str,
    /// What identifies the content of that file.
    pub build_id: &'a str,
    /// Where in that file.
    pub address: u64,
    /// What kind of code it is.
    pub kind: &'a str,
    /// Whether its code is part of that of the next frame.
    pub is_inlined: bool,
}

/// What a whole request may still bring, over all of its batches.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    n_frames: usize,
    n_rows: usize,
}

impl Default for Room {
    fn default() -> Self {
        Self { n_frames: MAX_FRAMES, n_rows: MAX_ROWS }
    }
}

impl Room {
    /// Takes some of the room for samples or points.
    ///
    /// # Errors
    /// If there is not so much.
    pub fn take_rows(&mut self, n: usize) -> Result<(), Refusal> {
        let what = || {
            Refusal::new(Reason::TooMany, format!("more than {MAX_ROWS} samples or points in one request"))
        };
        self.n_rows = self.n_rows.checked_sub(n).ok_or_else(what)?;
        Ok(())
    }

    fn take_frames(&mut self, n: usize) -> Result<(), Refusal> {
        let what = || {
            Refusal::new(
                Reason::TooManyFrames,
                format!("stacks of more than {MAX_FRAMES} frames in one request"),
            )
        };
        self.n_frames = self.n_frames.checked_sub(n).ok_or_else(what)?;
        Ok(())
    }
}

/// Fills the tables of a batch.
#[derive(Debug)]
pub struct Builder<'a> {
    limits: &'a Limits,
    batch: log::Batch,
    strings: HashMap<String, u32>,
    frames: HashMap<log::Frame, u32>,
    stacks: HashMap<Vec<u32>, u32>,
    labels: HashMap<Vec<u32>, u32>,
    sources: HashMap<log::Source, u32>,
}

impl<'a> Builder<'a> {
    /// Of a tenant, at a time.
    #[must_use]
    pub fn new(tenant: &str, received_unix_ns: u64, limits: &'a Limits) -> Self {
        let batch = log::Batch {
            tenant: tenant.to_owned(),
            received_unix_ns,
            strings: vec![String::new()],
            labels: vec![log::Labels::default()],
            ..log::Batch::default()
        };
        Self {
            limits,
            batch,
            strings: HashMap::from([(String::new(), 0)]),
            frames: HashMap::new(),
            stacks: HashMap::new(),
            labels: HashMap::from([(Vec::new(), 0)]),
            sources: HashMap::new(),
        }
    }

    /// A text, as much of it as is kept.
    pub fn string(&mut self, text: &str) -> u32 {
        let text = cut(text, MAX_NAME_BYTES);
        if let Some(&known) = self.strings.get(text) {
            return known;
        }
        let index = index(self.batch.strings.len());
        self.batch.strings.push(text.to_owned());
        self.strings.insert(text.to_owned(), index);
        index
    }

    /// A frame.
    pub fn frame(&mut self, frame: &FrameText<'_>) -> u32 {
        let frame = log::Frame {
            function: self.string(frame.function),
            file: self.string(frame.file),
            line: u32::try_from(frame.line).unwrap_or(0),
            mapping: self.string(frame.mapping),
            build_id: self.string(frame.build_id),
            address: frame.address,
            kind: self.string(frame.kind),
            is_inlined: frame.is_inlined,
        };
        let next = index(self.batch.frames.len());
        let known = *self.frames.entry(frame).or_insert(next);
        if known == next {
            self.batch.frames.push(frame);
        }
        known
    }

    /// A stack, the leaf first.
    ///
    /// # Errors
    /// If the request has no room for more frames.
    pub fn stack(&mut self, frames: impl IntoIterator<Item = u32>, room: &mut Room) -> Result<u32, Refusal> {
        let mut frames: Vec<u32> = frames.into_iter().take(MAX_STACK_FRAMES.saturating_add(1)).collect();
        if frames.len() > MAX_STACK_FRAMES {
            frames.truncate(MAX_STACK_FRAMES.saturating_sub(1));
            frames.push(self.frame(&FrameText { function: CUT, ..FrameText::default() }));
        }
        room.take_frames(frames.len())?;
        if let Some(&known) = self.stacks.get(&frames) {
            return Ok(known);
        }
        let index = index(self.batch.stacks.len());
        self.batch.stacks.push(log::Stack { frames: frames.clone() });
        self.stacks.insert(frames, index);
        Ok(index)
    }

    /// Names and values.
    ///
    /// # Errors
    /// If they are too many or too long.
    pub fn labels(&mut self, labels: &LabelSet) -> Result<u32, Refusal> {
        if labels.len() > self.limits.labels {
            let what = format!("{} labels, and {} may be", labels.len(), self.limits.labels);
            return Err(Refusal::new(Reason::TooManyLabels, what));
        }
        let limit = self.limits.label_bytes.min(MAX_NAME_BYTES);
        if let Some((name, value)) = labels.iter().find(|(name, value)| name.len().max(value.len()) > limit) {
            let what = format!(
                "a label with a name of {} and a value of {} bytes, and {limit} may be: {}",
                name.len(),
                value.len(),
                cut(name, 64)
            );
            return Err(Refusal::new(Reason::LabelTooLong, what));
        }
        let pairs: Vec<u32> =
            labels.iter().flat_map(|(name, value)| [self.string(name), self.string(value)]).collect();
        if let Some(&known) = self.labels.get(&pairs) {
            return Ok(known);
        }
        let index = index(self.batch.labels.len());
        self.batch.labels.push(log::Labels { pairs: pairs.clone() });
        self.labels.insert(pairs, index);
        Ok(index)
    }

    /// Who was measured.
    ///
    /// # Errors
    /// If its labels are too many or too long.
    pub fn source(&mut self, service: &str, host: &str, labels: &LabelSet) -> Result<u32, Refusal> {
        let limit = self.limits.label_bytes;
        if let Some(long) = [service, host].into_iter().find(|text| text.len() > limit) {
            let what =
                format!("the name of a service or a host has {} bytes, and {limit} may be", long.len());
            return Err(Refusal::new(Reason::LabelTooLong, what));
        }
        let labels = self.labels(labels)?;
        let source = log::Source { service: self.string(service), host: self.string(host), labels };
        let next = index(self.batch.sources.len());
        let known = *self.sources.entry(source).or_insert(next);
        if known == next {
            self.batch.sources.push(source);
        }
        Ok(known)
    }

    /// Whether something may have been measured then, and for so long; 0 is no time, and becomes the time of receipt.
    ///
    /// # Errors
    /// If it is too long ago, in the future, or too long.
    pub fn time(&self, unix_ns: u64, duration_ns: u64) -> Result<u64, Refusal> {
        let now_ns = self.batch.received_unix_ns;
        let [max_age_ns, max_future_ns] = [self.limits.max_age_seconds, self.limits.max_future_seconds]
            .map(|s| s.saturating_mul(1_000_000_000));
        let of_now = |ns: u64| Duration::from_nanos(now_ns.abs_diff(ns)).as_secs();
        match unix_ns {
            0 => Ok(now_ns),
            _ if duration_ns > max_age_ns => {
                let what = format!("measured for {} s", Duration::from_nanos(duration_ns).as_secs());
                Err(Refusal::new(Reason::DurationTooLong, what))
            }
            ns if ns < now_ns.saturating_sub(max_age_ns) => {
                Err(Refusal::new(Reason::TooOld, format!("measured {} s ago", of_now(ns))))
            }
            ns if ns > now_ns.saturating_add(max_future_ns) => {
                Err(Refusal::new(Reason::InFuture, format!("measured {} s from now", of_now(ns))))
            }
            ns => Ok(ns),
        }
    }

    /// Adds values on stacks.
    pub fn profile(&mut self, profile: log::Profile) {
        if !profile.samples.is_empty() {
            self.batch.profiles.push(profile);
        }
    }

    /// Adds values without stacks.
    pub fn metric(&mut self, metric: log::Metric) {
        if !metric.points.is_empty() {
            self.batch.metrics.push(metric);
        }
    }

    /// The batch.
    #[must_use]
    pub fn finish(self) -> Batch {
        Batch(self.batch)
    }
}

/// The largest beginning of a text that has no more bytes.
fn cut(text: &str, max_bytes: usize) -> &str {
    text.get(..text.floor_char_boundary(max_bytes)).unwrap_or_default()
}

/// Tables are smaller than what can be sent.
fn index(place: usize) -> u32 {
    u32::try_from(place).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_NS: u64 = 1_800_000_000_000_000_000;

    fn refused<T: std::fmt::Debug>(result: Result<T, Refusal>) -> &'static str {
        result.expect_err("is refused").reason.name()
    }

    #[test]
    fn entries_are_there_once() {
        let limits = Limits::default();
        let mut builder = Builder::new("t", NOW_NS, &limits);
        let frame = FrameText { function: "f", line: 3, ..FrameText::default() };
        let frames =
            [builder.frame(&frame), builder.frame(&frame), builder.frame(&FrameText { line: 4, ..frame })];
        assert_eq!(frames, [0, 0, 1]);
        let room = &mut Room::default();
        let stacks = [[0, 1], [1, 0], [0, 1]].map(|stack| builder.stack(stack, room).expect("has room"));
        assert_eq!(stacks, [0, 1, 0]);
        let labels = LabelSet::from([("a".to_owned(), "1".to_owned())]);
        let sources =
            [&labels, &LabelSet::new(), &labels].map(|it| builder.source("s", "h", it).expect("is taken"));
        assert_eq!(sources, [0, 1, 0]);
        assert_eq!(builder.batch.strings, ["", "f", "a", "1", "s", "h"]);
    }

    #[test]
    fn a_deep_stack_keeps_its_leaf_and_says_that_it_is_cut() {
        let limits = Limits::default();
        let mut builder = Builder::new("t", NOW_NS, &limits);
        let leaf = builder.frame(&FrameText { function: "leaf", ..FrameText::default() });
        let stack =
            builder.stack(std::iter::repeat_n(leaf, 1 << 20), &mut Room::default()).expect("has room");
        let frames = &builder.batch.stacks[stack as usize].frames;
        assert_eq!((frames.len(), frames[0]), (MAX_STACK_FRAMES, leaf));
        let root = builder.batch.frames[*frames.last().expect("has a root") as usize];
        assert_eq!(builder.batch.strings[root.function as usize], CUT);
    }

    #[test]
    fn a_request_has_room_for_so_many_frames_and_rows() {
        let limits = Limits::default();
        let mut builder = Builder::new("t", NOW_NS, &limits);
        let mut room = Room::default();
        let mut n_stacks = 0;
        let refusal = loop {
            match builder.stack([0; MAX_STACK_FRAMES], &mut room) {
                Ok(_) => n_stacks += 1,
                refused => break refused,
            }
        };
        assert_eq!((refused(refusal), n_stacks), ("too_many_frames", MAX_FRAMES / MAX_STACK_FRAMES));
        assert_eq!(refused(room.take_rows(MAX_ROWS + 1)), "too_many");
    }

    #[test]
    fn labels_have_limits_and_a_time_must_be_near() {
        let limits = Limits::default();
        let mut builder = Builder::new("t", NOW_NS, &limits);
        let long = LabelSet::from([("a".to_owned(), "x".repeat(1 << 20))]);
        assert_eq!(refused(builder.labels(&long)), "label_too_long");
        let many: LabelSet = (0..65).map(|n| (n.to_string(), String::new())).collect();
        assert_eq!(refused(builder.labels(&many)), "too_many_labels");
        assert_eq!(refused(builder.source(&"x".repeat(1 << 20), "", &LabelSet::new())), "label_too_long");
        assert_eq!(builder.time(0, 0), Ok(NOW_NS));
        assert_eq!(builder.time(NOW_NS - 1, 1), Ok(NOW_NS - 1));
        assert_eq!(refused(builder.time(1, 0)), "too_old", "1970");
        assert_eq!(refused(builder.time(4_102_444_800_000_000_000, 0)), "in_future", "2100");
        assert_eq!(refused(builder.time(NOW_NS, u64::MAX)), "duration_too_long");
    }

    #[test]
    fn text_is_cut_between_characters() {
        assert_eq!(cut("aé", 2), "a");
        assert_eq!(cut("aé", 3), "aé");
    }
}
