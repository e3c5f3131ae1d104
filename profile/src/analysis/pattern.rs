//! Patterns of names: literal text, with `*` for anything at either end or in between.

/// Whether a name is what a pattern says.
pub(super) fn matches(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else { return false };
    let mut last = None;
    for part in parts {
        if let Some(part) = last.replace(part) {
            // Between two stars: the first place where it stands leaves most to the others.
            let Some(at) = rest.find(part) else { return false };
            rest = rest.get(at + part.len()..).unwrap_or_default();
        }
    }
    match last {
        None => rest.is_empty(),
        Some(last) => rest.ends_with(last),
    }
}

/// Whether a name is what one of the patterns says, which have blanks between them.
pub(super) fn any(patterns: &str, name: &str) -> bool {
    patterns.split_ascii_whitespace().any(|pattern| matches(pattern, name))
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn a_star_stands_for_anything() {
        for (pattern, name, expected) in [
            ("malloc", "malloc", true),
            ("malloc", "malloc_trim", false),
            ("SSL_*", "SSL_read", true),
            ("SSL_*", "ngx_SSL_read", false),
            ("*gzip*", "ngx_http_gzip_body_filter", true),
            ("libssl*", "libssl.so.3", true),
            ("a*b*c", "aXXbYYc", true),
            ("a*b*c", "aXXcYYb", false),
            ("*_iter", "copy_page_to_iter", true),
            ("*", "", true),
            ("ab*ba", "aba", false),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }
}
