//! User memory through a window: one guarded copy serves several frames.

use abi::limits::{STACK_WINDOW_BYTES, STACK_WINDOW_WORDS};
use aya_ebpf::helpers::generated::bpf_probe_read_user;
use ebpf::unwind::ReadUser;

/// General registers of x86-64.
pub(super) const N_REGISTERS: usize = 16;

/// The stack of the interrupted thread, and its registers.
#[repr(C)]
pub(super) struct Memory {
    /// Address of the last piece that was copied.
    base: u64,
    /// Bytes of it.
    n_bytes: u64,
    words: [u64; STACK_WINDOW_WORDS],
    /// Of the interrupted instruction, by DWARF number.
    pub(super) registers: [u64; N_REGISTERS],
}

impl Memory {
    /// What was copied belongs to another thread.
    #[inline(always)]
    pub(super) fn forget(&mut self) {
        self.n_bytes = 0;
    }

    #[inline(always)]
    fn fill(&mut self, base: u64, n_bytes: u64) -> bool {
        self.base = base;
        self.n_bytes = n_bytes;
        // SAFETY: both callers ask for at most the window's size.
        unsafe { bpf_probe_read_user(self.words.as_mut_ptr().cast(), n_bytes as u32, base as *const _) == 0 }
    }
}

impl ReadUser for Memory {
    #[inline(always)]
    fn word(&mut self, address: u64) -> Option<u64> {
        let mut offset = address.wrapping_sub(self.base);
        // Below the window an address wraps to a huge offset; off its raster of words it is read anew.
        if offset >= self.n_bytes || offset & 7 != 0 {
            // A window that would cross the end of the stack cannot be read whole; one word still can.
            if !self.fill(address, STACK_WINDOW_BYTES as u64) && !self.fill(address, 8) {
                self.n_bytes = 0;
                return None;
            }
            offset = 0;
        }
        Some(self.words[(offset >> 3) as usize & (STACK_WINDOW_WORDS - 1)])
    }

    #[inline(always)]
    fn leaf_register(&self, number: u8) -> u64 {
        self.registers[usize::from(number) & (N_REGISTERS - 1)]
    }
}
