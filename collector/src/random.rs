//! Bytes that nobody can guess.

use std::{
    fs::File,
    io::{self, Read as _},
};

/// Where the kernel gives them.
const RANDOM: &str = "/dev/urandom";

/// So many.
///
/// # Errors
/// If the kernel gives none.
pub fn bytes<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    File::open(RANDOM)?.read_exact(&mut bytes)?;
    Ok(bytes)
}
