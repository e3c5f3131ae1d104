//! The web page: its files, as they are in the program, and how they are answered.

use std::{convert::Infallible, sync::LazyLock};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Method, Response, StatusCode,
    header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, ETAG, IF_NONE_MATCH},
};
use http_body_util::{BodyExt as _, Full, combinators::BoxBody};

/// Nothing but the page's own files runs or is shown, whatever a name of a function or a label holds. No other page may
/// have this one in a frame.
const POLICY: &str =
    "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'";

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

/// Path, content type, content.
type File = (&'static str, &'static str, &'static [u8]);

/// A file of `collector/web` under its own name.
macro_rules! file {
    ($path:literal, $content_type:expr) => {
        (concat!("/", $path), $content_type, include_bytes!(concat!("../web/", $path)))
    };
}

const FILES: [File; 24] = [
    ("/", HTML, include_bytes!("../web/index.html")),
    file!("api.js", SCRIPT),
    file!("icon.svg", SVG),
    file!("main.js", SCRIPT),
    file!("pure/colour.js", SCRIPT),
    file!("pure/format.js", SCRIPT),
    file!("pure/layout.js", SCRIPT),
    file!("pure/parts.js", SCRIPT),
    file!("pure/scale.js", SCRIPT),
    file!("pure/search.js", SCRIPT),
    file!("pure/selector.js", SCRIPT),
    file!("pure/state.js", SCRIPT),
    file!("pure/time.js", SCRIPT),
    file!("pure/tree.js", SCRIPT),
    file!("style.css", CSS),
    file!("theme.js", SCRIPT),
    file!("view/dialogs.js", SCRIPT),
    file!("view/dom.js", SCRIPT),
    file!("view/flame.js", SCRIPT),
    file!("view/memory.js", SCRIPT),
    file!("view/pickers.js", SCRIPT),
    file!("view/profile.js", SCRIPT),
    file!("view/table.js", SCRIPT),
    file!("view/timeline.js", SCRIPT),
];

/// What tells one version of a file from another, in the order of the files.
static TAGS: LazyLock<Vec<String>> = LazyLock::new(|| {
    FILES.iter().map(|(_, _, content)| format!("\"{}\"", &blake3::hash(content).to_hex()[..16])).collect()
});

/// The answer to GET or HEAD of a path, if a file has it.
#[must_use]
pub fn answer(
    method: &Method,
    path: &str,
    headers: &HeaderMap,
) -> Option<Response<BoxBody<Bytes, Infallible>>> {
    let index = FILES.iter().position(|(name, _, _)| *name == path)?;
    let (_, content_type, content) = FILES.get(index)?;
    let tag = TAGS.get(index)?;
    let known = headers
        .get_all(IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|value| matches!(value.trim(), "*") || value.trim().trim_start_matches("W/") == tag);
    let body = if known || method == Method::HEAD { Bytes::new() } else { Bytes::from_static(content) };
    let mut answer = Response::new(Full::new(body).boxed());
    if known {
        *answer.status_mut() = StatusCode::NOT_MODIFIED;
    }
    let it = answer.headers_mut();
    if !known {
        it.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        it.insert(CONTENT_LENGTH, content.len().into());
    }
    it.insert(ETAG, HeaderValue::from_str(tag).ok()?);
    // Asked for again each time, and sent again if the program is another one: files of two versions do not fit together.
    it.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    it.insert("content-security-policy", HeaderValue::from_static(POLICY));
    it.insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    it.insert("referrer-policy", HeaderValue::from_static("no-referrer"));
    Some(answer)
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, path::Path};

    use super::*;

    fn found(path: &str, headers: &[(http::HeaderName, &str)]) -> Response<BoxBody<Bytes, Infallible>> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(name, HeaderValue::from_str(value).unwrap());
        }
        answer(&Method::GET, path, &map).unwrap_or_else(|| panic!("{path} is not there"))
    }

    fn text(path: &str) -> &'static str {
        let (_, _, content) = FILES.iter().find(|(name, _, _)| *name == path).unwrap();
        std::str::from_utf8(content).unwrap()
    }

    #[test]
    fn every_file_of_the_directory_is_served_and_nothing_else() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("web");
        let mut there = BTreeSet::from(["/".to_owned()]);
        for dir in ["", "pure", "view"] {
            for entry in fs::read_dir(root.join(dir)).unwrap() {
                let path = entry.unwrap().path();
                let name = format!("/{}", path.strip_prefix(&root).unwrap().display());
                if path.is_file() && !["/index.html", "/package.json"].contains(&name.as_str()) {
                    there.insert(name);
                }
            }
        }
        let served: BTreeSet<String> = FILES.iter().map(|(name, _, _)| (*name).to_owned()).collect();
        assert_eq!(served, there);
        assert_eq!(served.len(), FILES.len(), "a path stands there twice");
    }

    #[test]
    fn what_the_files_refer_to_is_served_and_nothing_comes_from_another_host() {
        for (name, _, content) in FILES {
            let text = std::str::from_utf8(content).unwrap();
            let base = url::Url::parse("http://here/").unwrap().join(name).unwrap();
            for start in ["from \"", "src=\"", "href=\""] {
                for reference in text.split(start).skip(1).filter_map(|rest| rest.split('"').next()) {
                    if reference.starts_with(['?', '#']) {
                        continue;
                    }
                    let target = base.join(reference).unwrap();
                    assert!(
                        target.host_str() == Some("here")
                            && FILES.iter().any(|(name, _, _)| *name == target.path()),
                        "{name} refers to {reference}"
                    );
                }
            }
            for word in ["http://", "https://", "//cdn", "@import", "eval(", "innerHTML"] {
                // Namespaces and an address in an example are texts.
                let rest = text.replace("http://www.w3.org/", "").replace("http://127.0.0.1:4317", "");
                assert!(!rest.contains(word), "{name} has {word}");
            }
        }
    }

    #[test]
    fn the_policy_holds_for_the_page_itself() {
        let page = text("/");
        assert!(!page.contains(" style="), "a style within the page is refused by its own policy");
        assert!(!page.contains(" onclick="), "so is a handler");
        for script in page.split("<script").skip(1) {
            assert!(
                script.split('>').nth(1).is_some_and(|rest| rest.starts_with("</script")),
                "and so is {script}"
            );
        }
        let answer = found("/", &[]);
        let policy = answer.headers().get("content-security-policy").unwrap().to_str().unwrap();
        assert!(policy.starts_with("default-src 'self';") && !policy.contains("unsafe"), "{policy}");
        assert_eq!(answer.headers().get("x-content-type-options").unwrap(), "nosniff");
    }

    #[test]
    fn a_browser_that_has_the_file_is_not_sent_it_again() {
        let first = found("/main.js", &[]);
        assert_eq!(first.status(), StatusCode::OK);
        assert_eq!(first.headers().get(CONTENT_TYPE).unwrap(), SCRIPT);
        let tag = first.headers().get(ETAG).unwrap().to_str().unwrap().to_owned();
        for sent in [tag.clone(), format!("W/{tag}"), format!("\"other\", {tag}"), "*".to_owned()] {
            let again = found("/main.js", &[(IF_NONE_MATCH, &sent)]);
            assert_eq!(again.status(), StatusCode::NOT_MODIFIED, "{sent}");
            assert!(again.headers().get(CONTENT_LENGTH).is_none(), "{sent}");
        }
        assert_eq!(found("/main.js", &[(IF_NONE_MATCH, "\"other\"")]).status(), StatusCode::OK);
        assert_ne!(tag, found("/api.js", &[]).headers().get(ETAG).unwrap().to_str().unwrap());
    }

    #[test]
    fn no_path_leads_out_of_the_table() {
        for path in [
            "",
            "/web",
            "/../Cargo.toml",
            "/pure",
            "/pure/",
            "//",
            "/index.html/",
            "/main.js%00",
            "/tests/tree.js",
        ] {
            assert!(answer(&Method::GET, path, &HeaderMap::new()).is_none(), "{path}");
        }
        let head = answer(&Method::HEAD, "/", &HeaderMap::new()).unwrap();
        assert_eq!(head.headers().get(CONTENT_LENGTH).unwrap(), &text("/").len().to_string());
    }
}
