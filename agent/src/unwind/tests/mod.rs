//! Tables against opinions from elsewhere: the DWARF library's own evaluation, `readelf`, a golden, and hostile
//! input.

mod apply;
mod assembly;
mod golden;
mod hostile;
mod readelf;
mod second_opinion;

use std::path::PathBuf;

/// The C library this program runs with.
fn libc_path() -> PathBuf {
    let maps = std::fs::read_to_string("/proc/self/maps").expect("own mappings");
    let path = maps.split_whitespace().find(|word| word.contains("/libc.so") || word.contains("/libc-"));
    PathBuf::from(path.unwrap_or_else(|| panic!("no libc in {maps}")))
}

/// Files to compare: this program, its C library, whatever of the usual targets is installed, and what
/// `UNWIND_FILES` names, with colons between.
fn paths() -> Vec<PathBuf> {
    let usual = [
        "/usr/sbin/nginx",
        "/usr/sbin/haproxy",
        "/usr/lib/x86_64-linux-gnu/libcrypto.so.3",
        "/usr/lib/x86_64-linux-gnu/libssl.so.3",
        "/usr/lib/x86_64-linux-gnu/libstdc++.so.6",
    ];
    let named = std::env::var("UNWIND_FILES").unwrap_or_default();
    let mut paths = vec![std::env::current_exe().expect("own path"), libc_path()];
    paths.extend(usual.into_iter().map(PathBuf::from).filter(|path| path.exists()));
    paths.extend(named.split(':').filter(|name| !name.is_empty()).map(PathBuf::from));
    paths
}
