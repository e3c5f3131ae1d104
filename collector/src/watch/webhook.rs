//! Who is told: one receiver over HTTP. A message is tried until it is taken, refused, or too old.

use std::{fs, io, path::Path, time::Duration};

use thiserror::Error;
use ureq::{
    Agent,
    tls::{Certificate, PemItem, RootCerts, TlsConfig},
};

use super::settings::WebhookSettings;
use crate::config::ConfigError;

/// After the first failure; it doubles.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LAST_WAIT: Duration = Duration::from_secs(60);
/// The longest that a receiver can ask for.
const MAX_ASKED_FOR: Duration = Duration::from_secs(600);
/// Of an answer: what it says of a refusal.
const MAX_ANSWER_BYTES: u64 = 4 << 10;
const MAX_WORDS: usize = 200;

/// A receiver.
#[derive(Clone, Debug)]
pub struct Webhook {
    agent: Agent,
    settings: WebhookSettings,
}

/// Why a message was not taken.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(super) enum SendError {
    /// Another try may do better.
    #[error("{what}")]
    Again {
        /// Why.
        what: String,
        /// Not before.
        after: Option<Duration>,
    },
    /// It will never be taken.
    #[error("the receiver refuses: {what}")]
    Refused {
        /// What it said.
        what: String,
    },
}

impl Webhook {
    /// Of a configuration.
    ///
    /// # Errors
    /// If it makes no sense, or a file of it cannot be read.
    pub fn new(settings: &WebhookSettings) -> Result<Self, ConfigError> {
        let wrong =
            |key: &str, wrong: String| ConfigError::Value { key: format!("alerts.webhook.{key}"), wrong };
        let url =
            url::Url::parse(&settings.url).map_err(|error| wrong("url", format!("is none: {error}")))?;
        if !["http", "https"].contains(&url.scheme()) || !url.has_host() {
            return Err(wrong("url", "is not http://HOST/... or https://HOST/...".to_owned()));
        }
        if settings.timeout_seconds == 0 {
            return Err(wrong("timeout_seconds", "is 0".to_owned()));
        }
        let read = |path: &Path| {
            fs::read(path).map_err(|source| ConfigError::Read { path: path.to_owned(), source })
        };
        if let Some(path) = &settings.token_file {
            token(path).map_err(|source| ConfigError::Read { path: path.clone(), source })?;
        }
        let mut tls = TlsConfig::builder();
        if let Some(path) = &settings.ca_file {
            let authorities = authorities(&read(path)?);
            if authorities.is_empty() {
                return Err(wrong("ca_file", "has no certificate".to_owned()));
            }
            tls = tls.root_certs(RootCerts::from(authorities));
        }
        let config = Agent::config_builder()
            .http_status_as_error(false)
            // A POST that is led elsewhere becomes a GET, and nobody is told.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_global(Some(Duration::from_secs(settings.timeout_seconds)))
            .tls_config(tls.build())
            .user_agent(concat!("brazier-collector/", env!("CARGO_PKG_VERSION")))
            .build();
        Ok(Self { agent: config.new_agent(), settings: settings.clone() })
    }

    /// Sends a message; waits for the answer, so it is for a thread that may.
    pub(super) fn send(&self, body: &[u8]) -> Result<(), SendError> {
        let again = |what: String| SendError::Again { what, after: None };
        let mut post = self.agent.post(&self.settings.url).header("Content-Type", "application/json");
        if let Some(path) = &self.settings.token_file {
            let token =
                token(path).map_err(|error| again(format!("cannot read {}: {error}", path.display())))?;
            post = post.header("Authorization", format!("Bearer {token}"));
        }
        let mut response =
            post.send(body).map_err(|error| again(format!("the receiver does not answer: {error}")))?;
        let status = response.status().as_u16();
        let header = response.headers().get("retry-after").and_then(|value| value.to_str().ok());
        let after = header.and_then(|text| text.trim().parse().ok()).map(Duration::from_secs);
        let words =
            response.body_mut().with_config().limit(MAX_ANSWER_BYTES).read_to_vec().unwrap_or_default();
        let words: String = String::from_utf8_lossy(&words)
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .take(MAX_WORDS)
            .collect();
        judged(status, after, &words)
    }
}

