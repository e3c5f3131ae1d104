//! What follows a head.

use abi::request::{
    Connection, FLOW_BODY, FLOW_CHUNKED, FLOW_FOREIGN, FLOW_IDLE, FLOW_TO_CLOSE, HEAD_CHUNKED, HEAD_LENGTH,
    HEAD_RESPONSE, Head, METHOD_CONNECT, METHOD_HEAD,
};

/// Bit of [`Connection::reserved`]: the request under way asks for a tunnel.
const ASKS_FOR_TUNNEL: u32 = 1 << 0;

/// What follows a head: one of `FLOW_*`. Requests and responses of a connection are matched by their order.
#[inline(always)]
pub(super) fn body(connection: &mut Connection, head: &Head) -> u32 {
    let by_length = if head.flags & HEAD_CHUNKED != 0 {
        FLOW_CHUNKED
    } else if head.flags & HEAD_LENGTH != 0 && head.length > 0 {
        FLOW_BODY
    } else {
        FLOW_IDLE
    };
    if head.flags & HEAD_RESPONSE == 0 {
        connection.heads = connection.heads << 1 | u64::from(head.method == METHOD_HEAD);
        connection.n_pending = connection.n_pending.saturating_add(1);
        if head.method == METHOD_CONNECT {
            connection.reserved |= ASKS_FOR_TUNNEL;
        }
        return by_length;
    }
    let status = head.status;
    if status == 101 {
        return FLOW_FOREIGN;
    }
    if (100..200).contains(&status) {
        return FLOW_IDLE;
    }
    let mut answers_head = false;
    if connection.n_pending > 0 {
        connection.n_pending -= 1;
        let shift = connection.n_pending;
        answers_head = shift < 64 && connection.heads >> shift & 1 != 0;
    }
    if connection.reserved & ASKS_FOR_TUNNEL != 0 {
        connection.reserved &= !ASKS_FOR_TUNNEL;
        if (200..300).contains(&status) {
            return FLOW_FOREIGN;
        }
    }
    if answers_head || status == 204 || status == 304 {
        FLOW_IDLE
    } else if head.flags & (HEAD_CHUNKED | HEAD_LENGTH) == 0 {
        FLOW_TO_CLOSE
    } else {
        by_length
    }
}
