//! From a whole body to an acknowledgement: rate, decoding, series, log.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{
    Encoding, Envelope, IntakeFigures, Target, Tenant, Tenants, decoded::given_key, figures::Outcome, target,
    unpack,
};
use crate::{
    clock,
    model::Key,
    random,
    refusal::{Reason, Refusal, Rejected},
    wal::{AppendError, Entry, Log, Taken},
};

/// A key that is longer says nothing more.
const MAX_KEY_BYTES: usize = 256;
/// Of zstd, for records of the log: they are read once, soon.
const LOG_LEVEL: i32 = 1;
/// How long a request waits for room; whoever sends it waits longer.
const ROOM_TIMEOUT: Duration = Duration::from_secs(5);
/// When to come again, if there was no room.
const BUSY_AFTER: Duration = Duration::from_secs(1);
/// When to come again, if the log has none.
const LOG_AFTER: Duration = Duration::from_secs(5);
/// What one permit stands for.
const PERMIT_BYTES: u64 = 1 << 10;

/// How much is worked on at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IntakeLimits {
    /// Bodies that are in memory, together.
    pub bodies_bytes: u64,
    /// Bodies that are decoded at once.
    pub decoders: usize,
}

/// Where requests come in.
#[derive(Debug)]
pub struct Intake {
    tenants: Tenants,
    log: Arc<Log>,
    figures: IntakeFigures,
    bodies: Arc<Semaphore>,
    n_permits: u32,
    decoders: Arc<Semaphore>,
}

/// A request whose body is there.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) target: Target,
    pub(super) tenant: Arc<Tenant>,
    pub(super) query: String,
    pub(super) key: Option<Vec<u8>>,
    pub(super) encoding: Encoding,
    pub(super) body: Bytes,
}

/// A request as the log takes it.
struct Prepared {
    entries: Vec<Entry>,
    rejected: Rejected,
    n_rows: u64,
}

impl Intake {
    /// Appends to a log.
    #[must_use]
    pub fn new(tenants: Tenants, log: Arc<Log>, limits: IntakeLimits) -> Self {
        let n_permits = u32::try_from(limits.bodies_bytes / PERMIT_BYTES).unwrap_or(u32::MAX).max(1);
        let n_permits = n_permits.min(u32::try_from(Semaphore::MAX_PERMITS).unwrap_or(u32::MAX));
        Self {
            tenants,
            log,
            figures: IntakeFigures::default(),
            bodies: Arc::new(Semaphore::new(usize::try_from(n_permits).unwrap_or(1))),
            n_permits,
            decoders: Arc::new(Semaphore::new(limits.decoders.max(1))),
        }
    }

    /// Who may send.
    #[must_use]
    pub const fn tenants(&self) -> &Tenants {
        &self.tenants
    }

    /// What was counted.
    #[must_use]
    pub const fn figures(&self) -> &IntakeFigures {
        &self.figures
    }

