//! One request: `GET URL/buildid/BUILD_ID/debuginfo`.

use std::{
    io::{self, Read, Write},
    time::Duration,
};

use ureq::Agent;

use super::Failure;
use crate::object::BuildId;

/// How long a connection may take. A server that cannot be reached must not cost the whole run's time.
const CONNECT_TIME: Duration = Duration::from_secs(5);
/// How long one file may take.
const FILE_TIME: Duration = Duration::from_secs(90);
const MAX_REDIRECTS: u32 = 5;
const STEP_BYTES: usize = 256 * 1024;

/// A connection to servers.
#[derive(Debug)]
pub(super) struct Client {
    agent: Agent,
}

impl Client {
    pub(super) fn new() -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(MAX_REDIRECTS)
            .timeout_connect(Some(CONNECT_TIME))
            .user_agent(concat!("brazier/", env!("CARGO_PKG_VERSION")))
            .build();
        Self { agent: config.new_agent() }
    }

    /// Writes the file to `out`; `false` if the server does not have it. `progress` is told how much there
    /// is, and answers whether to go on.
    pub(super) fn get(
        &self,
        url: &str,
        build_id: &BuildId,
        time: Duration,
        limit_bytes: u64,
        out: &mut impl Write,
        mut progress: impl FnMut(u64) -> bool,
    ) -> Result<bool, Failure> {
        let request = self.agent.get(format!("{url}/buildid/{build_id}/debuginfo"));
        let request = request.config().timeout_global(Some(time.min(FILE_TIME))).build();
        let mut response = request.call().map_err(|error| failure_of(&error))?;
        match response.status().as_u16() {
            200 => {}
            404 => return Ok(false),
            status => return Err(Failure::Status(status)),
        }
        if response.body().content_length().is_some_and(|bytes| bytes > limit_bytes) {
            return Err(Failure::TooLarge);
        }
        // One byte more than the limit tells a file of just that size from a longer one.
        let mut body = response.body_mut().as_reader().take(limit_bytes.saturating_add(1));
        let mut step = vec![0; STEP_BYTES];
        let mut n_bytes = 0_u64;
        loop {
            let read = match body.read(&mut step) {
                Ok(0) => return Ok(true),
                Ok(read) => step.get(..read).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == io::ErrorKind::TimedOut => return Err(Failure::TimedOut),
                Err(_) => return Err(Failure::Broken),
            };
            n_bytes = n_bytes.saturating_add(u64::try_from(read.len()).unwrap_or(u64::MAX));
            if !progress(n_bytes) {
                return Err(Failure::GivenUp);
            }
            if n_bytes > limit_bytes {
                return Err(Failure::TooLarge);
            }
            out.write_all(read).map_err(|_| Failure::Cache)?;
        }
    }
}

fn failure_of(error: &ureq::Error) -> Failure {
    match error {
        ureq::Error::Timeout(_) => Failure::TimedOut,
        ureq::Error::HostNotFound | ureq::Error::ConnectionFailed => Failure::Unreachable,
        ureq::Error::Io(error) if error.kind() == io::ErrorKind::TimedOut => Failure::TimedOut,
        ureq::Error::Io(error) if error.kind() == io::ErrorKind::ConnectionRefused => Failure::Unreachable,
        _ => Failure::Broken,
    }
}
