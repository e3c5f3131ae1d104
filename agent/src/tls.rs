//! Which functions of a file send and receive through TLS, and where they are best probed. Pure but for reading the file that it
//! is given.

use std::collections::{BTreeMap, HashSet};

use abi::tls::{TLS_COUNTS_THROUGH_3, TLS_FREES, TLS_SENDS, TLS_SENDS_FILE, TLS_SHAKES_HANDS};

use crate::object::{
    Elf, ObjectFile, Segments, read_bytes,
    symbols::{self, Function},
};

/// The functions of OpenSSL, and of BoringSSL, which have kept their names; and what they do.
const FUNCTIONS: [(&str, u64); 7] = [
    ("SSL_read", 0),
    ("SSL_read_ex", TLS_COUNTS_THROUGH_3),
    ("SSL_write", TLS_SENDS),
    ("SSL_write_ex", TLS_SENDS | TLS_COUNTS_THROUGH_3),
    ("SSL_sendfile", TLS_SENDS | TLS_SENDS_FILE),
    ("SSL_do_handshake", TLS_SHAKES_HANDS),
    ("SSL_free", TLS_FREES),
];

/// Without these, nothing can be followed.
const NEEDED: [&str; 2] = ["SSL_read", "SSL_write"];

/// `endbr64`, where an indirect call may come to. The kernel has the processor run it elsewhere, and stops twice; what is behind
/// is a `push` mostly, which it emulates. Every call goes past it, with arguments and stack as they were.
const LANDING: [u8; 4] = [0xf3, 0x0f, 0x1e, 0xfa];

/// A place to probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TlsFunction {
    /// Where in the file.
    pub file_offset: u64,
    /// What the function does (`abi::tls`).
    pub what: u64,
}

impl TlsFunction {
    /// Whether what it has done is known only when it returns.
    #[must_use]
    pub fn has_return(self) -> bool {
        self.what & TLS_FREES == 0
    }
}

/// The functions of a file; none if it has no such library, or not their names.
#[must_use]
pub fn search(object: &ObjectFile) -> Vec<TlsFunction> {
    let Ok(elf) = Elf::parse(&object.file) else { return Vec::new() };
    let found = symbols::functions(&elf, |name| FUNCTIONS.iter().any(|(known, _)| *known == name));
    places(&found, &Segments::of(&elf), |offset| {
        read_bytes(elf.file(), offset, LANDING.len() as u64, LANDING.len() as u64).unwrap_or_default()
    })
}

fn places(
    found: &BTreeMap<String, Function>,
    segments: &Segments,
    code_at: impl Fn(u64) -> Vec<u8>,
) -> Vec<TlsFunction> {
    if NEEDED.iter().any(|name| !found.contains_key(*name)) {
        return Vec::new();
    }
    let mut seen = HashSet::new();
    let place = |(name, what): &(&str, u64)| {
        let start = segments.file_offset_of(found.get(*name)?.svma)?;
        let is_landing = code_at(start) == LANDING;
        let file_offset = start + if is_landing { LANDING.len() as u64 } else { 0 };
        // Two names of one function are one place.
        seen.insert(file_offset).then_some(TlsFunction { file_offset, what: *what })
    };
    FUNCTIONS.iter().filter_map(place).collect()
}

#[cfg(test)]
mod tests {
    use std::{fs::File, io::Write as _};

    use super::{FUNCTIONS, LANDING, TlsFunction, places, search};
    use crate::object::{Elf, ObjectFile, Segments, symbols::Function};

    fn function(svma: u64) -> Function {
        Function { svma, size_bytes: 64 }
    }

    #[test]
    fn functions_are_probed_behind_a_landing_and_none_without_those_that_are_needed() {
        // The segments of this test.
        let file = File::open("/proc/self/exe").expect("opens");
        let elf = Elf::parse(&file).expect("parses");
        let segments = Segments::of(&elf);
        let code = elf.program_headers.iter().find(|header| header.flags & 1 != 0).expect("code");
        let at = |distance: u64| function(code.svma + distance);
        let mut found = [("SSL_read".to_owned(), at(0)), ("SSL_write".to_owned(), at(64))].into();
        let land = |offset: u64| {
            if offset == code.file_offset { LANDING.to_vec() } else { vec![0x55, 0, 0, 0] }
        };
        let seen = places(&found, &segments, land);
        let expected = [(code.file_offset + 4, 0), (code.file_offset + 64, FUNCTIONS[2].1)];
        let expected = expected.map(|(file_offset, what)| TlsFunction { file_offset, what });
        assert_eq!(seen, expected);
        // Another name of the same.
        found.insert("SSL_write_ex".to_owned(), at(64));
        assert_eq!(places(&found, &segments, land), expected);
        found.remove("SSL_read");
        assert_eq!(places(&found, &segments, land), []);
    }

    #[test]
    fn what_is_no_library_has_none() {
        let exe = ObjectFile::open("/proc/self/exe".as_ref()).expect("opens");
        assert_eq!(search(&exe), []);
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        file.write_all(b"SSL_read SSL_write").expect("written");
        assert_eq!(search(&ObjectFile::open(file.path()).expect("opens")), []);
    }
}
