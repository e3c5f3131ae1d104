//! A minute in which each thing goes wrong at least once or so; `cargo xtask chaos` is the long form.

use std::{
    io::{self, Write as _},
    sync::Mutex,
    time::Duration,
};

use anyhow::Result;
use tests::chaos::{self, Settings};

#[test]
fn nothing_that_was_spooled_is_lost_whatever_goes_wrong_unless_it_is_counted() -> Result<()> {
    let settings = Settings {
        duration: Duration::from_secs(60),
        seed: 7,
        longest_fault: Duration::from_secs(4),
        window: "1s".to_owned(),
    };
    let lines = Mutex::new(Vec::new());
    let say =
        |line: &str| lines.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(line.to_owned());
    let Some(audit) = chaos::run(&settings, say)? else {
        // Not by a macro: the test runner would swallow that.
        let _ = io::stderr().write_all(b"\nskipped: no packages for a receiver of OTLP\n");
        return Ok(());
    };
    assert!(audit.violations.is_empty(), "{:#?}\n{:#?}\n{lines:#?}", audit.violations, audit.figures);
    Ok(())
}
