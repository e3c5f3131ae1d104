//! System calls that the agent never makes once it has started, refused by the kernel (seccomp).
//!
//! A list of what is refused, not of what is allowed: a C library that comes to use a new call must not stop an agent that
//! has run for months. The unit has a list of what is allowed on top (`SystemCallFilter=`).

use std::{collections::BTreeMap, io};

use libc::c_long;
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule,
};

type Rules = BTreeMap<c_long, Vec<SeccompRule>>;

/// Refused whatever the arguments are, with EPERM.
pub(super) const REFUSED: &[c_long] = &[
    // Other programs, other identities.
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_setuid,
    libc::SYS_setgid,
    libc::SYS_setreuid,
    libc::SYS_setregid,
    libc::SYS_setresuid,
    libc::SYS_setresgid,
    libc::SYS_setgroups,
    libc::SYS_setfsuid,
    libc::SYS_setfsgid,
    libc::SYS_capset,
    // Changing other processes, which CAP_SYS_PTRACE would allow; reading goes through /proc and the kernel programs.
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_pidfd_getfd,
    libc::SYS_kcmp,
    libc::SYS_migrate_pages,
    libc::SYS_move_pages,
    libc::SYS_kill,
    libc::SYS_tkill,
    libc::SYS_rt_sigqueueinfo,
    libc::SYS_rt_tgsigqueueinfo,
    libc::SYS_pidfd_send_signal,
    // Another view of the file system; opening by handle goes round every directory, with CAP_DAC_READ_SEARCH alone.
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_chroot,
    libc::SYS_pivot_root,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_mount_setattr,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_open_by_handle_at,
    libc::SYS_mknod,
    libc::SYS_mknodat,
    libc::SYS_chown,
    libc::SYS_fchown,
    libc::SYS_lchown,
    libc::SYS_fchownat,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_quotactl,
    libc::SYS_quotactl_fd,
    // The host.
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_kexec_file_load,
    libc::SYS_reboot,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_adjtimex,
    libc::SYS_acct,
    libc::SYS_syslog,
    libc::SYS_vhangup,
    // Much code of the kernel that we have no use for, or a way round this filter.
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_userfaultfd,
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_personality,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_iopl,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_ioperm,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_modify_ldt,
];

/// A new namespace is a new set of capabilities.
const NAMESPACES: [libc::c_int; 7] = [
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWNS,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWNET,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWUTS,
    libc::CLONE_NEWCGROUP,
];

const WRITE_AND_EXECUTE: u64 = (libc::PROT_WRITE | libc::PROT_EXEC) as u64;
const EXECUTE: u64 = libc::PROT_EXEC as u64;

/// Has the kernel refuse them to this thread and to those that it starts. Takes `no_new_privs` or `CAP_SYS_ADMIN`.
///
/// # Errors
/// If the kernel refuses the filter.
pub(super) fn refuse() -> io::Result<()> {
    // Its flags are in memory, where a filter does not see them; told that there is no such call, the C library uses
    // the older one.
    let unknown = compile(Rules::from([(libc::SYS_clone3, Vec::new())]), libc::ENOSYS);
    let refused = rules(std::process::id()).map(|rules| compile(rules, libc::EPERM));
    for program in [unknown, refused.and_then(|program| program)] {
        let program = program.map_err(io::Error::other)?;
        seccompiler::apply_filter(&program).map_err(io::Error::other)?;
    }
    Ok(())
}

fn compile(rules: Rules, errno: libc::c_int) -> Result<BpfProgram, BackendError> {
    let refuse = SeccompAction::Errno(errno.unsigned_abs());
    SeccompFilter::new(rules, SeccompAction::Allow, refuse, std::env::consts::ARCH.try_into()?)?.try_into()
}

