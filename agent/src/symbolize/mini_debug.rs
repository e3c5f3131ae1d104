//! `.gnu_debugdata`: a symbol table that distributions leave in stripped files, as a whole ELF file, compressed.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;

use lzma_rust2::XzReader;

use crate::object::{Elf, memory_file};

/// Largest section read, in bytes. Those of the largest libraries have some hundred thousand.
const MAX_COMPRESSED_BYTES: u64 = 16 * 1024 * 1024;
/// Most bytes that come out of it.
const MAX_BYTES: u64 = 128 * 1024 * 1024;
/// Memory that the decoder may take, in KiB: the highest level of `xz` asks for 64 MiB and a little.
const MAX_DECODER_KIB: u32 = 66 * 1024;
const STEP_BYTES: usize = 64 * 1024;

/// The file inside a file, none if it has none or one that is broken or beyond the limits.
pub(super) fn unpack(elf: &Elf<'_>) -> Option<File> {
    let section = elf.section(".gnu_debugdata")?;
    let compressed = elf.section_bytes(section, MAX_COMPRESSED_BYTES).ok()?;
    unpack_bytes(&compressed, MAX_BYTES).ok()
}

fn unpack_bytes(compressed: &[u8], limit_bytes: u64) -> io::Result<File> {
    let mut reader = XzReader::new_mem_limit(compressed, false, MAX_DECODER_KIB);
    let file = memory_file::create(c"minidebug")?;
    let mut step = vec![0; STEP_BYTES];
    let mut done = 0_u64;
    loop {
        let read = match reader.read(&mut step)? {
            0 => break,
            read => step.get(..read).unwrap_or_default(),
        };
        let end = done.saturating_add(u64::try_from(read.len()).unwrap_or(u64::MAX));
        if end > limit_bytes {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        file.write_all_at(read, done)?;
        done = end;
    }
    memory_file::seal(&file)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::read_bytes;
    use proptest::prelude::{any, proptest};
    use std::process::{Command, Stdio};

    /// By the tool that everybody uses; none where it is not.
    fn compressed(plain: &[u8], options: &[&str]) -> Option<Vec<u8>> {
        let mut xz = Command::new("xz")
            .args(["--stdout", "--quiet"])
            .args(options)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .ok()?;
        let mut input = xz.stdin.take().expect("piped");
        let plain = plain.to_vec();
        let writer = std::thread::spawn(move || io::Write::write_all(&mut input, &plain));
        let output = xz.wait_with_output().expect("runs");
        writer.join().expect("joins").expect("writes");
        assert!(output.status.success(), "{output:?}");
        Some(output.stdout)
    }

    #[test]
    fn what_xz_packed_comes_out_again_and_a_bomb_does_not() {
        let plain: Vec<u8> = (0..300_000_u32).flat_map(|i| (i / 7).to_le_bytes()).collect();
        let Some(section) = compressed(&plain, &["-9"]) else {
            println!("no xz here: nothing to unpack");
            return;
        };
        let file = unpack_bytes(&section, MAX_BYTES).expect("unpacks");
        let seen = read_bytes(&file, 0, plain.len() as u64, u64::MAX).expect("reads");
        assert!(seen == plain, "{} bytes differ", seen.len());

        let bomb = compressed(&vec![0; 1 << 24], &["-6"]).expect("xz is there");
        assert!(bomb.len() < 1 << 14, "{} bytes", bomb.len());
        let refused = unpack_bytes(&bomb, (1 << 24) - 1);
        assert_eq!(refused.err().map(|error| error.kind()), Some(io::ErrorKind::FileTooLarge));

        let hungry = compressed(&plain, &["--lzma2=dict=256MiB"]).expect("xz is there");
        let refused = unpack_bytes(&hungry, MAX_BYTES);
        assert!(refused.is_err(), "a decoder of 256 MiB: {refused:?}");

        let half = section.get(..section.len() / 2).expect("half");
        let refused = unpack_bytes(half, MAX_BYTES);
        assert!(refused.is_err(), "half a section: {refused:?}");
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut framed = b"\xfd7zXZ\0\0\x04\xe6\xd6\xb4\x46\x02\0\x21\x01".to_vec();
            framed.extend(&bytes);
            for bytes in [bytes, framed] {
                let _either = unpack_bytes(&bytes, 1 << 20);
            }
        }
    }
}
