//! A connection that a target has opened, and what it asks on it.

use std::collections::VecDeque;

use abi::request::Message;

use super::{
    join::Whose,
    open::{Asked, OpenRequests, RequestId},
};

/// More requests than that wait for an answer on no connection.
const MAX_ASKED: usize = 1024;

/// One connection.
#[derive(Debug, Default)]
pub(super) struct UpstreamConnection {
    /// It was opened before the eyes of the kernel side.
    is_opened: bool,
    /// When, and for which request, until something is asked.
    opened: Option<(u64, Option<RequestId>)>,
    /// Of the answer under way.
    pub(super) status: u16,
    n_asked: u64,
    asked: VecDeque<Asked>,
    /// For whom the last was asked that was answered.
    last: Option<Whose>,
    /// Answers that came before the request was seen to be written: two threads, two CPUs.
    n_early: u32,
}

impl UpstreamConnection {
    /// It was opened when its thread had last read this request.
    pub(super) fn opened_for(&mut self, request: Option<RequestId>, time_ns: u64) {
        self.is_opened = true;
        self.opened = Some((time_ns, request));
    }

    /// Whether nothing has been asked on it.
    pub(super) fn is_first(&self) -> bool {
        self.n_asked == 0
    }

    /// A request is written.
    pub(super) fn asks(&mut self, message: &Message, open: &mut OpenRequests) {
        let asked = open.ask(message, self.opened.take());
        self.n_asked += 1;
        if self.n_early > 0 {
            self.n_early -= 1;
            self.last = asked.whose;
            return open.answered(&asked, message.time_ns);
        }
        if self.asked.len() >= MAX_ASKED {
            open.abandon(self.asked.pop_front());
        }
        self.asked.push_back(asked);
    }

    /// An answer is over; gives what it answers, and whether that is known or will be.
    pub(super) fn answer_ends(&mut self) -> (Option<Asked>, bool) {
        let asked = self.asked.pop_front();
        self.last = asked.map_or(self.last, |asked| asked.whose);
        let is_early = asked.is_none() && self.is_opened;
        self.n_early += u32::from(is_early);
        (asked, asked.is_some() || is_early)
    }

    /// The request that a thread is busy with that reads or writes this connection.
    pub(super) fn asks_for(&self) -> Option<Whose> {
        self.asked.front().map_or(self.last, |asked| asked.whose)
    }

    /// What was not answered.
    pub(super) fn into_asked(self) -> VecDeque<Asked> {
        self.asked
    }
}
