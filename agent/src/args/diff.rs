//! The command line of `agent diff`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::ReportForm;

pub(super) const DIFF_EXAMPLES: &str = "\
Examples:
  agent diff before.pb.gz after.pb.gz                          two profiles
  agent diff before.pb.gz after.pb.gz -o diff.svg              and what changed as a flamegraph, red and blue
  agent diff --baseline old-*.pb.gz --comparison new-*.pb.gz   several runs a side: what differs from run to run counts
  agent diff windows/monday windows/tuesday --label service.name=edge   directories that a daemon writes
  agent diff old new --requests 120000,118500                  what a request costs; wrk and hey say how many there were
  agent diff old new --fail-on-regression 5%                   in CI: exit status 3 if a function grew by 5 % or more

What is compared:
  By share, a function has grown if it takes more time than before beside all others: 8 % slower is +8 %, whatever its
  share. By second or request, if it takes more CPU time in a second of the recording, or for a request.

What is more than chance:
  With 6 windows or runs a side or more, they are dealt to the two sides anew, thousands of times: what makes one window
  unlike the next is then no change. With fewer, chance is that of sampling alone: a run that differs from the next, for
  whatever reason, is then a change. One limit holds for all functions together, so that --confidence 99 means one false
  alarm in a hundred comparisons, not one in a hundred functions. Record for longer, or more often, to see smaller changes:
  `±` says how large they must be.

Exit status: 0 when a report was written; 1 for an error; 2 for wrong usage; 3 with --fail-on-regression, for a regression.";

/// `agent diff`.
#[derive(Debug, Args)]
pub struct DiffArgs {
    /// A baseline and a comparison: a profile each (.pb.gz, .otlp, .folded), a directory of windows, or a pattern in quotes
    #[arg(value_names = ["BASELINE", "COMPARISON"], num_args = 2, required_unless_present = "baseline", conflicts_with = "baseline")]
    pub sides: Vec<PathBuf>,
    /// Profiles of the baseline
    #[arg(long, value_name = "FILE", num_args = 1.., requires = "comparison")]
    pub baseline: Vec<PathBuf>,
    /// Profiles of the comparison
    #[arg(long, value_name = "FILE", num_args = 1.., requires = "baseline")]
    pub comparison: Vec<PathBuf>,
    /// What to divide by [default: request where requests were counted, else share]
    #[arg(long, value_enum)]
    pub by: Option<By>,
    /// Which value of the profiles to compare: `cpu`, `alloc_space`, `inuse_space` [default: cpu, or what they hold]
    #[arg(long, value_name = "NAME")]
    pub value: Option<String>,
    /// Only profiles with this label, as the daemon writes them; may be given more than once
    #[arg(long = "label", value_name = "NAME=VALUE")]
    pub labels: Vec<String>,
    /// Requests that were served while each side was recorded
    #[arg(long, value_name = "BASELINE,COMPARISON", value_parser = parse_requests)]
    pub requests: Option<(u64, u64)>,
    /// Exit with 3 if a function grew by so much or more, and by more than chance
    #[arg(long, value_name = "PERCENT", value_parser = parse_percent)]
    pub fail_on_regression: Option<f64>,
    /// How sure a change must be, for all functions together
    #[arg(long, value_name = "PERCENT", default_value = "99", value_parser = parse_confidence)]
    pub confidence: f64,
    /// Leave out functions whose shares of both sides add up to less
    #[arg(long, value_name = "PERCENT", default_value = "0.5", value_parser = parse_percent)]
    pub min_share: f64,
    /// How often to draw chance
    #[arg(long, value_name = "N", default_value_t = 4000, value_parser = clap::value_parser!(u32).range(100..=100_000))]
    pub draws: u32,
    /// Where the draws begin: the same files and the same seed give the same report
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// Write a flamegraph of the comparison, red where it gained and blue where it lost (.svg)
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// What to say, on stdout
    #[arg(long, value_enum, default_value_t = ReportForm::Text)]
    pub report: ReportForm,
}

/// What values are divided by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum By {
    /// The sum of all functions
    Share,
    /// The time that was recorded
    Second,
    /// The requests that were served
    Request,
}

/// `5%`, `2.5`.
fn parse_percent(text: &str) -> Result<f64, String> {
    let number = text.strip_suffix('%').unwrap_or(text).trim().parse::<f64>().ok();
    number
        .filter(|number| number.is_finite() && *number >= 0.0)
        .ok_or_else(|| "expected a percentage, such as 5%".into())
}

fn parse_confidence(text: &str) -> Result<f64, String> {
    match parse_percent(text)? {
        percent if (50.0..=99.9).contains(&percent) => Ok(percent),
        _ => Err("must be from 50 to 99.9".into()),
    }
}

/// `120000,118500`.
fn parse_requests(text: &str) -> Result<(u64, u64), String> {
    let numbers =
        text.split_once(',').and_then(|(a, b)| Some((a.trim().parse().ok()?, b.trim().parse().ok()?)));
    numbers
        .filter(|&(a, b)| a > 0 && b > 0)
        .ok_or_else(|| "expected two numbers, such as 120000,118500".into())
}

#[cfg(test)]
mod tests {
    use super::{parse_confidence, parse_percent, parse_requests};

    #[test]
    fn percentages_and_requests_are_positive_numbers() {
        assert_eq!((parse_percent("5%"), parse_percent("2.5")), (Ok(5.0), Ok(2.5)));
        assert_eq!(parse_requests("120000,118500"), Ok((120_000, 118_500)));
        for text in ["", "%", "-1%", "nan", "inf", "5 percent"] {
            assert!(parse_percent(text).is_err(), "{text}");
        }
        assert!(parse_confidence("100").is_err() && parse_confidence("99.9").is_ok());
        for text in ["", "1", "1,", "0,1", "1,2,3", "-1,2"] {
            assert!(parse_requests(text).is_err(), "{text}");
        }
    }
}
