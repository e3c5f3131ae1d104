//! What requests and answers take that a setting could spare them.

use std::io::{self, Write};

use serde::Serialize;

use super::{
    open::OpenRequests, repeats::Repeats, served::Content, server::ServerConnection, times::TimesReport,
};

/// Whether it can be avoided, `agent analyze` says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Avoidable {
    /// How long requests waited for a connection to somebody else to be opened, until they were written there.
    pub connect: TimesReport,
    /// `GET`s that others have answered.
    pub gets: u64,
    /// Of them, those that were answered 200 with as many bytes as the one for the same path before.
    pub repeated: u64,
    /// Paths of those.
    pub repeated_paths: u64,
    /// How long those took together.
    pub repeated_ns: u64,
    /// Answers on accepted connections that had several of them, some in several writes of which some were small, and on which the
    /// target was not seen to set `TCP_NODELAY`.
    pub delayed_answers: u64,
    /// Of those, answers in several writes of which some were small.
    pub delayed_with_small: u64,
    /// Of those, answers after whose head the next request came 38 to 60 ms later: the other end was waiting for the last write.
    pub held_back: u64,
    /// From the last write of those to the next request, together.
    pub held_back_ns: u64,
    /// Pauses after other answers on these connections.
    pub other_pauses: u64,
    /// Those together.
    pub other_pauses_ns: u64,
    /// From the end of the head to the end, of all answers that were sent uncompressed and compress well.
    pub uncompressed_ns: u64,
}

impl Avoidable {
    pub(super) fn new<'a>(
        open: &OpenRequests,
        repeats: &Repeats,
        content: &Content,
        over: &Self,
        servers: impl Iterator<Item = &'a ServerConnection>,
    ) -> Self {
        let mut all = Self {
            connect: open.connect.report(),
            gets: repeats.n_gets,
            repeated: repeats.n_repeated,
            repeated_paths: repeats.n_paths,
            repeated_ns: repeats.took_ns,
            uncompressed_ns: content.uncompressed_ns,
            ..*over
        };
        servers.for_each(|connection| all.leave(connection));
        all
    }

    /// A connection is looked at for the last time.
    pub(super) fn leave(&mut self, connection: &ServerConnection) {
        if connection.is_delayed() {
            self.delayed_answers += connection.n_answers;
            self.delayed_with_small += connection.n_with_small_writes;
            let pauses = &connection.pauses;
            self.held_back += pauses.n_held_back;
            self.held_back_ns += pauses.held_back_ns;
            self.other_pauses += pauses.n_others;
            self.other_pauses_ns += pauses.others_ns;
        }
    }

    pub(super) fn write_text(&self, out: &mut impl Write) -> io::Result<()> {
        if self.connect.count > 0 {
            writeln!(
                out,
                "connecting: {} requests waited for it, {}",
                self.connect.count,
                self.connect.text()
            )?;
        }
        if self.repeated > 0 {
            writeln!(
                out,
                "repeated: {} of {} GETs to others were answered as the one before for the same path; different paths: {}",
                self.repeated, self.gets, self.repeated_paths
            )?;
        }
        if self.delayed_with_small > 0 {
            writeln!(
                out,
                "held back: after {} of {} answers in several writes without TCP_NODELAY, the other end was waiting",
                self.held_back, self.delayed_with_small
            )?;
        }
        Ok(())
    }
}
