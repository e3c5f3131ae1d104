//! Requests of a window: what was answered in it, and the CPU time that its samples tell of.

use std::{collections::BTreeMap, time::Duration};

use abi::event::Event;

use super::{Session, window::nanos};
use crate::{aggregate::Aggregate, kernel::Source, requests::RequestsWindow};

impl Session {
    /// Hands over what was answered since the last time; `counted` is what was sampled meanwhile.
    pub(super) fn cut_requests(&mut self, counted: &Aggregate, duration: Duration) -> Option<RequestsWindow> {
        let Self { requests, kernel, world, .. } = self;
        let requests = requests.as_mut()?;
        // If they cannot be read, whoever asks for figures is told why.
        let counters = kernel.counters().unwrap_or_default();
        let cpu = kernel.sources().iter().find(|source| matches!(source, Source::Cpu { .. }));
        let frequency_hz = cpu.map_or(0, |source| source.frequency_hz());
        let period_ns = 1_000_000_000_u64.checked_div(frequency_hz).unwrap_or(0);
        let of_cpu = counted.counted().filter(|(key, _)| key.event == Event::CPU);
        let cpu_ns = of_cpu.map(|(key, counted)| (key.route, counted.weight.saturating_mul(period_ns)));
        let mut window = requests.cut(nanos(duration), &counters, cpu_ns);
        let name = |pid| world.processes.present_image(pid).map(|image| image.name.clone());
        window.process_names = window
            .by_process
            .iter()
            .filter_map(|row| Some((row.pid, name(row.pid)?)))
            .collect::<BTreeMap<_, _>>();
        Some(window)
    }
}
