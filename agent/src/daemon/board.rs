//! Where figures are pinned up once a second, and where whoever asks reads them.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{
    figures::Figures,
    health::{self, Counted},
};
use exposition::health::Health;

/// What is lost is judged over so long a time.
const HEALTH_OVER_NS: u64 = 60_000_000_000;
/// Figures come once a second; if they came much more often, the oldest of a minute would be left out.
const MAX_COUNTED: usize = 128;

/// The last figures, and what was counted in the minute before.
#[derive(Debug, Default)]
pub struct Board {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    figures: Option<Arc<Figures>>,
    /// From the oldest.
    counted: VecDeque<Counted>,
}

/// Figures and what is thought of them.
#[derive(Clone, Debug)]
pub struct View {
    /// The last ones.
    pub figures: Arc<Figures>,
    /// At the time of the question.
    pub health: Health,
}

impl Board {
    /// Takes the place of the figures that were there.
    pub fn publish(&self, figures: Figures) {
        let mut state = self.lock();
        let counted = Counted::from(&figures);
        while state.counted.len() >= MAX_COUNTED || state.is_second_old_enough(counted.taken_ns) {
            state.counted.pop_front();
        }
        state.counted.push_back(counted);
        state.figures = Some(Arc::new(figures));
    }

    /// What is there at this time ([`crate::clock::monotonic_ns`]); none before the first figures.
    #[must_use]
    pub fn view(&self, now_ns: u64) -> Option<View> {
        let (figures, before) = {
            let state = self.lock();
            (Arc::clone(state.figures.as_ref()?), state.counted.front()?.clone())
        };
        let health = health::judge(&figures, &before, now_ns);
        Some(View { figures, health })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The oldest is not needed any more if the one after it is a minute old.
    fn is_second_old_enough(&self, now_ns: u64) -> bool {
        self.counted.get(1).is_some_and(|it| now_ns.saturating_sub(it.taken_ns) >= HEALTH_OVER_NS)
    }
}

#[cfg(test)]
mod tests {
    use super::Board;
    use exposition::health::Status;

    use crate::daemon::{example, figures::Figures};

    #[test]
    fn losses_are_a_reason_for_a_minute() {
        let board = Board::default();
        assert!(board.view(0).is_none());
        let mut seen = Vec::new();
        for second in 0..200_u64 {
            let taken_ns = second * 1_000_000_000;
            let mut figures = Figures { taken_ns, pumped_ns: Some(taken_ns), ..example::figures() };
            figures.samples.insert("cpu".into(), 1_000 * second);
            figures.lost.samples.insert("ring_full", if second < 100 { 0 } else { 5_000 });
            board.publish(figures);
            let view = board.view(taken_ns).expect("a view");
            if view.health.status != Status::Healthy {
                seen.push(second);
            }
        }
        // From second 100, with the counts of second 40, to that with those of second 99.
        assert_eq!(seen, (100..160).collect::<Vec<_>>());
    }
}
