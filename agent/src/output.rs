//! The form of a profile, and its writing.

use std::{io::Write, path::Path};

use anyhow::Context as _;
use profile::{Profile, encode};

use crate::args::Format;

/// The form that was asked for, or else the one that the file's ending asks for.
///
/// # Errors
/// If there is neither.
pub(crate) fn format(asked: Option<Format>, path: &Path) -> anyhow::Result<Format> {
    asked.or_else(|| Format::of_path(path)).with_context(|| {
        let output = path.display();
        format!(
            "the form of `{output}` is not clear from its ending: use .svg, .folded, .pb.gz, .otlp, .speedscope.json or \
             .json, or say --format"
        )
    })
}

/// Writes a profile in a form.
pub(crate) fn encode(
    profile: &Profile,
    format: Format,
    mut out: &mut dyn Write,
) -> Result<(), encode::EncodeError> {
    let out = &mut out;
    match format {
        Format::Svg => encode::svg::write(profile, out),
        Format::Folded => encode::folded::write(profile, out),
        Format::Pprof => encode::pprof::write(profile, out),
        Format::Otlp => encode::otlp::write(profile, out),
        Format::Speedscope => encode::speedscope::write(profile, out),
        Format::Json => encode::json::write(profile, out),
    }
}
