//! Where a scheduler is: `df://HOST:PORT`. Pure.

use std::{fmt, str::FromStr};

use thiserror::Error;
use url::{Host, Url};

/// Where Ballista's schedulers listen unless it is said.
const DEFAULT_PORT: u16 = 50_050;

/// Where a scheduler is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchedulerAddress {
    /// Its name or address, as it stands in a URL.
    host: Host<String>,
    port: u16,
}

/// No address of a scheduler.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("is no address of a scheduler: write it as df://HOST:PORT")]
pub struct WrongAddress;

impl SchedulerAddress {
    /// Host, as it stands in a URL, and port.
    pub(crate) fn host_and_port(&self) -> (String, u16) {
        (self.host.to_string(), self.port)
    }

    /// As a URL of HTTP.
    pub(crate) fn http(&self) -> String {
        format!("http://{}:{}", self.host, self.port)
    }
}

impl fmt::Display for SchedulerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "df://{}:{}", self.host, self.port)
    }
}

impl FromStr for SchedulerAddress {
    type Err = WrongAddress;

    fn from_str(text: &str) -> Result<Self, WrongAddress> {
        let url = Url::parse(text).map_err(|_| WrongAddress)?;
        let is_plain = url.scheme() == "df"
            && ["", "/"].contains(&url.path())
            && url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none();
        // A host of an unknown scheme is not looked at: that of HTTP is.
        let host = url.host_str().filter(|host| is_plain && !host.is_empty()).ok_or(WrongAddress)?;
        let host = Host::parse(host).map_err(|_| WrongAddress)?;
        Ok(Self { host, port: url.port().unwrap_or(DEFAULT_PORT) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_host_a_port_and_nothing_else() {
        let http = |text: &str| text.parse::<SchedulerAddress>().ok().map(|it| it.http());
        let of = |text: &str| Some(text.to_owned());
        assert_eq!(http("df://10.0.0.1:50050"), of("http://10.0.0.1:50050"));
        assert_eq!(http("df://scheduler"), of("http://scheduler:50050"));
        assert_eq!(http("df://[::1]:7/"), of("http://[::1]:7"));
        let ipv6: SchedulerAddress = "df://[::1]:7".parse().expect("is one");
        assert_eq!(
            (ipv6.host_and_port(), ipv6.to_string()),
            (("[::1]".to_owned(), 7), "df://[::1]:7".to_owned())
        );
        for text in [
            "",
            "scheduler:50050",
            "http://a:1",
            "df://",
            "df://a:1/b",
            "df://u@a:1",
            "df://a:1?b",
            "df://a:99999",
        ] {
            assert_eq!(http(text), None, "{text}");
        }
    }
}
