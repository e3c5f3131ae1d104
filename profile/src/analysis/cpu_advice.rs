//! Advice on CPU time. Each rule looks for frames that only one configuration has, and says nothing without them.

use super::{
    advice::{Advice, Gain, Resource},
    groups::Group,
    pattern,
    proxy::Proxy,
    stacks, zlib_advice,
};
use crate::{FrameHandle, FrameKind, Profile};

/// Below, a change is not worth the reading.
const WORTH_PERCENT: f64 = 5.0;
/// A handshake is not a matter of bulk, and nor is a log line: they are worth less than this only if all is well.
const SMALL_PERCENT: f64 = 3.0;
/// Expressions that take more than half of all time are tried in many ways, also where they are interpreted.
const PATHOLOGICAL_PERCENT: f64 = 50.0;

/// Functions that only levels 4 to 9 of zlib run; 1 to 3 run `deflate_fast`.
const SLOW_DEFLATE: &str = "deflate_slow deflate_medium";
/// What a server does once for a session: its signature. A session that is resumed needs none.
const SIGN: &str = "EVP_DigestSign* EVP_PKEY_sign* RSA_sign* RSA_private_encrypt rsa_ossl_private_encrypt \
    rsa_default_sign_raw rsa_default_private_transform RSA_sign_raw ECDSA_sign* ecdsa_sign* \
    ossl_ecdsa_*sign* bssl::ssl_private_key_sign* crypto/rsa.SignP* crypto/rsa.sign* \
    crypto/ecdsa.sign* crypto/ecdsa.Sign* crypto/ed25519.sign* rustls::*::sign*";
const RSA: &str = "RSA_* rsa_* rsaz_* crypto/rsa.*";
/// `write` of a file. What nginx keeps in files it writes with `pwrite`; its logs with `write`.
const WRITE: &str = "ksys_write __x64_sys_write";
const WRITE_FILE: &str = "*_file_write_iter generic_perform_write *_buffered_write*";
const LOG_HANDLER: &str = "ngx_http_log_handler ngx_http_log_write ngx_stream_log_handler";
/// The interpreter of PCRE and its just-in-time compiled code.
const PCRE_MATCH: &str = "pcre2_match_8 pcre2_match pcre_exec";
const PCRE_JIT: &str = "pcre2_jit_match* jit_machine_stack_exec _pcre_jit_exec pcre_jit_exec";
const READ_FILE: &str = "filemap_read generic_file_read_iter *_file_read_iter";
const READ: &str = "ksys_read ksys_pread64 __x64_sys_pread64 __x64_sys_read __x64_sys_preadv*";
const SENDFILE: &str = "do_sendfile __x64_sys_sendfile64";
const GLIBC_MALLOC: &str = "_int_malloc _int_free* malloc_consolidate unlink_chunk* sysmalloc* systrim*";
const CONTENDED: &str = "__lll_lock_wait_private __lll_lock_wake_private";
const ACCEPT: &str = "inet_csk_accept __x64_sys_accept4 __sys_accept4";
const SPIN: &str = "*queued_spin_lock_slowpath";

/// What advice is made from.
pub(super) struct Facts<'a> {
    profile: &'a Profile,
    proxy: Option<Proxy>,
    total: f64,
}

/// How much of all time has a kind of stack, and the heaviest one of it.
struct Found {
    percent: f64,
    stack: Vec<String>,
}

/// All that can be advised.
pub(super) fn of(profile: &Profile, proxy: Option<Proxy>) -> Vec<Advice> {
    let total = profile.total(profile.weight_idx()) as f64;
    if total <= 0.0 {
        return Vec::new();
    }
    let facts = Facts { profile, proxy, total };
    let rules = [
        Facts::compression_level,
        Facts::full_handshakes,
        Facts::unbuffered_log,
        Facts::interpreted_regex,
        Facts::heavy_regex,
        Facts::files_copied,
        Facts::contended_malloc,
        Facts::contended_accept,
    ];
    let advice = rules.into_iter().filter_map(|rule| rule(&facts));
    advice.chain(zlib_advice::of(profile, proxy, total)).collect()
}

