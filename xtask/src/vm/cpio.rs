//! The archive form that the kernel unpacks as its first file system (newc).

use std::{
    collections::BTreeSet,
    io::{self, Write},
    path::{Path, PathBuf},
};

const DIRECTORY: u32 = 0o040_755;
const PROGRAM: u32 = 0o100_755;
const SYMLINK: u32 = 0o120_777;
const CONSOLE: u32 = 0o020_600;
const END: &str = "TRAILER!!!";

/// Writes entries one after the other; parents are created when first needed.
pub(crate) struct Archive<W> {
    out: W,
    next_inode: u32,
    known: BTreeSet<PathBuf>,
}

impl<W: Write> Archive<W> {
    pub(crate) fn new(out: W) -> Self {
        Self { out, next_inode: 1, known: BTreeSet::new() }
    }

    pub(crate) fn directory(&mut self, path: &str) -> io::Result<()> {
        self.parents(&Path::new(path).join("x"))
    }

    /// All files are executable: the archive holds programs, libraries and scripts.
    pub(crate) fn file(&mut self, path: &Path, content: &[u8]) -> io::Result<()> {
        self.parents(path)?;
        self.entry(path, PROGRAM, (0, 0), content)
    }

    pub(crate) fn symlink(&mut self, path: &str, to: &str) -> io::Result<()> {
        self.parents(Path::new(path))?;
        self.entry(Path::new(path), SYMLINK, (0, 0), to.as_bytes())
    }

    /// Without /dev/console the first process has no output until it has mounted devtmpfs.
    pub(crate) fn console(&mut self) -> io::Result<()> {
        self.directory("/dev")?;
        self.entry(Path::new("/dev/console"), CONSOLE, (5, 1), &[])
    }

    pub(crate) fn finish(mut self) -> io::Result<W> {
        self.entry(Path::new(END), 0, (0, 0), &[])?;
        Ok(self.out)
    }

    fn parents(&mut self, path: &Path) -> io::Result<()> {
        let mut missing: Vec<&Path> = path.ancestors().skip(1).filter(|it| it.parent().is_some()).collect();
        missing.reverse();
        for dir in missing {
            if self.known.insert(dir.to_owned()) {
                self.entry(dir, DIRECTORY, (0, 0), &[])?;
            }
        }
        Ok(())
    }

    fn entry(&mut self, path: &Path, mode: u32, device: (u32, u32), content: &[u8]) -> io::Result<()> {
        let name = path.as_os_str().as_encoded_bytes();
        let name = name.strip_prefix(b"/").unwrap_or(name);
        let too_large = |_| io::Error::new(io::ErrorKind::InvalidInput, "entry of 4 GiB or more");
        let content_bytes = u32::try_from(content.len()).map_err(too_large)?;
        let name_bytes = u32::try_from(name.len() + 1).map_err(too_large)?;
        let inode = self.next_inode;
        self.next_inode += 1;
        let (major, minor) = device;
        // inode mode uid gid links mtime size, major and minor of device and of rdev, name size, checksum
        let fields = [inode, mode, 0, 0, 1, 0, content_bytes, 0, 0, major, minor, name_bytes, 0];
        self.out.write_all(b"070701")?;
        for field in fields {
            write!(self.out, "{field:08x}")?;
        }
        self.out.write_all(name)?;
        self.out.write_all(&[0])?;
        // The header is 110 bytes; name and content each end on a multiple of four.
        self.pad(110 + name.len() + 1)?;
        self.out.write_all(content)?;
        self.pad(content.len())
    }

    fn pad(&mut self, written_bytes: usize) -> io::Result<()> {
        let missing = written_bytes.next_multiple_of(4) - written_bytes;
        self.out.write_all(&[0; 3][..missing])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_aligned_parents_come_first_and_only_once() {
        let mut archive = Archive::new(Vec::new());
        archive.file(Path::new("/a/b/one"), b"12345").unwrap();
        archive.file(Path::new("/a/b/two"), b"").unwrap();
        let bytes = archive.finish().unwrap();
        let text = String::from_utf8_lossy(&bytes);
        assert_eq!(bytes.len() % 4, 0, "length {}", bytes.len());
        let mut names = Vec::new();
        for at in text.match_indices("070701").map(|(at, _)| at) {
            assert_eq!(at % 4, 0, "entry at {at}");
            names.push(text[at + 110..].split('\0').next().unwrap().to_owned());
        }
        assert_eq!(names, ["a", "a/b", "a/b/one", "a/b/two", "TRAILER!!!"]);
    }
}
