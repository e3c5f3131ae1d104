//! Requests: `sys_exit` of the calls that read, write, open and close connections.
//!
//! At the end of a call its arguments are still in the registers, and what it moved is in the target's memory: nothing has to
//! be done at its beginning. What is encrypted is read elsewhere, where a library for TLS has it in clear.

mod connection;
mod memory;
mod moved;
mod tls;

use abi::request::{INCOMING, OUTGOING, ROLE_CLIENT, ROLE_SERVER};
use aya_ebpf::{bindings::pt_regs, programs::BtfTracePointContext};
use ebpf::off_cpu::waits_for_events;

pub(super) use memory::Room;
pub(crate) use tls::{entered as entered_tls, left as left_tls};

use super::{serving, target};
use connection::{close, ended, no_delay, open};
use memory::Memory;
use moved::moved;

/// Numbers of system calls (`arch/x86/entry/syscalls/syscall_64.tbl`).
const READ: u64 = 0;
const WRITE: u64 = 1;
const CLOSE: u64 = 3;
const READV: u64 = 19;
const WRITEV: u64 = 20;
const SENDFILE: u64 = 40;
const CONNECT: u64 = 42;
const ACCEPT: u64 = 43;
const SENDTO: u64 = 44;
const RECVFROM: u64 = 45;
const SENDMSG: u64 = 46;
const RECVMSG: u64 = 47;
const SHUTDOWN: u64 = 48;
const SETSOCKOPT: u64 = 54;
const SPLICE: u64 = 275;
const ACCEPT4: u64 = 288;

/// What is read stays to be read (`include/linux/socket.h`).
const MSG_PEEK: u64 = 2;
/// Of `shutdown`: nothing more is written, or read and written.
const SHUT_WR: u64 = 1;
const IPPROTO_TCP: u64 = 6;
const TCP_NODELAY: u64 = 1;
/// A connection is being made.
const EINPROGRESS: i64 = -115;

/// Where in a `struct msghdr` the vector stands, and its length after it.
const MSG_IOV_AT: u64 = 16;

/// A system call is over.
#[inline(always)]
pub(crate) fn left(ctx: &BtfTracePointContext) {
    // SAFETY: the tracepoint's first argument; the verifier knows its type.
    let regs = unsafe { &*(ctx.arg::<u64>(0) as *const pt_regs) };
    let call = regs.orig_rax;
    if !is_ours(call) {
        if waits_for_events(call, regs.rdx) {
            serving::waited();
        }
        return;
    }
    let Some(current) = target::current() else { return };
    let result = ctx.arg::<i64>(1);
    let (fd, second, third) = (regs.rdi, regs.rsi, regs.rdx);
    match call {
        ACCEPT | ACCEPT4 => {
            if result >= 0 {
                open(&current, result as u64, ROLE_SERVER);
                serving::waited();
            }
        }
        CONNECT => {
            if result == 0 || result == EINPROGRESS {
                open(&current, fd, ROLE_CLIENT);
            }
        }
        CLOSE => close(&current, fd),
        SHUTDOWN => {
            if second >= SHUT_WR {
                ended(&current, fd, OUTGOING as u64);
            }
        }
        SETSOCKOPT => {
            if second == IPPROTO_TCP && third == TCP_NODELAY && result == 0 {
                no_delay(&current, fd, regs.r10);
            }
        }
        READ | RECVFROM | READV | RECVMSG => {
            let is_peek =
                call == RECVFROM && regs.r10 & MSG_PEEK != 0 || call == RECVMSG && third & MSG_PEEK != 0;
            if result == 0 && (third != 0 || call == RECVMSG) {
                ended(&current, fd, INCOMING as u64);
            } else if result > 0 && !is_peek {
                moved(&current, fd, INCOMING as u64, memory_of(call, second, third, result as u64));
            }
        }
        SPLICE => {
            if result > 0 {
                let memory = Memory { base: 0, n_vectors: 0, n_bytes: result as u64, is_elsewhere: 1 };
                moved(&current, fd, INCOMING as u64, memory);
                moved(&current, third, OUTGOING as u64, memory);
            }
        }
        _ => {
            if result > 0 {
                moved(&current, fd, OUTGOING as u64, memory_of(call, second, third, result as u64));
            }
        }
    }
}

/// Whether a system call is one of those that are looked at.
#[inline(always)]
fn is_ours(call: u64) -> bool {
    const LOW: u64 = 1 << READ
        | 1 << WRITE
        | 1 << CLOSE
        | 1 << READV
        | 1 << WRITEV
        | 1 << SENDFILE
        | 1 << CONNECT
        | 1 << ACCEPT
        | 1 << SENDTO
        | 1 << RECVFROM
        | 1 << SENDMSG
        | 1 << RECVMSG
        | 1 << SHUTDOWN
        | 1 << SETSOCKOPT;
    if call < 64 { LOW >> call & 1 != 0 } else { call == SPLICE || call == ACCEPT4 }
}

/// Where the bytes of a call are.
#[inline(always)]
fn memory_of(call: u64, second: u64, third: u64, n_bytes: u64) -> Memory {
    let memory = Memory { base: second, n_vectors: 0, n_bytes, is_elsewhere: 0 };
    match call {
        READV | WRITEV => Memory { n_vectors: third, ..memory },
        SENDMSG | RECVMSG => match memory::read_pair(second.wrapping_add(MSG_IOV_AT)) {
            Some([base, n_vectors]) => Memory { base, n_vectors, ..memory },
            None => Memory { is_elsewhere: 1, ..memory },
        },
        SENDFILE => Memory { is_elsewhere: 1, ..memory },
        _ => memory,
    }
}
