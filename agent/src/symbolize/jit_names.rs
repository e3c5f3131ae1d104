//! Names that JIT compilers write, in the form they are shown.
//!
//! V8 writes `LazyCompile:*handle /app/server.js:12:34` (before version 10) or `JS:*handle /app/server.js:12:34`:
//! kind, tier, function, script, line, column. The tier changes while the program runs, and would split one
//! function into four; the column tells apart little. Shown is `handle /app/server.js:12`. Everything else
//! (builtins, bytecode handlers, stubs, other runtimes' names) is shown as it is.

use super::names;

/// The prefixes after which V8 puts a tier.
const SCRIPT_KINDS: [&str; 6] = ["LazyCompile:", "JS:", "Function:", "Script:", "Eval:", "Module:"];
/// Interpreted, baseline, mid-tier, optimised.
const TIERS: [char; 4] = ['~', '^', '+', '*'];

/// The shown form of a name from a symbol map.
pub(super) fn display(raw: &[u8]) -> String {
    let name = names::clean_bytes(raw);
    let script = SCRIPT_KINDS.iter().find_map(|kind| name.strip_prefix(kind));
    // Without a tier it is not V8's form, whatever it starts with.
    let Some(function) = script.and_then(|text| text.strip_prefix(TIERS)) else {
        return names::readable(&name);
    };
    // A quote after the tier says that the code is not specialised to one context.
    let function = function.strip_prefix('\'').unwrap_or(function);
    let function = without_column(function);
    if function.starts_with(' ') || function.is_empty() {
        format!("(anonymous){function}")
    } else {
        function.to_owned()
    }
}

/// Takes off the second of two numbers at the end.
fn without_column(text: &str) -> &str {
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    match text.rsplit_once(':') {
        Some((before, column))
            if is_number(column) && before.rsplit_once(':').is_some_and(|(_, line)| is_number(line)) =>
        {
            before
        }
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tier_of_a_function_has_one_name() {
        for tier in ["~", "^", "+", "*", "+'", "*'"] {
            for kind in ["LazyCompile", "JS"] {
                let raw = format!("{kind}:{tier}handle /app/server.js:12:34");
                assert_eq!(display(raw.as_bytes()), "handle /app/server.js:12", "{raw}");
            }
        }
    }

    #[test]
    fn odd_and_foreign_names_keep_what_they_say() {
        let cases = [
            ("JS:* file:///app/m.mjs:3:4", "(anonymous) file:///app/m.mjs:3"),
            ("JS:*", "(anonymous)"),
            ("JS:*f", "f"),
            ("JS:*f a:1", "f a:1"),
            ("JS:notatier x:1:2", "JS:notatier x:1:2"),
            ("Builtin:ArrayPrototypePush", "Builtin:ArrayPrototypePush"),
            ("BytecodeHandler:LdaNamedProperty", "BytecodeHandler:LdaNamedProperty"),
            ("RegExp:^a:1:2$", "RegExp:^a:1:2$"),
            ("py::handler:/app/a.py", "py::handler:/app/a.py"),
            ("_ZN3foo3barEv", "foo::bar()"),
            ("", ""),
        ];
        for (raw, expected) in cases {
            assert_eq!(display(raw.as_bytes()), expected, "{raw}");
        }
        assert_eq!(display(b"a\xff\x1b[0m"), "a\u{fffd}\u{fffd}[0m");
    }
}
