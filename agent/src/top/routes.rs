//! Requests by route: the windows that are kept, what is shown of them, and how it is sorted.

use std::collections::VecDeque;

use profile::Profile;

use super::{rows, update::RoutesTick};
use crate::requests::{RouteRow, RouteWindow};

/// What routes are sorted by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RouteSort {
    /// Requests a second.
    #[default]
    Rate,
    /// The 99th percentile of their time.
    Slowest,
    /// CPU time.
    Cpu,
    /// The share of answers with 5xx.
    Errors,
    /// Method and route.
    Name,
}

impl RouteSort {
    /// The next one, in a circle.
    #[must_use]
    pub fn next(self) -> Self {
        match self {
            Self::Rate => Self::Slowest,
            Self::Slowest => Self::Cpu,
            Self::Cpu => Self::Errors,
            Self::Errors => Self::Name,
            Self::Name => Self::Rate,
        }
    }

    /// As the title says it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Rate => "rate",
            Self::Slowest => "p99",
            Self::Cpu => "CPU",
            Self::Errors => "5xx",
            Self::Name => "name",
        }
    }
}

/// What is known of requests.
#[derive(Default)]
pub struct Routes {
    /// How rows are sorted.
    pub sort: RouteSort,
    windows: VecDeque<(Profile, RouteWindow)>,
    shown: Option<ShownRoutes>,
    notes: Vec<String>,
}

/// What is shown of them.
pub struct ShownRoutes {
    /// As `record --event requests` writes it.
    pub profile: Profile,
    /// All together.
    pub all: RouteRow,
    /// CPU time that was for requests, in percent of all.
    pub cpu_percent: f64,
    rows: Vec<RouteRow>,
}

impl Routes {
    /// Takes in a window, and keeps so many.
    pub fn push(&mut self, tick: RoutesTick, n_at_most: usize) {
        let RoutesTick { profile, window, n_tls_unread, remarks } = tick;
        self.windows.push_back((profile, window));
        while self.windows.len() > n_at_most {
            self.windows.pop_front();
        }
        let unread = (n_tls_unread > 0).then(|| {
            format!("{n_tls_unread} connections speak TLS and were not read (--tls reads OpenSSL's)")
        });
        self.notes = unread.into_iter().chain(remarks).collect();
    }

    /// Puts the last windows together.
    pub fn merge(&mut self, n_windows: usize) {
        let mut windows = self.windows.iter().rev().take(n_windows).rev();
        self.shown = windows.next().cloned().map(|(mut profile, mut whole)| {
            for (of_window, window) in windows {
                profile.append(of_window);
                whole.append(window);
            }
            ShownRoutes { profile, all: whole.all(), cpu_percent: whole.cpu_percent(), rows: whole.rows() }
        });
    }

    /// What is shown, if requests are followed and there is anything yet.
    #[must_use]
    pub fn shown(&self) -> Option<&ShownRoutes> {
        self.shown.as_ref()
    }

    /// What is not seen, or was lost, in sentences.
    #[must_use]
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// The rows that the filter leaves, sorted.
    #[must_use]
    pub fn rows(&self, filter: &str) -> Vec<&RouteRow> {
        let all = self.shown.iter().flat_map(|shown| &shown.rows);
        let mut rows: Vec<&RouteRow> = all.filter(|row| rows::matches(&row.route, filter)).collect();
        rows.sort_by(|a, b| {
            let by_name = || a.route.cmp(&b.route);
            match self.sort {
                RouteSort::Rate => b.count.cmp(&a.count).then_with(by_name),
                RouteSort::Slowest => b.total.p99_ns.cmp(&a.total.p99_ns).then_with(by_name),
                RouteSort::Cpu => b.cpu_ns.cmp(&a.cpu_ns).then_with(by_name),
                RouteSort::Errors => b.errors_percent().total_cmp(&a.errors_percent()).then_with(by_name),
                RouteSort::Name => by_name(),
            }
        });
        rows
    }
}
