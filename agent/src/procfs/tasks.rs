//! Which processes and threads there are.

use std::fs;
use std::io;

/// Most ids listed at once: the kernel's own largest `pid_max` on 64 bits is 4,194,304.
const MAX_IDS: usize = 4_194_304;

/// The ids of all processes that this /proc shows.
pub fn all_pids() -> io::Result<impl Iterator<Item = u32>> {
    numeric_names("/proc")
}

/// The ids of the threads of a process.
pub fn thread_ids(pid: u32) -> io::Result<impl Iterator<Item = u32>> {
    numeric_names(&format!("/proc/{pid}/task"))
}

/// The threads of a process and their names. A thread that ends meanwhile is left out.
pub fn threads(pid: u32) -> io::Result<Vec<(u32, String)>> {
    let tids = numeric_names(&format!("/proc/{pid}/task"))?;
    Ok(tids.filter_map(|tid| Some((tid, thread_name(pid, tid).ok()?))).collect())
}

/// The name of a thread of a process.
pub fn thread_name(pid: u32, tid: u32) -> io::Result<String> {
    let mut comm = super::read_small(&format!("/proc/{pid}/task/{tid}/comm"))?;
    // The kernel ends the name with one newline; another would be the name's own.
    if comm.last() == Some(&b'\n') {
        comm.pop();
    }
    Ok(String::from_utf8_lossy(&comm).into_owned())
}

fn numeric_names(folder: &str) -> io::Result<impl Iterator<Item = u32> + use<>> {
    let entries = fs::read_dir(folder)?;
    Ok(entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).take(MAX_IDS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_listed_and_its_thread_is_named() {
        let own = std::process::id();
        let pids: Vec<u32> = all_pids().expect("lists /proc").collect();
        assert!(pids.contains(&own), "{own} in {pids:?}");

        let (stop, stopped) = std::sync::mpsc::channel::<()>();
        let (start, started) = std::sync::mpsc::channel();
        let thread = std::thread::Builder::new()
            .name("named \n thread".to_owned())
            .spawn(move || {
                start.send(()).expect("test waits");
                stopped.recv().expect_err("only ever closed");
            })
            .expect("thread starts");
        started.recv().expect("thread runs");
        let threads = threads(own).expect("lists tasks");
        drop(stop);
        thread.join().expect("thread ends");
        assert!(threads.iter().any(|(_, name)| name == "named \n thread"), "{threads:?}");
    }

    #[test]
    fn a_process_that_is_gone_is_an_error() {
        let seen = threads(u32::MAX);
        assert!(seen.as_ref().is_err_and(|e| e.kind() == io::ErrorKind::NotFound), "{seen:?}");
    }
}
