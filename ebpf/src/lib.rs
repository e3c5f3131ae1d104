//! The logic of the kernel programs that needs no kernel: how one frame leads to the next, which mapping an
//! address lies in, which rule unwinds it, what a stack hashes to. Compiled into the programs and, on the host,
//! into their tests.
#![no_std]
#![cfg_attr(target_arch = "bpf", feature(asm_experimental_arch))]

pub mod branchless;
pub mod flow;
pub mod hash;
pub mod head;
pub mod interval;
pub mod lookup;
pub mod off_cpu;
pub mod rows;
pub mod swar;
pub mod unwind;
pub mod walk;
