//! What the daemon does when it is asked through its socket.

use std::{
    sync::{Arc, Mutex, PoisonError, Weak, atomic::Ordering},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use super::{
    capture::Capturing,
    control::{
        message::{Capture, Progress, Refusal, RefusalKind},
        server::{Captured, Handler},
    },
    engine::Shared,
    status::Status,
};
use crate::{clock, send::shipper::Shipper};

/// How long whoever asks waits for the loop, which turns ten times a second.
const PATIENCE: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(20);

/// What one configuration does; none while another is put in its place.
#[derive(Default)]
pub(super) struct Current(Mutex<Option<Arc<Handling>>>);

impl Current {
    /// From now on, requests go to this.
    pub(super) fn set(&self, handling: Arc<Handling>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(handling);
    }

    /// Ends what is under way, and waits for that.
    pub(super) fn clear(&self) {
        let Some(handling) = self.0.lock().unwrap_or_else(PoisonError::into_inner).take() else { return };
        handling.capturing.is_over.store(true, Ordering::Relaxed);
        // Each request holds it for as long as it goes on.
        let began = Instant::now();
        while Arc::strong_count(&handling) > 1 && began.elapsed() < PATIENCE {
            thread::sleep(POLL);
        }
    }

    fn get(&self) -> Result<Arc<Handling>, Refusal> {
        let current = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        current.ok_or_else(|| {
            Refusal::new(RefusalKind::Busy, "the daemon begins or ends: ask again in a second")
        })
    }
}

impl Handler for Current {
    fn capture(
        &self,
        capture: &Capture,
        progress: &mut dyn FnMut(&Progress) -> bool,
    ) -> Result<Captured, Refusal> {
        self.get()?.capturing.capture(capture, progress)
    }

    fn status(&self) -> Result<Value, Refusal> {
        self.get()?.status()
    }

    fn reload(&self) -> Result<Value, Refusal> {
        let shared = Arc::clone(&self.get()?.shared);
        let (n_before, _) = shared.reloads();
        shared.reload.store(true, Ordering::Relaxed);
        wait_for(|| shared.reloads().0 != n_before)?;
        match shared.reloads().1 {
            Some(reason) => Err(Refusal::new(RefusalKind::Failed, reason)),
            None => Ok(json!({"reloaded": true})),
        }
    }

    fn flush(&self) -> Result<Value, Refusal> {
        self.get()?.flush()
    }
}

/// All that it takes.
pub(super) struct Handling {
    pub(super) capturing: Capturing,
    pub(super) shared: Arc<Shared>,
    /// Held by the daemon alone, which has to let go of the spool before another configuration can have it.
    pub(super) shipper: Weak<Shipper>,
}

impl Handling {
    fn status(&self) -> Result<Value, Refusal> {
        let not_yet = || Refusal::new(RefusalKind::Busy, "the daemon has just begun: ask again in a second");
        let view = self.shared.board.view(clock::monotonic_ns()).ok_or_else(not_yet)?;
        let status = serde_json::to_value(Status::from(&view));
        status.map_err(|error| Refusal::new(RefusalKind::Failed, error.to_string()))
    }

    fn flush(&self) -> Result<Value, Refusal> {
        let asked = self.shared.cut.fetch_add(1, Ordering::AcqRel) + 1;
        wait_for(|| self.shared.n_cut.load(Ordering::Acquire) >= asked)?;
        wait_for(|| self.capturing.input.n_waiting() == 0)?;
        let began = Instant::now();
        while let Some(shipper) = self.shipper.upgrade().filter(|_| !self.capturing.is_over()) {
            let left = shipper.flush(POLL);
            if left.is_empty() || began.elapsed() >= PATIENCE {
                return Ok(json!({"waiting": left}));
            }
        }
        Err(Refusal::new(RefusalKind::Busy, "the daemon begins or ends: ask again in a second"))
    }
}

fn wait_for(is_done: impl Fn() -> bool) -> Result<(), Refusal> {
    let began = Instant::now();
    while !is_done() {
        if began.elapsed() >= PATIENCE {
            return Err(Refusal::new(RefusalKind::Busy, "the daemon is busy: ask again later"));
        }
        thread::sleep(POLL);
    }
    Ok(())
}
