//! Requests under way, and whose a request to somebody else is.

use std::{collections::VecDeque, sync::Arc};

use abi::request::{METHODS, Message};
use ahash::HashMap;

use super::{
    join::{RouteIndex, Routes, Whose},
    times::Times,
};

/// Requests under way that are remembered.
const MAX_OPEN: usize = 65_536;
/// Requests under way to one path of which the oldest are looked at for one that asks.
const MAX_CANDIDATES: usize = 64;
/// Threads whose last request is remembered.
const MAX_THREADS: usize = 65_536;

/// `GET`: what it asks for can be shared.
const METHOD_GET: u8 = 1;

/// A number that is never reused.
pub(super) type RequestId = u64;

/// A request that is not answered whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct OpenRequest {
    pub(super) id: RequestId,
    pub(super) key: Key,
    /// Where requests are joined with samples.
    pub(super) route: Option<RouteIndex>,
    pub(super) path: Vec<u8>,
    pub(super) is_path_cut: bool,
    pub(super) is_path_hidden: bool,
    /// The end of the call that read the end of its head.
    pub(super) start_ns: u64,
    /// The same of its body.
    pub(super) asked_ns: Option<u64>,
    pub(super) n_bytes_in: u64,
    pub(super) first_byte_ns: Option<u64>,
    pub(super) status: u16,
    pub(super) content: u8,
    pub(super) n_bytes_out: u64,
    pub(super) n_writes: u32,
    pub(super) n_small_writes: u32,
    pub(super) end_ns: u64,
    /// Requests to others for it.
    pub(super) n_upstream: u32,
    /// When the first of them was written.
    pub(super) upstream_start_ns: u64,
    /// How long they took together.
    pub(super) upstream_ns: u64,
}

impl OpenRequest {
    /// Whether its answer took several writes, some of them small.
    pub(super) fn has_small_writes(&self) -> bool {
        self.n_small_writes > 0 && self.n_writes > 1
    }
}

/// What a request to somebody else has in common with the one that it is for, mostly.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) tgid: u32,
    pub(super) method: u8,
    pub(super) path_hash: u64,
}

impl Key {
    pub(super) fn of(message: &Message) -> Self {
        Self { tgid: message.tgid, method: message.method, path_hash: message.path_hash }
    }

    fn path(self) -> (u32, u64) {
        (self.tgid, self.path_hash)
    }

    pub(super) fn method_name(self) -> &'static str {
        METHODS.get(usize::from(self.method)).copied().unwrap_or("other")
    }
}

/// A request to somebody else.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Asked {
    owner: Option<RequestId>,
    /// The same, where requests are joined with samples.
    pub(super) whose: Option<Whose>,
    key: Key,
    start_ns: u64,
}

impl Asked {
    /// Which path, if it is one that can be kept.
    pub(super) fn path_of_get(&self) -> Option<u64> {
        (self.key.method == METHOD_GET).then_some(self.key.path_hash)
    }

    /// How long it took until then.
    pub(super) fn took_ns(&self, end_ns: u64) -> u64 {
        end_ns.saturating_sub(self.start_ns)
    }
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct OpenRequests {
    n_begun: RequestId,
    requests: HashMap<RequestId, OpenRequest>,
    by_path: HashMap<(u32, u64), VecDeque<RequestId>>,
    last_of_thread: HashMap<u32, RequestId>,
    /// Requests to others under way.
    in_flight: HashMap<Key, u32>,
    /// Where requests are joined with samples.
    routes: Option<Routes>,
    /// Requests to others.
    pub(super) n_asked: u64,
    /// Of them, those that nobody was found for.
    pub(super) n_unowned: u64,
    /// Of them, those that asked for what was being asked for already.
    pub(super) n_doubled: u64,
    /// How long requests waited for a connection to be opened for them.
    pub(super) connect: Times,
}

impl OpenRequests {
    /// Those that samples are to be joined with.
    pub(super) fn joined() -> Self {
        Self { routes: Some(Routes::default()), ..Self::default() }
    }

    pub(super) fn are_joined(&self) -> bool {
        self.routes.is_some()
    }

    pub(super) fn routes(&self) -> &[Arc<str>] {
        self.routes.as_ref().map_or(&[], Routes::names)
    }

    /// What the route of a sample is called; `None` if requests are not joined with samples.
    pub(super) fn route_name(&self, index: RouteIndex) -> Option<&str> {
        self.routes.as_ref().map(|routes| routes.name(index))
    }

    /// Makes room for more routes, if there is none.
    pub(super) fn make_room_for_routes(&mut self) {
        self.routes.iter_mut().for_each(Routes::make_room);
    }

    /// Whether samples of this method and route are told apart from others.
    pub(super) fn has_route(&self, name: &str) -> bool {
        self.routes.as_ref().is_some_and(|routes| routes.has(name))
    }

    /// How samples know a request.
    pub(super) fn whose(&self, id: RequestId) -> Option<Whose> {
        Whose::of(id, self.requests.get(&id)?)
    }

