//! Whom to ask and where to keep what comes, in the variables that every debuginfod client reads.

use std::path::PathBuf;

/// Whom to ask, and where to keep what comes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Servers, in the order in which they are asked, without a slash at the end.
    pub urls: Vec<String>,
    /// Shared with other clients.
    pub cache_dir: PathBuf,
}

/// Why nobody can be asked.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// No server is named.
    #[error(
        "--debuginfod: DEBUGINFOD_URLS names no server; set it, as in \
         DEBUGINFOD_URLS=https://debuginfod.elfutils.org (sudo drops it: use `sudo --preserve-env=DEBUGINFOD_URLS`)"
    )]
    NoServer,
    /// Files and other schemes are not asked for.
    #[error("--debuginfod: `{url}` in DEBUGINFOD_URLS starts neither with http:// nor with https://")]
    Url {
        /// As it is given.
        url: String,
    },
    /// There is neither a home nor another directory.
    #[error("--debuginfod: no directory to keep files in; set DEBUGINFOD_CACHE_PATH")]
    NoCache,
}

impl Settings {
    /// By the variables of the environment, as `variable` gives them.
    ///
    /// # Errors
    /// If they name no server, or something else than a server, or no place for the cache.
    pub fn of(variable: impl Fn(&str) -> Option<String>) -> Result<Self, SettingsError> {
        let set = |name| variable(name).filter(|value| !value.is_empty());
        let named = set("DEBUGINFOD_URLS").unwrap_or_default();
        // Words such as `ima:ignore` say how the servers after them are to be believed.
        let urls = named.split_whitespace().filter(|word| !word.starts_with("ima:"));
        let urls: Vec<String> = urls
            .map(|url| {
                if url.starts_with("http://") || url.starts_with("https://") {
                    Ok(url.trim_end_matches('/').to_owned())
                } else {
                    Err(SettingsError::Url { url: url.to_owned() })
                }
            })
            .collect::<Result<_, _>>()?;
        if urls.is_empty() {
            return Err(SettingsError::NoServer);
        }
        let cache_dir = set("DEBUGINFOD_CACHE_PATH")
            .map(PathBuf::from)
            .or_else(|| Some(PathBuf::from(set("XDG_CACHE_HOME")?).join("debuginfod_client")))
            .or_else(|| Some(PathBuf::from(set("HOME")?).join(".cache/debuginfod_client")))
            .ok_or(SettingsError::NoCache)?;
        Ok(Self { urls, cache_dir })
    }
}

#[cfg(test)]
mod tests {
    use super::{Settings, SettingsError};

    fn of(variables: &[(&str, &str)]) -> Result<Settings, SettingsError> {
        let find = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        Settings::of(find)
    }

    #[test]
    fn servers_and_cache_are_where_the_standard_client_has_them() {
        let urls = ("DEBUGINFOD_URLS", "https://a.example/ ima:enforcing http://b.example:8002");
        let cases = [
            (&[urls, ("HOME", "/root")][..], "/root/.cache/debuginfod_client"),
            (&[urls, ("HOME", "/root"), ("XDG_CACHE_HOME", "/c")], "/c/debuginfod_client"),
            (&[urls, ("XDG_CACHE_HOME", ""), ("HOME", "/h")], "/h/.cache/debuginfod_client"),
            (&[urls, ("XDG_CACHE_HOME", "/c"), ("DEBUGINFOD_CACHE_PATH", "/d")], "/d"),
        ];
        for (variables, cache_dir) in cases {
            let seen = of(variables).expect("complete");
            assert_eq!(seen.urls, ["https://a.example", "http://b.example:8002"]);
            assert_eq!(seen.cache_dir.to_str(), Some(cache_dir), "{variables:?}");
        }
    }

    #[test]
    fn what_is_missing_is_said_with_what_to_do() {
        assert_eq!(of(&[("HOME", "/root")]), Err(SettingsError::NoServer));
        assert_eq!(of(&[("HOME", "/root"), ("DEBUGINFOD_URLS", " ")]), Err(SettingsError::NoServer));
        assert_eq!(of(&[("DEBUGINFOD_URLS", "http://a")]), Err(SettingsError::NoCache));
        let error = of(&[("HOME", "/root"), ("DEBUGINFOD_URLS", "file:///srv")]);
        assert_eq!(error, Err(SettingsError::Url { url: "file:///srv".into() }));
    }
}
