//! What the agent takes all the time, told from bursts.

use std::{collections::VecDeque, time::Duration};

/// Time is cut into pieces of this length, longer than a window of the default length.
const PIECE: Duration = Duration::from_secs(20);
/// What is there in all of the last pieces lasts; a burst is in one or two.
const N_PIECES: usize = 3;

/// The means of the last pieces of time.
#[derive(Debug, Default)]
pub(super) struct Rest {
    pieces: VecDeque<f64>,
    /// Of the piece that is not whole: how long it is, and seconds times percent.
    current: (Duration, f64),
}

impl Rest {
    pub(super) fn add(&mut self, elapsed: Duration, percent: f64) {
        let (time, sum) = &mut self.current;
        *time = time.saturating_add(elapsed);
        *sum += percent * elapsed.as_secs_f64();
        if *time >= PIECE {
            self.pieces.push_back(*sum / time.as_secs_f64());
            self.current = (Duration::ZERO, 0.0);
            if self.pieces.len() > N_PIECES {
                self.pieces.pop_front();
            }
        }
    }

    /// The least of the last pieces, once there are enough to tell.
    pub(super) fn lasting_percent(&self) -> Option<f64> {
        let least = self.pieces.iter().copied().fold(f64::INFINITY, f64::min);
        (self.pieces.len() >= N_PIECES).then_some(least)
    }
}
