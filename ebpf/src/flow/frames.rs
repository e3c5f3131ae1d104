//! HTTP/2: frames, told by their heads of nine bytes. What is in them is skipped: heads of messages are compressed, by a table that
//! the whole connection fills.

use abi::request::{
    Connection, FLOW_FRAMES, FOREIGN_HTTP2, Flow, Head, INCOMING, MESSAGE_CUT, MESSAGE_END, MESSAGE_FOREIGN,
    MESSAGE_FRAMES, MESSAGE_HEAD, MESSAGE_RESPONSE, OUTGOING, ROLE_CLIENT, ROLE_SERVER,
};

use super::{Io, Sink, flow_of};
use crate::head::MODE_FRAMES;

/// What the client says first (RFC 9113, 3.4).
const PREFACE_BYTES: u64 = 24;
/// The head of a frame (RFC 9113, 4.1).
const FRAME_HEAD_BYTES: u64 = 9;
/// Kinds of frames, and their flag (RFC 9113, 6).
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const END_STREAM: u8 = 1;

impl Io {
    /// Whether frames are looked for.
    #[inline(always)]
    #[must_use]
    pub fn has_frames(&self, connection: &mut Connection) -> bool {
        flow_of(connection, self.direction).state == FLOW_FRAMES
    }

    /// From here on the connection speaks HTTP/2. Whoever says the preface is the client; a server may say its settings before.
    /// Gives whether there is more to read in the window.
    #[inline(always)]
    pub(super) fn becomes_frames(
        &mut self,
        connection: &mut Connection,
        is_preface: bool,
        sink: &mut impl Sink,
    ) -> bool {
        let is_client_out = (self.direction as usize == OUTGOING) == is_preface;
        connection.role = if is_client_out { ROLE_CLIENT } else { ROLE_SERVER };
        let head = Head { status: FOREIGN_HTTP2, ..Head::default() };
        self.fill_out(connection, MESSAGE_FOREIGN, &head);
        sink.put(&mut self.out);
        begin(&mut connection.flows[INCOMING], if is_client_out { 0 } else { PREFACE_BYTES });
        begin(&mut connection.flows[OUTGOING], if is_client_out { PREFACE_BYTES } else { 0 });
        let at = self.scan.line + if is_preface { PREFACE_BYTES } else { 0 };
        let flow = flow_of(connection, self.direction);
        // What was carried has been taken.
        flow.left = at.saturating_sub(self.counted);
        self.skip(flow);
        self.scan.mode = MODE_FRAMES;
        self.go_to(at)
    }

    /// The next frame begins here; gives whether that is in the window.
    #[inline(always)]
    fn go_to(&mut self, at: u64) -> bool {
        self.counted = at;
        self.scan.at = at;
        self.scan.line = at;
        self.left > 0 && at < self.scan.n
    }

    /// What is left of the present frame goes by.
    #[inline(always)]
    pub(super) fn skip(&mut self, flow: &mut Flow) {
        let n = if flow.left < self.left { flow.left } else { self.left };
        flow.left -= n;
        flow.n_bytes += n;
        self.left -= n;
    }

    /// Reads the head of a frame; gives whether there is more to read in the window.
    #[inline(always)]
    pub(super) fn frame(&mut self, connection: &mut Connection, sink: &mut impl Sink) -> bool {
        let at = self.scan.at;
        if at + FRAME_HEAD_BYTES > self.scan.n {
            return false;
        }
        // Big-endian: three bytes of length, kind, flags, stream.
        let word = self.scan.word(at).swap_bytes();
        let (length, kind, flags) = (word >> 40, (word >> 32) as u8, (word >> 24) as u8);
        // The highest bit is reserved.
        let stream = (word & 0x007f_ffff) << 8 | self.scan.word(at + 8) & 0xff;
        let n_head = at + FRAME_HEAD_BYTES - self.counted;
        self.left = self.left.saturating_sub(n_head);
        let flow = flow_of(connection, self.direction);
        flow.n_calls += 1;
        flow.n_bytes += n_head;
        flow.left = length;
        let before = self.left;
        self.skip(flow);
        let next = at + FRAME_HEAD_BYTES + before.wrapping_sub(self.left);
        let ends = (kind == DATA || kind == HEADERS) && flags & END_STREAM != 0;
        let mut told = if ends { MESSAGE_END } else { 0 };
        if kind == HEADERS {
            told |= MESSAGE_HEAD;
        } else if kind == RST_STREAM {
            told |= MESSAGE_END | MESSAGE_CUT;
        }
        if told != 0 && stream != 0 {
            self.tell_of_frame(connection, told, stream, sink);
        }
        self.go_to(next)
    }

    /// The window has been read: the head of a frame that is not whole is kept.
    #[inline(always)]
    pub(super) fn close_frames(&mut self, flow: &mut Flow) {
        flow.n_carry = 0;
        if self.scan.at >= self.scan.n {
            return;
        }
        let n = self.scan.n - self.counted;
        flow.n_bytes += n;
        self.left -= if n < self.left { n } else { self.left };
        flow.n_carry = self.scan.carry(&mut flow.carry) as u32;
    }

    #[inline(always)]
    fn tell_of_frame(&mut self, connection: &mut Connection, flags: u32, stream: u64, sink: &mut impl Sink) {
        let is_answer = (self.direction as usize == OUTGOING) == (connection.role == ROLE_SERVER);
        let response = if is_answer { MESSAGE_RESPONSE } else { 0 };
        let head = Head { path_hash: stream, ..Head::default() };
        self.fill_out(connection, MESSAGE_FRAMES | flags | response, &head);
        let flow = flow_of(connection, self.direction);
        self.out.message.n_bytes = flow.n_bytes;
        self.out.message.n_calls = flow.n_calls;
        self.out.message.n_small = 0;
        sink.put(&mut self.out);
    }
}

#[inline(always)]
fn begin(flow: &mut Flow, n_preface: u64) {
    flow.state = FLOW_FRAMES;
    flow.left = n_preface;
    flow.n_carry = 0;
    flow.n_bytes = 0;
    flow.n_calls = 0;
}

#[cfg(test)]
mod tests;
