//! Functions that burn CPU 3:2:1 have 3:2:1 of the samples, and there are as many samples as CPU time says.

use anyhow::Result;
use tests::{agent, cpu_time::CpuTime};

use crate::support::{pid_args, target};

const FREQUENCY_HZ: f64 = 997.0;

#[test]
fn functions_that_burn_cpu_three_to_two_to_one_are_shown_so() -> Result<()> {
    let hot = target("hot321")?;
    let cpu_time = CpuTime::watch(hot.pid());
    let recording = agent::record(pid_args(hot.pid(), &["--frequency", "997", "--duration", "10s"]))?;
    // The watcher needs a reading after the end.
    std::thread::sleep(std::time::Duration::from_millis(50));
    let report = &recording.report;
    let cpu = cpu_time.between(report.start_unix_ns, report.duration_ns)?;

    assert!(recording.status.success(), "{recording}");
    // Two points, unless a busy host left us so few samples that chance alone makes more: three sigmas.
    let tolerance = 2.0_f64.max(3.0 * 50.0 / (report.samples as f64).sqrt());
    for (function, percent) in [("spin_a", 50.0), ("spin_b", 100.0 / 3.0), ("spin_c", 100.0 / 6.0)] {
        let found = report.self_percent(function);
        assert!(
            (found - percent).abs() < tolerance,
            "{function}: {found:.2} %, not {percent:.2} %\n{recording}"
        );
    }
    assert_eq!(report.lost, 0, "{recording}");
    // On a busy host the one thread does not get a CPU all the time, and is not sampled when it has none.
    let expected = cpu.as_secs_f64() * FREQUENCY_HZ;
    let ratio = report.samples as f64 / expected;
    assert!(
        (ratio - 1.0).abs() < 0.05,
        "{} samples in {cpu:?} of CPU time, not {expected:.0}\n{recording}",
        report.samples
    );
    Ok(())
}
