//! A flamegraph as one SVG file with its own script for zoom and search.
//!
//! Colours tell what a frame is: red native code, aqua what was inlined into it, green JIT code, blue the
//! kernel, grey the reason why a stack stops, yellow the process. Within a colour the shade goes by the name,
//! so that a function looks the same in every drawing.
//!
//! Of two profiles the drawing has the widths of the second; a frame is the redder the more it gained in itself, and the
//! bluer the more it lost, beside white for what is as it was.

use std::{collections::BTreeMap, io};

use inferno::flamegraph::{self, Options, color::Color, color::PaletteMap};

use super::{
    EncodeError,
    folded::Folded,
    frame_text::{Part, plain_text},
    writing,
};
use crate::{
    hotspots,
    model::Profile,
    strings::UNKNOWN,
    units::{bytes_text, time_text},
};

const FORMAT: &str = "svg";

/// The most text a drawing is made from. A hostile target could otherwise have us spell out hundreds of names
/// of kilobytes each for every one of its stacks.
const MAX_TEXT_BYTES: usize = 256 << 20;

/// In how many pieces a comparison is drawn at most.
const MAX_DRAWN: f64 = 1e9;

/// The most of a host name or a command that fits beside the rest of the subtitle.
const MAX_SUBTITLE_PART_CHARS: usize = 60;

/// Draws the profile by its weight.
pub fn write(profile: &Profile, out: &mut impl io::Write) -> Result<(), EncodeError> {
    let folded = Folded::of(profile);
    let total = folded.total().ok_or(EncodeError::SumTooLarge { format: FORMAT, limit: u64::MAX })?;
    let (title, subtitle) = (title(profile), subtitle(profile));
    if total == 0 {
        return write_empty(&title, &subtitle, out).map_err(writing(FORMAT));
    }
    let mut palette = PaletteMap::default();
    for (text, part) in folded.names() {
        palette.insert(text, colour(text, part));
    }
    let lines = lines(&folded)?;
    let mut options = Options::default();
    options.title = title;
    options.subtitle = Some(subtitle);
    options.count_name = count_name(profile);
    options.palette_map = Some(&mut palette);
    // For the one bar that has no name, the sum at the bottom.
    options.deterministic = true;
    // Inferno writes every attribute on its own.
    let buffered = io::BufWriter::new(out);
    flamegraph::from_lines(&mut options, lines.iter().map(String::as_str), buffered).map_err(writing(FORMAT))
}

/// Draws what changed from `baseline` to `comparison`, by their weights; the sum of the baseline is made that of the
/// comparison first, so that colours are shares.
pub fn write_difference(
    baseline: &Profile,
    comparison: &Profile,
    out: &mut impl io::Write,
) -> Result<(), EncodeError> {
    let sides = [baseline, comparison].map(Folded::of);
    let mut totals = [0.0; 2];
    for (total, folded) in totals.iter_mut().zip(&sides) {
        let sum = folded.total().ok_or(EncodeError::SumTooLarge { format: FORMAT, limit: u64::MAX })?;
        *total = sum as f64;
    }
    let (title, subtitle) = (title(comparison), "red gained, blue lost, widths of the comparison".to_owned());
    let title = format!("{title}, against a baseline");
    if totals.contains(&0.0) {
        return write_empty(&title, &subtitle, out).map_err(writing(FORMAT));
    }
    // Counts of pieces in the drawing: those of a comparison in nanoseconds need not be exact to the nanosecond.
    let unit = (totals[1] / MAX_DRAWN).max(1.0);
    let mut stacks: BTreeMap<String, [u64; 2]> = BTreeMap::new();
    for (side, folded) in sides.iter().enumerate() {
        for (stack, weight) in lines(folded)?.iter().filter_map(|line| line.rsplit_once(' ')) {
            let weight = weight.parse::<f64>().unwrap_or(0.0) / totals[side] * totals[1] / unit;
            stacks.entry(stack.to_owned()).or_default()[side] = weight.round() as u64;
        }
    }
    let lines: Vec<String> =
        stacks.iter().map(|(stack, [before, after])| format!("{stack} {before} {after}")).collect();
    let mut options = Options::default();
    options.title = title;
    options.subtitle = Some(subtitle);
    options.count_name = count_name(comparison);
    options.factor = unit;
    options.deterministic = true;
    let buffered = io::BufWriter::new(out);
    flamegraph::from_lines(&mut options, lines.iter().map(String::as_str), buffered).map_err(writing(FORMAT))
}

