//! Requests of one stretch of time after another, by route: what a live view shows, and what it puts together for longer ones.

use std::collections::BTreeMap;

use abi::counter::Counter;

use super::{
    Requests, RouteIndex, remarks,
    report::ratio,
    served::{OTHER, ProcessRow, RowKey, Tally},
    times::{Times, TimesReport},
};

/// Routes that have a row of their own; the rest is in one called `other`.
const MAX_ROWS: usize = 500;

/// What became of requests since the last time.
#[derive(Debug, Default)]
pub struct RequestsWindow {
    /// What was answered, by method and route.
    pub routes: RouteWindow,
    /// The same by process, route and status.
    pub by_process: Vec<ProcessRow>,
    /// The names of these processes.
    pub process_names: BTreeMap<u32, String>,
    /// Connections that speak TLS and were not read, since the start.
    pub n_tls_unread: u64,
    /// What else is not seen, or was lost, since the start.
    pub remarks: Vec<String>,
}

/// What was answered in a stretch of time, by method and route.
#[derive(Clone, Debug, Default)]
pub struct RouteWindow {
    duration_ns: u64,
    routes: BTreeMap<String, RouteTally>,
    /// CPU time that was for none of them.
    other_cpu_ns: u64,
}

/// The requests of a route.
#[derive(Clone, Debug, Default)]
struct RouteTally {
    n_by_class: [u64; 5],
    n_bytes_out: u64,
    total: Times,
    upstream_ns: f64,
    cpu_ns: u64,
    /// Samples know it: what has none took little CPU time.
    has_samples: bool,
}

/// A route in a stretch of time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RouteRow {
    /// `GET /users/{n}`; `other` for those without room; empty for all together.
    pub route: String,
    /// Requests answered.
    pub count: u64,
    /// The same by second.
    pub per_second: f64,
    /// The same by class of their status, from 1xx to 5xx.
    pub by_class: [u64; 5],
    /// From the read that had the end of the head to the write that had the end of the answer.
    pub total: TimesReport,
    /// How long others took, in percent of that; of several at once the sum.
    pub upstream_percent: f64,
    /// Bytes of answers a second, heads included.
    pub bytes_per_second: f64,
    /// CPU time that was sampled for it; `None` if samples do not know it from others.
    pub cpu_ns: Option<u64>,
}

impl RouteRow {
    /// Answers with 5xx, in percent.
    #[must_use]
    pub fn errors_percent(&self) -> f64 {
        let [.., n_errors] = self.by_class;
        100.0 * ratio(n_errors as f64, self.count as f64)
    }

    /// CPU time for each request that was answered, if there were any.
    #[must_use]
    pub fn cpu_ns_per_request(&self) -> Option<f64> {
        self.cpu_ns.filter(|_| self.count > 0).map(|ns| ns as f64 / self.count as f64)
    }
}

impl Requests {
    /// Hands over what was answered since the last call, with what the kernel side has counted and the CPU time that was
    /// sampled meanwhile, for routes and for none. Requests under way and what is known of connections stay.
    pub fn cut(
        &mut self,
        duration_ns: u64,
        counters: &[(Counter, u64)],
        cpu_ns: impl IntoIterator<Item = (Option<RouteIndex>, u64)>,
    ) -> RequestsWindow {
        let served = self.served.cut();
        let mut routes = RouteWindow { duration_ns, ..RouteWindow::default() };
        for (key, tally) in &served.rows {
            let name = name_of(key);
            let has_samples = self.open.has_route(&name);
            let route = routes.routes.entry(name).or_default();
            route.add(tally, key.status);
            route.has_samples |= has_samples;
        }
        for (route, n_ns) in cpu_ns {
            routes.add_cpu(route.and_then(|index| self.open.route_name(index)), n_ns);
        }
        self.open.make_room_for_routes();
        RequestsWindow {
            routes,
            by_process: served.by_process(),
            process_names: BTreeMap::new(),
            n_tls_unread: self.tls.unread().n(),
            remarks: remarks::sentences(&self.connections, &self.losses.with_counters(counters)),
        }
    }
}

fn name_of(key: &RowKey) -> String {
    if key.route == OTHER { OTHER.to_owned() } else { format!("{} {}", key.method, key.route) }
}

impl RouteWindow {
    /// Adds CPU time that was sampled meanwhile, for a route or for no request.
    fn add_cpu(&mut self, route: Option<&str>, n_ns: u64) {
        let Some(route) = route else {
            self.other_cpu_ns = self.other_cpu_ns.saturating_add(n_ns);
            return;
        };
        let tally = match self.routes.get_mut(route) {
            Some(tally) => tally,
            None => self.routes.entry(route.to_owned()).or_default(),
        };
        tally.cpu_ns = tally.cpu_ns.saturating_add(n_ns);
        tally.has_samples = true;
    }

