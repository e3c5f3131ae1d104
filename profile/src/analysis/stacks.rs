//! Stacks as evidence: their names, and the function in them that matters.

use std::collections::{HashMap, HashSet};

use super::pattern;
use crate::{FrameHandle, FrameKind, Profile};

/// Of a deep stack, the innermost frames say most.
const MAX_STACK: usize = 24;
/// Files whose functions are in every stack, whoever calls them.
const LIBC: &str = "libc.so* libc-* libc.musl* libpthread* ld-linux* ld-musl* [vdso]";
/// What V8's own scripts are called by.
const OWN_SCRIPT: &str = "* node:*";

/// The names of a stack, root first.
pub(super) fn names(profile: &Profile, leaf_first: &[FrameHandle]) -> Vec<String> {
    let frames = leaf_first.iter().take(MAX_STACK).rev().filter_map(|frame| profile.frame_at(*frame));
    frames
        .map(|frame| {
            let mark = if frame.kind == FrameKind::Kernel { "_[k]" } else { "" };
            format!("{}{mark}", profile.frame_name(frame))
        })
        .collect()
}

/// How much a frame says of who is to be changed, the most last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Telling {
    /// The kernel, or why a stack ends.
    Nothing,
    /// The C library.
    Library,
    /// The program's own code.
    Own,
    /// A script that comes with its interpreter.
    OwnScript,
    /// A script.
    Script,
}

fn telling(profile: &Profile, handle: FrameHandle) -> Telling {
    let Some(frame) = profile.frame_at(handle) else { return Telling::Nothing };
    match frame.kind {
        FrameKind::Kernel | FrameKind::Reason => Telling::Nothing,
        FrameKind::Jit => {
            let name = profile.frame_name(frame);
            // `handle /app/server.js:12`.
            let is_script = name
                .rsplit_once(':')
                .is_some_and(|(before, line)| before.contains(' ') && line.parse::<u32>().is_ok());
            match is_script {
                true if pattern::matches(OWN_SCRIPT, &name) => Telling::OwnScript,
                true => Telling::Script,
                false => Telling::Library,
            }
        }
        FrameKind::Native => {
            let is_libc = profile.module_name(frame).is_some_and(|module| pattern::any(LIBC, module));
            if is_libc { Telling::Library } else { Telling::Own }
        }
    }
}

/// Stacks with what they took, and what they took together.
#[derive(Debug, Clone, Default)]
pub(super) struct Stacks {
    pub(super) total: f64,
    all: Vec<(f64, Vec<FrameHandle>)>,
}

impl Stacks {
    pub(super) fn add(&mut self, value: f64, leaf_first: &[FrameHandle]) {
        if value > 0.0 {
            self.total += value;
            self.all.push((value, leaf_first.to_vec()));
        }
    }

    pub(super) fn append(&mut self, other: Self) {
        self.total += other.total;
        self.all.extend(other.all);
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (f64, &[FrameHandle])> {
        self.all.iter().map(|(value, stack)| (*value, stack.as_slice()))
    }

    /// The one that took most.
    pub(super) fn heaviest(&self) -> &[FrameHandle] {
        let heaviest = self.all.iter().max_by(|a, b| a.0.total_cmp(&b.0));
        heaviest.map(|(_, stack)| stack.as_slice()).unwrap_or_default()
    }

    /// The innermost function that half of it goes through, of those that say most of who is to be changed: a script rather
    /// than its interpreter, the program rather than the C library.
    pub(super) fn function(&self, profile: &Profile) -> Option<String> {
        let name = |handle: &FrameHandle| {
            profile.frame_at(*handle).map(|frame| profile.frame_name(frame).into_owned())
        };
        let mut totals: HashMap<String, f64> = HashMap::new();
        for (value, stack) in self.iter() {
            let names: HashSet<String> = stack.iter().filter_map(name).collect();
            names.into_iter().for_each(|name| *totals.entry(name).or_default() += value);
        }
        let is_main = |handle: &&FrameHandle| {
            let total = name(handle).and_then(|name| totals.get(&name).copied());
            total.is_some_and(|total| total >= 0.5 * self.total)
        };
        let main: Vec<&FrameHandle> = self.heaviest().iter().filter(is_main).collect();
        let most = main.iter().map(|handle| telling(profile, **handle)).max()?;
        main.into_iter().find(|handle| telling(profile, **handle) == most).and_then(name)
    }
}

#[cfg(test)]
mod tests {
    use super::Stacks;
    use crate::{Frame, FrameHandle, Mapping, Meta, Profile, ValueType};

    /// `file:function`, root first; `jit` is code made at run time.
    fn function(stacks: &[(&str, f64)]) -> Option<String> {
        let mut profile = Profile::new(ValueType::CPU, Meta::default());
        let mut found = Stacks::default();
        for (stack, value) in stacks {
            let mut leaf_first: Vec<FrameHandle> = stack
                .split('|')
                .map(|part| {
                    let (file, function) = part.split_once('!').expect("has a file");
                    let (path, name) = (profile.intern(file), profile.intern(function));
                    let frame = match file {
                        "jit" => Frame::jit(1),
                        _ => Frame::native(profile.mapping(Mapping::file(path, None)), 1),
                    };
                    profile.frame(frame.named(name))
                })
                .collect();
            leaf_first.reverse();
            found.add(*value, &leaf_first);
        }
        found.function(&profile)
    }

    #[test]
    fn the_function_to_change_is_the_innermost_that_says_who_is_to_change_it() {
        let script =
            "node!main|jit!emit node:events:513|jit!holdUp /app/a.js:2|node!Builtins_Now|libc.so.6!gettime";
        let other = "node!main|jit!emit node:events:513|jit!holdUp /app/a.js:2|jit!inner /app/a.js:9";
        assert_eq!(function(&[(script, 3.0), (other, 2.0)]).as_deref(), Some("holdUp /app/a.js:2"));
        assert_eq!(function(&[(script, 1.0), (other, 2.0)]).as_deref(), Some("inner /app/a.js:9"));
        let native = "nginx!main|nginx!log|libc.so.6!write";
        assert_eq!(function(&[(native, 1.0)]).as_deref(), Some("log"));
        assert_eq!(function(&[("libc.so.6!start|libc.so.6!write", 1.0)]).as_deref(), Some("write"));
        assert_eq!(function(&[]), None);
    }
}
