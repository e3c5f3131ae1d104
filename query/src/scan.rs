//! One attempt at an answer: the files that it reads, remembered, so that they can be looked at if it fails.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use datafusion::{
    error::DataFusionError,
    prelude::{DataFrame, SessionContext},
};
use layout::Table;
use object_store::ObjectMeta;

use crate::{
    engine::Inner, error::Error, files::files, range::TimeRange, remote::Cluster, session, table::FileTable,
};

/// Identities in a plan that goes to a cluster: 16 MiB, of the 64 that a message may have there.
const MAX_IDS_SENT: usize = 1 << 20;

/// An attempt.
pub(crate) struct Scan {
    engine: Arc<Inner>,
    tenant: String,
    context: SessionContext,
    /// Whether plans are carried out by a cluster.
    is_remote: bool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    read: Vec<(Table, ObjectMeta)>,
    left_out: BTreeMap<&'static str, usize>,
    warnings: BTreeSet<String>,
}

impl Scan {
    /// On a cluster, or without one here.
    pub(crate) fn new(
        engine: Arc<Inner>,
        tenant: &str,
        cluster: Option<&dyn Cluster>,
    ) -> Result<Self, DataFusionError> {
        let state = session::state(Arc::clone(&engine.runtime_env), engine.limits.n_threads);
        let state = match cluster {
            Some(cluster) => cluster.session(state)?,
            None => state,
        };
        let (context, is_remote) = (SessionContext::new_with_state(state), cluster.is_some());
        Ok(Self { engine, tenant: tenant.to_owned(), context, is_remote, state: Mutex::default() })
    }

    /// The rows of a table, in the files of these times: more than those of the times.
    pub(crate) async fn table(&self, table: Table, ranges: &[TimeRange]) -> Result<DataFrame, Error> {
        Ok(self.context.read_table(Arc::new(self.provider(table, ranges).await?))?)
    }

    /// The same, to look so many identities up. These stand in the plan: one that is too large to be sent is carried out here.
    pub(crate) async fn table_of_ids(
        &self,
        table: Table,
        ranges: &[TimeRange],
        n_ids: usize,
    ) -> Result<DataFrame, Error> {
        if !self.is_remote || n_ids <= MAX_IDS_SENT {
            return self.table(table, ranges).await;
        }
        let state = session::state(Arc::clone(&self.engine.runtime_env), self.engine.limits.n_threads);
        let provider = Arc::new(self.provider(table, ranges).await?);
        Ok(SessionContext::new_with_state(state).read_table(provider)?)
    }

    /// The same, for whoever has a use for it of its own.
    pub(crate) async fn provider(&self, table: Table, ranges: &[TimeRange]) -> Result<FileTable, Error> {
        let Inner { store, prefix, limits, .. } = self.engine.as_ref();
        let mut seen = HashSet::new();
        let mut found = Vec::new();
        for &range in ranges {
            let listed = files(store.as_ref(), prefix, table, &self.tenant, range, limits.max_files).await?;
            found.extend(listed.into_iter().filter(|file| seen.insert(file.location.clone())));
        }
        let n_found = found.len();
        found.retain(|file| !self.engine.is_bad(file));
        let n_left_out = n_found.saturating_sub(found.len());
        let mut state = self.state();
        if n_left_out > 0 {
            state.left_out.insert(table.name(), n_left_out);
        }
        state.read.extend(found.iter().map(|file| (table, file.clone())));
        drop(state);
        Ok(FileTable::new(layout::schema(table), self.engine.store_url.clone(), found))
    }

    pub(crate) const fn context(&self) -> &SessionContext {
        &self.context
    }

    /// What the reader of the answer should know.
    pub(crate) fn warn(&self, warning: String) {
        self.state().warnings.insert(warning);
    }

    pub(crate) fn warnings(&self) -> Vec<String> {
        let state = self.state();
        let left_out = state.left_out.iter();
        let left_out = left_out.map(|(table, n)| {
            format!("{n} files of {table} cannot be read: the answer is without what is in them")
        });
        left_out.chain(state.warnings.iter().cloned()).collect()
    }

    /// The files that it has asked for.
    pub(crate) fn read(&self) -> Vec<(Table, ObjectMeta)> {
        self.state().read.clone()
    }

    pub(crate) fn limits(&self) -> &crate::Limits {
        &self.engine.limits
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
