//! HTTP/2: streams, by the frames that open and end them. What they ask for is not known.

use std::io::{self, Write};

use abi::request::{MESSAGE_CUT, MESSAGE_END, MESSAGE_HEAD, MESSAGE_RESPONSE, MESSAGE_UPSTREAM, Message};
use ahash::HashMap;
use serde::Serialize;

use super::{
    MAX_CONNECTIONS,
    times::{Times, TimesReport},
};

/// Streams under way that are remembered.
const MAX_STREAMS: usize = 65_536;

/// Streams of HTTP/2 and their frames, on connections that were accepted and on those that were opened.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Http2Report {
    /// What clients asked.
    pub served: StreamsReport,
    /// What others were asked.
    pub asked: StreamsReport,
}

/// Streams.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct StreamsReport {
    /// Streams that have ended in both directions.
    pub streams: u64,
    /// Streams that were reset.
    pub reset: u64,
    /// Streams that had not ended when their connection did, or the recording.
    pub unfinished: u64,
    /// Streams that had no room among those under way.
    pub full: u64,
    /// Frames of whoever asks, up to the last that opened or ended a stream.
    pub frames_of_requests: u64,
    /// The same of whoever answers.
    pub frames_of_responses: u64,
    /// From the frame with the request's head to the last frame in both directions.
    pub total: TimesReport,
    /// To the frame with the answer's head.
    pub first_byte: TimesReport,
}

#[derive(Clone, Copy, Debug, Default)]
struct Stream {
    is_upstream: bool,
    start_ns: u64,
    first_byte_ns: Option<u64>,
    /// By request and response.
    has_ended: [bool; 2],
}

#[derive(Debug, Default)]
struct Side {
    n_streams: u64,
    n_reset: u64,
    n_unfinished: u64,
    n_full: u64,
    n_frames: [u64; 2],
    total: Times,
    first_byte: Times,
}

/// Streams under way, and sums of those that are over.
#[derive(Debug, Default)]
pub(super) struct Http2 {
    /// By connection and number.
    streams: HashMap<(u64, u64), Stream>,
    /// By connection: frames so far, of requests and responses.
    frames: HashMap<u64, [u32; 2]>,
    /// Served, and asked of others.
    sides: [Side; 2],
}

impl Http2 {
    /// Takes in a frame that opens or ends a stream.
    pub(super) fn apply(&mut self, it: &Message) {
        let is_upstream = it.flags & MESSAGE_UPSTREAM != 0;
        let side = &mut self.sides[usize::from(is_upstream)];
        let direction = usize::from(it.flags & MESSAGE_RESPONSE != 0);
        if self.frames.len() < MAX_CONNECTIONS || self.frames.contains_key(&it.connection) {
            let frames = &mut self.frames.entry(it.connection).or_default()[direction];
            side.n_frames[direction] += u64::from(it.n_calls.saturating_sub(*frames));
            *frames = it.n_calls.max(*frames);
        }
        let key = (it.connection, it.path_hash);
        if direction == 0 && it.flags & MESSAGE_HEAD != 0 && !self.streams.contains_key(&key) {
            if self.streams.len() >= MAX_STREAMS {
                side.n_full += 1;
                return;
            }
            self.streams.insert(key, Stream { is_upstream, start_ns: it.time_ns, ..Stream::default() });
        }
        let Some(stream) = self.streams.get_mut(&key) else { return };
        if direction == 1 && it.flags & MESSAGE_HEAD != 0 {
            stream.first_byte_ns.get_or_insert(it.time_ns);
        }
        if it.flags & MESSAGE_CUT != 0 {
            side.n_reset += 1;
            self.streams.remove(&key);
            return;
        }
        if it.flags & MESSAGE_END == 0 {
            return;
        }
        stream.has_ended[direction] = true;
        if stream.has_ended == [true; 2] {
            let since = |ns: u64| ns.saturating_sub(stream.start_ns);
            side.n_streams += 1;
            side.total.add(since(it.time_ns));
            side.first_byte.add(since(stream.first_byte_ns.unwrap_or(it.time_ns)));
            self.streams.remove(&key);
        }
    }

    /// A connection is over.
    pub(super) fn closed(&mut self, connection: u64) {
        if self.frames.remove(&connection).is_none() {
            return;
        }
        let sides = &mut self.sides;
        self.streams.retain(|(of, _), stream| {
            let is_over = *of == connection;
            sides[usize::from(stream.is_upstream)].n_unfinished += u64::from(is_over);
            !is_over
        });
    }

