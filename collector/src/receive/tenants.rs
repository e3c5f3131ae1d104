//! Who sends, what they may, and what they have sent.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::{rate::Bucket, series::Series};
use crate::{
    limits::Limits,
    model::Batch,
    refusal::{Reason, Refusal},
};

/// Of whoever says nothing else.
const NOBODY: &str = "default";
const MAX_NAME_BYTES: usize = 128;
/// Where everybody may name a tenant, so many may be named.
const MAX_OPEN_TENANTS: usize = 1_000;

/// A tenant as it is configured.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TenantSettings {
    /// Its name.
    pub name: String,
    /// Whoever has one of these sends for it.
    pub tokens: Vec<String>,
    /// What it may send.
    pub limits: Limits,
}

/// A tenant.
#[derive(Debug)]
pub struct Tenant {
    name: String,
    limits: Limits,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    bucket: Bucket,
    series: Series,
    n_rows: u64,
    n_bytes: u64,
}

impl Tenant {
    fn new(name: &str, limits: Limits) -> Self {
        Self { name: name.to_owned(), limits, state: Mutex::default() }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it may send.
    #[must_use]
    pub const fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Series of an hour or two, rows and bytes since the start.
    #[must_use]
    pub fn sent(&self) -> (usize, u64, u64) {
        let state = self.state();
        (state.series.len(), state.n_rows, state.n_bytes)
    }

    /// Whether it may send now.
    pub(super) fn check_rate(&self, now_ns: u64) -> Result<(), Refusal> {
        let rate = self.limits.bytes_per_second;
        self.state().bucket.check(now_ns, rate).map_err(|after: Duration| {
            let what = format!("tenant {} sends more than {rate} bytes a second", self.name);
            Refusal::new(Reason::RateExceeded, what).after(after)
        })
    }

    pub(super) fn take_bytes(&self, n_bytes: usize) {
        let mut state = self.state();
        state.bucket.take(n_bytes);
        state.n_bytes = state.n_bytes.saturating_add(u64::try_from(n_bytes).unwrap_or(u64::MAX));
    }

    pub(super) fn add_rows(&self, n_rows: u64) {
        let mut state = self.state();
        state.n_rows = state.n_rows.saturating_add(n_rows);
    }

    /// Leaves out what would be one series too many; how many profiles or metrics that was.
    pub(super) fn admit_series(&self, batch: &mut Batch, now_ns: u64) -> u64 {
        let mut state = self.state();
        batch.retain(|series| state.series.admit(series, now_ns, self.limits.series))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All of them.
#[derive(Debug)]
pub struct Tenants {
    /// By the hash of a token: how long a comparison takes tells nothing about tokens.
    by_token: HashMap<[u8; 32], Arc<Tenant>>,
    configured: Vec<Arc<Tenant>>,
    /// Where nobody has a token: whoever is named.
    open: Mutex<BTreeMap<String, Arc<Tenant>>>,
    default_limits: Limits,
}

impl Tenants {
    /// Of a configuration. If nobody has a token, none is asked for.
    #[must_use]
    pub fn new(settings: &[TenantSettings], default_limits: Limits) -> Self {
        let mut by_token = HashMap::new();
        let mut configured = Vec::new();
        for settings in settings {
            let tenant = Arc::new(Tenant::new(&settings.name, settings.limits));
            for token in &settings.tokens {
                by_token.insert(*blake3::hash(token.as_bytes()).as_bytes(), Arc::clone(&tenant));
            }
            configured.push(tenant);
        }
        let mut open: BTreeMap<String, Arc<Tenant>> =
            configured.iter().map(|tenant| (tenant.name.clone(), Arc::clone(tenant))).collect();
        // It is there before somebody comes who says nothing.
        let nobody = || Arc::new(Tenant::new(NOBODY, default_limits));
        open.entry(NOBODY.to_owned()).or_insert_with(nobody);
        Self { by_token, configured, open: Mutex::new(open), default_limits }
    }

    /// Whether a token is asked for.
    #[must_use]
    pub fn needs_token(&self) -> bool {
        !self.by_token.is_empty()
    }

    /// Who sends a request with these headers.
    ///
    /// # Errors
    /// If nobody who may.
    pub fn of_headers(&self, headers: &http::HeaderMap) -> Result<Arc<Tenant>, Refusal> {
        let header = |name: &str| headers.get(name).map(http::HeaderValue::as_bytes);
        let named = match header("x-scope-orgid").map(std::str::from_utf8) {
            Some(Ok(name)) => Some(tenant_name(name)?),
            Some(Err(_)) => return Err(Refusal::new(Reason::WrongTenant, "X-Scope-OrgID is no text")),
            None => None,
        };
        if !self.needs_token() {
            return self.open(named.unwrap_or(NOBODY));
        }
        let authorization = header("authorization");
        let token = authorization.and_then(|value| {
            let (scheme, token) = value.split_at_checked(b"bearer ".len())?;
            scheme.eq_ignore_ascii_case(b"bearer ").then(|| token.trim_ascii())
        });
        let token = token.ok_or_else(|| Refusal::new(Reason::NoToken, "the request has no bearer token"))?;
        let tenant = self.by_token.get(blake3::hash(token).as_bytes());
        let tenant = tenant
            .ok_or_else(|| Refusal::new(Reason::WrongToken, "the request has a token that nobody has"))?;
        if named.is_some_and(|name| name != tenant.name) {
            return Err(Refusal::new(
                Reason::WrongTenant,
                "the token is not for the tenant of X-Scope-OrgID",
            ));
        }
        Ok(Arc::clone(tenant))
    }

    /// All that are known.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<Tenant>> {
        if self.needs_token() {
            return self.configured.clone();
        }
        self.open.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    fn open(&self, name: &str) -> Result<Arc<Tenant>, Refusal> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = open.get(name) {
            return Ok(Arc::clone(known));
        }
        if open.len() >= MAX_OPEN_TENANTS {
            let what = format!("{MAX_OPEN_TENANTS} tenants have been named already");
            return Err(Refusal::new(Reason::WrongTenant, what));
        }
        let tenant = Arc::new(Tenant::new(name, self.default_limits));
        open.insert(name.to_owned(), Arc::clone(&tenant));
        Ok(tenant)
    }
}

/// A name that a tenant may have.
///
/// # Errors
/// If it may not.
pub fn tenant_name(name: &str) -> Result<&str, Refusal> {
    let is_plain = name.bytes().all(|c| c.is_ascii_graphic() && c != b'/');
    if name.is_empty() || name.len() > MAX_NAME_BYTES || !is_plain {
        let what =
            "a tenant's name is 1 to 128 letters, digits and signs of ASCII, without a space or a slash";
        return Err(Refusal::new(Reason::WrongTenant, what));
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue, header};

    use super::*;

    fn asked(tenants: &Tenants, token: Option<&str>, named: Option<&str>) -> Result<String, &'static str> {
        let mut headers = HeaderMap::new();
        if let Some(token) = token {
            headers.insert(header::AUTHORIZATION, HeaderValue::from_str(token).expect("is a header"));
        }
        if let Some(named) = named {
            headers.insert("x-scope-orgid", HeaderValue::from_str(named).expect("is a header"));
        }
        let found = tenants.of_headers(&headers);
        found.map(|tenant| tenant.name().to_owned()).map_err(|refusal| refusal.reason.name())
    }

    #[test]
    fn without_tokens_everybody_is_who_they_say() {
        let tenants = Tenants::new(&[], Limits::default());
        assert_eq!(asked(&tenants, None, None), Ok("default".to_owned()));
        assert_eq!(asked(&tenants, Some("Bearer x"), Some("a")), Ok("a".to_owned()));
        assert_eq!(asked(&tenants, None, Some("a/../b")), Err("wrong_tenant"));
        let n_taken = (0..2_000).filter(|n| asked(&tenants, None, Some(&n.to_string())).is_ok()).count();
        assert_eq!(n_taken, MAX_OPEN_TENANTS - 2);
    }

    #[test]
    fn with_tokens_the_token_says() {
        let tenant = |name: &str, tokens: &[&str]| TenantSettings {
            name: name.to_owned(),
            tokens: tokens.iter().map(|&token| token.to_owned()).collect(),
            limits: Limits::default(),
        };
        let tenants =
            Tenants::new(&[tenant("a", &["one", "two"]), tenant("b", &["three"])], Limits::default());
        assert_eq!(asked(&tenants, Some("Bearer two"), None), Ok("a".to_owned()));
        assert_eq!(asked(&tenants, Some("bearer three"), Some("b")), Ok("b".to_owned()));
        assert_eq!(asked(&tenants, Some("Bearer three"), Some("a")), Err("wrong_tenant"));
        for token in ["Bearer four", "Bearer ", "Bearer onee"] {
            assert_eq!(asked(&tenants, Some(token), None), Err("wrong_token"), "{token}");
        }
        for token in [None, Some("one"), Some("Basic one"), Some("b")] {
            assert_eq!(asked(&tenants, token, None), Err("no_token"), "{token:?}");
        }
    }
}
