//! Which functions of a file send and receive through TLS, and where they are best probed. Pure but for reading the file that it
//! is given.

use std::collections::{BTreeMap, HashSet};

use abi::tls::{TLS_COUNTS_THROUGH_3, TLS_FREES, TLS_SENDS, TLS_SENDS_FILE, TLS_SHAKES_HANDS};
use iced_x86::Register::{self, RCX, RDI, RSI};

use crate::{
    object::{
        Elf, ObjectFile, Segments, read_bytes,
        symbols::{self, Function},
    },
    place::{self, Returns},
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
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFunction {
    /// Where in the file.
    pub file_offset: u64,
    /// What the function does (`abi::tls`).
    pub what: u64,
    /// Where it is seen that what it does is done.
    pub returns: Returns,
}

/// The functions of a file; none if it has no such library, or not their names.
#[must_use]
pub fn search(object: &ObjectFile) -> Vec<TlsFunction> {
    let Ok(elf) = Elf::parse(&object.file) else { return Vec::new() };
    let found = symbols::functions(&elf, |name| FUNCTIONS.iter().any(|(known, _)| *known == name));
    places(&found, &Segments::of(&elf), |offset, n_bytes| {
        read_bytes(elf.file(), offset, n_bytes, place::MAX_CODE_BYTES).unwrap_or_default()
    })
}

fn places(
    found: &BTreeMap<String, Function>,
    segments: &Segments,
    code_at: impl Fn(u64, u64) -> Vec<u8>,
) -> Vec<TlsFunction> {
    if NEEDED.iter().any(|name| !found.contains_key(*name)) {
        return Vec::new();
    }
    let mut seen = HashSet::new();
    let place = |(name, what): &(&str, u64)| {
        let function = found.get(*name)?;
        let start = segments.file_offset_of(function.svma)?;
        // Two names of one function are one place.
        seen.insert(start).then(|| {
            // Without a length, or with a great one, its beginning: that is not taken for all of it.
            let is_whole = (1..=place::MAX_CODE_BYTES).contains(&function.size_bytes);
            let n_bytes = if is_whole { function.size_bytes } else { LANDING.len() as u64 };
            point(start, *what, &code_at(start, n_bytes), is_whole)
        })
    };
    FUNCTIONS.iter().filter_map(place).collect()
}

/// Where to probe a function that begins here.
fn point(start: u64, what: u64, code: &[u8], is_whole: bool) -> TlsFunction {
    let landing = if code.starts_with(&LANDING) { LANDING.len() as u64 } else { 0 };
    if what & TLS_FREES != 0 {
        let entry = place::entry_with(code, arguments(what)).unwrap_or(landing);
        return TlsFunction { file_offset: start + entry, what, returns: Returns::Unseen };
    }
    let ends = if is_whole { place::ends(code, arguments(what)) } else { None };
    match ends {
        Some(ends) => {
            let returns = Returns::At(ends.returns.iter().map(|distance| start + distance).collect());
            TlsFunction { file_offset: start + ends.entry, what, returns }
        }
        None => TlsFunction { file_offset: start + landing, what, returns: Returns::Probed },
    }
}

/// The arguments that the program reads.
fn arguments(what: u64) -> &'static [Register] {
    if what & (TLS_FREES | TLS_SHAKES_HANDS) != 0 {
        &[RDI]
    } else if what & TLS_COUNTS_THROUGH_3 != 0 {
        &[RDI, RSI, RCX]
    } else {
        &[RDI, RSI]
    }
}

#[cfg(test)]
mod tests {
    use std::{fs::File, io::Write as _};

    use abi::tls::{TLS_FREES, TLS_SENDS};

    use super::{LANDING, TlsFunction, places, point, search};
    use crate::{
        object::{Elf, ObjectFile, Segments, symbols::Function},
        place::Returns,
    };

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
        let land = |offset: u64, _| {
            if offset == code.file_offset { LANDING.to_vec() } else { vec![0x55, 0, 0, 0] }
        };
        let seen = places(&found, &segments, land);
        let expected = [(code.file_offset + 4, 0), (code.file_offset + 64, TLS_SENDS)];
        let expected =
            expected.map(|(file_offset, what)| TlsFunction { file_offset, what, returns: Returns::Probed });
        assert_eq!(seen, expected);
        // Another name of the same.
        found.insert("SSL_write_ex".to_owned(), at(64));
        assert_eq!(places(&found, &segments, land), expected);
        found.remove("SSL_read");
        assert_eq!(places(&found, &segments, land), []);
    }

    #[test]
    fn a_function_is_probed_at_its_return_only_where_nothing_before_it_will_do() {
        // push %rbp; test %rsi,%rsi; je to the last pop; push %rbx; pop %rbx; pop %rbp; ret
        let code = [0x55, 0x48, 0x85, 0xf6, 0x74, 2, 0x53, 0x5b, 0x5d, 0xc3];
        let seen = point(0x1000, TLS_SENDS, &code, true);
        let what = TLS_SENDS;
        assert_eq!(seen, TlsFunction { file_offset: 0x1000, what, returns: Returns::Probed });
        // The same without the je.
        let code = [0x55, 0x48, 0x85, 0xf6, 0x90, 0x90, 0x53, 0x5b, 0x5d, 0xc3];
        let at = TlsFunction { file_offset: 0x1000, what: TLS_SENDS, returns: Returns::At(vec![0x1006]) };
        assert_eq!(point(0x1000, TLS_SENDS, &code, true), at);
        // What is not all of it may do something else.
        assert_eq!(point(0x1000, TLS_SENDS, &code, false), seen);
        // test %rdi,%rdi; je: of SSL_free, the beginning alone is of interest.
        let code = [0x48, 0x85, 0xff, 0x0f, 0x84, 0x97, 3, 0, 0];
        let freed = TlsFunction { file_offset: 0x1003, what: TLS_FREES, returns: Returns::Unseen };
        assert_eq!(point(0x1000, TLS_FREES, &code, true), freed);
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
