//! Live objects, held against a list that is kept without any cunning.

use std::collections::HashMap;

use abi::event::Event;
use proptest::prelude::{Strategy, any, prop_assert_eq, prop_oneof, proptest};

use super::{Ages, Heap, InUse, Place, naive::Naive};
use crate::{
    aggregate::Key,
    estimate::Estimate,
    process::{ImageId, Interest, Processes, Snapshot},
};

const INTERVAL_BYTES: u64 = 4096;

fn images(n: u32) -> Vec<ImageId> {
    let mut processes = Processes::new(Interest::default());
    (1..=n).map(|pid| processes.insert(Snapshot { pid, ..Snapshot::default() }, 0, &mut Vec::new())).collect()
}

fn key(image: ImageId, stack: u32) -> Key {
    Key { event: Event::ALLOCATED, image, tid: 1, user: Some(stack), kernel: None, waker: None, route: None }
}

fn add(heap: &mut Heap, place: Place, n_bytes: u64, stack: u32) {
    heap.allocated(place, Estimate::of_bytes(n_bytes, INTERVAL_BYTES));
    heap.attribute(place, key(place.image, stack));
}

fn bytes(heap: &Heap) -> u64 {
    heap.in_use().values().map(|in_use| in_use.n_bytes).sum()
}

#[test]
fn what_is_not_freed_lives_and_has_an_age_and_a_history() {
    let [image] = images(1)[..] else { panic!("one image") };
    let mut heap = Heap::default();
    let place = |address, second: u64| Place { image, address, since_ns: second * 1_000_000_000 };
    for second in 1..=20 {
        add(&mut heap, place(second, second), 1 << 30, 7);
        add(&mut heap, place(1000, second), 1 << 20, 8);
        heap.freed(image, 1000, second * 1_000_000_000 + 1);
        heap.tick(second * 1_000_000_000);
    }
    let stacks = heap.stacks(20_500_000_000);
    let kept = &stacks[&Some(7)];
    assert_eq!((kept.in_use.n_bytes, kept.in_use.n_objects), (20 << 30, 20.0));
    assert_eq!(kept.ages, Ages([1 << 30, 9 << 30, 10 << 30, 0, 0]));
    let freed = &stacks[&Some(8)];
    assert_eq!((freed.in_use, freed.ages), (InUse::default(), Ages::default()));
    let times = |points: &[profile::trend::Point]| points.iter().map(|it| it.time_ns).collect::<Vec<_>>();
    assert_eq!(times(&kept.points), times(&freed.points));
    assert_eq!(kept.points.last().map(|it| it.bytes), Some(20 << 30));
}

#[test]
fn a_free_that_is_older_than_what_is_there_was_of_something_else() {
    let [image] = images(1)[..] else { panic!("one image") };
    let mut heap = Heap::default();
    add(&mut heap, Place { image, address: 16, since_ns: 100 }, 1 << 20, 1);
    heap.freed(image, 16, 99);
    assert_eq!(bytes(&heap), 1 << 20);
    // Given out again: the old one is gone, seen or not.
    add(&mut heap, Place { image, address: 16, since_ns: 200 }, 1 << 21, 1);
    assert_eq!(bytes(&heap), 1 << 21);
    heap.freed(image, 16, 200);
    assert_eq!(bytes(&heap), 0);
}

#[test]
fn what_was_freed_before_its_stack_was_walked_does_not_live() {
    let [image] = images(1)[..] else { panic!("one image") };
    let mut heap = Heap::default();
    let place = Place { image, address: 16, since_ns: 100 };
    heap.allocated(place, Estimate::whole(1));
    heap.freed(image, 16, 150);
    heap.attribute(place, key(image, 1));
    assert_eq!((bytes(&heap), heap.n_objects), (0, 0));
}

#[test]
fn what_the_last_image_held_is_kept_until_another_allocates_and_what_others_held_is_not() {
    let [first, last, later] = images(3)[..] else { panic!("three images") };
    let mut heap = Heap::default();
    add(&mut heap, Place { image: first, address: 16, since_ns: 1 }, 1 << 20, 1);
    add(&mut heap, Place { image: last, address: 16, since_ns: 2 }, 1 << 21, 1);
    let ended = heap.settle(|image| image != first, true);
    assert_eq!((ended.len(), bytes(&heap)), (1, 1 << 21));
    assert_eq!(heap.settle(|_| false, false).len(), 1);
    assert_eq!((heap.settle(|_| false, false).len(), bytes(&heap)), (0, 1 << 21));
    assert_eq!((heap.settle(|image| image == later, true).len(), bytes(&heap)), (0, 0));
}

#[test]
fn what_another_account_does_not_have_goes_but_not_what_ended_images_held() {
    let [image, ended] = images(2)[..] else { panic!("two images") };
    let mut heap = Heap::default();
    for (image, address) in [(image, 16), (image, 32), (ended, 16)] {
        add(&mut heap, Place { image, address, since_ns: 1 }, 1 << 20, 1);
    }
    heap.settle(|it| it == image, false);
    heap.retain(|place| place.address == 32);
    assert_eq!((bytes(&heap), heap.n_objects), (2 << 20, 2));
    heap.drop_held();
    assert_eq!((bytes(&heap), heap.n_objects), (1 << 20, 1));
    heap.tick(1);
    assert_eq!(heap.stacks(1)[&Some(1)].points.last().map(|it| it.bytes), Some(1 << 20));
}

