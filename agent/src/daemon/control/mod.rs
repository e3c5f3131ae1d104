//! The control socket: who asks is root or the user of the daemon; one line of JSON in, lines of JSON out.
//!
//! [`message`] is the protocol, [`server`] the daemon's side, [`client`] that of `agent ctl`.

pub mod client;
mod line;
pub mod message;
pub mod server;
mod socket;

#[cfg(test)]
mod tests;
