//! The state as text, one block after another: for a pipe or a file.

use std::io::{self, Write};

use profile::trend::trend;

use super::{
    routes_view,
    rows::{self, Sort},
    state::State,
    view::memory_line,
};

const MAX_THREADS: usize = 5;
const MAX_LOOPS: usize = 10;
const MAX_ROUTES: usize = 10;

/// Writes one block.
///
/// # Errors
/// If it cannot be written.
pub fn write(state: &State, n_functions: usize, out: &mut impl Write) -> io::Result<()> {
    let Some(profile) = state.shown() else { return Ok(()) };
    let samples = profile.value_types().iter().position(|it| it.kind == "samples");
    writeln!(
        out,
        "{}: CPU {:.1} %, {} samples in {:.1} s{}",
        printable(&state.target),
        state.cpu_percent(),
        samples.map_or(0, |at| profile.total(at)),
        profile.meta().duration_ns as f64 / 1e9,
        if state.n_lost > 0 { format!(", {} lost so far", state.n_lost) } else { String::new() }
    )?;
    if let Some(memory) = state.last_memory() {
        writeln!(out, "{}", memory_line(memory, &trend(&state.memory())))?;
    }
    let functions = rows::functions(profile, state.sort, &state.filter);
    if !functions.is_empty() {
        writeln!(out, " self %  total %  function, module")?;
    }
    for row in functions.iter().take(n_functions) {
        let module = row.module.as_deref().map(printable).unwrap_or_default();
        writeln!(
            out,
            "{:>7.2}  {:>7.2}  {}  {module}",
            row.self_percent,
            row.total_percent,
            printable(&row.name)
        )?;
    }
    let threads = rows::threads(profile, Sort::SelfTime, "");
    if !threads.is_empty() {
        writeln!(out, "  CPU %  thread, process")?;
    }
    for row in threads.iter().take(MAX_THREADS) {
        let process = row.module.as_deref().map(printable).unwrap_or_default();
        writeln!(out, "{:>7.2}  {}  {process}", row.self_percent, printable(&row.name))?;
    }
    let loops = state.loops();
    if !loops.is_empty() {
        writeln!(out, " busy %  loops/s  mean ms  longest ms  stalls  event loop")?;
    }
    for row in loops.into_iter().take(MAX_LOOPS) {
        writeln!(
            out,
            "{:>7.2}  {:>7.0}  {:>7.2}  {:>10.2}  {:>6}  {} {} ({})",
            row.busy_percent,
            row.iterations_per_second,
            row.mean_ns as f64 / 1e6,
            row.max_ns as f64 / 1e6,
            row.stalls,
            row.tid,
            printable(&row.name),
            row.pid
        )?;
    }
    write_routes(state, out)?;
    writeln!(out)?;
    out.flush()
}

fn write_routes(state: &State, out: &mut impl Write) -> io::Result<()> {
    let Some(shown) = state.routes.shown() else { return Ok(()) };
    let rows = state.routes.rows(&state.filter);
    if !rows.is_empty() {
        writeln!(out, "{}", routes_view::summary(shown))?;
        writeln!(out, "{}", routes_view::heads())?;
    }
    for row in rows.iter().take(MAX_ROUTES) {
        writeln!(out, "{}  {}", routes_view::line(row), printable(&row.route))?;
    }
    if let n @ 1.. = rows.len().saturating_sub(MAX_ROUTES) {
        writeln!(out, "and {n} routes more")?;
    }
    state.routes.notes().iter().try_for_each(|note| writeln!(out, "{note}"))
}

/// Names come from other people's binaries.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}
