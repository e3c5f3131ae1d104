//! A stricter limit for threads that face the network and never look into another process (Landlock).

use std::{io, path::PathBuf};

use landlock::{
    ABI, AccessFs, Ruleset, RulesetAttr as _, RulesetCreatedAttr as _, RulesetError, RulesetStatus,
    path_beneath_rules,
};

/// What the kernel made of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Confined {
    /// All of it holds.
    Wholly,
    /// This kernel's Landlock knows less than is asked for.
    Partly,
    /// This kernel has no Landlock, or has it switched off.
    NotAtAll,
}

/// Newest rules that are asked for; an older kernel does what it can.
const RULES: ABI = ABI::V5;

/// From here on this thread, and those that it starts, write below `writable` alone, and read no memory, root directory or
/// open file of another process. So it is nothing for the threads that sample and symbolize.
///
/// # Errors
/// If the kernel has Landlock and refuses.
pub fn confine_thread(writable: &[PathBuf]) -> io::Result<Confined> {
    let status = restrict(writable).map_err(io::Error::other)?;
    Ok(match status {
        RulesetStatus::FullyEnforced => Confined::Wholly,
        RulesetStatus::PartiallyEnforced => Confined::Partly,
        RulesetStatus::NotEnforced => Confined::NotAtAll,
    })
}

fn restrict(writable: &[PathBuf]) -> Result<RulesetStatus, RulesetError> {
    let writes = AccessFs::from_write(RULES);
    let status = Ruleset::default()
        .handle_access(writes)?
        .create()?
        .add_rules(path_beneath_rules(writable, writes))?
        .restrict_self()?;
    Ok(status.ruleset)
}

#[cfg(test)]
mod tests {
    use std::{fs, thread};

    use super::*;

    #[test]
    fn a_confined_thread_writes_below_its_directories_alone_and_the_others_as_before() {
        let (inside, outside) =
            (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
        let writable = vec![inside.path().to_owned()];
        let write =
            |dir: &tempfile::TempDir, name| fs::write(dir.path().join(name), "x").map_err(|it| it.kind());
        let seen = thread::scope(|scope| {
            let confined = scope.spawn(|| {
                let confined = confine_thread(&writable).expect("the kernel takes it or has none");
                (confined, write(&inside, "a"), write(&outside, "a"))
            });
            confined.join().expect("does not panic")
        });
        let expected = match seen.0 {
            Confined::NotAtAll => Ok(()),
            Confined::Wholly | Confined::Partly => Err(io::ErrorKind::PermissionDenied),
        };
        assert_eq!((seen.1, seen.2), (Ok(()), expected), "{:?}", seen.0);
        assert_eq!(write(&outside, "b"), Ok(()));
    }
}