impl Facts<'_> {
    fn compression_level(&self) -> Option<Advice> {
        let found = self.with_any(SLOW_DEFLATE).filter(|found| found.percent >= WORTH_PERCENT)?;
        let (change, directive) = match self.proxy {
            Some(Proxy::Nginx) => ("compress at level 1 to 3", Some("gzip_comp_level 2;")),
            Some(Proxy::HAProxy) => ("compress at level 1 to 3", Some("tune.comp.maxlevel 1")),
            Some(Proxy::Envoy) => ("compress at the fastest level", Some("compression_level: BEST_SPEED")),
            Some(Proxy::Node) => ("compress at level 1 to 3", Some("{ level: 2 }")),
            _ => ("compress at level 1 to 3", None),
        };
        Some(Advice {
            title: "responses are compressed at a high level".to_owned(),
            group: Group::Compression,
            weight_percent: 0.0,
            evidence: vec![format!("{:.1} % of CPU time in deflate_slow, which levels 1 to 3 do not run", found.percent)],
            gain: Gain {
                of: Resource::CpuTime,
                percent_low: 0.2 * found.percent,
                percent_high: 0.75 * found.percent,
                how: "from level 4, or from level 6: zlib 1.2.13 takes 2.1 ms at level 1 for 212 KB of text, 3.6 at level 3, 3.5 \
                      at level 4, 8.6 at level 6 and 13.8 at level 9; the output of level 3 is 9 % larger than that of level 6"
                    .to_owned(),
            },
            stack: found.stack,
            change: change.to_owned(),
            directive: directive.map(str::to_owned),
        })
    }

    fn full_handshakes(&self) -> Option<Advice> {
        let found = self.with_any(SIGN).filter(|found| found.percent >= WORTH_PERCENT)?;
        let rsa = self.where_all(&[SIGN, RSA]).map_or(0.0, |found| found.percent);
        let mut evidence = vec![format!(
            "{:.1} % of CPU time signs handshakes; a session that is resumed needs no signature",
            found.percent
        )];
        if rsa > 0.5 * found.percent {
            evidence.push(format!("{rsa:.1} % are RSA; a signature with ECDSA P-256 costs a twelfth"));
        }
        let (change, directive) = match self.proxy {
            Some(Proxy::Nginx) => (
                "let clients resume sessions, and keep their connections",
                Some("ssl_session_cache shared:SSL:10m; ssl_session_timeout 1h; keepalive_timeout 75s;"),
            ),
            Some(Proxy::HAProxy) => {
                ("let clients resume sessions, and keep their connections", Some("tune.ssl.cachesize 100000"))
            }
            Some(Proxy::Envoy) => (
                "let clients resume sessions: give all listeners the same session ticket keys",
                Some("session_ticket_keys: ..."),
            ),
            _ => ("let clients resume sessions, keep their connections, and use an ECDSA certificate", None),
        };
        Some(Advice {
            title: "most TLS handshakes are full ones".to_owned(),
            group: Group::Tls,
            weight_percent: 0.0,
            evidence,
            gain: Gain {
                of: Resource::CpuTime,
                percent_low: 0.3 * found.percent,
                percent_high: 0.9 * found.percent,
                how: "a third of clients resume, or nine tenths do; each that does saves its signature"
                    .to_owned(),
            },
            stack: found.stack,
            change: change.to_owned(),
            directive: directive.map(str::to_owned),
        })
    }

    fn unbuffered_log(&self) -> Option<Advice> {
        let by_name = self.where_all(&[LOG_HANDLER, WRITE]);
        // A stripped nginx has no names of its own functions: `write` into a file is what is left to see.
        let by_file = self.where_all(&[WRITE, WRITE_FILE]).filter(|_| self.proxy == Some(Proxy::Nginx));
        let found = by_name.into_iter().chain(by_file).max_by(|a, b| a.percent.total_cmp(&b.percent));
        let found = found.filter(|found| found.percent >= SMALL_PERCENT)?;
        let directive = (self.proxy == Some(Proxy::Nginx))
            .then(|| "access_log /path combined buffer=64k flush=5s;".to_owned());
        Some(Advice {
            title: "every request writes to the access log by a system call of its own".to_owned(),
            group: Group::Logging,
            weight_percent: 0.0,
            evidence: vec![format!("{:.1} % of CPU time in write() of a log file", found.percent)],
            gain: Gain {
                of: Resource::CpuTime,
                percent_low: 0.7 * found.percent,
                percent_high: 0.95 * found.percent,
                how: "a line of 200 bytes fits 300 times into a buffer of 64 KiB: one write in the place of 300, each of \
                      which copies more"
                    .to_owned(),
            },
            stack: found.stack,
            change: "buffer the access log".to_owned(),
            directive,
        })
    }

    fn interpreted_regex(&self) -> Option<Advice> {
        let found = self.with_any(PCRE_MATCH).filter(|found| found.percent >= WORTH_PERCENT)?;
        // Compiled code is entered through the same function.
        let compiled = self.with_any(PCRE_JIT).map_or(0.0, |found| found.percent);
        let jit = self.where_kind_below(PCRE_MATCH, FrameKind::Jit);
        let compiled = compiled.max(jit);
        if compiled > 0.1 * found.percent {
            return None;
        }
        let directive = (self.proxy == Some(Proxy::Nginx)).then(|| "pcre_jit on;".to_owned());
        Some(Advice {
            title: "regular expressions are interpreted".to_owned(),
            group: Group::Regex,
            weight_percent: 0.0,
            evidence: vec![format!(
                "{:.1} % of CPU time in PCRE's interpreter, {compiled:.1} % in compiled expressions",
                found.percent - compiled
            )],
            gain: Gain {
                of: Resource::CpuTime,
                percent_low: 0.3 * found.percent,
                percent_high: 0.8 * found.percent,
                how: "compiled expressions take between two thirds and a fifth of the time, by expression"
                    .to_owned(),
            },
            stack: found.stack,
            change: "have expressions compiled".to_owned(),
            directive,
        })
    }

    fn heavy_regex(&self) -> Option<Advice> {
        let compiled = self.with_any(PCRE_JIT);
        let go = self.with_any("regexp.(*Regexp)*");
        let interpreted = self.with_any(PCRE_MATCH).filter(|found| found.percent >= PATHOLOGICAL_PERCENT);
        let compiled_or_go = compiled.or(go).filter(|found| found.percent >= 2.0 * WORTH_PERCENT);
        let found = interpreted.or(compiled_or_go)?;
        let directive = (self.proxy == Some(Proxy::Nginx))
            .then(|| "location = /path { ... } or location ^~ /prefix/ { ... }".to_owned());
        Some(Advice {
            title: "requests are matched against expensive regular expressions".to_owned(),
            group: Group::Regex,
            weight_percent: 0.0,
            evidence: vec![format!("{:.1} % of CPU time matches regular expressions", found.percent)],
            gain: Gain {
                of: Resource::CpuTime,
                percent_low: 0.5 * found.percent,
                percent_high: found.percent,
                how:
                    "exact and prefix matches cost next to nothing; half of the requests find one, or all do"
                        .to_owned(),
            },
            stack: found.stack,
            change:
                "put exact and prefix matches before expressions, and look for nested repetitions in these"
                    .to_owned(),
            directive,
        })
    }

    fn files_copied(&self) -> Option<Advice> {
        if self.proxy != Some(Proxy::Nginx)
            || self.with_any(SENDFILE).is_some_and(|found| found.percent > 1.0)
        {
            return None;
        }
        let found = self.where_all(&[READ, READ_FILE]).filter(|found| found.percent >= WORTH_PERCENT)?;
        // With either, what is read is worked on before it is sent: it must be read.
        let is_changed = |patterns| self.in_modules(patterns).max(0.0) > 1.0;
        if is_changed("libz.so* libz-ng* libbrotli*") || is_changed("libssl* libcrypto*") {
            return None;
        }
        Some(Advice {
            title: "files are copied through the worker".to_owned(),
            group: Group::Copying,
            weight_percent: 0.0,
            evidence: vec![
                format!("{:.1} % of CPU time reads files into the memory of the worker", found.percent),
                "no sendfile() was seen, and neither TLS nor compression needs the bytes".to_owned(),
            ],
            gain: Gain {
                of: Resource::CpuTime,
                percent_low: 0.5 * found.percent,
                percent_high: found.percent,
                how: "the reading goes; sending from the page cache costs up to half of it".to_owned(),
            },
            stack: found.stack,
            change: "let the kernel send files".to_owned(),
            directive: Some("sendfile on; tcp_nopush on;".to_owned()),
        })
    }

    fn contended_malloc(&self) -> Option<Advice> {
        let waits = self.with_any(CONTENDED).filter(|found| found.percent >= SMALL_PERCENT)?;
        let inside = self.with_any(GLIBC_MALLOC).map_or(0.0, |found| found.percent);
        Some(Advice {
            title: "threads wait for each other in malloc".to_owned(),
            group: Group::Allocation,
            weight_percent: 0.0,
            evidence: vec![
                format!("{:.1} % of CPU time waits for the locks of glibc's malloc", waits.percent),
                format!("{inside:.1} % is spent in it"),
            ],
            gain: Gain {
                of: Resource::CpuTime,
                percent_low: waits.percent,
                percent_high: waits.percent + 0.5 * inside,
                how: "an allocator with caches for each thread does without the waiting, and up to half of the work".to_owned(),
            },
            stack: waits.stack,
            change: "run it with jemalloc or mimalloc".to_owned(),
            directive: Some("LD_PRELOAD=libjemalloc.so.2 in the environment of the service".to_owned()),
        })
    }

    fn contended_accept(&self) -> Option<Advice> {
        let found = self.where_all(&[ACCEPT, SPIN]).filter(|found| found.percent >= SMALL_PERCENT)?;
        let (change, directive) = match self.proxy {
            Some(Proxy::Nginx) => ("give each worker a queue of its own", Some("listen 443 ssl reuseport;")),
            _ => ("give each worker a queue of its own (SO_REUSEPORT)", None),
        };
        Some(Advice {
            title: "workers wait for each other to accept connections".to_owned(),
            group: Group::Locks,
            weight_percent: 0.0,
            evidence: vec![format!(
                "{:.1} % of CPU time spins for the lock of a listening socket",
                found.percent
            )],
            gain: Gain {
                of: Resource::CpuTime,
                percent_low: 0.8 * found.percent,
                percent_high: found.percent,
                how: "nobody else takes the lock of a worker's own queue".to_owned(),
            },
            stack: found.stack,
            change: change.to_owned(),
            directive: directive.map(str::to_owned),
        })
    }

    fn with_any(&self, patterns: &str) -> Option<Found> {
        self.where_all(&[patterns])
    }

    /// Stacks with a frame for each of the lists.
    fn where_all(&self, lists: &[&str]) -> Option<Found> {
        let of_frame: Vec<u32> = self
            .profile
            .frames()
            .map(|frame| {
                let name = self.profile.frame_name(frame);
                let bits = lists.iter().zip(0..).filter(|(patterns, _)| pattern::any(patterns, &name));
                bits.fold(0, |known, (_, bit)| known | 1 << bit)
            })
            .collect();
        let wanted = (1_u32 << lists.len()) - 1;
        self.stacks(|stack| {
            let bits = stack.iter().filter_map(|frame| of_frame.get(frame.index()));
            bits.fold(0, |all, bits| all | bits) == wanted
        })
    }

    /// The share of stacks in which a frame of a kind stands on a function, in percent.
    fn where_kind_below(&self, patterns: &str, kind: FrameKind) -> f64 {
        let is_function: Vec<bool> = self
            .profile
            .frames()
            .map(|frame| pattern::any(patterns, &self.profile.frame_name(frame)))
            .collect();
        let found = self.stacks(|leaf_first| {
            let at =
                leaf_first.iter().position(|frame| is_function.get(frame.index()).copied().unwrap_or(false));
            at.is_some_and(|at| {
                let below = leaf_first.iter().take(at).filter_map(|frame| self.profile.frame_at(*frame));
                below.into_iter().any(|frame| frame.kind == kind)
            })
        });
        found.map_or(0.0, |found| found.percent)
    }

    /// The share of stacks that go through a file, in percent.
    fn in_modules(&self, modules: &str) -> f64 {
        let is_in: Vec<bool> = self
            .profile
            .frames()
            .map(|frame| self.profile.module_name(frame).is_some_and(|module| pattern::any(modules, module)))
            .collect();
        let found =
            self.stacks(|stack| stack.iter().any(|frame| is_in.get(frame.index()).copied().unwrap_or(false)));
        found.map_or(0.0, |found| found.percent)
    }

    fn stacks(&self, is_wanted: impl Fn(&[FrameHandle]) -> bool) -> Option<Found> {
        let (mut sum, mut heaviest) = (0.0, (0.0, Vec::new()));
        for sample in self.profile.samples() {
            let value =
                sample.values.get(self.profile.weight_idx()).map_or(0.0, |&value| value.max(0) as f64);
            let stack: Vec<FrameHandle> = self.profile.leaf_to_root(sample.stack).collect();
            if value > 0.0 && is_wanted(&stack) {
                sum += value;
                if value > heaviest.0 {
                    heaviest = (value, stack);
                }
            }
        }
        (sum > 0.0).then(|| Found {
            percent: 100.0 * sum / self.total,
            stack: stacks::names(self.profile, &heaviest.1),
        })
    }
}
