//! The one store that an executor reads, by the name that plans have for it. No other is read, whatever a plan names: no file of
//! the host, no other bucket.

use std::sync::Arc;

use datafusion::{
    error::{DataFusionError, Result},
    execution::object_store::{ObjectStoreRegistry, ObjectStoreUrl},
};
use object_store::ObjectStore;
use query::OF_ANOTHER_STORE;
use url::Url;

use crate::refused::Refused;

/// Of a store's address in its name: for people.
const MAX_SHOWN: usize = 40;
/// Of its hash: for programs.
const HASH_DIGITS: usize = 16;

/// The name that plans have for a store, by the address that it is given by: the same at the collector and at every executor, if they
/// are given the same address.
///
/// # Errors
/// If it has none.
pub fn store_name(address: &str) -> Result<ObjectStoreUrl> {
    let address = address.trim_end_matches('/');
    let shown = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let shown: String = address.chars().map(shown).take(MAX_SHOWN).collect();
    let hash = blake3::hash(address.as_bytes()).to_hex();
    let hash = hash.get(..HASH_DIGITS).unwrap_or_default();
    ObjectStoreUrl::parse(format!("store://{}-{hash}", shown.trim_matches('-')))
}

/// One store, or none, which is what whoever only plans has.
#[derive(Debug)]
pub(crate) struct Stores {
    one: Option<(ObjectStoreUrl, Arc<dyn ObjectStore>)>,
}

impl Stores {
    pub(crate) const fn none() -> Self {
        Self { one: None }
    }

    pub(crate) const fn one(name: ObjectStoreUrl, store: Arc<dyn ObjectStore>) -> Self {
        Self { one: Some((name, store)) }
    }
}

impl ObjectStoreRegistry for Stores {
    fn register_store(&self, _url: &Url, _store: Arc<dyn ObjectStore>) -> Option<Arc<dyn ObjectStore>> {
        None
    }

    fn get_store(&self, url: &Url) -> Result<Arc<dyn ObjectStore>> {
        let Some((name, store)) = &self.one else {
            return Err(DataFusionError::Execution(format!("{url} is not read here")));
        };
        let wanted: &Url = name.as_ref();
        if (wanted.scheme(), wanted.host_str()) == (url.scheme(), url.host_str()) {
            return Ok(Arc::clone(store));
        }
        let why = format!(
            "{OF_ANOTHER_STORE}: start it with the --store of the collector, to the letter ({name} is not {url})"
        );
        Ok(Arc::new(Refused { why }))
    }
}

#[cfg(test)]
mod tests {
    use object_store::memory::InMemory;

    use super::*;

    #[test]
    fn a_store_is_named_by_its_address_and_no_other_is_read() {
        let name = store_name("s3://Profiles/prod/").expect("has a name");
        assert_eq!(name, store_name("s3://Profiles/prod").expect("has a name"));
        assert!(name.as_str().starts_with("store://s3---profiles-prod-"), "{name}");
        assert_ne!(name, store_name("s3://profiles/prod").expect("has a name"));
        assert!(store_name("").is_ok() && store_name(&"ü/".repeat(99)).is_ok());
        let stores = Stores::one(name.clone(), Arc::new(InMemory::new()));
        assert!(stores.get_store(name.as_ref()).is_ok());
        for other in ["file:///etc", "s3://Profiles/prod", "store://brazier"] {
            let other = Url::parse(other).expect("is one");
            let refused = stores.get_store(&other).expect("is one").to_string();
            assert!(refused.starts_with(OF_ANOTHER_STORE), "{other}: {refused}");
            assert!(Stores::none().get_store(&other).is_err(), "{other}");
        }
    }
}
