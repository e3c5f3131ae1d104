//! The profile of requests: how many there were and how long they took. A stack is a route, and below it the status of the answer.

use profile::{Meta, Profile};

use super::{Collected, values};
use crate::{
    kernel::{self, Source},
    requests::{ProcessRow, RequestsWindow},
};

/// Who served what had no room by process.
const OTHERS: &str = "[other processes]";
/// Who had ended before its name was needed.
const ENDED: &str = "[ended]";

/// The profile of what was answered in a window.
#[must_use]
pub fn served(window: &RequestsWindow, meta: Meta) -> Profile {
    let (types, weight_idx) = values::types(Source::Requests(kernel::Requests::default()));
    let mut profile = Profile::new(types, meta);
    profile.weigh_by(weight_idx);
    for row in &window.by_process {
        add_row(&mut profile, row, window.process_names.get(&row.pid).map(String::as_str));
    }
    profile
}

/// Adds what was served.
pub(super) fn add(profile: &mut Profile, collected: Collected<'_>) {
    for row in collected.requests.iter().flat_map(|report| &report.by_process) {
        let id = collected.processes.image_at(row.pid, collected.end_ns);
        let image = id.and_then(|id| collected.processes.image(id));
        add_row(profile, row, image.map(|image| image.name.as_str()));
    }
}

fn add_row(profile: &mut Profile, row: &ProcessRow, name: Option<&str>) {
    let name = name.unwrap_or(if row.pid == 0 { OTHERS } else { ENDED });
    let process = profile.process(row.pid, name);
    let thread = profile.thread(process, row.pid, name);
    let path = [profile.route(&row.route), profile.reason(&format!("{} {}", row.status, row.route))];
    let stack = profile.stack(path);
    let number = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    let n_requests = number(row.n_requests);
    // The profile was made with the types of these values, so it cannot refuse them.
    let added = profile.add(stack, thread, &[n_requests, n_requests, number(row.total_ns)]);
    debug_assert!(added.is_ok(), "{added:?}");
}
