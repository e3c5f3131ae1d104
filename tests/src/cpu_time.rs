//! CPU time of a process as the kernel accounts it: how many samples there should be.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, Result};

const EVERY: Duration = Duration::from_millis(20);

/// Reads the CPU time of a process with one thread, over and over.
pub struct CpuTime {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Vec<Reading>>>,
}

#[derive(Clone, Copy)]
struct Reading {
    unix_ns: u64,
    cpu_ns: u64,
}

impl CpuTime {
    /// Starts to read.
    #[must_use]
    pub fn watch(pid: u32) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let read = move || {
            let mut readings = Vec::new();
            while !stopped.load(Ordering::Relaxed) {
                readings.extend(reading(pid));
                thread::sleep(EVERY);
            }
            readings
        };
        Self { stop, thread: Some(thread::spawn(read)) }
    }

    /// The CPU time between two moments.
    ///
    /// # Errors
    /// If they were not both seen.
    pub fn between(mut self, start_unix_ns: u64, duration_ns: u64) -> Result<Duration> {
        self.stop.store(true, Ordering::Relaxed);
        let thread = self.thread.take().context("no reader")?;
        let readings = thread.join().ok().context("the reader failed")?;
        let at = |unix_ns: u64| at(&readings, unix_ns).context("CPU time was not read at that moment");
        Ok(Duration::from_nanos(at(start_unix_ns + duration_ns)?.saturating_sub(at(start_unix_ns)?)))
    }
}

impl Drop for CpuTime {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

fn reading(pid: u32) -> Option<Reading> {
    let text = fs::read_to_string(format!("/proc/{pid}/schedstat")).ok()?;
    let unix_ns = SystemTime::now().duration_since(UNIX_EPOCH).ok()?.as_nanos().try_into().ok()?;
    Some(Reading { unix_ns, cpu_ns: text.split_whitespace().next()?.parse().ok()? })
}

/// On the line between the readings before and after.
fn at(readings: &[Reading], unix_ns: u64) -> Option<u64> {
    let next = readings.partition_point(|reading| reading.unix_ns < unix_ns);
    let (before, after) = (readings.get(next.checked_sub(1)?)?, readings.get(next)?);
    let share = (unix_ns - before.unix_ns) as f64 / (after.unix_ns - before.unix_ns).max(1) as f64;
    Some(before.cpu_ns + (share * (after.cpu_ns - before.cpu_ns) as f64) as u64)
}

#[cfg(test)]
mod tests {
    use super::{Reading, at};

    #[test]
    fn time_between_readings_is_on_the_line_and_outside_there_is_none() {
        let readings = [Reading { unix_ns: 10, cpu_ns: 100 }, Reading { unix_ns: 20, cpu_ns: 110 }];
        assert_eq!([9, 15, 20, 21].map(|unix_ns| at(&readings, unix_ns)), [None, Some(105), Some(110), None]);
    }
}
