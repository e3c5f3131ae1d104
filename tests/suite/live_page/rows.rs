//! Numbers out of what the page writes for people.

use anyhow::{Context as _, Result};

/// `+1.50` and `−1.50`, `61.20`, `<0.01`; no number for anything else.
fn number(word: &str) -> Option<f64> {
    word.trim_start_matches(['<', '>', '+']).replace('−', "-").parse().ok()
}

/// The last numbers of a row of a table, without their units.
pub(super) fn numbers<const N: usize>(row: &str) -> Result<[f64; N]> {
    let all: Vec<f64> = row.split_whitespace().filter_map(number).collect();
    let last = all.len().checked_sub(N).and_then(|start| all.get(start..)?.try_into().ok());
    last.with_context(|| format!("not {N} numbers: {row}"))
}

/// `61.20 %`
pub(super) fn share(text: &str) -> Result<f64> {
    text.strip_suffix(" %").and_then(number).with_context(|| format!("no share: {text}"))
}

/// `All of it: 9.2 s`
pub(super) fn seconds(text: &str) -> Result<f64> {
    let amount = text.strip_prefix("All of it: ").and_then(|it| it.split_once(' '));
    let (value, unit) = amount.with_context(|| format!("no amount: {text}"))?;
    let scale = match unit {
        "ms" => 1e-3,
        "s" => 1.0,
        "min" => 60.0,
        _ => anyhow::bail!("an amount in {unit}: {text}"),
    };
    Ok(number(value).with_context(|| format!("no amount: {text}"))? * scale)
}
