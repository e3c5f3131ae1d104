//! Certificates on both sides.

use std::{fs, path::Path};

use collector::store::path::Table;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use ureq::tls::{Certificate, ClientCert, PrivateKey, RootCerts, TlsConfig};

use super::{
    batches::otlp,
    collector::Home,
    read::{counts, rows},
};

/// Writes `NAME.pem` and `NAME.key` of an authority, for this host.
fn write(dir: &Path, name: &str, authority: &Issuer<'_, KeyPair>) {
    let key = KeyPair::generate().expect("makes a key");
    let params = CertificateParams::new(["127.0.0.1".to_owned()]).expect("has a name");
    let certificate = params.signed_by(&key, authority).expect("is signed");
    fs::write(dir.join(format!("{name}.pem")), certificate.pem()).expect("writes");
    fs::write(dir.join(format!("{name}.key")), key.serialize_pem()).expect("writes");
}

fn authority(dir: &Path, name: &str) -> Issuer<'static, KeyPair> {
    let key = KeyPair::generate().expect("makes a key");
    let mut params = CertificateParams::new([]).expect("has no name");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let certificate = params.self_signed(&key).expect("is signed");
    fs::write(dir.join(format!("{name}.pem")), certificate.pem()).expect("writes");
    Issuer::new(params, key)
}

/// The status that a sender with a certificate, or none, is answered with; none if there is no connection.
fn status(port: u16, dir: &Path, client: Option<&str>, key: &str) -> Option<u16> {
    let pem = |name: String| fs::read(dir.join(name)).expect("reads");
    let authority = Certificate::from_pem(&pem("ca.pem".to_owned())).expect("is one");
    let client = client.map(|name| {
        let certificate = Certificate::from_pem(&pem(format!("{name}.pem"))).expect("is one");
        let key = PrivateKey::from_pem(&pem(format!("{name}.key"))).expect("is one");
        ClientCert::new_with_certs(&[certificate], key)
    });
    let tls =
        TlsConfig::builder().root_certs(RootCerts::new_with_certs(&[authority])).client_cert(client).build();
    let agent: ureq::Agent = ureq::Agent::config_builder().tls_config(tls).build().into();
    let request = agent.post(format!("https://127.0.0.1:{port}/v1development/profiles"));
    let answer = request.header("Content-Type", "application/x-protobuf").send(otlp(1, key).as_slice());
    answer.ok().map(|answer| answer.status().as_u16())
}

#[test]
fn only_senders_with_a_certificate_of_the_authority_are_heard() {
    let home = Home::new("");
    let dir = home.path();
    let (ca, other) = (authority(dir, "ca"), authority(dir, "other"));
    write(dir, "server", &ca);
    write(dir, "client", &ca);
    write(dir, "stranger", &other);
    let path = |name: &str| dir.join(name);
    home.configure(&format!(
        "[tls]\ncert_file = {:?}\nkey_file = {:?}\nclient_ca_file = {:?}\n",
        path("server.pem"),
        path("server.key"),
        path("ca.pem")
    ));
    let collector = home.start();
    let port = collector.http.port();
    assert_eq!(status(port, dir, Some("client"), "a client"), Some(200));
    assert_eq!(status(port, dir, None, "nobody"), None);
    assert_eq!(status(port, dir, Some("stranger"), "a stranger"), None);
    assert_eq!(collector.get("/health").status, 200, "without TLS");
    collector.end();
    assert_eq!(counts(&rows(&home.data(), Table::Samples), "batch").len(), 1);
}
