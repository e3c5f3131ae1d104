//! Rings of `io_uring` that a process has: what it reads and writes through them makes no system call of its own.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// What a descriptor of a ring leads to (`io_uring_get_file` in `io_uring/io_uring.c`).
const RING: &str = "anon_inode:[io_uring]";
/// Descriptors that are looked at.
const MAX_DESCRIPTORS: usize = 65_536;

/// How many a process has.
///
/// # Errors
/// If its descriptors cannot be listed.
pub fn of(pid: u32) -> io::Result<u64> {
    count(&PathBuf::from(format!("/proc/{pid}/fd")))
}

fn count(descriptors: &Path) -> io::Result<u64> {
    let all = fs::read_dir(descriptors)?.take(MAX_DESCRIPTORS).flatten();
    // One that was closed meanwhile is none.
    let is_ring = |path: PathBuf| fs::read_link(path).is_ok_and(|to| to == Path::new(RING));
    Ok(all.filter(|it| is_ring(it.path())).count() as u64)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::{count, of};

    #[test]
    fn rings_are_told_from_other_descriptors() -> std::io::Result<()> {
        let dir = tempfile::tempdir()?;
        for (fd, to) in [
            "anon_inode:[io_uring]",
            "anon_inode:[eventpoll]",
            "socket:[17]",
            "anon_inode:[io_uring]",
            "/anon_inode:[io_uring]",
        ]
        .into_iter()
        .enumerate()
        {
            symlink(to, dir.path().join(fd.to_string()))?;
        }
        assert_eq!(count(dir.path())?, 2);
        assert_eq!(of(std::process::id())?, 0);
        assert!(of(u32::MAX).is_err());
        Ok(())
    }
}