    /// What is to be said of them.
    pub(super) fn report(&self) -> Http2Report {
        let side = |is_upstream: bool| {
            let side = &self.sides[usize::from(is_upstream)];
            let n_open = self.streams.values().filter(|it| it.is_upstream == is_upstream).count();
            StreamsReport {
                streams: side.n_streams,
                reset: side.n_reset,
                unfinished: side.n_unfinished + n_open as u64,
                full: side.n_full,
                frames_of_requests: side.n_frames[0],
                frames_of_responses: side.n_frames[1],
                total: side.total.report(),
                first_byte: side.first_byte.report(),
            }
        };
        Http2Report { served: side(false), asked: side(true) }
    }
}

/// Writes it for people.
pub(super) fn write_text(it: &Http2Report, out: &mut impl Write) -> io::Result<()> {
    for (side, what) in [(&it.served, "served"), (&it.asked, "asked of others")] {
        if side.full > 0 {
            writeln!(out, "HTTP/2, {what}: {} streams had no room among those under way", side.full)?;
        }
        if side.streams + side.reset + side.unfinished == 0 {
            continue;
        }
        writeln!(
            out,
            "HTTP/2, {what}: {} streams, {} reset, {} unfinished; {}; {} and {} frames",
            side.streams,
            side.reset,
            side.unfinished,
            side.total.text(),
            side.frames_of_requests,
            side.frames_of_responses
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use abi::request::{
        FOREIGN_HTTP2, MESSAGE_CLOSED, MESSAGE_CUT, MESSAGE_END, MESSAGE_FOREIGN, MESSAGE_FRAMES,
        MESSAGE_HEAD, MESSAGE_OPENED, MESSAGE_RESPONSE, MESSAGE_UPSTREAM, Message,
    };

    use super::super::{Report, Requests};
    use crate::decode::MessageEvent;

    const ASKS: u32 = MESSAGE_FRAMES | MESSAGE_HEAD;
    const ANSWERS: u32 = ASKS | MESSAGE_RESPONSE;
    const ENDS: u32 = MESSAGE_FRAMES | MESSAGE_END;

    /// Connection, flags, time, stream, frames so far.
    fn report(all: &[(u64, u32, u64, u64, u32)]) -> Report {
        let mut requests = Requests::default();
        for (connection, flags, time_ns, path_hash, n_calls) in all.iter().copied() {
            let status = if flags & MESSAGE_FOREIGN != 0 { FOREIGN_HTTP2 } else { 0 };
            let message =
                Message { flags, status, connection, time_ns, path_hash, n_calls, ..Message::default() };
            requests.apply(&MessageEvent { message, path: Vec::new() });
        }
        requests.report(1_000_000_000)
    }

    #[test]
    fn a_stream_lasts_from_its_first_head_to_its_last_end() {
        let found = report(&[
            (1, MESSAGE_OPENED, 1, 0, 0),
            (1, MESSAGE_FOREIGN, 2, 0, 0),
            (1, ASKS | ENDS, 100, 1, 3),
            (1, ASKS, 110, 3, 4),
            (1, ANSWERS, 130, 3, 3),
            (1, ENDS | MESSAGE_RESPONSE, 150, 3, 4),
            (1, ANSWERS, 160, 1, 5),
            (1, ENDS | MESSAGE_RESPONSE, 200, 1, 9),
            // What is asked may end after it was answered.
            (1, ENDS, 210, 3, 6),
            (1, ASKS, 220, 5, 7),
            (1, ENDS | MESSAGE_CUT, 230, 5, 8),
            (1, ASKS, 240, 7, 9),
            (1, MESSAGE_CLOSED, 250, 0, 0),
        ]);
        let it = found.http2.served;
        assert_eq!((it.streams, it.reset, it.unfinished, it.full), (2, 1, 1, 0), "{it:#?}");
        assert_eq!((it.total.min_ns, it.total.max_ns), (100, 100), "{it:#?}");
        assert_eq!((it.first_byte.min_ns, it.first_byte.max_ns), (20, 60), "{it:#?}");
        assert_eq!((it.frames_of_requests, it.frames_of_responses), (9, 9), "{it:#?}");
        assert_eq!((found.connections.n_http2, found.connections.n_accepted), (1, 1));
        assert_eq!(found.losses, super::super::Losses::default());
    }

    #[test]
    fn what_is_asked_of_others_is_told_apart() {
        let up = MESSAGE_UPSTREAM;
        let found = report(&[
            (1, ASKS | ENDS | up, 100, 1, 3),
            (1, ANSWERS | ENDS | up, 130, 1, 3),
            (2, ASKS | up, 130, 1, 1),
        ]);
        assert_eq!((found.http2.asked.streams, found.http2.asked.unfinished), (1, 1), "{:#?}", found.http2);
        assert_eq!(found.http2.served, super::StreamsReport { ..super::StreamsReport::default() });
    }
}
