//! The certificates of the TLS scenarios: ECDSA P-256, made by `openssl` for the run.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// Files of an authority, of a server's certificate for `bench.example`, and of a client's.
#[derive(Debug, Clone)]
pub(crate) struct Certificate {
    /// Where they are.
    pub(crate) directory: PathBuf,
    /// The authority's certificate.
    pub(crate) authority: PathBuf,
    /// The server's certificate.
    pub(crate) certificate: PathBuf,
    /// Its private key.
    pub(crate) key: PathBuf,
    /// Both in one file, as HAProxy wants them.
    pub(crate) bundle: PathBuf,
    /// The client's certificate.
    pub(crate) client_certificate: PathBuf,
    /// Its private key.
    pub(crate) client_key: PathBuf,
    /// Both in one file.
    pub(crate) client_bundle: PathBuf,
}

impl Certificate {
    /// Where they are in `directory`.
    pub(crate) fn in_directory(directory: &Path) -> Self {
        Self {
            directory: directory.to_owned(),
            authority: directory.join("authority.pem"),
            certificate: directory.join("certificate.pem"),
            key: directory.join("key.pem"),
            bundle: directory.join("bundle.pem"),
            client_certificate: directory.join("client-certificate.pem"),
            client_key: directory.join("client-key.pem"),
            client_bundle: directory.join("client-bundle.pem"),
        }
    }

    /// Makes all in `directory`.
    pub(crate) fn create(directory: &Path) -> Result<Self> {
        let files = Self::in_directory(directory);
        let authority_key = directory.join("authority-key.pem");
        let extensions = [
            "basicConstraints=critical,CA:TRUE",
            "keyUsage=critical,keyCertSign,cRLSign",
        ];
        issue("authority", &extensions, &files.authority, &authority_key, None)?;
        let authority = Some((files.authority.as_path(), authority_key.as_path()));
        let extensions = [
            "basicConstraints=critical,CA:FALSE",
            "subjectAltName=DNS:bench.example,IP:127.0.0.1,URI:spiffe://bench.example/server",
        ];
        issue(
            "bench.example",
            &extensions,
            &files.certificate,
            &files.key,
            authority,
        )?;
        let extensions = [
            "basicConstraints=critical,CA:FALSE",
            "keyUsage=critical,digitalSignature",
            "subjectAltName=URI:spiffe://bench.example/client",
        ];
        issue(
            "client",
            &extensions,
            &files.client_certificate,
            &files.client_key,
            authority,
        )?;
        for (bundle, certificate, key) in [
            (&files.bundle, &files.certificate, &files.key),
            (&files.client_bundle, &files.client_certificate, &files.client_key),
        ] {
            let both = std::fs::read_to_string(certificate)? + &std::fs::read_to_string(key)?;
            std::fs::write(bundle, both).context("writing a bundle")?;
        }
        Ok(files)
    }
}

/// Makes a certificate and a key; signed by the key itself, or by an authority's.
pub(crate) fn issue(
    name: &str,
    extensions: &[&str],
    certificate: &Path,
    key: &Path,
    authority: Option<(&Path, &Path)>,
) -> Result<()> {
    let mut command = Command::new("openssl");
    command
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
        ])
        .args(["-days", "2", "-subj", &format!("/CN={name}")]);
    for extension in extensions {
        command.args(["-addext", extension]);
    }
    if let Some((certificate, key)) = authority {
        command.arg("-CA").arg(certificate).arg("-CAkey").arg(key);
    }
    let output = command
        .arg("-out")
        .arg(certificate)
        .arg("-keyout")
        .arg(key)
        .output()
        .context("running openssl")?;
    ensure!(
        output.status.success(),
        "openssl: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}
