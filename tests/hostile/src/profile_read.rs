//! Any bytes as a file with a profile: what is read is bounded, can be written in every form, compared and analyzed.

use profile::{
    Frame, KERNEL_MAPPING, Mapping, Meta, Profile, ValueType,
    analysis::{self, Evidence},
    diff::{self, Options, Side},
    encode, read,
};

/// As deep as a stack may be, a location of many lines at its end, and why it was cut.
const MAX_DEPTH: usize = 2 * 2048 + 1;

pub(crate) fn body(bytes: &[u8]) {
    let Ok(profile) = read::profile(bytes) else { return };
    for sample in profile.samples() {
        let depth = profile.leaf_to_root(sample.stack).count();
        assert!((1..=MAX_DEPTH).contains(&depth), "a stack of {depth} frames");
        assert_eq!(sample.values.len(), profile.value_types().len());
    }
    let mut out = Vec::new();
    // A sum that does not fit is an error, and that is all it may be.
    let _ = encode::pprof::write(&profile, &mut out);
    let _ = encode::folded::write(&profile, &mut out);
    let found = analysis::analyze(&Evidence::of_cpu(&profile));
    assert!(analysis::write_html(&found, &mut out).is_ok(), "{found:?}");
    let mut side = Side::new(None);
    if side.add(&profile).is_ok() {
        let _ = encode::svg::write_difference(side.profile(), side.profile(), &mut out);
        let options = Options { n_replicates: 100, ..Options::default() };
        if let Ok(comparison) = diff::compare(&side, &side, &options) {
            assert_eq!((comparison.gained, comparison.lost), (0, 0), "equal sides differ: {comparison:?}");
        }
    }
}

/// A small profile in every form that is read, whole and cut.
pub(crate) fn seeds() -> Vec<(String, Vec<u8>)> {
    let profile = small();
    let write = |write: fn(&Profile, &mut Vec<u8>) -> Result<(), encode::EncodeError>| {
        let mut bytes = Vec::new();
        // A writer in memory does not fail.
        let _ = write(&profile, &mut bytes);
        bytes
    };
    let mut pprof = Vec::new();
    let _ = prost::Message::encode(&encode::pprof::message(&profile), &mut pprof);
    let forms = [
        ("gzip", write(encode::pprof::write)),
        ("otlp", write(encode::otlp::write)),
        ("folded", write(encode::folded::write)),
        ("pprof", pprof),
    ];
    let cut = |(name, bytes): (&str, Vec<u8>)| {
        let parts = [1, 2, 3, 4].map(|quarter| {
            let end = bytes.len() * quarter / 4;
            (format!("{name}_{quarter}"), bytes.get(..end).unwrap_or_default().to_vec())
        });
        parts.into_iter()
    };
    forms.into_iter().flat_map(cut).collect()
}

fn small() -> Profile {
    let mut profile = Profile::new(ValueType::CPU, Meta { duration_ns: 1_000_000_000, ..Meta::default() });
    let [nginx, kernel] = ["/usr/sbin/nginx", KERNEL_MAPPING].map(|path| {
        let path = profile.intern(path);
        profile.mapping(Mapping::file(path, None))
    });
    let [main, read] = ["main", "ksys_read"].map(|name| profile.intern(name));
    let main = profile.frame(Frame::native(nginx, 0x100).named(main));
    let read = profile.frame(Frame::kernel(kernel, 1 << 63).named(read));
    let reason = profile.reason("[truncated: no table]");
    let process = profile.process(1, "nginx");
    let thread = profile.thread(process, 2, "worker");
    for stack in [vec![main, read], vec![reason, main], vec![main]] {
        let stack = profile.stack(stack);
        // Two values, as there are two types.
        let _ = profile.add(stack, thread, &[7, 70_000_000]);
    }
    profile
}
