//! TLS of the addresses that take profiles, with certificates of senders where they are wanted.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use thiserror::Error;
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        self, RootCertStore, ServerConfig,
        crypto::ring,
        pki_types::{
            CertificateDer, PrivateKeyDer,
            pem::{self, PemObject as _},
        },
        server::{VerifierBuilderError, WebPkiClientVerifier},
    },
};

use crate::config::TlsSettings;

/// Why there is no TLS.
#[derive(Debug, Error)]
pub enum TlsError {
    /// A file cannot be read, or holds no certificate or key.
    #[error("cannot read a certificate or key from {path}")]
    Pem {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        source: pem::Error,
    },
    /// One of two files is named, and the other is not.
    #[error("tls.cert_file and tls.key_file go together")]
    Half,
    /// Certificate and key do not fit, or are not taken.
    #[error("the certificate of tls.cert_file cannot be used")]
    Certificate(#[source] rustls::Error),
    /// The authorities of senders are none.
    #[error("the authorities of tls.client_ca_file cannot be used")]
    Authorities(#[source] VerifierBuilderError),
}

/// What makes a connection one of TLS; none if nothing is configured.
///
/// # Errors
/// If files cannot be read, or do not fit.
pub(super) fn acceptor(settings: &TlsSettings) -> Result<Option<TlsAcceptor>, TlsError> {
    let (cert_file, key_file) = match (&settings.cert_file, &settings.key_file) {
        (None, None) if settings.client_ca_file.is_none() => return Ok(None),
        (Some(cert_file), Some(key_file)) => (cert_file, key_file),
        _ => return Err(TlsError::Half),
    };
    let chain = certificates(cert_file)?;
    let key = PrivateKeyDer::from_pem_file(key_file).map_err(error(key_file))?;
    let provider = Arc::new(ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Certificate)?;
    let builder = match &settings.client_ca_file {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let mut authorities = RootCertStore::empty();
            authorities.add_parsable_certificates(certificates(path)?);
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(authorities), provider);
            builder.with_client_cert_verifier(verifier.build().map_err(TlsError::Authorities)?)
        }
    };
    let mut config = builder.with_single_cert(chain, key).map_err(TlsError::Certificate)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Some(TlsAcceptor::from(Arc::new(config))))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    match found.map_err(error(path))? {
        none if none.is_empty() => Err(error(path)(pem::Error::NoItemsFound)),
        found => Ok(found),
    }
}

fn error(path: &Path) -> impl Fn(pem::Error) -> TlsError {
    move |source| TlsError::Pem { path: path.to_owned(), source }
}