#[derive(Clone, Debug)]
enum Op {
    Allocate { address: u64, n_bytes: u64, stack: u32, is_late: bool },
    Free { address: u64, is_old: bool },
    Resize { from: u64, to: u64, n_bytes: u64, fails: bool },
    Walk,
    Fork,
    End,
}

fn op() -> impl Strategy<Value = Op> {
    let address = 1..12_u64;
    prop_oneof![
        4 => (address.clone(), 1..20_000_u64, 0..4_u32, any::<bool>())
            .prop_map(|(address, n_bytes, stack, is_late)| Op::Allocate { address, n_bytes, stack, is_late }),
        4 => (address.clone(), any::<bool>()).prop_map(|(address, is_old)| Op::Free { address, is_old }),
        2 => (address.clone(), address, 1..20_000_u64, any::<bool>())
            .prop_map(|(from, to, n_bytes, fails)| Op::Resize { from, to, n_bytes, fails }),
        1 => proptest::strategy::Just(Op::Walk),
        1 => proptest::strategy::Just(Op::Fork),
        // An exec ends an image and begins another.
        1 => proptest::strategy::Just(Op::End),
    ]
}

/// Of the images, a window is alive: a fork moves its end, an end its start.
const N_IMAGES: u32 = 40;

proptest! {
    #[test]
    fn whatever_happens_the_tables_hold_what_a_list_would(
        ops in proptest::collection::vec((0..4_usize, op()), 1..200),
    ) {
        let all = images(N_IMAGES);
        let (mut heap, mut naive) = (Heap::default(), Naive::default());
        let (mut first, mut end) = (0, 2);
        let mut late: Vec<(Place, Key)> = Vec::new();
        for (index, (which, op)) in ops.into_iter().enumerate() {
            let time_ns = 10 * (index as u64 + 1);
            let alive = &all[first..end];
            let image = alive.get(which % alive.len().max(1)).copied();
            let mut allocate = |heap: &mut Heap, naive: &mut Naive, place: Place, n_bytes, key, is_late| {
                let estimate = Estimate::of_bytes(n_bytes, INTERVAL_BYTES);
                heap.allocated(place, estimate);
                naive.allocated(place, estimate);
                if is_late {
                    late.push((place, key));
                } else {
                    heap.attribute(place, key);
                    naive.attribute(place, key);
                }
            };
            match (op, image) {
                (Op::Allocate { address, n_bytes, stack, is_late }, Some(image)) => {
                    let place = Place { image, address, since_ns: time_ns };
                    allocate(&mut heap, &mut naive, place, n_bytes, key(image, stack), is_late);
                }
                (Op::Free { address, is_old }, Some(image)) => {
                    let time_ns = if is_old { time_ns / 2 } else { time_ns };
                    heap.freed(image, address, time_ns);
                    naive.freed(image, address, time_ns);
                }
                // The free is told with the time at which the call began, after what it gave.
                (Op::Resize { from, to, n_bytes, fails: false }, Some(image)) => {
                    let place = Place { image, address: to, since_ns: time_ns };
                    allocate(&mut heap, &mut naive, place, n_bytes, key(image, 0), false);
                    heap.freed(image, from, time_ns - 1);
                    naive.freed(image, from, time_ns - 1);
                },
                (Op::Walk, _) => for (place, key) in late.drain(..) {
                    heap.attribute(place, key);
                    naive.attribute(place, key);
                },
                (Op::Fork, _) if end < all.len() => end += 1,
                (Op::End, Some(_)) => first += 1,
                _ => {}
            }
            let alive = &all[first..end];
            let mut ended = heap.settle(|image| alive.contains(&image), !alive.is_empty());
            let mut expected = naive.settle(alive);
            ended.sort_unstable();
            expected.sort_unstable();
            prop_assert_eq!(ended, expected);
            let mut found: Vec<(Key, u64)> = heap.in_use().into_iter().map(|(key, it)| (key, it.n_bytes)).collect();
            found.sort_unstable();
            prop_assert_eq!(&found, &naive.in_use());
            heap.tick(time_ns);
            let mut by_stack: HashMap<_, u64> = HashMap::new();
            for (key, n_bytes) in found {
                *by_stack.entry(key.user).or_default() += n_bytes;
            }
            for (stack, it) in heap.stacks(time_ns) {
                let expected = by_stack.remove(&stack).unwrap_or(0);
                prop_assert_eq!(it.points.last().map_or(0, |point| point.bytes), expected);
                prop_assert_eq!((it.in_use.n_bytes, it.ages.0.iter().sum::<u64>()), (expected, expected));
            }
            prop_assert_eq!(by_stack.len(), 0);
        }
    }
}
