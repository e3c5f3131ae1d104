//! Any bytes as what senders send to the collector: what is taken of it is whole, and comes back from the log as it was.

use std::collections::HashSet;

use collector::{
    limits::Limits,
    model::{Batch, Key},
    receive::{Encoding, Envelope, Target, decode, unpack},
    store::{Written, files_of},
    wal::{Sealed, format},
};
use profile::{
    Frame, Mapping, Meta, Profile, ValueType,
    encode::{otlp, pprof},
};
use prost::Message as _;

const NOW_NS: u64 = 1_700_000_000_000_000_000;
const MAX_MESSAGE_BYTES: u64 = 1 << 20;

pub(crate) fn body(bytes: &[u8]) {
    let Some((&first, rest)) = bytes.split_first() else { return };
    let Some(&target) = Target::ALL.get(usize::from(first & 7)) else { return };
    let encoding = [Encoding::Identity, Encoding::Gzip, Encoding::Zstd][usize::from(first >> 3) % 3];
    // What stands before a line feed is the query.
    let (query, message) =
        rest.iter().position(|c| *c == b'\n').map_or((&[][..], rest), |at| rest.split_at(at));
    let query = String::from_utf8_lossy(query);
    let message = message.strip_prefix(b"\n").unwrap_or(message);
    let Ok(message) = unpack(message, encoding, MAX_MESSAGE_BYTES) else { return };
    assert!(message.len() as u64 <= MAX_MESSAGE_BYTES, "{} bytes", message.len());
    let limits = Limits { message_bytes: MAX_MESSAGE_BYTES, ..Limits::default() };
    let envelope = Envelope {
        tenant: "t",
        received_unix_ns: NOW_NS,
        limits: &limits,
        query: &query,
        given: None,
        content: Key([1; 16]),
        random: Key([2; 16]),
    };
    let Ok(decoded) = decode(target, &message, &envelope) else { return };
    let mut segment = format::segment_header(1).to_vec();
    for keyed in &decoded.batches {
        assert!(!keyed.batch.is_empty(), "a batch that says nothing");
        let encoded = keyed.batch.encode();
        let again = Batch::decode(&encoded).unwrap_or_else(|error| unreachable!("{error}"));
        // Not-a-number is no equal of itself.
        assert_eq!(again.encode(), encoded, "another batch comes back");
        let content = zstd::encode_all(encoded.as_slice(), 1).unwrap_or_default();
        segment.extend(format::record(1, segment.len() as u64, keyed.key, 1, &content).unwrap_or_default());
    }
    let sealed = Sealed { number: 1, bytes: segment.len() as u64, skipped: HashSet::new(), since_ns: 0 };
    let flushed = files_of(&segment, &sealed, "0123456789abcdef", &Written::default());
    let flushed = flushed.unwrap_or_else(|error| unreachable!("{error}"));
    assert_eq!((flushed.n_damaged, flushed.keys.len()), (0, decoded.batches.len()), "a batch is lost");
}

/// What leads somewhere: messages as they should be, and all that is nearly so.
pub(crate) fn seeds() -> Vec<(String, Vec<u8>)> {
    let place = |target: Target| Target::ALL.iter().position(|it| *it == target).unwrap_or_default();
    let of = |target: Target, query: &str, message: &[u8]| {
        let first = u8::try_from(place(target)).unwrap_or_default();
        [&[first], query.as_bytes(), b"\n", message].concat()
    };
    let profile = profile();
    let profiles = otlp::message(&profile, &otlp::Envelope { id: Some([7; 16]), ..Default::default() });
    let changed = |change: fn(&mut _)| {
        let mut other = profiles.clone();
        change(&mut other);
        of(Target::OtlpProfiles, "", &other.encode_to_vec())
    };
    let mut file = Vec::new();
    // To memory, nothing fails.
    let _ = pprof::write(&profile, &mut file);
    let message = profiles.encode_to_vec();
    let mut seeds = vec![
        ("profiles".to_owned(), of(Target::OtlpProfiles, "", &message)),
        ("no_dictionary".to_owned(), changed(|it| it.dictionary = None)),
        ("two_resources".to_owned(), changed(|it| it.resource_profiles.extend_from_within(..))),
        (
            "many_samples".to_owned(),
            changed(|it| {
                it.resource_profiles[0].scope_profiles[0].profiles[0].samples.resize(9, Default::default());
            }),
        ),
        ("as_metrics".to_owned(), of(Target::OtlpMetrics, "", &message)),
        ("pprof".to_owned(), of(Target::Pprof, "service=a&host=b&c=d", &file)),
        ("ingest".to_owned(), of(Target::Ingest, "name=a{b=c}&from=1699999999&format=pprof", &file)),
        ("folded".to_owned(), of(Target::Ingest, "name=a&units=objects", b"a;b;c 3\n;; -1\n\xff 9\n")),
        ("deep".to_owned(), of(Target::Ingest, "", &[&b"a;".repeat(5_000)[..], b"a 1"].concat())),
        ("no_format".to_owned(), of(Target::Ingest, "format=jfr", b"")),
        (
            "push".to_owned(),
            of(Target::Push, "", &[&[0x0a, 0x04, 0x12, 0x02, 0x0a, 0x00][..], &file].concat()),
        ),
        (
            "bomb".to_owned(),
            [&[0x10], zstd::encode_all([0x0a; 2 << 20].as_slice(), 1).unwrap_or_default().as_slice()]
                .concat(),
        ),
        ("parts".to_owned(), of(Target::OtlpMetrics, "", &[0x0a, 0].repeat(20_000))),
    ];
    for cut in [1, 10, message.len() / 2, message.len() - 1] {
        let part = message.get(..cut).unwrap_or_default();
        seeds.push((format!("cut_{cut}"), of(Target::OtlpProfiles, "", part)));
    }
    seeds
}

fn profile() -> Profile {
    let meta = Meta { start_unix_ns: NOW_NS, host: "h".to_owned(), ..Meta::default() };
    let mut profile = Profile::new(ValueType::CPU, meta);
    let path = profile.intern("/bin/a");
    let mapping = profile.mapping(Mapping::file(path, None));
    let function = profile.intern("main");
    let frame = profile.frame(Frame::native(mapping, 0x1000).named(function));
    let stack = profile.stack([frame]);
    let process = profile.process(1, "a");
    let thread = profile.thread(process, 1, "a");
    // It has two values, as the type of the profile says.
    let _ = profile.add(stack, thread, &[1, 10_000_000]);
    profile
}
