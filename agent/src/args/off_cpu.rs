//! Options of `agent record --event off-cpu` and `--event loop`.

use std::time::Duration;

use clap::Args;

/// What of the time off the CPU is recorded.
#[derive(Clone, Debug, Args)]
pub struct OffCpuArgs {
    /// With `--event off-cpu`: waits shorter than this are summed up by thread, without a stack: 100us, 10ms
    #[arg(long, value_name = "TIME", default_value = "1ms", value_parser = parse_wait)]
    pub min_block: Duration,
    /// With `--event off-cpu`: also waits where there was nothing to do (epoll, poll, select, accept, nanosleep, a condition
    /// variable)
    #[arg(long)]
    pub idle: bool,
    /// With `--event off-cpu` or `--wall`: on top of each wait who ended it, and the kernel stack that did
    #[arg(long)]
    pub wakers: bool,
    /// All the time of every thread, on the CPU and off it: `--event cpu --event off-cpu --idle`, with what has no stack, so
    /// that it adds up
    #[arg(long, conflicts_with = "events")]
    pub wall: bool,
    /// With `--event loop`: an iteration that takes as long, from the end of a wait to the beginning of the next, is a stall
    #[arg(long, value_name = "TIME", default_value = "10ms", value_parser = parse_wait)]
    pub stall: Duration,
}

/// What is taken where nothing is said.
impl Default for OffCpuArgs {
    fn default() -> Self {
        let [min_block, stall] = [1, 10].map(Duration::from_millis);
        Self { min_block, idle: false, wakers: false, wall: false, stall }
    }
}

/// A duration that may be short: `100us`, `1ms`, `2s`; a bare number is seconds.
pub(super) fn parse_wait(text: &str) -> Result<Duration, String> {
    match text.strip_suffix("us").map(str::parse) {
        Some(Ok(0_u32)) => Err("must be at least 1us".into()),
        Some(Ok(us)) => Ok(Duration::from_micros(us.into())),
        Some(Err(_)) => Err("expected a number and a unit, such as 100us, 1ms or 2s".into()),
        None => super::parse_duration(text),
    }
}

#[cfg(test)]
mod tests {
    use super::parse_wait;
    use std::time::Duration;

    #[test]
    fn a_wait_may_be_of_microseconds() {
        for (text, us) in [("1us", 1), ("250us", 250), ("1ms", 1000), ("2s", 2_000_000)] {
            assert_eq!(parse_wait(text), Ok(Duration::from_micros(us)), "{text}");
        }
        for text in ["0us", "us", "-1us", "1.5us", "", "0", "5d"] {
            assert!(parse_wait(text).is_err(), "{text}: {:?}", parse_wait(text));
        }
    }
}