    /// Adds the stretch of time that came next.
    pub fn append(&mut self, other: &Self) {
        self.duration_ns = self.duration_ns.saturating_add(other.duration_ns);
        self.other_cpu_ns = self.other_cpu_ns.saturating_add(other.other_cpu_ns);
        for (route, tally) in &other.routes {
            match self.routes.get_mut(route) {
                Some(own) => own.append(tally),
                None => {
                    self.routes.insert(route.clone(), tally.clone());
                }
            }
        }
    }

    /// All routes together.
    #[must_use]
    pub fn all(&self) -> RouteRow {
        let mut all = RouteTally::default();
        self.routes.values().for_each(|tally| all.append(tally));
        all.row(String::new(), self.duration_ns)
    }

    /// CPU time that was for requests, in percent of all that was sampled.
    #[must_use]
    pub fn cpu_percent(&self) -> f64 {
        let for_requests: f64 = self.routes.values().map(|tally| tally.cpu_ns as f64).sum();
        100.0 * ratio(for_requests, for_requests + self.other_cpu_ns as f64)
    }

    /// A row for each route, those that are asked for most first; past 500 they are in `other`.
    #[must_use]
    pub fn rows(&self) -> Vec<RouteRow> {
        let mut routes: Vec<(&String, &RouteTally)> = self.routes.iter().collect();
        let rank = |it: &RouteTally| (it.total.n(), it.cpu_ns);
        routes.sort_by(|a, b| rank(b.1).cmp(&rank(a.1)).then_with(|| a.0.cmp(b.0)));
        let mut other = RouteTally::default();
        let mut rows = Vec::with_capacity(routes.len().min(MAX_ROWS + 1));
        for (route, tally) in routes {
            if route == OTHER || rows.len() >= MAX_ROWS {
                other.append(tally);
            } else {
                rows.push(tally.row(route.clone(), self.duration_ns));
            }
        }
        if other.total.n() > 0 || other.cpu_ns > 0 {
            rows.push(other.row(OTHER.to_owned(), self.duration_ns));
        }
        rows
    }
}

impl RouteTally {
    fn add(&mut self, tally: &Tally, status: u16) {
        // Whatever is not a status counts with the nearest that is.
        let class = usize::from((status / 100).clamp(1, 5)) - 1;
        if let Some(n) = self.n_by_class.get_mut(class) {
            *n += tally.total.n();
        }
        self.n_bytes_out = self.n_bytes_out.saturating_add(tally.n_bytes_out);
        self.total.append(&tally.total);
        self.upstream_ns += tally.upstream.sum_ns();
    }

    fn append(&mut self, other: &Self) {
        self.n_by_class.iter_mut().zip(other.n_by_class).for_each(|(own, n)| *own += n);
        self.n_bytes_out = self.n_bytes_out.saturating_add(other.n_bytes_out);
        self.total.append(&other.total);
        self.upstream_ns += other.upstream_ns;
        self.cpu_ns = self.cpu_ns.saturating_add(other.cpu_ns);
        self.has_samples |= other.has_samples;
    }

