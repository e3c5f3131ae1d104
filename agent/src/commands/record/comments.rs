//! What the report says besides the profile, in sentences.

use abi::counter::Counter;

use super::{is_loss, probes};
use crate::{
    assemble,
    heap::Heap,
    kernel::KernelError,
    run::{End, Recording},
};

/// What happened besides, in sentences.
pub(super) fn comments(recording: &Recording) -> Vec<String> {
    let mut comments = Vec::new();
    if recording.end == End::TargetsEnded && recording.exit_status.is_none() {
        comments.push(format!("every target had ended after {:.1} s", recording.duration.as_secs_f64()));
    }
    if recording.end == End::Stopped {
        comments.push("ended early on request".to_owned());
    }
    for (counter, count) in &recording.counters {
        if *count > 0 && !is_loss(*counter) && !is_said_elsewhere(*counter) {
            comments.push(format!("{count} {}", counter.sentence()));
        }
    }
    let losses = &recording.losses;
    let cache = recording.usage.table_cache.unwrap_or_default();
    for (count, sentence) in [
        (
            losses.process_events,
            "process events that the kernel had no room for; processes were looked up again",
        ),
        (
            losses.files_unopened,
            "files that could not be opened: no names and no unwind table for their code",
        ),
        (
            losses.tables_without_room,
            "files had no room for their unwind tables, at least for a time (--table-memory)",
        ),
        (
            losses.tables_evicted,
            "unwind tables evicted to make room for others; such a file gets its table again when it is sampled",
        ),
        (cache.n_damaged, "damaged files in the cache of unwind tables: removed, and the tables built anew"),
        (cache.n_unsaved, "unwind tables that could not be written to the cache"),
        (
            losses.tables_refused,
            "files left by frame pointer: their unwind information is past a limit or unreadable \
             (`agent unwind FILE` says why)",
        ),
        (
            assemble::n_frame_pointer_samples(recording.collected().aggregate),
            "samples with code that has no unwind information: left by its frame pointer",
        ),
        (
            losses.captures_dropped,
            "stacks in code too new for the kernel side dropped: their samples were lost",
        ),
        (
            losses.mappings_refused,
            "mappings past what a process can have: code there is not known (it maps code and does not stop)",
        ),
        (losses.threads_full, "threads whose time was not followed because there were too many"),
        (recording.n_walked_late, "samples in code too new for the kernel side: walked by the agent"),
        (
            recording.heap.as_ref().map_or(0, Heap::n_without_history),
            "live allocations of stacks too many to be followed over time: no verdict on those",
        ),
        (
            recording.n_cut_late,
            "samples in code too new for the kernel side that the agent could not walk to their end either",
        ),
        (recording.aggregate.n_stacks_missing(), "samples whose stack never came"),
    ] {
        if count > 0 {
            comments.push(format!("{count} {sentence}"));
        }
    }
    comments.extend(table_errors(losses.table_writes, recording.first_table_error.as_ref()));
    if let Some(requests) = &recording.requests {
        // As `agent diff` reads it.
        comments.extend(recording.routes.as_ref().map(|_| format!("requests={}", requests.requests)));
        comments.extend(requests.remarks());
    }
    if let Some(probing) = &recording.probing {
        comments.extend(probes::comments(probing, recording.duration));
    }
    comments
}

/// What samples and messages there are, and what is missing of messages: the report and the remarks on requests have it.
fn is_said_elsewhere(counter: Counter) -> bool {
    matches!(
        counter,
        Counter::Taken
            | Counter::MessagesTaken
            | Counter::MessagesLost
            | Counter::HeadsUnread
            | Counter::TlsCallsMissed
            | Counter::ConnectionsFull
    )
}

/// A count alone does not say what to do about it.
fn table_errors(count: u64, first: Option<&KernelError>) -> Option<String> {
    let reasons: Vec<String> = anyhow::Chain::new(first?).map(ToString::to_string).collect();
    Some(format!("{count} changes to the kernel's tables failed, the first with: {}", reasons.join(": ")))
}

#[cfg(test)]
mod tests {
    use super::table_errors;
    use crate::kernel::KernelError;

    #[test]
    fn failed_changes_of_tables_are_counted_with_the_whole_reason_of_the_first() {
        let source = std::io::Error::from_raw_os_error(libc::EPERM);
        let first = KernelError::MapMemory { map: "FILES", source };
        let said = table_errors(7, Some(&first)).expect("a sentence");
        let has = |part: &str| said.contains(part);
        assert!(has("7 changes") && has("FILES") && has("Operation not permitted"), "{said}");
        assert_eq!(table_errors(0, None), None);
    }
}
