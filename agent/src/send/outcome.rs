//! What became of a batch at a sink. Pure.

use std::time::{Duration, SystemTime};

/// Longest reason that is kept: an answer may be a page.
const MAX_REASON_CHARS: usize = 300;

/// What became of a batch at a sink.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The receiver has it.
    Delivered,
    /// The receiver has it, but did not want some of it. It must not be sent again.
    PartiallyRejected {
        /// Profiles or data points that it did not want.
        n_rejected: u64,
        /// What it says.
        reason: String,
    },
    /// Not now.
    Retry {
        /// How long the receiver wants to be left alone, if it says so.
        after: Option<Duration>,
        /// What is wrong.
        reason: String,
    },
    /// Never, as it is: to send it again gives the same answer.
    Permanent {
        /// What is wrong, and what to do.
        reason: String,
    },
}

impl Outcome {
    /// Not now, for a reason that the receiver does not know of.
    #[must_use]
    pub fn retry(reason: impl AsRef<str>) -> Self {
        Self::Retry { after: None, reason: bounded(reason.as_ref()) }
    }

    /// Never.
    #[must_use]
    pub fn permanent(reason: impl AsRef<str>) -> Self {
        Self::Permanent { reason: bounded(reason.as_ref()) }
    }

    /// What the receiver did not want of what it took.
    #[must_use]
    pub fn partial(n_rejected: i64, reason: &str) -> Self {
        match u64::try_from(n_rejected) {
            Ok(0) | Err(_) => Self::Delivered,
            Ok(n_rejected) => Self::PartiallyRejected { n_rejected, reason: bounded(reason) },
        }
    }
}

/// Which answers of a server are worth another try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryRule {
    /// What OTLP says: 429, 502, 503, 504.
    Otlp,
    /// Also 408 and every error of the server.
    ServerErrors,
}

/// By the status of an HTTP answer; `text` is what the server says to it.
#[must_use]
pub fn of_http(
    status: u16,
    retry_after: Option<&str>,
    text: &str,
    rule: RetryRule,
    now: SystemTime,
) -> Outcome {
    let reason = |what_to_do: &str| {
        let text = bounded(text);
        let said = if text.is_empty() { String::new() } else { format!(": {text}") };
        format!("the server answered with status {status}{said}{what_to_do}")
    };
    let is_worth_a_try = match rule {
        _ if matches!(status, 429 | 502 | 503 | 504) => true,
        RetryRule::Otlp => false,
        RetryRule::ServerErrors => status == 408 || (500..600).contains(&status),
    };
    match status {
        200..=299 => Outcome::Delivered,
        _ if is_worth_a_try => Outcome::Retry {
            after: retry_after.and_then(|value| retry_after_value(value, now)),
            reason: reason(""),
        },
        300..=399 => Outcome::permanent(reason("; name the address that it leads to")),
        401 | 403 => Outcome::permanent(reason("; check token, tenant and certificate of this sink")),
        404 => Outcome::permanent(reason("; check the address of this sink")),
        413 => Outcome::permanent(reason("; the receiver takes no batch as large: send shorter windows")),
        _ => Outcome::permanent(reason("")),
    }
}

/// The value of the header `Retry-After`: seconds, or a date.
#[must_use]
pub fn retry_after_value(value: &str, now: SystemTime) -> Option<Duration> {
    let value = value.trim();
    if !value.is_empty() && value.chars().all(|c| c.is_ascii_digit()) {
        // More digits than a number has are very long, too.
        return Some(Duration::from_secs(value.parse().unwrap_or(u64::MAX)));
    }
    let date = httpdate::parse_http_date(value).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}

/// One line of an answer, as far as it is worth keeping.
#[must_use]
pub fn bounded(text: &str) -> String {
    let plain = text.trim().chars().map(|c| if c.is_control() { ' ' } else { c });
    plain.take(MAX_REASON_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    #[test]
    fn answers_are_delivered_worth_another_try_or_final() {
        let now = UNIX_EPOCH + Duration::from_secs(784_111_777);
        let word = |status, rule| match of_http(status, Some("7"), "x", rule, now) {
            Outcome::Delivered => "delivered".to_owned(),
            Outcome::Retry { after, .. } => format!("again after {}", after.unwrap_or_default().as_secs()),
            Outcome::Permanent { .. } => "final".to_owned(),
            other @ Outcome::PartiallyRejected { .. } => format!("{other:?}"),
        };
        let cases = [
            (200, "delivered", "delivered"),
            (202, "delivered", "delivered"),
            (301, "final", "final"),
            (400, "final", "final"),
            (401, "final", "final"),
            (403, "final", "final"),
            (404, "final", "final"),
            (408, "final", "again after 7"),
            (413, "final", "final"),
            (429, "again after 7", "again after 7"),
            (500, "final", "again after 7"),
            (502, "again after 7", "again after 7"),
            (503, "again after 7", "again after 7"),
            (504, "again after 7", "again after 7"),
            (999, "final", "final"),
        ];
        for (status, otlp, server_errors) in cases {
            let seen = [RetryRule::Otlp, RetryRule::ServerErrors].map(|rule| word(status, rule));
            assert_eq!(seen, [otlp, server_errors], "{status}");
        }
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_and_anything_else_is_nothing() {
        let now = UNIX_EPOCH + Duration::from_secs(784_111_777 - 30);
        let cases = [
            ("120", Some(120)),
            (" 0 ", Some(0)),
            ("99999999999999999999999", Some(u64::MAX)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(30)),
            ("Sunday, 06-Nov-94 08:49:37 GMT", Some(30)),
            ("Sun, 06 Nov 1994 08:49:00 GMT", Some(0)),
            ("-1", None),
            ("1.5", None),
            ("", None),
            ("soon", None),
        ];
        for (value, seconds) in cases {
            assert_eq!(retry_after_value(value, now).map(|it| it.as_secs()), seconds, "{value:?}");
        }
    }

    #[test]
    fn what_a_server_says_is_one_short_line() {
        let Outcome::Permanent { reason } =
            of_http(400, None, &format!("a\r\nb{}", "x".repeat(10_000)), RetryRule::Otlp, UNIX_EPOCH)
        else {
            panic!("400 is final");
        };
        assert!(reason.contains(": a  bxxx") && reason.chars().count() <= MAX_REASON_CHARS, "{reason}");
    }
}
