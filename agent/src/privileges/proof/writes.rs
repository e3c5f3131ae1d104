//! Writing where it should be possible and where it should not, tried.

use std::{
    fs::{self, OpenOptions},
    io,
    path::Path,
};

/// Where a program that has gone wrong would write.
const ELSEWHERE: [&str; 8] = ["/", "/etc", "/usr", "/var", "/root", "/tmp", "/var/tmp", "/dev/shm"];

/// What decides which program the kernel starts when another one crashes.
const SETTINGS: [&str; 2] = ["/proc/sys/kernel/core_pattern", "/proc/sys/kernel/modprobe"];

/// Tries to make a file in each; gives where that was refused, or else where it was not.
pub(super) fn elsewhere() -> Result<Vec<&'static str>, Vec<&'static str>> {
    let places = ELSEWHERE.into_iter().filter(|place| Path::new(place).is_dir());
    let (written, refused): (Vec<_>, Vec<_>) = places.partition(|place| inside(Path::new(place)).is_ok());
    if written.is_empty() { Ok(refused) } else { Err(written) }
}

/// Makes a file in a directory, and removes it.
pub(super) fn inside(dir: &Path) -> io::Result<()> {
    let path = dir.join(format!(".brazier-doctor-{}", std::process::id()));
    OpenOptions::new().write(true).create_new(true).open(&path)?;
    fs::remove_file(path)
}

/// Opens settings for writing, and writes nothing; gives why that was refused, or the one that was opened.
pub(super) fn settings() -> Result<String, &'static str> {
    let mut last = String::from("they are not there");
    for path in SETTINGS {
        match OpenOptions::new().write(true).open(path) {
            Ok(_) => return Err(path),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => last = error.to_string(),
        }
    }
    Ok(last)
}

#[cfg(test)]
mod tests {
    use super::inside;

    #[test]
    fn nothing_stays_of_what_was_tried() {
        let dir = tempfile::tempdir().expect("a directory");
        inside(dir.path()).expect("writes");
        let left: Vec<_> = std::fs::read_dir(dir.path()).expect("lists").collect();
        assert!(left.is_empty(), "{left:?}");
        let seen = inside(&dir.path().join("missing"));
        assert!(seen.is_err(), "{seen:?}");
    }
}