fn lines(folded: &Folded) -> Result<Vec<String>, EncodeError> {
    let mut n_bytes = 0_usize;
    let mut lines = Vec::new();
    for (parts, weight) in folded.lines() {
        let mut line = String::new();
        for part in parts {
            n_bytes = n_bytes.saturating_add(part.len());
            if n_bytes > MAX_TEXT_BYTES {
                return Err(EncodeError::TooLarge { format: FORMAT, limit_bytes: MAX_TEXT_BYTES });
            }
            line.push_str(part);
            line.push(';');
        }
        line.pop();
        lines.push(format!("{line} {weight}"));
    }
    Ok(lines)
}

/// `nginx: CPU, 5.0 s`, after the process that took the most.
fn title(profile: &Profile) -> String {
    let processes = hotspots::by_process(profile, profile.weight_idx());
    let mut names: Vec<&str> = Vec::new();
    for process in processes.iter().filter_map(|(process, _)| profile.process_at(*process)) {
        let name = profile.text(process.name);
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let what = match names.as_slice() {
        [] => profile.meta().command.clone(),
        [only] => (*only).to_owned(),
        [first, others @ ..] => format!("{first} and {} more", others.len()),
    };
    let meta = profile.meta();
    let subject = subject(profile).replace('_', " ");
    plain_text(&format!("{what}: {subject}, {}", time_text(meta.duration_ns)))
}

/// What is drawn: `CPU` for a CPU profile, else the kind of its values.
fn subject(profile: &Profile) -> &str {
    let is_cpu = profile.value_types().iter().any(|value_type| value_type.kind == "cpu");
    let weight = profile.value_types().get(profile.weight_idx());
    if is_cpu { "CPU" } else { weight.map_or(UNKNOWN, |value_type| &value_type.kind) }
}

fn subtitle(profile: &Profile) -> String {
    let meta = profile.meta();
    let short = |text: &str| match text.char_indices().nth(MAX_SUBTITLE_PART_CHARS) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    };
    let rate = match meta.frequency_hz {
        0 => String::new(),
        hz => format!("{hz} Hz, "),
    };
    plain_text(&format!(
        "{}, {}, {rate}{}, {} lost",
        short(&meta.host),
        short(&meta.command),
        total(profile),
        meta.lost_total(),
    ))
}

/// `5000 samples`, `58.0 MiB`.
fn total(profile: &Profile) -> String {
    let total = profile.total(profile.weight_idx());
    let is_bytes = profile.value_types().get(profile.weight_idx()).is_some_and(|it| it.unit == "bytes");
    match u64::try_from(total) {
        Ok(bytes) if is_bytes => bytes_text(bytes),
        _ => format!("{total} {}", count_name(profile)),
    }
}

/// `samples`, or the unit of what is not counted in pieces.
fn count_name(profile: &Profile) -> String {
    match profile.value_types().get(profile.weight_idx()) {
        Some(value_type) if value_type.unit == "count" => plain_text(&value_type.kind),
        Some(value_type) => plain_text(&value_type.unit),
        None => UNKNOWN.to_owned(),
    }
}

/// The shade of a name: from the colour of its part to half as bright again, by a hash of the name (FNV-1a).
fn colour(text: &str, part: Part) -> Color {
    let hash = text
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
    let [shade, ..] = (hash >> 32).to_le_bytes();
    let shade = shade % 40;
    let (r, g, b) = match part {
        Part::Process => (235, 205, 90),
        Part::Reason => (165, 165, 165),
        Part::Jit => (95, 190, 90),
        Part::Inlined => (80, 190, 190),
        Part::Native => (214, 95, 80),
        Part::Kernel => (100, 150, 210),
    };
    let [r, g, b] = [r, g, b].map(|channel: u8| channel.saturating_add(shade));
    Color { r, g, b }
}

/// A drawing that says why there is nothing to see. Inferno calls that an error, but an idle target is none.
fn write_empty(title: &str, subtitle: &str, out: &mut impl io::Write) -> io::Result<()> {
    let line = |y: u32, text: &str| {
        let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        format!(r#"<text x="600" y="{y}" text-anchor="middle" font-family="monospace">{text}</text>"#)
    };
    writeln!(
        out,
        r#"<svg xmlns="http://www.w3.org/2000/svg" width="1200" height="120" viewBox="0 0 1200 120">{}{}{}</svg>"#,
        line(30, title),
        line(60, subtitle),
        line(90, "no samples"),
    )
}
