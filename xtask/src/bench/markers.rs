//! Replaces what stands between `<!-- bench:NAME -->` and `<!-- /bench:NAME -->`.

/// Why a table cannot be placed.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum MarkerError {
    #[error("page has no `{marker}`")]
    Missing { marker: String },
    #[error("page has `{marker}` more than once")]
    Repeated { marker: String },
    #[error("`{name}` is closed before it is opened")]
    Reversed { name: String },
}

/// The page with a new table under `name`; everything else stays, byte for byte.
pub(super) fn replace(page: &str, name: &str, table: &str) -> Result<String, MarkerError> {
    let (open, close) = (format!("<!-- bench:{name} -->"), format!("<!-- /bench:{name} -->"));
    let start = position(page, &open)? + open.len();
    let end = position(page, &close)?;
    let (Some(before), Some(after), true) = (page.get(..start), page.get(end..), start <= end) else {
        return Err(MarkerError::Reversed { name: name.to_owned() });
    };
    Ok(format!("{before}\n{}\n{after}", table.trim()))
}

fn position(page: &str, marker: &str) -> Result<usize, MarkerError> {
    let mut found = page.match_indices(marker).map(|(at, _)| at);
    let first = found.next().ok_or_else(|| MarkerError::Missing { marker: marker.to_owned() })?;
    match found.next() {
        None => Ok(first),
        Some(_) => Err(MarkerError::Repeated { marker: marker.to_owned() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_named_table_is_replaced_and_twice_gives_the_same() {
        let page = "a\n<!-- bench:x -->\nold\n<!-- /bench:x -->\nb <!-- bench:y -->keep<!-- /bench:y -->\n";
        let once = replace(page, "x", "| new |\n").unwrap();
        assert_eq!(
            once,
            "a\n<!-- bench:x -->\n| new |\n<!-- /bench:x -->\nb <!-- bench:y -->keep<!-- /bench:y -->\n"
        );
        assert_eq!(replace(&once, "x", "| new |").unwrap(), once);
    }

    #[test]
    fn a_missing_repeated_or_reversed_marker_is_an_error() {
        let cases = [
            ("nothing", "page has no `<!-- bench:x -->`"),
            ("<!-- bench:x -->", "page has no `<!-- /bench:x -->`"),
            (
                "<!-- bench:x --><!-- bench:x --><!-- /bench:x -->",
                "page has `<!-- bench:x -->` more than once",
            ),
            ("<!-- /bench:x --><!-- bench:x -->", "`x` is closed before it is opened"),
        ];
        for (page, expected) in cases {
            assert_eq!(replace(page, "x", "t").unwrap_err().to_string(), expected, "page {page:?}");
        }
    }
}
