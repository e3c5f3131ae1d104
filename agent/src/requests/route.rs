//! From a path to its route: what stands for one of many is folded.

/// Paths that are one page each have few parts; what is behind is one part.
const MAX_PARTS: usize = 12;
/// Hexadecimal numbers with as many digits are names of things.
const MIN_HEX_DIGITS: usize = 8;

/// The route of a path. Numbers, UUIDs and hexadecimal names become `{n}`, `{uuid}` and `{hex}`.
#[must_use]
pub fn route(path: &[u8], is_cut: bool) -> String {
    let text = String::from_utf8_lossy(path);
    let path = without_host(&text);
    let mut route = String::with_capacity(path.len());
    for (i, part) in path.split('/').enumerate() {
        if i > 0 {
            route.push('/');
        }
        if i > MAX_PARTS {
            route.push_str("...");
            return route;
        }
        fold(part, &mut route);
    }
    if is_cut {
        route.push_str("...");
    }
    route
}

/// A request to a proxy names the host as well.
fn without_host(path: &str) -> &str {
    let Some((scheme, rest)) = path.split_once("://") else { return path };
    if !scheme.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return path;
    }
    rest.find('/').map_or("/", |at| rest.get(at..).unwrap_or("/"))
}

/// One part between slashes.
fn fold(part: &str, route: &mut String) {
    if is_uuid(part) {
        return route.push_str("{uuid}");
    }
    for (i, piece) in part.split_inclusive(['-', '_', '.', ',', ':', '~']).enumerate() {
        let word = piece.trim_end_matches(['-', '_', '.', ',', ':', '~']);
        let is_end_of_name = i > 0 && part.starts_with('.');
        match name_of(word) {
            Some(name) if !is_end_of_name => route.push_str(name),
            _ => route.extend(word.chars().map(|c| if c.is_control() { '?' } else { c })),
        }
        route.push_str(piece.get(word.len()..).unwrap_or(""));
    }
}

/// What a word stands for, if it is one of many.
fn name_of(word: &str) -> Option<&'static str> {
    if word.is_empty() {
        return None;
    }
    if word.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some("{n}");
    }
    let is_hex = word.len() >= MIN_HEX_DIGITS
        && word.bytes().all(|byte| byte.is_ascii_hexdigit())
        && word.bytes().any(|byte| byte.is_ascii_digit());
    is_hex.then_some("{hex}")
}

fn is_uuid(part: &str) -> bool {
    let mut words = part.split('-');
    let is_hex = |word: &str| word.bytes().all(|byte| byte.is_ascii_hexdigit());
    let starts = [8, 4, 4, 4, 12]
        .into_iter()
        .all(|length| words.next().is_some_and(|word| word.len() == length && is_hex(word)));
    starts && words.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::route;
    use proptest::prelude::{any, prop, prop_assert, prop_assert_eq, proptest};

    #[test]
    fn what_is_one_of_many_is_folded() {
        for (path, expected) in [
            ("/", "/"),
            ("", ""),
            ("*", "*"),
            ("/api/v2/users/4711/posts", "/api/v2/users/{n}/posts"),
            ("/o/6fa459ea-ee8a-3ca4-894e-db77e160355e/x", "/o/{uuid}/x"),
            ("/static/app.3f9a1c2b7d.js", "/static/app.{hex}.js"),
            ("/img/12.jpg", "/img/{n}.jpg"),
            ("/item-99_b", "/item-{n}_b"),
            ("/deadbeef/facade", "/deadbeef/facade"),
            ("/2024-05-01", "/{n}-{n}-{n}"),
            ("http://example.org/a/1", "/a/{n}"),
            ("http://example.org", "/"),
            ("/a\x1b[31m\n", "/a?[31m?"),
        ] {
            assert_eq!(route(path.as_bytes(), false), expected, "{path}");
        }
        assert_eq!(route(b"/abc", true), "/abc...");
        assert_eq!(route("/x".repeat(20).as_bytes(), false), format!("{}/...", "/x".repeat(12)));
    }

    proptest! {
        #[test]
        fn no_path_panics_and_none_keeps_a_control_character(path in prop::collection::vec(any::<u8>(), 0..200)) {
            let found = route(&path, false);
            prop_assert!(!found.chars().any(char::is_control), "{found:?}");
        }

        #[test]
        fn numbers_do_not_make_routes(a in 0_u64..u64::MAX, b in 0_u32..9999) {
            let found = route(format!("/users/{a}/x-{b}.png").as_bytes(), false);
            prop_assert_eq!(found, "/users/{n}/x-{n}.png");
        }
    }
}
