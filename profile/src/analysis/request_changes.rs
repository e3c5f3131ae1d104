//! What to change about requests, in the words of each proxy's configuration.

use super::proxy::Proxy;

/// A change, and the line of a configuration where there is one.
pub(super) struct Change {
    pub(super) text: &'static str,
    pub(super) directive: Option<&'static str>,
}

const fn with(text: &'static str, directive: &'static str) -> Change {
    Change { text, directive: Some(directive) }
}

const fn without(text: &'static str) -> Change {
    Change { text, directive: None }
}

pub(super) fn keep_connections(proxy: Option<Proxy>) -> Change {
    match proxy {
        Some(Proxy::Nginx) => with(
            "keep connections to others open, as many for each worker as it uses at once",
            "upstream b { server ...; keepalive 32; }   # and proxy_http_version 1.1; proxy_set_header Connection \"\";",
        ),
        Some(Proxy::HAProxy) => with(
            "let requests share the connections to servers; `safe`, the default, sends the first of each client over a new one",
            "http-reuse always   # and neither option httpclose nor http-server-close",
        ),
        Some(Proxy::Envoy) => with(
            "let a connection of the cluster carry any number of requests",
            "max_requests_per_connection: 0   # in the cluster's common_http_protocol_options",
        ),
        Some(Proxy::Caddy) => with(
            "keep connections to others open",
            "transport http { keepalive 2m keepalive_idle_conns_per_host 32 }",
        ),
        Some(Proxy::Pingora) => with(
            "keep connections to others open, as many as are used at once; and have `idle_timeout` of the peer be longer than \
             the pauses between requests",
            "upstream_keepalive_pool_size: 128",
        ),
        Some(Proxy::Node) => with(
            "ask by an agent that keeps connections open",
            "new http.Agent({ keepAlive: true })   // given to each request",
        ),
        Some(Proxy::Workerd) | None => without("keep connections to others open between requests"),
    }
}

pub(super) fn compress(proxy: Option<Proxy>) -> Change {
    match proxy {
        Some(Proxy::Nginx) => with(
            "compress what compresses well at level 1, and files beforehand (gzip_static)",
            "gzip on; gzip_proxied any; gzip_types text/plain text/css text/xml application/json application/javascript \
             image/svg+xml;",
        ),
        Some(Proxy::HAProxy) => with(
            "compress what compresses well",
            "filter compression   # and compression algo gzip, compression type text/html text/css application/json \
             application/javascript",
        ),
        Some(Proxy::Envoy) => with(
            "compress what compresses well",
            "envoy.filters.http.compressor with envoy.compression.gzip.compressor, before the router",
        ),
        Some(Proxy::Caddy) => with("compress what compresses well", "encode zstd gzip"),
        Some(Proxy::Pingora) => with(
            "have the module for compression run, and set its level for each session",
            "modules.add_module(ResponseCompressionBuilder::enable(1))",
        ),
        Some(Proxy::Node) => with(
            "compress what compresses well, here or in the proxy before it",
            "app.use(compression({ level: 1 }))   // npm: compression",
        ),
        Some(Proxy::Workerd) | None => without("compress what compresses well"),
    }
}

pub(super) fn cache(proxy: Option<Proxy>) -> Change {
    match proxy {
        Some(Proxy::Nginx) => with(
            "keep answers, for a second if not for longer; where a cache is set up, see what bypasses it: proxy_cache_bypass, \
             proxy_no_cache, Set-Cookie, a key with too much in it",
            "proxy_cache z; proxy_cache_valid 200 1s; proxy_cache_lock on;   # with proxy_cache_path ... keys_zone=z:10m",
        ),
        Some(Proxy::HAProxy) => with(
            "keep answers that are small and do not vary",
            "http-request cache-use c   # and http-response cache-store c, with a section `cache c`",
        ),
        Some(Proxy::Envoy) => {
            with("keep answers", "envoy.filters.http.cache with simple_http_cache or file_system_http_cache")
        }
        Some(Proxy::Caddy) => {
            with("keep answers, by a module for it", "cache { ttl 1s }   # module cache-handler")
        }
        Some(Proxy::Pingora) => with(
            "enable the cache for requests that may be kept",
            "session.cache.enable(storage, None, None, Some(lock), None)   // in request_cache_filter",
        ),
        Some(Proxy::Node | Proxy::Workerd) | None => {
            without("keep answers for as long as they may be kept, or have a proxy before it do that")
        }
    }
}

pub(super) fn send_at_once(proxy: Option<Proxy>) -> Change {
    const AT_ONCE: &str = "send small writes at once";
    match proxy {
        Some(Proxy::Nginx) => with(AT_ONCE, "tcp_nodelay on;"),
        Some(Proxy::HAProxy) => {
            with("send small writes at once, also where headers and data come apart", "option http-no-delay")
        }
        Some(Proxy::Envoy) => with(
            "set TCP_NODELAY on connections of the listener, as is the default",
            "socket_options: [{ level: 6, name: 1, int_value: 1, state: STATE_LISTENING }]",
        ),
        Some(Proxy::Node) => with(AT_ONCE, "http.createServer({ noDelay: true }, ...)"),
        Some(Proxy::Caddy | Proxy::Pingora | Proxy::Workerd) | None => {
            without("set TCP_NODELAY on connections that are accepted, or write an answer in one call")
        }
    }
}

pub(super) fn lengthen_queue(proxy: Option<Proxy>) -> Change {
    const LONGER: &str = "lengthen the queue, and net.core.somaxconn, which limits it, in the namespace of the target (sysctl)";
    match proxy {
        Some(Proxy::Nginx) => with(LONGER, "listen 80 backlog=4096;"),
        Some(Proxy::HAProxy) => with(LONGER, "bind :80 backlog 4096"),
        Some(Proxy::Envoy) => with(LONGER, "tcp_backlog_size: 4096"),
        Some(Proxy::Node) => with(LONGER, "server.listen({ port, backlog: 4096 })"),
        Some(Proxy::Caddy) => {
            with("lengthen the queue: Go takes what the kernel allows", "sysctl net.core.somaxconn=4096")
        }
        Some(Proxy::Pingora | Proxy::Workerd) | None => without(LONGER),
    }
}
