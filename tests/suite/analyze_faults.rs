//! Faults that are planted one by one, each named first by `agent analyze`, and none of them where none is.

use std::{fs, process::Command};

use anyhow::{Result, ensure};
use tests::{
    analysis::{Analysis, Analyzing},
    paths,
    process::Running,
    servers::{self, Load},
};

/// Analyzes an nginx with more in its configuration, under load on one page.
fn analyze_nginx(http: &str, server: &str, page: &str) -> Result<Analysis> {
    let nginx = servers::nginx_with(http, server)?;
    fs::write(nginx.dir().join("html/page.html"), text(200_000))?;
    let load = Load::of_page(&nginx, page)?;
    let analysis = Analyzing::start(nginx.running().pid(), &["--duration", "6s"])?.finish()?;
    ensure!(load.is_alive(), "the load ended before the recording\n{analysis}");
    Ok(analysis)
}

/// Words of a small language, the same at each call.
fn text(n_bytes: usize) -> String {
    let (mut state, mut text) = (1_u64, String::new());
    while text.len() < n_bytes {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let word = state >> 33;
        // Short words are frequent.
        text += &format!("{:x} ", (word % 1000) * (word % 7 + 1));
    }
    text
}

/// A run of letters that an expression with nested repetitions tries in every way, and does not match.
const HARD: &str = "aaaaaaaaaaaaaaaaaa!";

#[test]
fn an_expression_that_is_tried_in_every_way_is_named_first() -> Result<()> {
    let analysis = analyze_nginx("", "location ~ \"^/(a+)+$\" { return 204; }", HARD)?;
    let first = analysis.first()?;
    assert_eq!(first.group, "regex", "{analysis}");
    let advice = analysis.first_advice()?;
    assert_eq!(advice.group, "regex", "{analysis}");
    assert!(advice.change.contains("nested repetitions"), "{analysis}");
    assert!(advice.stack.iter().any(|frame| frame.contains("pcre")), "{analysis}");
    assert!(analysis.advice.iter().all(|it| it.group == "regex"), "{analysis}");
    Ok(())
}

#[test]
fn a_prefix_in_its_place_gets_no_advice() -> Result<()> {
    let analysis = analyze_nginx("", "location ^~ /aaa { return 204; }", HARD)?;
    assert!(analysis.advice.is_empty(), "{analysis}");
    Ok(())
}

#[test]
fn compression_at_the_highest_level_is_named_first_and_at_the_lowest_is_not() -> Result<()> {
    let gzip = |level: u32| format!("gzip on; gzip_min_length 1; gzip_types *; gzip_comp_level {level};");
    let analysis = analyze_nginx(&gzip(9), "", "page.html")?;
    assert_eq!(analysis.first()?.group, "compression", "{analysis}");
    let advice = analysis.first_advice()?;
    assert_eq!(advice.group, "compression", "{analysis}");
    assert!(advice.directive.as_ref().is_some_and(|it| it.contains("gzip_comp_level")), "{analysis}");
    let analysis = analyze_nginx(&gzip(1), "", "page.html")?;
    assert!(analysis.advice.is_empty(), "{analysis}");
    Ok(())
}

#[test]
fn a_leak_is_named_first_and_a_cache_that_has_filled_is_none() -> Result<()> {
    let start = |args: &[&str]| Running::start(Command::new(paths::program("grower")?).args(args));
    let (leak, cache) = (start(&["leak", "2048", "1"])?, start(&["cache", "4096", "1"])?);
    let analyze = |of: &Running| Analyzing::start(of.pid(), &["--duration", "22s"]);
    let analyzing = [analyze(&leak)?, analyze(&cache)?];
    let [leaks, fills] = analyzing.map(Analyzing::finish);
    let (leaks, fills) = (leaks?, fills?);
    let first = leaks.first()?;
    assert_eq!((first.group.as_str(), first.what.as_str()), ("memory", "memory leaks"), "{leaks}");
    assert!(!first.stack.is_empty(), "{leaks}");
    assert_eq!(leaks.first_advice()?.group, "memory", "{leaks}");
    assert!(fills.advice.is_empty(), "{fills}");
    Ok(())
}
