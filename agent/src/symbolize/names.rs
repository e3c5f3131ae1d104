//! Demangling and cleaning of names, within limits.
//!
//! A mangled C++ name of a few hundred bytes can stand for gigabytes: every back reference may double what
//! comes before. So it is written into a buffer that stops.

use std::fmt::{self, Write};

use cpp_demangle::{DemangleOptions, ParseOptions, Symbol as CppSymbol};

/// Longest name kept, in bytes. Template-heavy C++ has real names of some thousand.
pub(super) const MAX_NAME_BYTES: usize = 4096;
/// Depth of nesting followed in C++ names; far below what would exhaust a 2 MiB stack.
const CPP_RECURSION_LIMIT: u32 = 96;

/// A readable form of a symbol table's name.
pub(super) fn readable(raw: &str) -> String {
    let raw = cut(raw);
    let mut name = LimitedName::default();
    if let Ok(rust) = rustc_demangle::try_demangle(raw) {
        // The alternate form leaves out the hash. An error is the limit's: what fits is kept.
        let _limit_reached = write!(name, "{rust:#}");
        return clean(&name.finish());
    }
    if let Some(cpp) = parse_cpp(raw) {
        let options = DemangleOptions::new().recursion_limit(CPP_RECURSION_LIMIT);
        let written = cpp.structured_demangle(&mut name, &options);
        if written.is_ok() || name.full {
            return clean(&name.finish());
        }
    }
    clean(raw)
}

fn parse_cpp(raw: &str) -> Option<CppSymbol<&[u8]>> {
    if !raw.starts_with("_Z") && !raw.starts_with("__Z") {
        return None;
    }
    let options = ParseOptions::default().recursion_limit(CPP_RECURSION_LIMIT);
    CppSymbol::new_with_options(raw.as_bytes(), &options).ok()
}

/// Cuts a name to the limit and replaces what would garble a terminal or a line of text.
pub(super) fn clean(name: &str) -> String {
    cut(name).chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

/// The same for bytes that need not be UTF-8.
pub(super) fn clean_bytes(name: &[u8]) -> String {
    clean(&String::from_utf8_lossy(name.get(..MAX_NAME_BYTES).unwrap_or(name)))
}

fn cut(name: &str) -> &str {
    name.get(..name.floor_char_boundary(MAX_NAME_BYTES)).unwrap_or(name)
}

#[derive(Default)]
struct LimitedName {
    text: String,
    full: bool,
}

impl LimitedName {
    fn finish(mut self) -> String {
        if self.full {
            self.text.truncate(self.text.floor_char_boundary(MAX_NAME_BYTES - '…'.len_utf8()));
            self.text.push('…');
        }
        self.text
    }
}

impl Write for LimitedName {
    fn write_str(&mut self, piece: &str) -> fmt::Result {
        let left = MAX_NAME_BYTES.saturating_sub(self.text.len());
        if piece.len() > left {
            self.text.push_str(piece.get(..piece.floor_char_boundary(left)).unwrap_or_default());
            self.full = true;
            return Err(fmt::Error);
        }
        self.text.push_str(piece);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{prop_assert, proptest};

    #[test]
    fn each_language_is_read_and_c_is_left_alone() {
        let cases = [
            ("ngx_http_process_request", "ngx_http_process_request"),
            ("_ZN4core9panicking9panic_fmt17h5f1a6fd39197ad62E", "core::panicking::panic_fmt"),
            ("_RNvC6_123foo3bar", "123foo::bar"),
            ("_ZN5Envoy4Http11FilterChain5applyEi", "Envoy::Http::FilterChain::apply(int)"),
            ("_Z3foov.cold", "foo() [clone .cold]"),
            ("_Zgarbage", "_Zgarbage"),
            ("_Z", "_Z"),
            ("", ""),
            ("a\u{1b}[2Jb\nc", "a\u{fffd}[2Jb\u{fffd}c"),
        ];
        for (raw, expected) in cases {
            assert_eq!(readable(raw), expected, "{raw}");
        }
    }

    #[test]
    fn a_name_that_doubles_at_every_step_is_cut() {
        // f(p<a, a>, p<p<a, a>, p<a, a>>, ...): each argument's type names the one before twice.
        let mut bomb = "_Z1f1pI1aS0_E".to_owned();
        for before in ('1'..='9').chain('A'..='Z') {
            bomb.push_str(&format!("S_IS{before}_S{before}_E"));
        }
        let name = readable(&bomb);
        assert!(name.starts_with("f(p<a, a>, p<p<a, a>, p<a, a> >"), "{name}");
        assert!(name.ends_with('…') && name.len() <= MAX_NAME_BYTES, "{} bytes: {name}", name.len());
        let long = readable(&"x".repeat(1 << 20));
        assert_eq!(long.len(), MAX_NAME_BYTES);
    }

    #[test]
    fn deep_nesting_does_not_exhaust_the_stack() {
        let name = format!("_Z1f{}i", "P".repeat(4000));
        assert_eq!(readable(&name), name);
    }

    proptest! {
        #[test]
        fn no_name_panics_or_grows_without_limit(tail in "[A-Za-z0-9_.$]{0,60}") {
            for prefix in ["_Z", "_ZN", "_R", "_RNv", ""] {
                let name = readable(&format!("{prefix}{tail}"));
                prop_assert!(name.len() <= MAX_NAME_BYTES, "{}", name);
            }
        }
    }
}
