//! A connection that a target has accepted: requests and answers in their order.

use std::collections::VecDeque;

use abi::request::{MESSAGE_END, MESSAGE_HEAD, MESSAGE_PATH_CUT, Message};

use super::{
    join::Whose,
    losses::Losses,
    open::{Key, OpenRequest, OpenRequests, RequestId},
    pauses::Pauses,
};
use crate::decode::MessageEvent;

/// More requests than that wait for an answer on no connection.
const MAX_WAITING: usize = 1024;

/// One connection.
#[derive(Debug)]
pub(super) struct ServerConnection {
    /// It was accepted before the eyes of the kernel side.
    pub(super) is_opened: bool,
    /// Small writes do not wait for an answer.
    pub(super) has_no_delay: bool,
    /// Answers.
    pub(super) n_answers: u64,
    /// Answers that took several writes, some of them small.
    pub(super) n_with_small_writes: u64,
    /// What came after answers.
    pub(super) pauses: Pauses,
    /// The path of a request whose head is not over.
    pub(super) path: Vec<u8>,
    /// Requests that are not answered whole, the oldest first.
    waiting: VecDeque<RequestId>,
    /// The last that was answered whole.
    last: Option<Whose>,
}

impl ServerConnection {
    pub(super) fn new(is_opened: bool) -> Self {
        Self {
            is_opened,
            has_no_delay: false,
            n_answers: 0,
            n_with_small_writes: 0,
            pauses: Pauses::default(),
            path: Vec::new(),
            waiting: VecDeque::new(),
            last: None,
        }
    }

    /// Whether its small writes wait for an answer. A server may see to that once it knows that the connection stays: one answer
    /// says nothing.
    pub(super) fn is_delayed(&self) -> bool {
        self.is_opened && !self.has_no_delay && self.n_with_small_writes > 0 && self.n_answers > 1
    }

    /// What became of a request.
    pub(super) fn request(&mut self, event: &MessageEvent, open: &mut OpenRequests, losses: &mut Losses) {
        let it = &event.message;
        if it.flags & MESSAGE_HEAD != 0 {
            self.pauses.end(it.time_ns);
            let early = std::mem::take(&mut self.path);
            let path = if event.path.is_empty() { early } else { event.path.clone() };
            let request = OpenRequest {
                key: Key::of(it),
                is_path_hidden: path.is_empty(),
                path,
                is_path_cut: it.flags & MESSAGE_PATH_CUT != 0,
                start_ns: it.time_ns,
                n_bytes_in: it.n_bytes,
                ..OpenRequest::default()
            };
            let id = if self.waiting.len() < MAX_WAITING { open.insert(it.tid, request) } else { None };
            match id {
                Some(id) => self.waiting.push_back(id),
                None => losses.requests_full += 1,
            }
        }
        if it.flags & MESSAGE_END != 0
            && let Some(request) = self.waiting.back().and_then(|id| open.get_mut(*id))
            && request.asked_ns.is_none()
        {
            request.asked_ns = Some(it.time_ns);
            request.n_bytes_in = it.n_bytes;
        }
    }

    /// The head of an answer is written.
    pub(super) fn response_begins(&mut self, it: &Message, open: &mut OpenRequests, losses: &mut Losses) {
        let has_begun = |open: &mut OpenRequests, id: RequestId| {
            open.get_mut(id).is_some_and(|request| request.first_byte_ns.is_some())
        };
        while let Some(id) = self.waiting.front().copied()
            && has_begun(open, id)
        {
            self.waiting.pop_front();
            open.remove(id);
            losses.ends_missing += 1;
        }
        let Some(request) = self.waiting.front().and_then(|id| open.get_mut(*id)) else {
            losses.responses_alone += 1;
            return;
        };
        request.first_byte_ns = Some(it.time_ns);
        request.status = it.status;
        request.content = it.content;
    }

    /// The end of an answer is written; gives what was answered.
    pub(super) fn response_ends(
        &mut self,
        it: &Message,
        open: &mut OpenRequests,
        losses: &mut Losses,
    ) -> Option<OpenRequest> {
        let id = *self.waiting.front()?;
        // The head of this answer was another's, or came before anybody looked.
        open.get_mut(id).filter(|request| request.first_byte_ns.is_some())?;
        self.waiting.pop_front();
        let Some(mut request) = open.remove(id) else {
            losses.ends_missing += 1;
            return None;
        };
        self.last = Whose::of(id, &request);
        request.end_ns = it.time_ns;
        request.n_bytes_out = it.n_bytes;
        request.n_writes = it.n_calls;
        request.n_small_writes = it.n_small;
        self.n_answers += 1;
        self.n_with_small_writes += u64::from(request.has_small_writes());
        if self.waiting.is_empty() {
            self.pauses.begin(&request);
        }
        Some(request)
    }

    /// The request that a thread is busy with that reads or writes this connection.
    pub(super) fn serves(&self, open: &OpenRequests) -> Option<Whose> {
        self.waiting.front().and_then(|id| open.whose(*id)).or(self.last)
    }

    /// What has no answer.
    pub(super) fn unanswered(&self) -> &VecDeque<RequestId> {
        &self.waiting
    }
}