    fn row(&self, route: String, duration_ns: u64) -> RouteRow {
        let seconds = duration_ns as f64 / 1e9;
        let total = self.total.report();
        RouteRow {
            route,
            count: total.count,
            per_second: ratio(total.count as f64, seconds),
            by_class: self.n_by_class,
            upstream_percent: 100.0 * ratio(self.upstream_ns, self.total.sum_ns()),
            bytes_per_second: ratio(self.n_bytes_out as f64, seconds),
            cpu_ns: self.has_samples.then_some(self.cpu_ns),
            total,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::tests::*, MAX_ROWS, RouteRow, RouteWindow};
    use crate::requests::Requests;
    use abi::{
        counter::Counter,
        request::{MESSAGE_FOREIGN, Message},
    };

    const SECOND_NS: u64 = 1_000_000_000;

    fn answer(requests: &mut Requests, path: &str, status: u16, from_ns: u64, took_ns: u64) {
        requests.apply(&event((1, ASKS, from_ns, path)));
        let mut end = event((1, ANSWERS, from_ns + took_ns, ""));
        end.message = Message { status, ..end.message };
        requests.apply(&end);
    }

    fn row<'a>(rows: &'a [RouteRow], route: &str) -> &'a RouteRow {
        rows.iter().find(|row| row.route == route).unwrap_or_else(|| panic!("{route}: {rows:#?}"))
    }

    #[test]
    fn each_window_has_its_own_requests_and_together_they_have_all() {
        let mut requests = Requests::joined();
        for (path, status, took_ns) in [("/a/1", 200, 100), ("/a/2", 503, 300), ("/b", 304, 20)] {
            answer(&mut requests, path, status, 1000, took_ns);
        }
        let mut first = requests.cut(SECOND_NS, &[], [(Some(0), 3_000), (None, 1_000)]).routes;
        let rows = first.rows();
        let a = row(&rows, "GET /a/{n}");
        assert_eq!((a.count, a.by_class, a.total.mean_ns, a.cpu_ns), (2, [0, 1, 0, 0, 1], 200, Some(3000)));
        assert_eq!((a.errors_percent(), a.cpu_ns_per_request()), (50.0, Some(1500.0)));
        assert_eq!((row(&rows, "GET /b").cpu_ns, rows.len()), (Some(0), 2), "{rows:#?}");
        assert_eq!(first.cpu_percent(), 75.0);

        answer(&mut requests, "/a/3", 200, 5000, 500);
        let second = requests.cut(SECOND_NS, &[], []);
        assert_eq!(second.by_process.len(), 1, "{second:#?}");
        first.append(&second.routes);
        let rows = first.rows();
        let a = row(&rows, "GET /a/{n}");
        assert_eq!((a.count, a.per_second, a.total.median_ns, a.total.p99_ns), (3, 1.5, 300, 500));
        assert_eq!((first.all().count, first.all().per_second), (4, 2.0));
        assert_eq!(requests.n_served(), 4);
        assert!(requests.cut(SECOND_NS, &[], []).routes.rows().is_empty(), "nothing is told twice");
    }

    #[test]
    fn what_others_took_is_a_share_of_the_time() {
        let mut requests = Requests::default();
        for told in [(1, ASKS, 100, "/a"), (2, ASKS | UP, 120, "/a"), (2, ANSWERS | UP, 170, "")] {
            requests.apply(&event(told));
        }
        requests.apply(&event((1, ANSWERS, 200, "")));
        let rows = requests.cut(SECOND_NS, &[], []).routes.rows();
        let found = row(&rows, "GET /a");
        assert_eq!((found.upstream_percent, found.cpu_ns), (50.0, None), "no samples: {rows:#?}");
    }

    #[test]
    fn routes_without_room_are_in_one_row_and_none_is_missing() {
        let mut window = RouteWindow { duration_ns: SECOND_NS, ..RouteWindow::default() };
        for part in 0..3 {
            let mut requests = Requests::joined();
            for i in 0..400 {
                let path = format!("/p{}x", "abcdefghij".repeat(part + 1)) + &letters(i);
                answer(&mut requests, &path, 200, 1000, 10);
            }
            answer(&mut requests, "/often", 200, 1000, 10);
            window.append(&requests.cut(0, &[], []).routes);
        }
        let rows = window.rows();
        assert_eq!(rows.len(), MAX_ROWS + 1);
        assert_eq!((rows[0].route.as_str(), rows[0].count), ("GET /often", 3));
        assert_eq!(row(&rows, "other").count, 1200 - (MAX_ROWS as u64 - 1));
        assert_eq!(rows.iter().map(|row| row.count).sum::<u64>(), 1203);
    }

    /// A number that no route folds.
    fn letters(mut number: usize) -> String {
        let mut text = String::new();
        while number > 0 {
            text.push(char::from(b'k' + u8::try_from(number % 10).unwrap_or(0)));
            number /= 10;
        }
        text
    }

    #[test]
    fn samples_know_routes_of_now_and_those_of_requests_that_are_still_under_way() {
        let mut requests = Requests::joined();
        requests.apply(&event((9, ASKS, 1, "/long")));
        let long = requests.serving(9).expect("one is under way").route;
        for round in 0..5 {
            for i in 0..300 {
                answer(&mut requests, &format!("/r{}x{}", letters(round + 1), letters(i)), 200, 1000, 10);
            }
            let rows = requests.cut(SECOND_NS, &[], [(Some(long), 7)]).routes.rows();
            let n_known = rows.iter().filter(|row| row.cpu_ns.is_some()).count();
            // With the long one, 301 in one window and 199 in the next fill it.
            assert!(
                if round % 2 == 0 { n_known == 301 } else { (200..=201).contains(&n_known) },
                "{n_known}"
            );
            let with_cpu = rows.iter().find(|row| row.cpu_ns == Some(7)).map(|row| row.route.as_str());
            assert_eq!(with_cpu, Some(if round < 4 { "GET /long" } else { "other" }), "round {round}");
        }
        assert!(requests.routes().len() <= 1002, "{} are remembered", requests.routes().len());
    }

    #[test]
    fn what_is_not_seen_is_said() {
        let mut requests = Requests::default();
        let mut foreign = event((9, MESSAGE_FOREIGN, 1, ""));
        foreign.message.status = abi::request::FOREIGN_TLS;
        requests.apply(&foreign);
        foreign.message = Message { status: abi::request::FOREIGN_HTTP2, connection: 10, ..foreign.message };
        requests.apply(&foreign);
        let window = requests.cut(SECOND_NS, &[(Counter::MessagesLost, 7)], []);
        assert_eq!(window.n_tls_unread, 1);
        let remarks = window.remarks.join("\n");
        assert!(remarks.contains("1 connections speak HTTP/2"), "{remarks}");
        assert!(remarks.contains("7 messages were lost"), "{remarks}");
    }
}
