//! Which proxy it is: by its executable, its process, or the names of its functions.

use std::collections::BTreeSet;

use serde::Serialize;

use super::pattern;
use crate::Profile;

/// A proxy whose directives are known here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "each is the program of that name")]
pub enum Proxy {
    Nginx,
    HAProxy,
    Envoy,
    Caddy,
    Pingora,
    Workerd,
    Node,
}

/// Names of executables and processes, and of functions that no other program has.
const KNOWN: [(Proxy, &str, &str); 7] = [
    (Proxy::Nginx, "nginx nginx-* openresty angie tengine freenginx", "ngx_process_events_and_timers"),
    (Proxy::HAProxy, "haproxy haproxy-* hapee*", "run_poll_loop process_stream"),
    (Proxy::Envoy, "envoy envoy-* istio-proxy", "Envoy::*"),
    (Proxy::Caddy, "caddy", "github.com/caddyserver/caddy*"),
    (Proxy::Pingora, "pingora*", "pingora_core::* pingora_proxy::* <pingora_*"),
    (Proxy::Workerd, "workerd", "workerd::*"),
    // Last: it is in other programs, too.
    (Proxy::Node, "node nodejs", "node::Start*"),
];

impl Proxy {
    /// As it calls itself.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Nginx => "nginx",
            Self::HAProxy => "HAProxy",
            Self::Envoy => "Envoy",
            Self::Caddy => "Caddy",
            Self::Pingora => "Pingora",
            Self::Workerd => "workerd",
            Self::Node => "Node",
        }
    }
}

/// The one that took most of the samples; None if it is none of these.
pub(super) fn recognize(profile: &Profile) -> Option<Proxy> {
    let mut names: BTreeSet<&str> = BTreeSet::new();
    let process = |sample: crate::Sample<'_>| profile.process_at(profile.thread_at(sample.thread)?.process);
    let heaviest = crate::hotspots::by_process(profile, profile.weight_idx());
    let main =
        heaviest.first().and_then(|(process, _)| profile.process_at(*process)).map(|process| process.name);
    names.extend(main.map(|name| profile.text(name)));
    // Of that process only: a client on the same host may be a Node program.
    let mut frames: BTreeSet<crate::FrameHandle> = BTreeSet::new();
    for sample in profile.samples() {
        if process(sample).map(|process| process.name) == main {
            frames.extend(profile.leaf_to_root(sample.stack));
        }
    }
    let frames: Vec<_> = frames.into_iter().filter_map(|frame| profile.frame_at(frame)).collect();
    names.extend(frames.iter().filter_map(|frame| profile.module_name(frame)));
    let functions: BTreeSet<&str> =
        frames.iter().filter_map(|frame| frame.function).map(|function| profile.text(function)).collect();
    let is = |(_, files, own): &&(Proxy, &str, &str)| {
        names.iter().any(|name| pattern::any(files, name))
            || functions.iter().any(|function| pattern::any(own, function))
    };
    KNOWN.iter().find(is).map(|(proxy, ..)| *proxy)
}
