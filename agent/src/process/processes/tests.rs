//! Lives of processes, told as events.

use super::{Effect, Interest, Processes, Snapshot};
use crate::decode::{MappedRegion, ProcessEvent, ProcessEventKind};

fn region(start: u64, inode: u64, path: &str) -> MappedRegion {
    MappedRegion { start, end: start + 0x1000, file_offset: 0, device: (8, 1), inode, path: path.into() }
}

fn followed(pids: &[u32]) -> Processes {
    let mut processes = Processes::new(Interest { children: true, ..Interest::default() });
    for pid in pids {
        let snapshot = Snapshot {
            pid: *pid,
            name: "nginx".into(),
            regions: vec![region(0x1000, 7, "/usr/sbin/nginx")],
            ..Snapshot::default()
        };
        processes.insert(snapshot, 100, &mut Vec::new());
    }
    processes
}

fn at(time_ns: u64, kind: ProcessEventKind) -> ProcessEvent {
    ProcessEvent { time_ns, kind }
}

fn fork(pid: u32, parent_pid: u32) -> ProcessEventKind {
    ProcessEventKind::Fork { pid, tid: pid, parent_pid, parent_tid: parent_pid }
}

#[test]
fn a_worker_forked_by_a_followed_master_has_its_mappings_and_opens_no_file_again() {
    let mut processes = followed(&[10]);
    let mut effects = Vec::new();
    processes.apply(at(200, fork(11, 10)), &mut effects);
    processes.apply(at(200, fork(21, 20)), &mut effects);
    let worker = processes.present_image(11).expect("the worker is followed");
    assert_eq!((worker.name.as_str(), worker.mappings.as_slice().len()), ("nginx", 1));
    assert!(processes.present_image(21).is_none(), "a stranger's child is not");
    assert_eq!(effects, []);
}

#[test]
fn a_sample_from_before_an_exec_belongs_to_the_old_image() {
    let mut processes = followed(&[10]);
    let mut effects = Vec::new();
    processes.apply(at(500, ProcessEventKind::Exec { pid: 10, name: "sh".into() }), &mut effects);
    let region = region(0x1000, 8, "/bin/dash");
    processes.apply(at(501, ProcessEventKind::Mmap { pid: 10, region: region.clone() }), &mut effects);
    let name_at = |time_ns| {
        let id = processes.image_at(10, time_ns).expect("an image");
        processes.image(id).expect("by its ID").name.clone()
    };
    assert_eq!([name_at(0), name_at(499), name_at(500), name_at(900)], ["nginx", "nginx", "sh", "sh"]);
    let file = processes.files().by_number(2).expect("the second file");
    assert_eq!(effects, [Effect::OpenFile { file, pid: 10, region }]);
}

#[test]
fn a_process_is_alive_until_its_last_thread_ends() {
    let mut processes = followed(&[10]);
    let exit = |tid| ProcessEventKind::Exit { pid: 10, tid };
    let thread = ProcessEventKind::Fork { pid: 10, tid: 12, parent_pid: 10, parent_tid: 10 };
    let alive = [thread, exit(10), exit(12)].map(|kind| {
        processes.apply(at(300, kind), &mut Vec::new());
        processes.any_alive()
    });
    assert_eq!(alive, [true, true, false]);
}

#[test]
fn the_table_of_a_new_image_is_written_until_the_kernel_has_surely_dated_it() {
    let mut processes = followed(&[10]);
    processes.take_changes(0);
    processes.apply(at(1_000, ProcessEventKind::Exec { pid: 10, name: "sh".into() }), &mut Vec::new());
    let times = [2_000, 3_000, 10_000_000, 20_000_000, 60_000_000, 300_000_000, 600_000_000, 700_000_000];
    let written = times.map(|as_of_ns| processes.take_changes(as_of_ns).0.contains(&10));
    assert_eq!(written, [true, false, true, false, true, false, true, false]);
}

#[test]
fn code_made_at_run_time_is_anonymous_whatever_it_is_called_and_its_process_is_held_once() {
    let mut processes = followed(&[10]);
    let mut effects = Vec::new();
    for (start, inode, path) in
        [(0x5000, 0, "//anon"), (0x6000, 9, "/memfd:jit (deleted)"), (0x7000, 0, "[heap]")]
    {
        let kind = ProcessEventKind::Mmap { pid: 10, region: region(start, inode, path) };
        processes.apply(at(200, kind), &mut effects);
    }
    let image = processes.image_at(10, 300).expect("an image");
    assert_eq!(effects, [Effect::HoldRoot { image, pid: 10 }]);
}

#[test]
fn a_thread_is_called_by_its_own_name_then_by_its_makers() {
    let mut processes = followed(&[10]);
    let mut effects = Vec::new();
    let name = |tid, name: &str| ProcessEventKind::Name { pid: 10, tid, name: name.into() };
    let thread = |tid, parent_tid| ProcessEventKind::Fork { pid: 10, tid, parent_pid: 10, parent_tid };
    for kind in [thread(11, 10), name(11, "worker"), thread(12, 11)] {
        processes.apply(at(200, kind), &mut effects);
    }
    let image = processes.present_image(10).expect("followed");
    assert_eq!([10, 11, 12, 13].map(|tid| image.thread_name(tid)), ["nginx", "worker", "worker", "nginx"]);
}

#[test]
fn the_past_is_forgotten_but_for_what_is_kept_and_its_places_are_used_again() {
    let mut processes = followed(&[10]);
    let mut effects = Vec::new();
    let mut worker = |processes: &mut Processes, pid, time_ns| {
        processes.apply(at(time_ns, fork(pid, 10)), &mut effects);
        processes.apply(at(time_ns + 1, ProcessEventKind::Exec { pid, name: "sh".into() }), &mut effects);
        processes.image_at(pid, time_ns + 1).expect("an image")
    };
    let (kept, gone, alive) =
        (worker(&mut processes, 11, 200), worker(&mut processes, 12, 300), worker(&mut processes, 13, 400));
    for pid in [11, 12] {
        processes.apply(at(500, ProcessEventKind::Exit { pid, tid: pid }), &mut Vec::new());
    }
    let kept_set = std::collections::HashSet::from([kept]);
    assert_eq!(processes.n_images(), 7);
    // The ends of 11 and 12 are not in the kernel's tables yet; what they were before their exec may go.
    assert_eq!(processes.forget_past(&kept_set).len(), 3);
    processes.take_changes(600);
    assert_eq!(processes.forget_past(&kept_set), [gone]);
    let names = [(kept, Some("sh")), (alive, Some("sh"))];
    for (image, name) in names {
        assert_eq!(processes.image(image).map(|image| image.name.as_str()), name);
    }
    assert!(processes.image_at(12, 600).is_none() && processes.image_at(13, 600) == Some(alive));
    assert_eq!((processes.n_images(), processes.live_pids().len()), (3, 2));
    let again = worker(&mut processes, 14, 700);
    assert_eq!((processes.n_images(), processes.images().count()), (5, 7));
    assert!(again != kept && again != alive, "{again:?}");
}