    pub(super) fn len(&self) -> usize {
        self.requests.len()
    }

    /// A request has come; `None` without room for it.
    pub(super) fn insert(&mut self, tid: u32, mut request: OpenRequest) -> Option<RequestId> {
        if self.requests.len() >= MAX_OPEN {
            return None;
        }
        request.route = self.routes.as_mut().map(|routes| routes.index_of(&request));
        self.n_begun += 1;
        let id = self.n_begun;
        request.id = id;
        self.by_path.entry(request.key.path()).or_default().push_back(id);
        if self.last_of_thread.len() >= MAX_THREADS {
            let open = &self.requests;
            self.last_of_thread.retain(|_, id| open.contains_key(id));
        }
        self.last_of_thread.insert(tid, id);
        self.requests.insert(id, request);
        Some(id)
    }

    pub(super) fn get_mut(&mut self, id: RequestId) -> Option<&mut OpenRequest> {
        self.requests.get_mut(&id)
    }

    pub(super) fn remove(&mut self, id: RequestId) -> Option<OpenRequest> {
        let request = self.requests.remove(&id)?;
        if let Some(ids) = self.by_path.get_mut(&request.key.path()) {
            ids.retain(|other| *other != id);
            if ids.is_empty() {
                self.by_path.remove(&request.key.path());
            }
        }
        Some(request)
    }

    /// The request that a thread has read last, if it is under way.
    pub(super) fn last_of_thread(&self, tid: u32) -> Option<RequestId> {
        self.last_of_thread.get(&tid).copied().filter(|id| self.requests.contains_key(id))
    }

    /// A request is sent to somebody else. `opened`: when its connection was opened, if it is the first there, and what its
    /// thread had read then.
    pub(super) fn ask(&mut self, message: &Message, opened: Option<(u64, Option<RequestId>)>) -> Asked {
        let key = Key::of(message);
        self.n_asked += 1;
        let n_in_flight = self.in_flight.entry(key).or_default();
        if *n_in_flight > 0 && key.method == METHOD_GET {
            self.n_doubled += 1;
        }
        *n_in_flight += 1;
        let opened_for = opened.and_then(|(_, request)| request);
        let owner = self.owner(key, message.tid, opened_for);
        match owner.and_then(|id| self.requests.get_mut(&id)) {
            Some(request) => {
                request.n_upstream += 1;
                if let Some((opened_ns, _)) = opened {
                    // One that was opened ahead waits for the request, and not the request for it.
                    let from_ns = opened_ns.max(request.asked_ns.unwrap_or(request.start_ns));
                    self.connect.add(message.time_ns.saturating_sub(from_ns));
                }
                if request.n_upstream == 1 {
                    request.upstream_start_ns = message.time_ns;
                }
            }
            None => self.n_unowned += 1,
        }
        let whose = owner.and_then(|id| self.whose(id));
        Asked { owner, whose, key, start_ns: message.time_ns }
    }

    /// Whose it is: one that asks for the same, the oldest that has not asked yet; else one that asks for the same path in another
    /// way (a cache asks with `GET` for a `HEAD`); else the one that the connection was opened for; else the last that this
    /// thread has read.
    fn owner(&self, key: Key, tid: u32, opened_for: Option<RequestId>) -> Option<RequestId> {
        let waiting = |id: &RequestId| self.requests.get(id).filter(|it| it.first_byte_ns.is_none());
        let waits = |id: &RequestId| waiting(id).is_some();
        let is_new = |id: &RequestId| waiting(id).is_some_and(|it| it.n_upstream == 0);
        let is_same = |id: &RequestId| waiting(id).is_some_and(|it| it.key == key);
        if let Some(id) = opened_for.filter(|id| is_same(id) && is_new(id)) {
            return Some(id);
        }
        let of_path = || self.by_path.get(&key.path()).into_iter().flatten().take(MAX_CANDIDATES).copied();
        of_path()
            .find(|id| is_same(id) && is_new(id))
            .or_else(|| of_path().find(is_new))
            .or_else(|| of_path().find(is_same))
            .or_else(|| opened_for.filter(waits))
            .or_else(|| self.last_of_thread(tid).filter(waits))
    }

    /// Somebody else has answered whole.
    pub(super) fn answered(&mut self, asked: &Asked, end_ns: u64) {
        self.forget(asked);
        if let Some(request) = asked.owner.and_then(|id| self.requests.get_mut(&id)) {
            request.upstream_ns += asked.took_ns(end_ns);
        }
    }

    /// They will not be answered.
    pub(super) fn abandon(&mut self, asked: impl IntoIterator<Item = Asked>) {
        asked.into_iter().for_each(|asked| self.forget(&asked));
    }

    fn forget(&mut self, asked: &Asked) {
        if let Some(n) = self.in_flight.get_mut(&asked.key) {
            *n = n.saturating_sub(1);
            if *n == 0 {
                self.in_flight.remove(&asked.key);
            }
        }
    }
}
