//! From bytes of the log to a batch whose every index leads somewhere.

use prost::Message as _;
use proto::log;
use thiserror::Error;

use super::{Batch, place};

/// Why bytes are no batch.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NoBatch {
    /// They are no message.
    #[error("it is no message of the log")]
    Decode(#[from] prost::DecodeError),
    /// An index leads to nothing.
    #[error("an index of its {table} leads to nothing")]
    Index {
        /// In which table.
        table: &'static str,
    },
    /// A table does not begin with what stands for nothing.
    #[error("its tables do not begin with what stands for nothing")]
    Start,
}

impl Batch {
    /// Of the bytes of [`Batch::encode`].
    ///
    /// # Errors
    /// If they are others.
    pub fn decode(bytes: &[u8]) -> Result<Self, NoBatch> {
        let batch = log::Batch::decode(bytes)?;
        check(&batch)?;
        Ok(Self(batch))
    }
}

fn check(batch: &log::Batch) -> Result<(), NoBatch> {
    let is_start = batch.strings.first().is_some_and(String::is_empty);
    if !is_start || batch.labels.first().is_none_or(|labels| !labels.pairs.is_empty()) {
        return Err(NoBatch::Start);
    }
    let within = |table: &'static str, len: usize, indices: &[u32]| {
        let is_within = indices.iter().all(|&index| place(index) < len);
        if is_within { Ok(()) } else { Err(NoBatch::Index { table }) }
    };
    let strings = |table, indices: &[u32]| within(table, batch.strings.len(), indices);
    for it in &batch.frames {
        strings("frames", &[it.function, it.file, it.mapping, it.build_id, it.kind])?;
    }
    for it in &batch.stacks {
        within("stacks", batch.frames.len(), &it.frames)?;
    }
    for it in &batch.labels {
        strings("labels", &it.pairs)?;
        if it.pairs.len() % 2 != 0 {
            return Err(NoBatch::Index { table: "labels" });
        }
    }
    for it in &batch.sources {
        strings("sources", &[it.service, it.host])?;
        within("sources", batch.labels.len(), &[it.labels])?;
    }
    for it in &batch.profiles {
        strings("profiles", &[it.r#type, it.unit, it.period_type, it.period_unit])?;
        within("profiles", batch.sources.len(), &[it.source])?;
        for sample in &it.samples {
            within("samples", batch.stacks.len(), &[sample.stack])?;
            within("samples", batch.labels.len(), &[sample.labels])?;
        }
    }
    for it in &batch.metrics {
        strings("metrics", &[it.name, it.unit])?;
        within("metrics", batch.sources.len(), &[it.source])?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole() -> log::Batch {
        log::Batch {
            tenant: "t".into(),
            strings: vec![String::new(), "a".into()],
            frames: vec![log::Frame { function: 1, ..log::Frame::default() }],
            stacks: vec![log::Stack { frames: vec![0, 0] }],
            labels: vec![log::Labels::default(), log::Labels { pairs: vec![1, 1] }],
            sources: vec![log::Source { service: 1, host: 0, labels: 1 }],
            profiles: vec![log::Profile {
                samples: vec![log::Sample { stack: 0, labels: 1, value: 7 }],
                ..log::Profile::default()
            }],
            metrics: vec![log::Metric { name: 1, ..log::Metric::default() }],
            ..log::Batch::default()
        }
    }

    #[test]
    fn a_batch_comes_back_and_one_with_an_index_into_nothing_does_not() {
        let bytes = whole().encode_to_vec();
        assert_eq!(Batch::decode(&bytes).expect("is a batch").encode(), bytes);
        let bends: [fn(&mut log::Batch); 9] = [
            |it| it.frames[0].kind = 2,
            |it| it.stacks[0].frames[1] = 1,
            |it| it.labels[1].pairs[0] = u32::MAX,
            |it| it.labels[1].pairs.push(0),
            |it| it.sources[0].labels = 2,
            |it| it.profiles[0].source = 1,
            |it| it.profiles[0].samples[0].stack = 1,
            |it| it.metrics[0].source = 1,
            |it| it.strings[0].push('x'),
        ];
        for (at, bend) in bends.iter().enumerate() {
            let mut bent = whole();
            bend(&mut bent);
            let seen = Batch::decode(&bent.encode_to_vec());
            assert!(seen.is_err(), "bend {at}: {seen:?}");
        }
    }
}
