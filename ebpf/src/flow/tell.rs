//! What is told of messages and connections.

use abi::{
    request::{
        Connection, FLOW_FOREIGN, FLOW_IDLE, Flow, HEAD_CUT, HEAD_RESPONSE, Head, MAX_PATH_BYTES,
        MESSAGE_END, MESSAGE_FOREIGN, MESSAGE_PATH_CUT, MESSAGE_RESPONSE, MESSAGE_UPSTREAM, ROLE_CLIENT,
    },
    sample::KIND_MESSAGE,
};

use super::{Io, Sink, flow_of};

impl Io {
    /// The connection speaks something else, from here on.
    #[inline(always)]
    pub(super) fn becomes_foreign(&mut self, connection: &mut Connection, what: u16, sink: &mut impl Sink) {
        connection.flows[0].state = FLOW_FOREIGN;
        connection.flows[1].state = FLOW_FOREIGN;
        self.left = 0;
        let head = Head { status: what, ..Head::default() };
        self.fill_out(connection, MESSAGE_FOREIGN, &head);
        sink.put(&mut self.out);
    }

    /// The message under way in this direction is over.
    #[inline(always)]
    pub(super) fn end(&mut self, connection: &mut Connection, flags: u32, sink: &mut impl Sink) {
        self.scan.n_path = 0;
        let flow = flow_of(connection, self.direction);
        flow.state = FLOW_IDLE;
        let last_ns = flow.last_ns;
        self.prepare(connection, MESSAGE_END | flags);
        self.out.message.time_ns = last_ns;
        sink.put(&mut self.out);
        // The next message has its own calls.
        self.is_counted = 0;
    }

    #[inline(always)]
    pub(super) fn put_message(&mut self, connection: &mut Connection, flags: u32, sink: &mut impl Sink) {
        self.prepare(connection, flags);
        // What is asked of others is known by its hash.
        if self.scan.n_path > 0 && connection.role != ROLE_CLIENT {
            self.out.path = self.scan.path;
            let n = self.scan.n_path;
            let max = MAX_PATH_BYTES as u64;
            self.out.message.n_path = if n < max { n } else { max } as u32;
            if n > max {
                self.out.message.flags |= MESSAGE_PATH_CUT;
            }
        }
        sink.put(&mut self.out);
    }

    /// What is known of the message under way.
    #[inline(always)]
    fn prepare(&mut self, connection: &mut Connection, flags: u32) {
        let Flow { head, n_bytes, n_calls, n_small, .. } = *flow_of(connection, self.direction);
        self.fill_out(connection, flags, &head);
        self.out.message.n_bytes = n_bytes;
        self.out.message.n_calls = n_calls;
        self.out.message.n_small = n_small;
    }

    #[inline(always)]
    pub(super) fn fill_out(&mut self, connection: &Connection, flags: u32, head: &Head) {
        let response = if head.flags & HEAD_RESPONSE != 0 { MESSAGE_RESPONSE } else { 0 };
        let upstream = if connection.role == ROLE_CLIENT { MESSAGE_UPSTREAM } else { 0 };
        let cut = if head.flags & HEAD_CUT != 0 { MESSAGE_PATH_CUT } else { 0 };
        let message = &mut self.out.message;
        message.kind = KIND_MESSAGE;
        message.flags = flags | response | upstream | cut | connection.flags;
        message.time_ns = self.time_ns;
        message.connection = connection.id;
        message.tgid = self.tgid;
        message.tid = self.tid;
        message.path_hash = head.path_hash;
        message.status = head.status;
        message.method = head.method;
        message.content = head.content;
        message.n_path = 0;
    }
}
