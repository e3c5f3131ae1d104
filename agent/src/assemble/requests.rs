//! The profile of requests: how many there were and how long they took. A stack is a route, and below it the status of the answer.

use profile::Profile;

use super::Collected;

/// Who served what had no room by process.
const OTHERS: &str = "[other processes]";
/// Who had ended before its name was needed.
const ENDED: &str = "[ended]";

/// Adds what was served.
pub(super) fn add(profile: &mut Profile, collected: Collected<'_>) {
    for row in collected.requests.iter().flat_map(|report| &report.by_process) {
        let id = collected.processes.image_at(row.pid, collected.end_ns);
        let name = id.and_then(|id| collected.processes.image(id)).map(|image| image.name.as_str());
        let name: &str = name.unwrap_or(if row.pid == 0 { OTHERS } else { ENDED });
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
}
