//! Files that exist only in memory and that nobody can shrink: what is safe to map.

use std::ffi::CStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd};

/// A new, empty file in memory, under a name that shows only in /proc.
pub fn create(name: &CStr) -> io::Result<File> {
    // Kernels from 6.3 on want to be told that it holds no program; older ones do not know the flag.
    let flags = libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING;
    match create_with(name, flags | libc::MFD_NOEXEC_SEAL) {
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => create_with(name, flags),
        created => created,
    }
}

fn create_with(name: &CStr, flags: u32) -> io::Result<File> {
    // SAFETY: the name ends with a zero byte and lives through the call.
    let descriptor = unsafe { libc::memfd_create(name.as_ptr(), flags) };
    if descriptor < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just given us this descriptor, and no one else has it.
    Ok(unsafe { File::from_raw_fd(descriptor) })
}

/// Makes the file unchangeable for good, also for whoever opens it again through /proc.
pub fn seal(file: &File) -> io::Result<()> {
    let seals = libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_WRITE | libc::F_SEAL_SEAL;
    // SAFETY: the call reads an open descriptor and an integer.
    if unsafe { libc::fcntl(file.as_raw_fd(), libc::F_ADD_SEALS, seals) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::FileExt;

    #[test]
    fn a_sealed_file_can_be_read_and_neither_written_nor_cut() {
        let file = create(c"test").expect("creates");
        file.write_all_at(b"kept", 0).expect("writes");
        seal(&file).expect("seals");
        let mut bytes = [0; 4];
        file.read_exact_at(&mut bytes, 0).expect("reads");
        assert_eq!(&bytes, b"kept");
        for (what, seen) in [("write", file.write_all_at(b"lost", 0)), ("cut", file.set_len(1))] {
            assert_eq!(seen.as_ref().err().and_then(io::Error::raw_os_error), Some(libc::EPERM), "{what}");
        }
    }
}
