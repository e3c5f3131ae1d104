//! What a service manager, or a script that waits as one does, is told (`sd_notify`): nothing where there is none.

use std::io;

use sd_notify::NotifyState;

/// Everything is attached.
///
/// # Errors
/// If there is a service manager and it cannot be told.
pub fn ready(status: &str) -> io::Result<()> {
    sd_notify::notify(&[NotifyState::Ready, NotifyState::Status(&line(status))])
}

/// The configuration is read anew; [`ready`] follows, whether it was taken or the old one stays.
///
/// # Errors
/// If there is a service manager and it cannot be told.
pub fn reloading() -> io::Result<()> {
    sd_notify::notify(&[NotifyState::Reloading, NotifyState::monotonic_usec_now()?])
}

/// Nothing more is sampled; what there is goes out.
///
/// # Errors
/// If there is a service manager and it cannot be told.
pub fn stopping() -> io::Result<()> {
    sd_notify::notify(&[NotifyState::Stopping])
}

/// All threads do their work.
///
/// # Errors
/// If there is a service manager and it cannot be told.
pub fn alive() -> io::Result<()> {
    sd_notify::notify(&[NotifyState::Watchdog])
}

/// A line break would begin another message.
fn line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::line;

    #[test]
    fn a_status_cannot_smuggle_in_another_message() {
        assert_eq!(line("3 targets\nREADY=1\0"), "3 targets READY=1 ");
    }
}
