//! A CPU sample: filter, kernel stack, user stack, one record.

use abi::{counter::Counter, event::Event};
use aya_ebpf::programs::PerfEventContext;

use super::{
    event_loop, kernel_stack,
    maps::{count, scratch},
    submit, target, user_stack,
};

#[inline(always)]
pub(crate) fn sample(ctx: &PerfEventContext) {
    // Before anything is walked.
    let Some(current) = target::current() else { return };
    count(Counter::Taken);
    let Some(scratch) = scratch(0) else { return };

    let kernel_stack = kernel_stack::id(ctx, scratch);
    let user_stack = user_stack::id(&current, 0, scratch, true);
    let context = event_loop::iteration_of(current.tid);
    submit::sample(&current, Event::CPU, 1, user_stack, kernel_stack, context);
}