    /// Room for a body of so many bytes, before it is read.
    pub(super) async fn room(&self, n_bytes: u64) -> Result<OwnedSemaphorePermit, Refusal> {
        let n_permits =
            u32::try_from(n_bytes.div_ceil(PERMIT_BYTES)).unwrap_or(u32::MAX).clamp(1, self.n_permits);
        let room = Arc::clone(&self.bodies).acquire_many_owned(n_permits);
        match tokio::time::timeout(ROOM_TIMEOUT, room).await {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(_)) => Err(Refusal::new(Reason::Ending, "the collector ends").after(BUSY_AFTER)),
            Err(_) => Err(Refusal::new(Reason::Busy, "too much is being worked on").after(BUSY_AFTER)),
        }
    }

    /// Takes a request; returns when it is on disk. What was rejected of it is returned.
    pub(super) async fn accept(&self, request: Request) -> Result<Rejected, Refusal> {
        let target = request.target;
        let n_body_bytes = u64::try_from(request.body.len()).unwrap_or(u64::MAX);
        let tenant = Arc::clone(&request.tenant);
        tenant.check_rate(clock::monotonic_ns())?;
        let ending = || Refusal::new(Reason::Ending, "the collector ends").after(BUSY_AFTER);
        let permit = Arc::clone(&self.decoders).acquire_owned().await.map_err(|_| ending())?;
        let prepared = tokio::task::spawn_blocking(move || {
            let prepared = prepare(&request);
            drop(permit);
            prepared
        });
        let Ok(prepared) = prepared.await else {
            // Decoders do not panic; if one does, the sender shall not send the same for ever.
            return Err(Refusal::new(Reason::Internal, "the body could not be decoded"));
        };
        let Prepared { entries, rejected, n_rows } = prepared?;
        let n_batches = u64::try_from(entries.len()).unwrap_or(u64::MAX);
        let taken = if entries.is_empty() { Vec::new() } else { self.append(entries).await? };
        let n_repeated = taken.iter().filter(|taken| **taken == Taken::Known).count();
        tenant.add_rows(n_rows);
        let n_repeated = u64::try_from(n_repeated).unwrap_or(u64::MAX);
        self.figures.accepted(target, &Outcome { n_batches, n_rows, n_repeated, n_body_bytes }, &rejected);
        Ok(rejected)
    }

    async fn append(&self, entries: Vec<Entry>) -> Result<Vec<Taken>, Refusal> {
        self.log.append(entries).await.map_err(|error| {
            let reason = match &error {
                AppendError::Full { .. } => Reason::LogFull,
                AppendError::Write(_) => Reason::LogFailed,
                AppendError::Closed => Reason::Ending,
            };
            Refusal::new(reason, error.to_string()).after(LOG_AFTER)
        })
    }
}

/// All that takes CPU time.
fn prepare(request: &Request) -> Result<Prepared, Refusal> {
    let Request { target, tenant, query, key, encoding, body } = request;
    let limits = tenant.limits();
    let message = unpack(body, *encoding, limits.message_bytes)?;
    tenant.take_bytes(message.len());
    let given = match key {
        Some(key) if key.is_empty() || key.len() > MAX_KEY_BYTES => {
            return Err(Refusal::new(
                Reason::WrongKey,
                format!("the key of the request has {} bytes", key.len()),
            ));
        }
        key => key.as_ref().map(|key| given_key(tenant.name(), key)),
    };
    let random = random::bytes()
        .map_err(|error| Refusal::new(Reason::Internal, format!("no random bytes: {error}")))?;
    let received_unix_ns = clock::unix_ns();
    let envelope = Envelope {
        tenant: tenant.name(),
        received_unix_ns,
        limits,
        query,
        given,
        content: Key::of(tenant.name(), &[b"content", target.name().as_bytes(), query.as_bytes(), &message]),
        random: Key(random),
    };
    let decoded = target::decode(*target, &message, &envelope)?;
    let mut rejected = decoded.rejected;
    let mut entries = Vec::with_capacity(decoded.batches.len());
    let mut n_rows = 0_u64;
    for mut keyed in decoded.batches {
        let n_left_out = tenant.admit_series(&mut keyed.batch, received_unix_ns);
        if n_left_out > 0 {
            let what = format!("tenant {} has {} series, all it may", tenant.name(), limits.series);
            rejected.add(Refusal::new(Reason::TooManySeries, what), n_left_out);
        }
        if keyed.batch.is_empty() {
            continue;
        }
        let n_batch_rows = u32::try_from(keyed.batch.n_rows()).unwrap_or(u32::MAX);
        let content = zstd::encode_all(keyed.batch.encode().as_slice(), LOG_LEVEL)
            .map_err(|error| Refusal::new(Reason::Internal, format!("zstd failed: {error}")))?;
        n_rows = n_rows.saturating_add(u64::from(n_batch_rows));
        entries.push(Entry { key: keyed.key, n_rows: n_batch_rows, content });
    }
    Ok(Prepared { entries, rejected, n_rows })
}
