//! The certificate of the TLS scenarios: ECDSA P-256, made by `openssl` for the run.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// Files of a self-signed certificate for `bench.example`.
#[derive(Debug, Clone)]
pub(crate) struct Certificate {
    /// The certificate.
    pub(crate) certificate: PathBuf,
    /// Its private key.
    pub(crate) key: PathBuf,
    /// Both in one file, as HAProxy wants them.
    pub(crate) bundle: PathBuf,
}

impl Certificate {
    /// Makes one in `directory`.
    pub(crate) fn create(directory: &Path) -> Result<Self> {
        let files = Self {
            certificate: directory.join("certificate.pem"),
            key: directory.join("key.pem"),
            bundle: directory.join("bundle.pem"),
        };
        let output = Command::new("openssl")
            .args([
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:prime256v1",
                "-nodes",
            ])
            .args(["-days", "2", "-subj", "/CN=bench.example"])
            .args(["-addext", "subjectAltName=DNS:bench.example,IP:127.0.0.1"])
            .args(["-addext", "basicConstraints=critical,CA:FALSE"])
            .arg("-out")
            .arg(&files.certificate)
            .arg("-keyout")
            .arg(&files.key)
            .output()
            .context("running openssl")?;
        ensure!(
            output.status.success(),
            "openssl: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        let both = std::fs::read_to_string(&files.certificate)? + &std::fs::read_to_string(&files.key)?;
        std::fs::write(&files.bundle, both).context("writing the bundle")?;
        Ok(files)
    }
}
