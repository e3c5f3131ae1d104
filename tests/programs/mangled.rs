//! Rust names in a profile: a method behind a trait object and a generic function, both never inlined, so
//! that the expected frames are `mangled::main`, `<mangled::gzip::Codec as mangled::Filter>::apply` and
//! `mangled::fold`.
//!
//! usage: mangled [SECONDS]     10 by default

use std::{
    env,
    hint::black_box,
    time::{Duration, Instant},
};

trait Filter {
    fn apply(&self, seed: u64) -> u64;
}

mod gzip {
    pub struct Codec {
        pub addend: u64,
    }

    impl super::Filter for Codec {
        #[inline(never)]
        fn apply(&self, seed: u64) -> u64 {
            super::fold(seed, |value| {
                value.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(self.addend)
            })
            .rotate_left(1)
        }
    }
}

#[inline(never)]
fn fold<F: Fn(u64) -> u64>(mut value: u64, step: F) -> u64 {
    for _ in 0..1_000_000 {
        value = black_box(step(value));
    }
    value
}

fn main() {
    let seconds = env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(10.0);
    let start = Instant::now();
    let filter: Box<dyn Filter> = black_box(Box::new(gzip::Codec { addend: 1_442_695_040_888_963_407 }));
    let mut value = 1;
    while start.elapsed() < Duration::from_secs_f64(seconds) {
        value = filter.apply(value);
    }
    println!("{value:x}");
}