/// What an answer means.
fn judged(status: u16, after: Option<Duration>, words: &str) -> Result<(), SendError> {
    let what = format!("status {status} {words}").trim().to_owned();
    match status {
        200..300 => Ok(()),
        // A token may be renewed, and whoever is not there yet may come.
        401 | 403 | 404 | 408 | 429 | 500.. => Err(SendError::Again { what, after }),
        _ => Err(SendError::Refused { what }),
    }
}

/// Before the next try, after so many failures in a row.
pub(super) fn wait(n_failures: u64, asked_for: Option<Duration>) -> Duration {
    let doublings = u32::try_from(n_failures.saturating_sub(1)).unwrap_or(u32::MAX).min(16);
    let wait = FIRST_WAIT.saturating_mul(1 << doublings).min(LAST_WAIT);
    asked_for.map_or(wait, |asked_for| asked_for.min(MAX_ASKED_FOR).max(FIRST_WAIT))
}

fn token(path: &Path) -> io::Result<String> {
    let text = fs::read_to_string(path)?;
    let token = text.trim();
    let is_one = !token.is_empty() && token.chars().all(|c| c.is_ascii_graphic());
    is_one.then(|| token.to_owned()).ok_or_else(|| io::Error::other("it holds no token"))
}

fn authorities(pem: &[u8]) -> Vec<Certificate<'static>> {
    let found = ureq::tls::parse_pem(pem).filter_map(Result::ok);
    found
        .filter_map(|item| match item {
            PemItem::Certificate(certificate) => Some(certificate),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_say_whether_another_try_is_worth_it() {
        let after = Some(Duration::from_secs(7));
        for (status, is_again) in [(429, true), (500, true), (503, true), (401, true), (404, true)] {
            assert_eq!(
                matches!(judged(status, after, "x"), Err(SendError::Again { .. })),
                is_again,
                "{status}"
            );
        }
        for status in [301, 400, 405, 413, 422] {
            assert!(matches!(judged(status, None, "x"), Err(SendError::Refused { .. })), "{status}");
        }
        assert_eq!(judged(204, None, ""), Ok(()));
        let expected = SendError::Again { what: "status 429 slow down".to_owned(), after };
        assert_eq!(judged(429, after, "slow down"), Err(expected));
    }

    #[test]
    fn waits_double_up_to_a_minute_or_are_what_the_receiver_asks_for() {
        let waits: Vec<u64> = (1..9).map(|n| wait(n, None).as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(wait(1, Some(Duration::from_secs(30))).as_secs(), 30);
        assert_eq!(wait(1, Some(Duration::from_secs(9_999))), MAX_ASKED_FOR);
        assert_eq!(wait(u64::MAX, Some(Duration::ZERO)), FIRST_WAIT);
    }

    #[test]
    fn a_receiver_that_cannot_be_is_refused_at_the_start() {
        let dir = tempfile::tempdir().expect("makes a directory");
        let file = dir.path().join("file");
        fs::write(&file, " \n").expect("writes");
        let check = |text: &str| {
            let settings: WebhookSettings =
                toml::from_str(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            Webhook::new(&settings).map(|_| ()).map_err(|error| error.to_string())
        };
        assert_eq!(check("url = \"http://127.0.0.1:9/alerts\""), Ok(()));
        for (text, said) in [
            ("url = \"ftp://a/b\"".to_owned(), "alerts.webhook.url"),
            ("url = \"nothing\"".to_owned(), "alerts.webhook.url"),
            ("url = \"http://a/b\"\ntimeout_seconds = 0".to_owned(), "timeout_seconds"),
            (format!("url = \"http://a/b\"\ntoken_file = {file:?}"), "cannot read"),
            (format!("url = \"https://a/b\"\nca_file = {file:?}"), "ca_file"),
        ] {
            let error = check(&text).expect_err(&text);
            assert!(error.contains(said), "{text}: {error}");
        }
    }
}