/// Everything that is refused, for the process of this ID.
fn rules(pid: u32) -> Result<Rules, BackendError> {
    let mut rules: Rules = REFUSED.iter().map(|call| (*call, Vec::new())).collect();
    let flags = NAMESPACES.iter().map(|flag| u64::from(flag.unsigned_abs()));
    rules.insert(libc::SYS_clone, flags.map(|flag| has_all(0, flag)).collect::<Result<_, _>>()?);
    // Code is mapped from files, as name services of the C library are, and never made.
    rules.insert(libc::SYS_mmap, vec![has_all(2, WRITE_AND_EXECUTE)?]);
    rules.insert(libc::SYS_mprotect, vec![has_all(2, EXECUTE)?]);
    rules.insert(libc::SYS_pkey_mprotect, vec![has_all(2, EXECUTE)?]);
    // What `abort` does to ourselves.
    rules.insert(libc::SYS_tgkill, vec![rule(0, SeccompCmpOp::Ne, pid.into())?]);
    // Typing into somebody's terminal.
    rules.insert(libc::SYS_ioctl, vec![rule(1, SeccompCmpOp::Eq, libc::TIOCSTI)?]);
    Ok(rules)
}

/// Matches when all these bits are in an argument.
fn has_all(argument: u8, bits: u64) -> Result<SeccompRule, BackendError> {
    rule(argument, SeccompCmpOp::MaskedEq(bits), bits)
}

fn rule(argument: u8, operator: SeccompCmpOp, value: u64) -> Result<SeccompRule, BackendError> {
    SeccompRule::new(vec![SeccompCondition::new(argument, SeccompCmpArgLen::Dword, operator, value)?])
}

#[cfg(test)]
mod tests {
    use std::{fs, ptr, thread};

    use super::*;

    fn errno(result: i64) -> Option<i32> {
        if result == -1 { io::Error::last_os_error().raw_os_error() } else { None }
    }

    /// A filter is its thread's: the others of this test run stay as they are.
    fn in_a_limited_thread<T: Send>(test: impl FnOnce() -> T + Send) -> T {
        let limited = || {
            // SAFETY: takes no pointer.
            let result = unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
            assert_eq!(result, 0, "{}", io::Error::last_os_error());
            refuse().expect("the filter is taken");
            test()
        };
        thread::scope(|scope| scope.spawn(limited).join().expect("does not panic"))
    }

    #[test]
    fn no_call_is_named_twice() {
        let rules = rules(1).expect("compiles");
        assert_eq!(rules.len(), REFUSED.len() + 6, "{rules:?}");
    }

    #[test]
    fn another_program_another_namespace_and_code_made_at_run_time_are_refused() {
        let seen = in_a_limited_thread(|| {
            // SAFETY: none of these changes anything of this process if it is let through, as what they are given is
            // not there or is nothing.
            unsafe {
                let anonymous = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
                let both = libc::PROT_WRITE | libc::PROT_EXEC;
                let made = libc::mmap(ptr::null_mut(), 4096, both, anonymous, -1, 0);
                [
                    errno(libc::syscall(
                        libc::SYS_execve,
                        c"".as_ptr(),
                        ptr::null::<u8>(),
                        ptr::null::<u8>(),
                    )),
                    errno(libc::unshare(0).into()),
                    errno(libc::syscall(libc::SYS_setns, -1, 0)),
                    errno(libc::syscall(libc::SYS_open_by_handle_at, -1, ptr::null::<u8>(), 0)),
                    errno(libc::syscall(libc::SYS_ptrace, libc::PTRACE_CONT, 0, 0, 0)),
                    errno(libc::kill(libc::getpid(), 0).into()),
                    errno(libc::syscall(libc::SYS_tgkill, 1, 1, 0)),
                    errno(if made == libc::MAP_FAILED { -1 } else { 0 }),
                ]
            }
        });
        assert_eq!(seen, [Some(libc::EPERM); 8]);
    }

    #[test]
    fn what_the_agent_does_is_let_through() {
        let seen = in_a_limited_thread(|| {
            let own = std::process::id();
            // SAFETY: asks whether this thread is there.
            let told = unsafe { libc::syscall(libc::SYS_tgkill, own, libc::gettid(), 0) };
            let inner = thread::spawn(|| fs::read_to_string("/proc/self/status").map(|text| text.len()));
            (told, inner.join().expect("a thread starts").is_ok(), tempfile::tempfile().is_ok())
        });
        assert_eq!(seen, (0, true, true));
    }
}
