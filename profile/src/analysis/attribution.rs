//! Which group a sample belongs to: one, so that shares add up.

use std::collections::HashMap;

use super::{
    groups::Group,
    pattern,
    rules::{KERNEL, RULES, Reach, SYSTEM_CALL},
};
use crate::{FrameHandle, FrameKind, Profile, frames::Frame};

/// What a function is for, and how far that reaches; None if no rule knows it.
type Ruling = Option<(Group, Reach)>;

/// What is known of every frame of a profile.
pub(super) struct Attribution {
    known: Vec<Known>,
}

#[derive(Clone, Copy, Default)]
struct Known {
    rule: Ruling,
    is_kernel: bool,
    is_system_call: bool,
}

impl Attribution {
    pub(super) fn of(profile: &Profile) -> Self {
        // Many frames are places in one function.
        let mut by_name: HashMap<(String, Option<String>), Ruling> = HashMap::new();
        let known = profile.frames().map(|frame| {
            let name = profile.frame_name(frame).into_owned();
            let module = profile.module_name(frame).map(str::to_owned);
            let is_kernel = frame.kind == FrameKind::Kernel;
            let is_system_call = is_kernel && pattern::any(SYSTEM_CALL, &name);
            let rule = *by_name
                .entry((name, module))
                .or_insert_with_key(|(name, module)| rule(frame, name, module.as_deref()));
            Known { rule, is_kernel, is_system_call }
        });
        Self { known: known.collect() }
    }

    /// What a function is for by itself.
    pub(super) fn group_of_frame(&self, index: usize) -> Group {
        match self.known.get(index) {
            Some(Known { rule: Some((group, _)), .. }) => *group,
            Some(Known { is_kernel: true, .. }) => Group::SystemCalls,
            _ => Group::Other,
        }
    }

    /// The nearest function to the leaf that a rule knows, unless one further out speaks for all that it calls.
    pub(super) fn group(&self, leaf_to_root: impl Iterator<Item = FrameHandle>) -> Group {
        let (mut nearest, mut is_kernel, mut is_system_call) = (None, false, false);
        for (depth, frame) in leaf_to_root.enumerate() {
            let known = self.known.get(frame.index()).copied().unwrap_or_default();
            is_kernel |= depth == 0 && known.is_kernel;
            is_system_call |= known.is_system_call;
            match known.rule {
                Some((group, Reach::All)) => return group,
                Some((group, Reach::Own)) => {
                    // What the kernel does is the kernel's, whoever called it.
                    let is_own = known.is_kernel || !is_kernel;
                    nearest = nearest.or(is_own.then_some(group));
                }
                None => {}
            }
        }
        match nearest {
            Some(group) => group,
            None if is_kernel && is_system_call => Group::SystemCalls,
            None if is_kernel => Group::Interrupts,
            None => Group::Other,
        }
    }
}

fn rule(frame: &Frame, name: &str, module: Option<&str>) -> Ruling {
    if frame.kind == FrameKind::Reason {
        return None;
    }
    let is_kernel = frame.kind == FrameKind::Kernel;
    let found = RULES.iter().find(|rule| {
        let is_for_kernel = rule.modules == KERNEL;
        let module_fits = rule.modules.is_empty()
            || is_for_kernel
            || module.is_some_and(|module| pattern::any(rule.modules, module));
        is_for_kernel == is_kernel && module_fits && pattern::any(rule.functions, name)
    });
    found.map(|rule| (rule.group, rule.reach))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{KERNEL_MAPPING, Mapping, Meta, ValueType};

    /// Each part is `file:function`, root first; `k:` is the kernel.
    fn group(stack: &str) -> Group {
        let mut profile = Profile::new(ValueType::CPU, Meta::default());
        let frames: Vec<FrameHandle> = stack
            .split(' ')
            .map(|part| {
                let (file, function) = part.split_once(':').expect("has a file");
                let is_kernel = file == "k";
                let path = profile.intern(if is_kernel { KERNEL_MAPPING } else { file });
                let mapping = profile.mapping(Mapping::file(path, None));
                let name = profile.intern(function);
                let frame = if is_kernel { Frame::kernel(mapping, 1) } else { Frame::native(mapping, 1) };
                profile.frame(frame.named(name))
            })
            .collect();
        Attribution::of(&profile).group(frames.into_iter().rev())
    }

    #[test]
    fn a_sample_belongs_to_what_its_innermost_known_function_is_for() {
        for (stack, expected) in [
            ("nginx:main nginx:ngx_http_gzip_body_filter libz.so.1.3:deflate", Group::Compression),
            ("nginx:main libz.so.1.3:libz.so.1.3+0x9d21", Group::Compression),
            ("nginx:main libssl.so.3:SSL_write libcrypto.so.3:aesni_ctr32_ghash_6x", Group::Tls),
            ("nginx:main libssl.so.3:SSL_write k:do_syscall_64 k:tcp_sendmsg", Group::SystemCalls),
            ("nginx:main libssl.so.3:SSL_write libc.so.6:__memmove_avx_unaligned_erms", Group::Copying),
            ("nginx:main libc.so.6:writev k:do_syscall_64 k:tcp_sendmsg k:_copy_from_iter", Group::Copying),
            (
                "nginx:main nginx:ngx_http_log_handler libc.so.6:write k:do_syscall_64 k:ext4_file_write_iter",
                Group::Logging,
            ),
            ("nginx:main libpcre2-8.so.0:pcre2_match_8 jit:[jit]", Group::Regex),
            ("nginx:main k:asm_sysvec_apic_timer_interrupt k:net_rx_action", Group::Interrupts),
            ("nginx:main libc.so.6:malloc k:asm_exc_page_fault k:clear_page_erms", Group::Allocation),
            ("nginx:main libssl.so.3:SSL_write k:asm_exc_int3 k:uprobe_notify_resume k:kfree", Group::Probes),
            ("jit:[jit] k:asm_exc_debug k:exc_debug_user k:irqentry_exit_to_user_mode", Group::Probes),
            ("jit:[jit] k:do_syscall_64 k:__x64_sys_uretprobe k:uprobe_handle_trampoline", Group::Probes),
            ("haproxy:main haproxy:h1_headers_to_hdr_list", Group::Parsing),
            (
                "caddy:net/http.(*conn).serve caddy:crypto/tls.(*Conn).Read caddy:runtime.mallocgc",
                Group::Allocation,
            ),
            ("caddy:runtime.gcBgMarkWorker caddy:runtime.scanobject", Group::GarbageCollection),
            ("envoy:main envoy:absl::lts_20240116::Mutex::Lock()", Group::Locks),
            ("pingora:main pingora:rustls::conn::read", Group::Tls),
            ("node:main node:node::crypto::TLSWrap::ClearOut()", Group::Tls),
            ("nginx:main nginx:ngx_http_core_content_phase", Group::Other),
        ] {
            assert_eq!(group(stack), expected, "{stack}");
        }
    }
}
