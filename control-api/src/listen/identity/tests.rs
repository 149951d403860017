use super::*;
use crate::settings::KeyFiles;
use rcgen::{CertificateParams, KeyPair};
use rustls::ClientConfig;
use rustls::pki_types::{CertificateDer, ServerName};
use std::net::SocketAddr;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;

/// A certificate for `localhost` and its key, in files.
fn write(directory: &Path) -> (KeyFiles, CertificateDer<'static>) {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let certificate = params.self_signed(&key).unwrap();
    let files = KeyFiles {
        certificate_file: directory.join("tls.crt"),
        private_key_file: directory.join("tls.key"),
    };
    std::fs::write(&files.certificate_file, certificate.pem()).unwrap();
    std::fs::write(&files.private_key_file, key.serialize_pem()).unwrap();
    (files, certificate.der().clone())
}

fn identity(files: KeyFiles) -> ServerIdentity {
    let settings = TlsSettings {
        certificate: ServerCertificate::Files(files),
        client_roots_file: None,
    };
    let mut identity = ServerIdentity::new(settings, None, &"mesh".parse().unwrap());
    identity.check_interval = Duration::from_millis(1);
    identity
}

/// The certificate that a handshake shows.
async fn shown(tls: &ServerTls, trusted: &CertificateDer<'static>) -> Option<CertificateDer<'static>> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address: SocketAddr = listener.local_addr().unwrap();
    let accepting = async {
        let (stream, _) = listener.accept().await.unwrap();
        tls.accept(stream).await
    };
    let connecting = async {
        let mut store = rustls::RootCertStore::empty();
        store.add(trusted.clone()).unwrap();
        let config = ClientConfig::builder_with_provider(outrigger_identity::provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(store)
            .with_no_client_auth();
        let stream = TcpStream::connect(address).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let connected = TlsConnector::from(Arc::new(config))
            .connect(name, stream)
            .await
            .ok()?;
        Some(connected.get_ref().1.peer_certificates().unwrap()[0].clone())
    };
    let (_, shown) = tokio::join!(accepting, connecting);
    shown
}

#[tokio::test]
async fn files_are_read_again_when_they_change_and_kept_when_they_break() {
    let directory = tempfile::tempdir().unwrap();
    let (files, first) = write(directory.path());
    let identity = Arc::new(identity(files.clone()));
    let tls = identity.tls(ClientCertificates::Optional).await.unwrap();
    let keeping = tokio::spawn({
        let (identity, tls) = (Arc::clone(&identity), Arc::clone(&tls));
        async move { identity.keep(vec![tls]).await }
    });
    assert_eq!(shown(&tls, &first).await.as_ref(), Some(&first));
    std::fs::write(&files.private_key_file, "half a file").unwrap();
    for _ in 0..3 {
        assert_eq!(shown(&tls, &first).await.as_ref(), Some(&first));
    }
    let (_, second) = write(directory.path());
    let renewed = async { while shown(&tls, &second).await.as_ref() != Some(&second) {} };
    tokio::time::timeout(Duration::from_secs(20), renewed)
        .await
        .unwrap();
    keeping.abort();
}

#[tokio::test]
async fn without_a_certificate_nothing_is_served() {
    let directory = tempfile::tempdir().unwrap();
    let (mut files, _) = write(directory.path());
    files.private_key_file = directory.path().join("none");
    let error = identity(files)
        .tls(ClientCertificates::Optional)
        .await
        .err()
        .unwrap()
        .to_string();
    assert!(error.contains("none: No such file"), "{error}");
    let settings = TlsSettings {
        certificate: ServerCertificate::Authority {
            dns_names: vec!["localhost".to_owned()],
            addresses: Vec::new(),
        },
        client_roots_file: None,
    };
    let identity = ServerIdentity::new(settings, None, &"mesh".parse().unwrap());
    let error = identity.tls(ClientCertificates::Optional).await.err().unwrap();
    assert!(matches!(error, ServerIdentityError::NoAuthority));
}
