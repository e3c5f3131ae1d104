//! The report for programs: one JSON object, the fields of [`Report`] under their own names.
//!
//! | key | holds |
//! |---|---|
//! | `host`, `command`, `event`, `frequency_hz`, `start_unix_ns`, `duration_ns` | what was run |
//! | `samples` | how often a stack was seen |
//! | `lost`, `lost_by_cause {cause: n}` | samples that did not get here |
//! | `stacks {complete, truncated {reason: n}}` | samples with a whole stack, and the others by reason |
//! | `unsymbolized_frames` | distinct sampled places in the code that no symbol explains |
//! | `first_stacks {until_first_whole_ns, new_images, whole_at_once, never_whole, median_ns, max_ns}` | how soon stacks are whole: in the run, and in images that begin during it |
//! | `overhead {kernel_ns_per_sample, kernel_cpu_percent, agent_cpu_percent, agent_rss_bytes, table_bytes}` | null: not measured |
//! | `unwind_tables {tables_evicted, tables_without_room, tables_from_cache, tables_cached, cache_files_damaged, tables_not_cached}` | null: not counted |
//! | `probes {on_percent, times_on, at_once, hit_ns, refused, each}` | only where there were some; `each` is a list of `{function, offset, file, processes, hits, hits_per_second, cpu_percent}`, most hits first |
//! | `allocations {live, n_stacks, stacks [{frames, alloc_objects, alloc_bytes, alloc_bytes_error, live}]}` | of allocations only: estimates by stack with their standard errors; `live` is what was not freed, or null |
//! | `live {objects, bytes, bytes_error, ages {under_1s, under_10s, under_1min, under_10min, longer}, growth_bytes, late_growth_bytes, growth_percent, verdict}` | bytes by age; growth from the first reading to the last, in the second half of the run, and of the growth of all stacks; the verdict as `agent memory` gives it |
//! | `times {min_block_ns, threads [{pid, process, tid, name, elapsed_ns, on_cpu_ns, blocked_ns, idle_ns, runnable_ns}]}` | of time off the CPU only: where the time of each thread went, short waits included |
//! | `loops {stall_ns, groups [{process, workers, busy_percent, busiest_percent, imbalance}], workers}` | of event loops only; `workers` is a list of `{pid, process, tid, name, busy_percent, iterations, mean_ns, median_ns, p90_ns, p99_ns, max_ns, stalls, stalled_ns, histogram [{from_ns, count}]}`, busiest first |
//! | `totals [{kind, unit, value}]` | the sum of each value type |
//! | `value {kind, unit}` | what the `*_value` keys below count |
//! | `top [{name, module, self_value, total_value, self_percent, total_percent}]` | functions, largest self value first |
//! | `top_stacks [{frames [{name, module}], leaf, value, percent}]` | only of growth: whole stacks, root first, the first 100, largest first; `leaf` is file and offset of the innermost instruction |
//! | `functions` | how many there are, as `top` holds the first 100 |
//! | `processes [{pid, name, value, percent}]` | largest first |
//! | `threads [{pid, process, tid, name, value, percent}]` | largest first |
//! | `comments [text]` | remarks of the run |

use std::io;

use super::{EncodeError, writing};
use crate::{model::Profile, report::Report};

const FORMAT: &str = "json";

/// Writes the report of the profile.
pub fn write(profile: &Profile, out: &mut impl io::Write) -> Result<(), EncodeError> {
    write_report(&Report::new(profile), out)
}

/// Writes a report that was already made.
pub fn write_report(report: &Report, out: &mut impl io::Write) -> Result<(), EncodeError> {
    serde_json::to_writer_pretty(&mut *out, report)
        .map_err(|source| EncodeError::Json { format: FORMAT, source })?;
    writeln!(out).map_err(writing(FORMAT))
}
