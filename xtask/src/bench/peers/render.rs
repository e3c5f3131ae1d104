//! The table of peers, and what its cells mean.

use anyhow::Result;

use super::{FREQUENCY_HZ, Row, Value};
use crate::bench::{
    Plan,
    median::{Spread, spread},
    profiler::Channel,
};

pub(super) fn table(rows: &[Row], versions: &[String], plan: &Plan) -> Result<String> {
    let mut table = format!(
        "| target | profiler | kernel ns per sample | samples, % of ticks | stacks that reach the root, % \
         | bytes to user space per sample | CPU of the profiler, s for a recording of {} s | largest RSS, MiB \
         | requests/s, % of the run without it just before | s to the first whole stack |\n\
         |---|---|--:|--:|--:|--:|--:|--:|--:|--:|\n",
        plan.run_time.as_secs()
    );
    for row in rows {
        let has_programs = !matches!(row.profiler.channel, Channel::File(_));
        let no_time = if has_programs { "no figure" } else { "no BPF program" };
        table += &format!(
            "| {} | {} | {} | {:.1} | {:.1} | {} | {:.2} | {:.1} | {} | {} |\n",
            row.target,
            row.profiler.name,
            row.some(|it| it.sample_ns, 0, no_time),
            row.all(|it| it.taken_percent)?,
            row.all(|it| it.rooted_percent)?,
            row.some(|it| it.bytes_per_sample, 0, "0; its maps are read at the end"),
            row.all(|it| it.cpu_s)?,
            row.all(|it| it.max_rss_mib)?,
            row.some(|it| it.requests_percent, 1, "answers no requests"),
            row.some(|it| it.first_whole_s, 2, "none is whole"),
        );
    }
    table += &format!(
        "\nMedian (min..max) of {} rounds of {} s, in each of which the profilers took turns; {FREQUENCY_HZ} Hz; {}.",
        plan.n_rounds,
        plan.run_time.as_secs(),
        versions.join(", ")
    );
    Ok(table)
}

impl Row {
    fn all(&self, value: fn(&Value) -> f64) -> Result<Spread> {
        spread(&self.values.iter().map(value).collect::<Vec<f64>>())
    }

    /// Of the rounds that gave a value; `otherwise`, if none did.
    fn some(&self, value: fn(&Value) -> Option<f64>, digits: usize, otherwise: &str) -> String {
        let values: Vec<f64> = self.values.iter().filter_map(value).collect();
        let Some(spread) = Spread::of(&values) else { return otherwise.to_owned() };
        let n_without = self.values.len() - values.len();
        let without = if n_without > 0 { format!(", {n_without} rounds without") } else { String::new() };
        format!("{spread:.digits$}{without}")
    }
}
