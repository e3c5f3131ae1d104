//! User memory through a window: one guarded copy serves several frames.

use abi::limits::{STACK_WINDOW_BYTES, STACK_WINDOW_WORDS};
use aya_ebpf::helpers::generated::bpf_probe_read_user;
use ebpf::walk::ReadUser;

/// The last piece of user stack that was copied.
pub(super) struct Window {
    base: u64,
    /// From `base` on; 0 at first.
    n_bytes: u64,
    words: *mut [u64; STACK_WINDOW_WORDS],
}

impl Window {
    #[inline(always)]
    pub(super) const fn new(words: *mut [u64; STACK_WINDOW_WORDS]) -> Self {
        Self { base: 0, n_bytes: 0, words }
    }

    #[inline(always)]
    fn fill(&mut self, base: u64, n_bytes: u64) -> bool {
        self.base = base;
        self.n_bytes = n_bytes;
        // SAFETY: both callers ask for at most the window's size.
        unsafe { bpf_probe_read_user(self.words.cast(), n_bytes as u32, base as *const _) == 0 }
    }
}

impl ReadUser for Window {
    #[inline(always)]
    fn two_words(&mut self, address: u64) -> Option<[u64; 2]> {
        let mut offset = address.wrapping_sub(self.base);
        if offset.wrapping_add(16) > self.n_bytes || offset > STACK_WINDOW_BYTES as u64 {
            // A window that would cross the end of the stack cannot be read whole; two words still can.
            if !self.fill(address, STACK_WINDOW_BYTES as u64) && !self.fill(address, 16) {
                self.n_bytes = 0;
                return None;
            }
            offset = 0;
        }
        let i = offset as usize / 8;
        // SAFETY: masked into the window.
        unsafe {
            let words = &*self.words;
            Some([
                *words.get_unchecked(i & (STACK_WINDOW_WORDS - 1)),
                *words.get_unchecked((i + 1) & (STACK_WINDOW_WORDS - 1)),
            ])
        }
    }
}
