//! What is written is read back, and what is broken is refused.

use std::io::Write as _;

use flate2::{Compression, write::GzEncoder};
use profile::{
    BuildId, Frame, KERNEL_MAPPING, Mapping, Meta, Profile, ReadError, ValueType, encode, hotspots,
    read::{self, MAX_UNPACKED_BYTES},
};
use proptest::prelude::*;
use prost::Message as _;
use proto::pprof;

fn small() -> Profile {
    let meta = Meta {
        start_unix_ns: 1_700_000_000_000_000_000,
        duration_ns: 5_000_000_000,
        host: "edge-1".to_owned(),
        command: "pid 4711".to_owned(),
        event: "cpu-clock".to_owned(),
        frequency_hz: 100,
        period_ns: 10_000_000,
        comments: vec!["requests=12".to_owned()],
        ..Meta::default()
    };
    let mut profile = Profile::new(ValueType::CPU, meta);
    let [nginx, kernel] = ["/usr/sbin/nginx", KERNEL_MAPPING].map(|path| {
        let path = profile.intern(path);
        profile.mapping(Mapping::file(path, BuildId::new(&[1, 2, 3])))
    });
    let process = profile.process(4711, "nginx");
    let thread = profile.thread(process, 4712, "worker");
    let [main, parse, line, read, handler] =
        ["main", "parse", "line", "ksys_read", "JS:handler"].map(|name| profile.intern(name));
    let source = profile.intern("parse.c");
    let reason = profile.reason("[truncated: no table]");
    let main = profile.frame(Frame::native(nginx, 0x100).named(main));
    let parse = profile.frame(Frame::native(nginx, 0x200).named(parse).at(source, 7));
    let line = profile.frame(Frame::native(nginx, 0x200).named(line).at(source, 9).inlined());
    let read = profile.frame(Frame::kernel(kernel, 0xffff_ffff_8100_0000).named(read));
    let unnamed = profile.frame(Frame::native(nginx, 0x300));
    let known_jit = profile.frame(Frame::jit(0x7f00_0000_1000).named(handler));
    let unknown_jit = profile.frame(Frame::jit(0x7f00_0000_2000));
    for (stack, n) in [
        (vec![main, parse, line], 5),
        (vec![main, read], 3),
        (vec![reason, main, unnamed], 2),
        (vec![known_jit, unknown_jit], 1),
    ] {
        let stack = profile.stack(stack);
        profile.add(stack, thread, &[n, n * 10_000_000]).expect("has two values");
    }
    profile
}

fn written(
    profile: &Profile,
    write: impl Fn(&Profile, &mut Vec<u8>) -> Result<(), encode::EncodeError>,
) -> Vec<u8> {
    let mut bytes = Vec::new();
    write(profile, &mut bytes).expect("writes");
    bytes
}

/// The folded form has processes, every frame by name and kind, and counts.
fn folded(profile: &Profile) -> String {
    let mut by_samples = profile.clone();
    by_samples.weigh_by(profile.value_types().iter().position(|it| it.kind == "samples").unwrap_or(0));
    String::from_utf8(written(&by_samples, encode::folded::write)).expect("is text")
}

#[test]
fn every_form_that_has_all_stacks_is_read_back_as_it_was() {
    let profile = small();
    for (form, bytes) in [
        ("pprof", written(&profile, encode::pprof::write)),
        ("otlp", written(&profile, encode::otlp::write)),
        ("folded", written(&profile, encode::folded::write)),
    ] {
        let again = read::profile(&bytes).unwrap_or_else(|error| panic!("{form}: {error}"));
        assert_eq!(folded(&again), folded(&profile), "{form}");
        if form == "folded" {
            continue;
        }
        let (seen, expected) = (again.meta(), profile.meta());
        assert_eq!(
            (seen.start_unix_ns, seen.duration_ns, seen.period_ns, seen.frequency_hz),
            (expected.start_unix_ns, expected.duration_ns, expected.period_ns, expected.frequency_hz),
            "{form}"
        );
        assert_eq!((&seen.host, &seen.event), (&expected.host, &expected.event), "{form}");
        assert_eq!(seen.comments, ["requests=12"], "{form}");
        let column = |profile: &Profile, kind: &str| {
            let at = profile.value_types().iter().position(|it| it.kind == kind).expect("has it");
            hotspots::top(profile, at)
        };
        for kind in ["samples", "cpu"] {
            assert_eq!(column(&again, kind), column(&profile, kind), "{form} {kind}");
        }
    }
}

#[test]
fn what_is_no_profile_is_refused_with_what_can_be_read() {
    let report = written(&small(), encode::json::write);
    let drawing = written(&small(), encode::svg::write);
    for (bytes, what) in [
        (report, "JSON"),
        (drawing, "a drawing"),
        (b"\x7fELF\x02\x01\x01".to_vec(), "no protobuf"),
        (vec![0x1f, 0x8b, 1, 2, 3], "unpacked"),
        (b" \n ".to_vec(), "empty"),
        (Vec::new(), "empty"),
    ] {
        let error = read::profile(&bytes).expect_err("is none").to_string();
        assert!(error.contains(what), "{what}: {error}");
    }
}

#[test]
fn a_bomb_is_refused_before_it_takes_memory() {
    // One file after another is a file.
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(&vec![0; 1 << 20]).expect("packs");
    let member = gzip.finish().expect("packs");
    let bomb = member.repeat(usize::try_from(MAX_UNPACKED_BYTES >> 20).expect("fits") + 1);
    assert!(matches!(read::profile(&bomb), Err(ReadError::TooLarge(_))), "{} bytes", bomb.len());
    let empty_samples = [0x12, 0].repeat(3 << 20);
    assert!(matches!(read::profile(&empty_samples), Err(ReadError::TooLarge(_))));
    // A location of two thousand lines in each of many samples.
    let line = pprof::Line { function_id: 1, ..pprof::Line::default() };
    let location = pprof::Location { id: 1, line: vec![line; 2000], ..pprof::Location::default() };
    let sample = pprof::Sample { location_id: vec![1], value: vec![1], ..pprof::Sample::default() };
    let file = pprof::Profile {
        sample_type: vec![pprof::ValueType::default()],
        sample: vec![sample; 100_000],
        location: vec![location],
        function: vec![pprof::Function { id: 1, ..pprof::Function::default() }],
        ..pprof::Profile::default()
    };
    let seen = read::profile(&file.encode_to_vec());
    assert!(matches!(seen, Err(ReadError::TooLarge(_))), "{:?}", seen.err());
}

#[test]
fn an_index_that_leads_nowhere_is_named() {
    let sample = pprof::Sample { location_id: vec![7], value: vec![1], ..pprof::Sample::default() };
    let file = pprof::Profile {
        sample_type: vec![pprof::ValueType::default()],
        sample: vec![sample],
        ..pprof::Profile::default()
    };
    let seen = read::profile(&file.encode_to_vec()).expect_err("is broken");
    assert_eq!(seen.to_string(), "is broken: there is no location 7");
}

proptest! {
    #[test]
    fn no_bytes_are_more_than_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = read::profile(&bytes);
    }

    #[test]
    fn a_damaged_file_is_an_error_or_a_profile(at in any::<prop::sample::Index>(), byte in any::<u8>(), otlp in any::<bool>()) {
        let mut bytes = if otlp {
            written(&small(), encode::otlp::write)
        } else {
            encode::pprof::message(&small()).encode_to_vec()
        };
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok(profile) = read::profile(&bytes) {
            let _ = folded(&profile);
        }
    }
}
