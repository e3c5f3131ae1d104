//! Any bytes as the text files of a process: its mappings, and the symbol map of its generated code.

use std::{fs::File, os::unix::fs::MetadataExt};

use agent::{
    procfs::maps,
    symbolize::{JitProcess, Options, Resolved, Symbolizer},
};
use tempfile::TempDir;

/// Mappings kept, at most: few, so that the limit is met.
const MAX_MAPPINGS: usize = 8;
const PROBES: [u64; 5] = [0, 0x1000, 0x1008, 0x7fff_ffff_f000, u64::MAX];

thread_local! {
    /// The root of a process that wrote a symbol map; none where there is no room for one.
    static ROOT: Option<TempDir> = root().ok();
}

fn root() -> std::io::Result<TempDir> {
    let root = tempfile::tempdir()?;
    std::fs::create_dir(root.path().join("tmp"))?;
    Ok(root)
}

pub(crate) fn body(bytes: &[u8]) {
    let all = maps::parse(bytes, MAX_MAPPINGS);
    let executable = maps::parse_executable(bytes, MAX_MAPPINGS);
    if let Ok(all) = &all {
        let n_executable = all.iter().filter(|entry| entry.permissions.execute).count();
        assert_eq!(executable.as_ref().map(Vec::len).ok(), Some(n_executable), "{all:?}");
        assert!(all.len() <= MAX_MAPPINGS && all.iter().all(|entry| entry.start <= entry.end), "{all:?}");
    }
    ROOT.with(|root| root.as_ref().and_then(|root| symbol_map(root, bytes).ok()));
}

fn symbol_map(root: &TempDir, bytes: &[u8]) -> std::io::Result<()> {
    std::fs::write(root.path().join("tmp/perf-1.map"), bytes)?;
    let root = File::open(root.path())?;
    let uid = root.metadata()?.uid();
    let jit = JitProcess { pid: 1, ns_pid: 1, root, uid };
    let frames = Symbolizer::new(Options::default(), None).jit_frames(&jit, &PROBES);
    assert_eq!(frames.len(), PROBES.len());
    for frame in frames {
        if let Resolved::Symbols(symbols) = frame {
            let has_names = symbols.iter().all(|symbol| !symbol.name.contains(char::is_control));
            assert!(!symbols.is_empty() && has_names, "{symbols:?}");
        }
    }
    Ok(())
}
