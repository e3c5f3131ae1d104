//! Numbers of users, by name.

use std::{collections::BTreeMap, fs::File, io::Read as _};

const FILE: &str = "/etc/passwd";
/// Hosts with ten thousand users have about a megabyte.
const MAX_FILE_BYTES: u64 = 4 << 20;

/// The users of a host, as its own file has them. Directory services are not asked: the agent gives up the right to
/// open connections, and a rule that waits for a server would wait at each start of a process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Users {
    uids: BTreeMap<String, u32>,
}

impl Users {
    /// Those of this host; none if its file cannot be read.
    #[must_use]
    pub fn of_host() -> Self {
        let mut bytes = Vec::new();
        let read = File::open(FILE).and_then(|file| file.take(MAX_FILE_BYTES).read_to_end(&mut bytes));
        if read.is_ok() { Self::parse(&String::from_utf8_lossy(&bytes)) } else { Self::default() }
    }

    /// Those in a file /etc/passwd: `name:password:uid:…`. The first line of a name counts, as in the C library.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut uids = BTreeMap::new();
        for line in text.lines() {
            let mut fields = line.split(':');
            if let (Some(name), Some(uid)) = (fields.next(), fields.nth(1).and_then(|uid| uid.parse().ok())) {
                uids.entry(name.to_owned()).or_insert(uid);
            }
        }
        Self { uids }
    }

    /// The number of a user that is given by name or by number.
    #[must_use]
    pub fn uid(&self, user: &str) -> Option<u32> {
        user.parse().ok().or_else(|| self.uids.get(user).copied())
    }
}

#[cfg(test)]
mod tests {
    use super::Users;

    #[test]
    fn users_are_found_by_name_and_by_number_and_broken_lines_are_none() {
        let users = Users::parse(
            "root:x:0:0:root:/root:/bin/sh\nwww-data:x:33:33::/var/www:\n#x\n\nbad:x:-1:\nroot:x:5:\nno",
        );
        let seen = ["root", "www-data", "33", "4711", "bad", "no", "", "-1"].map(|user| users.uid(user));
        assert_eq!(seen, [Some(0), Some(33), Some(33), Some(4711), None, None, None, None]);
        assert_eq!(Users::of_host().uid("root"), Some(0));
    }
}
