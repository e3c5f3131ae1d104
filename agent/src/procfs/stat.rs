//! /proc/PID/stat: parent, start time and CPU time of a process or thread.

use std::io;

/// What is kept of a stat file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stat {
    /// Command name; bytes that are not UTF-8 replaced.
    pub comm: String,
    /// The parent's process id, 0 for none.
    pub parent_pid: u32,
    /// CPU time spent in user mode, in clock ticks (`sysconf(_SC_CLK_TCK)`).
    pub user_ticks: u64,
    /// CPU time spent in the kernel, in clock ticks.
    pub system_ticks: u64,
    /// When it started, in clock ticks after boot: with the id, this names a process for good.
    pub start_time_ticks: u64,
}

/// Why a stat is not known.
#[derive(Debug, thiserror::Error)]
pub enum StatError {
    /// The file could not be read.
    #[error("cannot read the stat file of process {pid}")]
    Read {
        /// Whose.
        pid: u32,
        /// What the kernel answered.
        #[source]
        source: io::Error,
    },
    /// The text is not what the kernel writes.
    #[error("stat file is malformed")]
    Malformed,
}

/// Reads the stat file of a live process (or thread: any id works).
pub fn read(pid: u32) -> Result<Stat, StatError> {
    let text =
        super::read_small(&format!("/proc/{pid}/stat")).map_err(|source| StatError::Read { pid, source })?;
    parse(&text)
}

/// Parses a stat file. The name may hold anything, closing brackets and newlines too; the fields after it
/// cannot, so that the last bracket is the one that ends it.
pub fn parse(text: &[u8]) -> Result<Stat, StatError> {
    parse_fields(text).ok_or(StatError::Malformed)
}

fn parse_fields(text: &[u8]) -> Option<Stat> {
    let opening = text.iter().position(|&byte| byte == b'(')?;
    let closing = text.iter().rposition(|&byte| byte == b')')?;
    let comm = text.get(opening.checked_add(1)?..closing)?;
    let after = std::str::from_utf8(text.get(closing.checked_add(1)?..)?).ok()?;
    // Counted as in proc_pid_stat(5), where the state, our first, is field 3.
    let fields: Vec<&str> = after.split_ascii_whitespace().take(20).collect();
    let number = |field: usize| fields.get(field.checked_sub(3)?)?.parse::<u64>().ok();
    Some(Stat {
        comm: String::from_utf8_lossy(comm).into_owned(),
        parent_pid: u32::try_from(number(4)?).ok()?,
        user_ticks: number(14)?,
        system_ticks: number(15)?,
        start_time_ticks: number(22)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{any, prop_assert, proptest};

    const AFTER: &str = " S 12 1 1 0 -1 4194560 1 2 3 4 140 15 16 17 20 0 1 0 2200 9 9\n";

    #[test]
    fn a_name_of_brackets_spaces_and_newlines_is_only_a_name() {
        for comm in ["nginx", "a) R 99 (", "\n(", ")", "", "((("] {
            let stat = parse(format!("4711 ({comm}){AFTER}").as_bytes());
            let expected = Stat {
                comm: comm.to_owned(),
                parent_pid: 12,
                user_ticks: 140,
                system_ticks: 15,
                start_time_ticks: 2200,
            };
            assert_eq!(stat.as_ref().ok(), Some(&expected), "{comm:?} gave {stat:?}");
        }
    }

    #[test]
    fn cut_or_swapped_text_is_malformed() {
        for text in
            ["", "1", "1 (a", "1 )a(", "1 (a)", "1 (a) S 1 2 3", "1 (a) S -1 1 1 0 -1 4 1 2 3 4 14 15"]
        {
            let seen = parse(text.as_bytes());
            assert!(matches!(seen, Err(StatError::Malformed)), "{text:?} gave {seen:?}");
        }
    }

    #[test]
    fn this_process_has_a_parent_and_a_start() {
        let stat = read(std::process::id()).expect("own stat");
        assert!(stat.parent_pid == std::os::unix::process::parent_id(), "{stat:?}");
        assert!(stat.start_time_ticks > 0, "{stat:?}");
    }

    proptest! {
        #[test]
        fn no_input_makes_the_parser_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let mut text = b"1 (".to_vec();
            text.extend(&bytes);
            prop_assert!(parse(&text).is_err(), "no field after the name");
            text.push(b')');
            text.extend(AFTER.as_bytes());
            let seen = parse(&text);
            prop_assert!(seen.as_ref().is_ok_and(|stat| stat.parent_pid == 12), "{:?}", seen);
        }
    }
}
