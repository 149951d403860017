//! Certificates, authorities and revocation lists in files that change while the proxy serves: what clients and upstreams
//! see of it, what `/certs` tells, and what a fault does.

mod expiry;
mod faults;
mod load;
mod pair;
mod thousand;

use outrigger_fixtures::authority::Issued;
use outrigger_harness::Proxy;
use serde_json::Value;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// The name that clients ask for.
const NAME: &str = "a.example";

/// A directory of files that are swapped all at once, as Kubernetes swaps those of a secret: each is a link through
/// `..data`, which is a link to a directory, and is replaced.
struct Volume {
    directory: TempDir,
    versions: usize,
}

impl Volume {
    fn new(files: &[(&str, &Path)]) -> Volume {
        let directory = tempfile::tempdir().unwrap();
        let mut volume = Volume {
            directory,
            versions: 0,
        };
        volume.swap(files);
        for (name, _) in files {
            symlink(Path::new("..data").join(name), volume.path(name)).unwrap();
        }
        volume
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Copies of these files, in place of those before.
    fn swap(&mut self, files: &[(&str, &Path)]) {
        let before = self.path(&format!("..{}", self.versions));
        self.versions += 1;
        let version = format!("..{}", self.versions);
        fs::create_dir(self.path(&version)).unwrap();
        for (name, from) in files {
            fs::copy(from, self.path(&version).join(name)).unwrap();
        }
        symlink(&version, self.path("..data_tmp")).unwrap();
        fs::rename(self.path("..data_tmp"), self.path("..data")).unwrap();
        // The first version has none before it.
        let _ = fs::remove_dir_all(before);
    }
}

/// Puts a copy of a file in another's place, in one step.
fn replace(file: &Path, with: &Path) {
    let beside = file.with_extension("new");
    fs::copy(with, &beside).unwrap();
    fs::rename(beside, file).unwrap();
}

/// The files of a certificate that are not the authority's own, so that they can be replaced.
struct Pair {
    directory: TempDir,
}

impl Pair {
    fn of(issued: &Issued) -> Pair {
        let pair = Pair {
            directory: tempfile::tempdir().unwrap(),
        };
        pair.put(issued);
        pair
    }

    fn certificate(&self) -> PathBuf {
        self.directory.path().join("tls.crt")
    }

    fn key(&self) -> PathBuf {
        self.directory.path().join("tls.key")
    }

    /// The certificate first, then the key, as most tools write them.
    fn put(&self, issued: &Issued) {
        replace(&self.certificate(), &issued.certificate);
        replace(&self.key(), &issued.key);
    }

    /// Fields of a certificate, or of an identity's `files`.
    fn yaml(&self) -> String {
        format!(
            "{{ certificate_file: {}, private_key_file: {} }}",
            self.certificate().display(),
            self.key().display()
        )
    }
}

/// What `/certs` says of a certificate.
async fn certificate(proxy: &Proxy, name: &str) -> Value {
    entry(proxy, "certificates", name).await
}

async fn entry(proxy: &Proxy, list: &str, name: &str) -> Value {
    let certs = proxy.admin().json("/certs").await;
    let found = certs[list]
        .as_array()
        .unwrap()
        .iter()
        .find(|entry| entry["name"] == name);
    found.unwrap_or_else(|| panic!("no {name} in {certs:#}")).clone()
}
