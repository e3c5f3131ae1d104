//! Debian packages that the commands need, each with its reason, and how they get installed.

use std::process::Command;

use anyhow::{Result, bail};

use crate::shell::{is_debian, is_root, output, run};

/// A package and what it is for.
pub(crate) type Package = (&'static str, &'static str);

/// What building the kernel programs takes where rustup has no `rust-src`.
pub(crate) const EBPF: [Package; 8] = [
    ("rustc-web", "a compiler recent enough for the bpf target"),
    ("cargo-web", "its cargo, for -Z build-std"),
    ("rust-web-src", "the sources of core"),
    ("llvm-22-dev", "the LLVM that bpf-linker links, and llvm-objcopy"),
    ("libclang-common-22-dev", "asked for by llvm-22-dev's cmake files"),
    ("libpolly-22-dev", "linked by LLVM's static libraries"),
    ("zlib1g-dev", "linked by LLVM"),
    ("libzstd-dev", "linked by LLVM"),
];

/// What the privileged tests and the virtual machines take.
pub(crate) const TESTS: [Package; 20] = [
    ("gcc", "compiles tests/programs"),
    ("g++", "compiles a target that throws"),
    ("binutils", "strips the agent for the virtual machine, and target programs"),
    ("xz-utils", "packs a symbol table into a target program"),
    ("nginx-light", "the proxy without frame pointers"),
    ("haproxy", "the second one, with its own pools"),
    ("caddy", "a Go proxy"),
    (
        "golang-1.19-go",
        "target programs in Go; `go tool pprof`, a reader of our pprof files that we did not write",
    ),
    ("nodejs", "code made at run time, with a symbol map; the tests of the page's modules"),
    ("chromium", "reads the page"),
    ("wrk", "load"),
    ("bpftool", "run time of the kernel programs, as the kernel counts it"),
    ("busybox-static", "the user space of the virtual machine"),
    ("qemu-system-x86", "the virtual machine"),
    ("libjemalloc2", "an allocator in front of the C library's"),
    ("libjemalloc-dev", "the same within a program"),
    ("libtcmalloc-minimal4", "another one"),
    ("libmimalloc2.0", "a third"),
    ("python3", "fetches Envoy, which Debian does not have; receives OTLP"),
    ("openssl", "certificates for both sides of a connection"),
];

/// What building Pingora takes besides a Rust compiler.
pub(crate) const PINGORA: [Package; 3] = [
    ("cmake", "builds zlib-ng, which Pingora links"),
    ("make", "called by cmake"),
    ("g++", "asked for by cmake"),
];

/// What measurements take besides what tests take: other profilers, more proxies.
pub(crate) const BENCH: [Package; 11] = [
    ("bpfcc-tools", "memleak, which probes every call of the allocator"),
    ("heaptrack", "a profiler of the heap that works inside the target"),
    ("gdb", "puts heaptrack into a process that runs"),
    ("linux-perf", "a profiler that copies stacks"),
    ("bpftrace", "a profiler that has the kernel walk frame pointers"),
    ("varnish", "a cache in front of a server"),
    ("squid", "the same, in C++"),
    ("h2o", "a proxy without frame pointers"),
    ("nghttp2-proxy", "nghttpx, a proxy in C++"),
    ("libc6-dbg", "names the functions that threads begin in, for every profiler"),
    ("util-linux", "chrt and taskset"),
];

/// What a Debian package is made with.
pub(crate) const PACKAGE: [Package; 2] =
    [("dpkg-dev", "finds the libraries that the agent takes"), ("binutils", "strips it")];

/// Who finds fault with it.
pub(crate) const LINT: [Package; 1] = [("lintian", "knows Debian's policy")];

/// Installs what is missing; says so and does nothing when all is there.
pub(crate) fn install(packages: &[Package]) -> Result<()> {
    let missing: Vec<&Package> = packages.iter().filter(|(name, _)| !is_installed(name)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    if !(is_root() && is_debian()) {
        let names: Vec<&str> = missing.iter().map(|(name, _)| *name).collect();
        bail!("only root on Debian can install packages; missing here: {}", names.join(" "));
    }
    for (name, reason) in &missing {
        println!("installing {name}: {reason}");
    }
    run(&mut apt_get(&["update", "-q"]))?;
    let mut command = apt_get(&["install", "-q", "-y", "--no-install-recommends"]);
    run(command.args(missing.iter().map(|(name, _)| name)))
}

fn is_installed(name: &str) -> bool {
    output(Command::new("dpkg-query").args(["-W", "-f", "${db:Status-Status}", name]))
        .is_ok_and(|status| status == "installed")
}

fn apt_get(args: &[&str]) -> Command {
    let mut command = Command::new("apt-get");
    // In run level 1 a package does not start its service: tests start servers themselves, on loopback.
    command.args(args).env("DEBIAN_FRONTEND", "noninteractive").env("RUNLEVEL", "1");
    command
}
