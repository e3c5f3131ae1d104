//! Programs that Debian does not have: fetched or built once, into the cache that all checkouts share.

pub(crate) mod envoy;
pub(crate) mod headers;
pub(crate) mod otlp;
pub(crate) mod pingora;
pub(crate) mod probee;
pub(crate) mod workerd;
