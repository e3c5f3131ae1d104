//! Waiting with an end: a test that hangs says nothing.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};

/// Far more than anything takes, also where others use the machine.
pub const PATIENCE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(10);

/// Polls until `ready` gives a value.
///
/// # Errors
/// If it gives none in time, or fails.
pub fn until<T>(what: &str, at_most: Duration, mut ready: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let start = Instant::now();
    loop {
        if let Some(value) = ready()? {
            return Ok(value);
        }
        if start.elapsed() > at_most {
            bail!("waited {:.1} s for this: {what}", at_most.as_secs_f64());
        }
        thread::sleep(POLL);
    }
}
