//! nginx as it is installed: no frame pointers, no symbols, most of its time in the kernel's TCP.

use anyhow::{Context as _, Result};
use tests::{
    agent,
    folded::Stack,
    servers::{self, Load},
};

use crate::support::pid_args;

const TCP_SEND: [&str; 4] = ["tcp_sendmsg", "tcp_sendmsg_locked", "tcp_write_xmit", "__tcp_transmit_skb"];

fn sends_by_tcp(stack: &Stack) -> bool {
    stack.kernel().any(|frame| TCP_SEND.contains(&frame))
}

fn is_send_call(frame: &str) -> bool {
    let name = frame.trim_start_matches("__").trim_start_matches("libc_");
    name == "writev" || name == "write" || name.starts_with("send")
}

#[test]
fn the_worker_of_a_master_is_sampled_down_to_the_kernels_tcp_and_nothing_is_lost() -> Result<()> {
    let nginx = servers::nginx()?;
    let load = Load::start(&nginx)?;
    let master = nginx.running();
    let worker = *master.children()?.first().context("nginx has no worker")?;
    let recording = agent::record(pid_args(master.pid(), &["--frequency", "199", "--duration", "5s"]))?;
    assert!(load.is_alive(), "the load ended before the recording\n{recording}");

    let report = &recording.report;
    assert!(report.samples_of(worker) > 100, "too few samples of worker {worker}\n{recording}");
    assert!(report.threads.iter().any(|it| it.tid == worker && it.name == "nginx"), "{recording}");
    let n_sends = recording.folded.count(sends_by_tcp);
    assert!(n_sends > 20, "{n_sends} samples in the kernel's TCP send path\n{recording}");
    // Without `tcp_sendmsg` it is an answer to a packet that came in, whatever ran at that moment.
    let is_called = |stack: &Stack| stack.has("tcp_sendmsg_[k]");
    let n_calls = recording.folded.count(is_called);
    assert!(n_calls > 20, "{n_calls} samples below tcp_sendmsg\n{recording}");
    let joined = recording.folded.share(is_called, |stack| stack.user().last().is_some_and(is_send_call));
    assert!(joined > 0.95, "{joined:.3} of sends stand below the call that sends\n{recording}");
    assert_eq!(report.lost, 0, "{recording}");
    // Debian builds nginx and its libraries without frame pointers.
    let whole = report.stacks.complete as f64 / report.samples as f64;
    assert!(whole > 0.99, "{whole:.4} of stacks are whole\n{recording}");
    let rooted = recording.folded.share(|_| true, |stack| stack.has("__libc_start_main"));
    assert!(rooted > 0.99, "{rooted:.4} of stacks begin where the process began\n{recording}");
    Ok(())
}
