//! Takes 64 MiB through each way of the standard library's allocator, in pieces of 1 KiB, and gives it back at once.
//!
//! usage: boxes [PAUSE_MS]

use std::hint::black_box;

const N_PIECES: usize = 64 << 10;

#[repr(align(64))]
struct Line(#[expect(dead_code, reason = "only its size counts")] [u8; 1024]);

#[inline(never)]
fn boxed(seed: u8) {
    for _ in 0..N_PIECES {
        black_box(Box::new([seed; 1024]));
    }
}

#[inline(never)]
fn zeroed() {
    for _ in 0..N_PIECES {
        black_box(vec![0_u8; 1024]);
    }
}

#[inline(never)]
fn aligned(seed: u8) {
    for _ in 0..N_PIECES {
        black_box(Box::new(Line([seed; 1024])));
    }
}

fn main() {
    let pause_ms = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(0);
    std::thread::sleep(std::time::Duration::from_millis(pause_ms));
    let seed = std::env::args().count() as u8;
    boxed(seed);
    zeroed();
    aligned(seed);
}
