//! Each textual form of the small profile, compared with a file. `BLESS=1` writes the files anew.

use std::{env, error::Error, fs, path::Path};

use profile::{Profile, Report, TextStyle, encode, write_text};

use crate::fixture::two_proxies;

type Outcome = Result<(), Box<dyn Error>>;

pub(crate) fn check(golden: &str, encoded: &str) -> Result<(), Box<dyn Error>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/encode").join(golden);
    if env::var_os("BLESS").is_some_and(|value| value == "1") {
        fs::create_dir_all(path.parent().unwrap_or(&path))?;
        fs::write(&path, encoded)?;
    }
    let expected = fs::read_to_string(&path).map_err(|error| format!("read {}: {error}", path.display()))?;
    assert!(encoded == expected, "{golden} differs; now it is:\n{encoded}\nand it was:\n{expected}");
    Ok(())
}

fn text(bytes: Vec<u8>) -> Result<String, Box<dyn Error>> {
    Ok(String::from_utf8(bytes)?)
}

#[test]
fn folded_text_has_one_line_for_each_stack_with_kernel_and_inlined_frames_marked() -> Outcome {
    let mut out = Vec::new();
    encode::folded::write(&two_proxies()?, &mut out)?;
    check("folded/two_proxies.folded", &text(out)?)
}

#[test]
fn the_flamegraph_stands_alone_and_shows_every_frame() -> Outcome {
    let mut out = Vec::new();
    encode::svg::write(&two_proxies()?, &mut out)?;
    let mut again = Vec::new();
    encode::svg::write(&two_proxies()?, &mut again)?;
    assert!(out == again, "two drawings of one profile differ");

    let svg = text(out)?;
    let script = between(&svg, "<script", "</script>").ok_or("the drawing has no script")?;
    assert!(script.contains("function search") && script.contains("function zoom"), "{script}");
    let style = between(&svg, "<style", "</style>").ok_or("the drawing has no style")?;
    // The golden is what we decide about: script and style are the drawing library's own.
    let ours =
        svg.replace(script, "<script>left out").replace(style, "<style>left out").replace("</g>", "</g>\n");
    check("svg/two_proxies.svg", &ours)
}

#[test]
fn a_flamegraph_of_nothing_says_so() -> Outcome {
    let profile = Profile::new(profile::ValueType::CPU, two_proxies()?.meta().clone());
    let mut out = Vec::new();
    encode::svg::write(&profile, &mut out)?;
    check("svg/nothing.svg", &text(out)?)
}

#[test]
fn speedscope_has_a_sampled_profile_in_nanoseconds_for_each_thread() -> Outcome {
    let mut out = Vec::new();
    encode::speedscope::write(&two_proxies()?, &mut out)?;
    let file: serde_json::Value = serde_json::from_slice(&out)?;
    check("speedscope/two_proxies.json", &format!("{file:#}\n"))
}

#[test]
fn the_json_report_has_its_documented_keys() -> Outcome {
    let mut out = Vec::new();
    encode::json::write(&two_proxies()?, &mut out)?;
    check("json/two_proxies.json", &text(out)?)
}

#[test]
fn the_text_report_is_aligned_and_cuts_nothing_by_itself() -> Outcome {
    check("text/two_proxies.txt", &Report::new(&two_proxies()?).to_string())
}

#[test]
fn the_text_report_fits_a_terminal_of_60_columns() -> Outcome {
    let mut out = Vec::new();
    let style = TextStyle { colour: true, width: Some(60) };
    let report = Report::new(&two_proxies()?);
    write_text(&report, &mut out, style)?;
    let mut plain = Vec::new();
    write_text(&report, &mut plain, TextStyle { colour: false, ..style })?;
    let plain = text(plain)?;
    let too_long: Vec<&str> = plain.lines().filter(|line| line.chars().count() > 60).collect();
    assert_eq!(too_long, [""; 0]);
    check("text/two_proxies_60_columns_colour.txt", &text(out)?)
}

/// From the beginning of the first `start` to the next `end`.
fn between<'a>(text: &'a str, start: &str, end: &str) -> Option<&'a str> {
    let from = text.get(text.find(start)?..)?;
    from.get(..from.find(end)?)
}
