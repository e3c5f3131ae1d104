//! Which request a sample belongs to: its thread serves a connection, and that a request.

use std::{collections::VecDeque, sync::Arc};

use ahash::HashMap;

use super::{
    open::{OpenRequest, RequestId},
    route::route,
    served::OTHER,
};

/// Methods and routes that are told apart.
const MAX_ROUTES: usize = 500;
/// Connections that are over and of whose last request samples may come: until their threads wait for events.
const MAX_CLOSED: usize = 4096;

/// Into [`Routes::names`].
pub type RouteIndex = u32;

/// A request, as its samples know it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Whose {
    /// Which.
    pub(super) request: RequestId,
    /// Its method and route.
    pub route: RouteIndex,
}

impl Whose {
    /// Of a request, if those are joined with samples.
    pub(super) fn of(request: RequestId, open: &OpenRequest) -> Option<Self> {
        Some(Self { request, route: open.route? })
    }
}

/// Methods with their routes, each once: `GET /users/{n}`.
#[derive(Clone, Debug, Default)]
pub(super) struct Routes {
    indices: HashMap<Arc<str>, RouteIndex>,
    names: Vec<Arc<str>>,
    /// The index of the first of these names: those before it are forgotten.
    first: usize,
    /// Names that are known no more, by requests that have them still.
    n_old: usize,
}

impl Routes {
    /// All of them.
    pub(super) fn names(&self) -> &[Arc<str>] {
        &self.names
    }

    /// The route of an index, as long as that is remembered.
    pub(super) fn name(&self, index: RouteIndex) -> &str {
        let at = (index as usize).checked_sub(self.first);
        at.and_then(|at| self.names.get(at)).map_or(OTHER, AsRef::as_ref)
    }

    /// Makes room for others, if there is none: what requests under way are called is known for one more time.
    pub(super) fn make_room(&mut self) {
        if self.indices.len() < MAX_ROUTES {
            return;
        }
        self.names.drain(..self.n_old);
        self.first += self.n_old;
        self.n_old = self.names.len();
        self.indices.clear();
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.indices.contains_key(name)
    }

    pub(super) fn index_of(&mut self, request: &OpenRequest) -> RouteIndex {
        let name = format!("{} {}", request.key.method_name(), request.route_text());
        match self.indices.get(name.as_str()) {
            Some(index) => *index,
            None if self.indices.len() < MAX_ROUTES => self.push(name.into()),
            None => self.indices.get(OTHER).copied().unwrap_or_else(|| self.push(OTHER.into())),
        }
    }

    fn push(&mut self, name: Arc<str>) -> RouteIndex {
        let index = RouteIndex::try_from(self.first + self.names.len()).unwrap_or(RouteIndex::MAX);
        self.names.push(Arc::clone(&name));
        self.indices.insert(name, index);
        index
    }
}

impl OpenRequest {
    /// Its path with what is one of many folded, or its hash, if the path stays in the kernel.
    pub(super) fn route_text(&self) -> String {
        if self.is_path_hidden {
            format!("#{:016x}", self.key.path_hash)
        } else {
            route(&self.path, self.is_path_cut)
        }
    }
}

/// What connections served last that are over.
#[derive(Debug, Default)]
pub(super) struct Closed {
    whose: HashMap<u64, Whose>,
    oldest_first: VecDeque<u64>,
}

impl Closed {
    pub(super) fn insert(&mut self, connection: u64, whose: Option<Whose>) {
        let Some(whose) = whose else { return };
        if self.oldest_first.len() >= MAX_CLOSED
            && let Some(oldest) = self.oldest_first.pop_front()
        {
            self.whose.remove(&oldest);
        }
        self.whose.insert(connection, whose);
        self.oldest_first.push_back(connection);
    }

    pub(super) fn get(&self, connection: u64) -> Option<Whose> {
        self.whose.get(&connection).copied()
    }
}

#[cfg(test)]
mod tests;
