//! Where the authority's keys are kept: by whoever keeps the mesh, or in a file.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// A ring of keys at most: three roots with their chains.
const BYTES_MAX: u64 = 256 * 1024;

/// What is kept, and the version of it that is to be replaced.
pub struct Kept {
    /// A [`super::KeyRing`]'s text, with private keys.
    pub text: Zeroizing<Vec<u8>>,
    /// Which version this is; another after every change.
    pub version: u64,
}

/// What is kept cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum KeyStoreError {
    /// Somebody else has written meanwhile.
    #[error("the authority's keys were changed by another server meanwhile")]
    Conflict,
    /// It cannot be done.
    #[error("cannot {what} the authority's keys: {problem}")]
    Failed {
        /// What was tried.
        what: &'static str,
        /// Why not.
        problem: String,
    },
}

/// Keeps the authority's keys. What it is given is secret: whoever reads it is the authority.
#[tonic::async_trait]
pub trait KeyStore: Send + Sync {
    /// What is kept; none if nothing ever was.
    ///
    /// # Errors
    /// If it cannot be read.
    async fn load(&self) -> Result<Option<Kept>, KeyStoreError>;

    /// Replaces version `replaces`, none for nothing, and says which version this one is. It is there for good when this
    /// returns.
    ///
    /// # Errors
    /// [`KeyStoreError::Conflict`] if another version is there; nothing has changed then.
    async fn save(&self, text: &[u8], replaces: Option<u64>) -> Result<u64, KeyStoreError>;
}

/// A file with mode 0600, for one server.
pub struct KeyFile {
    path: PathBuf,
}

impl KeyFile {
    /// The file; its directory is made when it is first written.
    pub fn new(path: impl Into<PathBuf>) -> KeyFile {
        KeyFile { path: path.into() }
    }

    fn failed(&self, what: &'static str, error: &io::Error) -> KeyStoreError {
        KeyStoreError::Failed {
            what,
            problem: format!("{}: {error}", self.path.display()),
        }
    }

    fn read(&self) -> Result<Option<Kept>, KeyStoreError> {
        let failed = |error: io::Error| self.failed("read", &error);
        let file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        let mode = file.metadata().map_err(failed)?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            let problem = format!(
                "{} has mode {mode:03o}: others may read or replace the signing key; expected 600",
                self.path.display()
            );
            return Err(KeyStoreError::Failed {
                what: "read",
                problem,
            });
        }
        let mut text = Zeroizing::new(Vec::with_capacity(BYTES_MAX as usize));
        file.take(BYTES_MAX).read_to_end(&mut text).map_err(failed)?;
        let version = xxhash_rust::xxh64::xxh64(&text, 0);
        Ok(Some(Kept { text, version }))
    }

    fn write(&self, text: &[u8], replaces: Option<u64>) -> Result<u64, KeyStoreError> {
        let failed = |error: io::Error| self.failed("write", &error);
        if self.read()?.map(|kept| kept.version) != replaces {
            return Err(KeyStoreError::Conflict);
        }
        let directory = match self.path.parent() {
            Some(directory) if !directory.as_os_str().is_empty() => directory,
            _ => Path::new("."),
        };
        fs::create_dir_all(directory).map_err(failed)?;
        let temporary = self.path.with_extension("new");
        // What an earlier write left behind was never taken for the keys.
        match fs::remove_file(&temporary) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&temporary)
            .map_err(failed)?;
        file.write_all(text).map_err(failed)?;
        file.sync_all().map_err(failed)?;
        fs::rename(&temporary, &self.path).map_err(failed)?;
        // The name is there for good only when the directory is.
        File::open(directory)
            .and_then(|directory| directory.sync_all())
            .map_err(failed)?;
        Ok(xxhash_rust::xxh64::xxh64(text, 0))
    }
}

/// Reads and writes at once, where it is called: at start and at rollovers alone.
#[tonic::async_trait]
impl KeyStore for KeyFile {
    async fn load(&self) -> Result<Option<Kept>, KeyStoreError> {
        self.read()
    }

    async fn save(&self, text: &[u8], replaces: Option<u64>) -> Result<u64, KeyStoreError> {
        self.write(text, replaces)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_file_keeps_what_it_is_given_from_others() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("data/authority.json");
        let store = KeyFile::new(&path);
        assert!(store.load().await.unwrap().is_none());
        let first = store.save(b"one", None).await.unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let kept = store.load().await.unwrap().unwrap();
        assert_eq!((&kept.text[..], kept.version), (&b"one"[..], first));
        for stale in [None, Some(first + 1)] {
            let refused = store.save(b"two", stale).await;
            assert!(matches!(refused, Err(KeyStoreError::Conflict)));
        }
        // What a crash left behind is in nobody's way.
        fs::write(path.with_extension("new"), b"half").unwrap();
        store.save(b"two", Some(first)).await.unwrap();
        assert_eq!(&store.load().await.unwrap().unwrap().text[..], b"two");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let error = store.load().await.err().unwrap().to_string();
        assert!(
            error.contains("has mode 644") && error.contains("expected 600"),
            "{error}"
        );
    }
}
