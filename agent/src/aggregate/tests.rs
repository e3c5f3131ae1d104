//! What is counted, by which stack.

use super::{Aggregate, UserFrame};
use crate::{
    decode::{MappedRegion, RawStack},
    estimate::Estimate,
    process::{Interest, Processes, Snapshot},
};
use abi::{
    event::Event,
    fault::Fault,
    frame::PackedFrame,
    sample::{KIND_SAMPLE, Sample, UNREPEATED_STACK},
};

pub(super) fn processes() -> Processes {
    let mut processes = Processes::new(Interest::default());
    for (pid, start) in [(1, 0x10_000), (2, 0x50_000)] {
        let region = |start, inode, path: &str| MappedRegion {
            start,
            end: start + 0x1000,
            file_offset: 0x400,
            device: (8, 1),
            inode,
            path: path.into(),
        };
        let regions = vec![region(start, 7, "/bin/x"), region(0x90_000, 0, "")];
        processes.insert(Snapshot { pid, regions, ..Snapshot::default() }, 0, &mut Vec::new());
    }
    processes
}

pub(super) fn stack(id: u64, words: &[PackedFrame]) -> RawStack {
    RawStack {
        id,
        fault: Fault::COMPLETE,
        has_frame_pointer_steps: false,
        words: words.iter().map(|frame| frame.0).collect(),
    }
}

fn add(aggregate: &mut Aggregate, processes: &Processes, tgid: u32, user_stack: u64) {
    add_at(aggregate, processes, tgid, user_stack, 9);
}

pub(super) fn add_at(
    aggregate: &mut Aggregate,
    processes: &Processes,
    tgid: u32,
    user_stack: u64,
    time_ns: u64,
) {
    let sample = Sample {
        kind: KIND_SAMPLE,
        cpu: 0,
        event: Event::CPU,
        time_ns,
        tgid,
        tid: tgid,
        user_stack,
        kernel_stack: 0,
        weight: 1,
        context: 0,
    };
    let id = processes.image_at(tgid, time_ns).expect("an image");
    let image = processes.image(id).expect("by ID");
    aggregate.add(&sample, None, Estimate::whole(1), id, &image.mappings, processes.files());
}

#[test]
fn one_raw_stack_of_two_processes_is_two_stacks_where_its_addresses_mean_two_things() {
    let (mut aggregate, processes) = (Aggregate::default(), processes());
    aggregate.add_user_stack(stack(5, &[0x10_010, 0x90_010].map(PackedFrame::absolute)));
    add(&mut aggregate, &processes, 1, 5);
    add(&mut aggregate, &processes, 2, 5);
    let file = processes.files().by_number(1).expect("the file");
    let stacks: Vec<_> =
        aggregate.user_stacks().iter().map(|stack| (&stack.frames[..], stack.fault)).collect();
    let whole = [UserFrame::File { file, offset: 0x410 }, UserFrame::Jit { address: 0x90_010 }];
    let lost = [UserFrame::Unmapped { address: 0x10_010 }, UserFrame::Jit { address: 0x90_010 }];
    assert_eq!(stacks, [(&whole[..], Fault::COMPLETE), (&lost[..], Fault::COMPLETE)]);
}

#[test]
fn a_frame_normalised_in_the_kernel_and_one_normalised_here_are_the_same_stack() {
    let (mut aggregate, processes) = (Aggregate::default(), processes());
    aggregate.add_user_stack(stack(5, &[PackedFrame::absolute(0x10_010)]));
    aggregate.add_user_stack(stack(6, &[PackedFrame::file(1, 0x410)]));
    for id in [5, 6, 6] {
        add(&mut aggregate, &processes, 1, id);
    }
    let weights: Vec<_> = aggregate.counted().map(|(_, counted)| counted.weight).collect();
    assert_eq!((weights, aggregate.n_samples()), (vec![3], 3));
}

#[test]
fn a_stack_that_is_not_repeated_is_counted_and_forgotten() {
    let (mut aggregate, processes) = (Aggregate::default(), processes());
    for id in 0..100 {
        aggregate.add_user_stack(stack(id, &[PackedFrame::file(1, 0x410)]));
        add(&mut aggregate, &processes, 1, id | UNREPEATED_STACK);
    }
    assert_eq!((aggregate.n_samples(), aggregate.n_stacks_missing()), (100, 0));
    assert_eq!((aggregate.user_stacks().len(), aggregate.arrived.len()), (1, 0));
}

#[test]
fn a_return_address_outside_all_mappings_ends_the_stack_and_a_missing_stack_is_counted() {
    let (mut aggregate, processes) = (Aggregate::default(), processes());
    aggregate.add_user_stack(stack(5, &[0x10_010, 0x1234, 0x10_020].map(PackedFrame::absolute)));
    add(&mut aggregate, &processes, 1, 5);
    add(&mut aggregate, &processes, 1, 404);
    let [found] = aggregate.user_stacks() else { panic!("{:?}", aggregate.user_stacks()) };
    assert_eq!((found.frames.len(), found.fault), (1, Fault::RETURN_UNMAPPED));
    assert_eq!((aggregate.n_samples(), aggregate.n_stacks_missing()), (2, 1));
}
