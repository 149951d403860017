//! The last good configuration on disk: what a start without a server begins with.
//!
//! One file holds the good version of every resource, but for secrets that hold private keys. It is written beside itself
//! and renamed, so that there is a whole one at every moment, and ends with a checksum over the rest, so that one that
//! was damaged is not believed.

use outrigger_config::model::Control;
use outrigger_xds::resource::{Resource, ResourceType};
use prost::Message;
use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use xxhash_rust::xxh64::xxh64;

/// The file's name in the directory.
const FILE: &str = "last-good.xds";
/// What it begins with: the format and its version.
const MAGIC: &[u8; 8] = b"ORGRXDS1";
/// Bytes of its checksum, xxHash64 of everything before, big endian.
const CHECKSUM_BYTES: usize = 8;
/// A file at most: ten times what 10,000 clusters with 100,000 endpoints take.
const FILE_BYTES_MAX: u64 = 512 * 1024 * 1024;

/// What stands in the file.
#[derive(Clone, PartialEq, Message)]
struct Contents {
    /// Seconds since 1970.
    #[prost(uint64, tag = "1")]
    written_at: u64,
    /// The node that it was for.
    #[prost(string, tag = "2")]
    node: String,
    #[prost(message, repeated, tag = "3")]
    resources: Vec<Item>,
}

#[derive(Clone, PartialEq, Message)]
struct Item {
    #[prost(string, tag = "1")]
    type_url: String,
    #[prost(string, tag = "2")]
    name: String,
    #[prost(string, tag = "3")]
    version: String,
    #[prost(bytes = "vec", tag = "4")]
    body: Vec<u8>,
}

/// The last good configuration.
#[derive(Debug)]
pub(super) struct LastGood {
    pub(super) resources: Vec<Resource>,
    pub(super) written_at: SystemTime,
}

/// Why it cannot be had.
#[derive(Debug, thiserror::Error)]
pub(super) enum LastGoodError {
    #[error("cannot read {}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{} is damaged: {what}; remove it", path.display())]
    Damaged { path: PathBuf, what: &'static str },
    #[error("{} was written for the node `{found}`, and this is `{own}`", path.display())]
    Foreign {
        path: PathBuf,
        found: String,
        own: String,
    },
}

/// What there is of an earlier life, until this one has written its own: a resource of which only a version came that
/// is refused goes on as it was then. It is read when that happens first.
#[derive(Debug)]
pub(super) struct Earlier {
    directory: PathBuf,
    node: String,
    resources: Option<HashMap<Key, Resource>>,
}

/// A resource's type and name.
pub(super) type Key = (ResourceType, Arc<str>);

impl Earlier {
    /// None if nothing is kept.
    pub(super) fn new(control: &Control) -> Option<Earlier> {
        Some(Earlier {
            directory: control.last_good().clone()?,
            node: control.node().clone(),
            resources: None,
        })
    }

    /// The versions of these that were good then, each given out once.
    pub(super) async fn take(&mut self, keys: &[Key]) -> Vec<Resource> {
        let resources = match &mut self.resources {
            Some(resources) => resources,
            None => {
                let found = load(self.directory.clone(), self.node.clone()).await;
                if let Err(error) = &found {
                    tracing::error!(%error, "the last good configuration cannot be used");
                }
                let found = found.ok().flatten().map(|found| found.resources);
                let key = |one: &Resource| (one.resource_type(), Arc::clone(one.name()));
                let resources = found.into_iter().flatten().map(|one| (key(&one), one)).collect();
                self.resources.insert(resources)
            }
        };
        keys.iter().filter_map(|key| resources.remove(key)).collect()
    }
}

/// As [`read`], where nobody waits for it.
pub(super) async fn load(directory: PathBuf, node: String) -> Result<Option<LastGood>, LastGoodError> {
    let path = directory.clone();
    tokio::task::spawn_blocking(move || read(&directory, &node))
        .await
        .unwrap_or_else(|error| {
            let source = io::Error::other(error);
            Err(LastGoodError::Read { path, source })
        })
}

/// Reads it; none if there is none.
pub(super) fn read(directory: &Path, node: &str) -> Result<Option<LastGood>, LastGoodError> {
    let path = directory.join(FILE);
    let failed = |source| LastGoodError::Read {
        path: path.clone(),
        source,
    };
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    let damaged = |what| LastGoodError::Damaged {
        path: path.clone(),
        what,
    };
    let (text, checksum) = bytes
        .split_last_chunk::<CHECKSUM_BYTES>()
        .ok_or_else(|| damaged("it is too short"))?;
    let body = text
        .strip_prefix(MAGIC)
        .ok_or_else(|| damaged("it is of another format"))?;
    if xxh64(text, 0).to_be_bytes() != *checksum {
        return Err(damaged("its checksum is wrong"));
    }
    let contents = Contents::decode(body).map_err(|_| damaged("it cannot be read"))?;
    if contents.node != node {
        let (found, own) = (contents.node, node.to_owned());
        return Err(LastGoodError::Foreign { path, found, own });
    }
    let resource = |item: Item| {
        // A type of a later version is asked for again.
        let resource_type = ResourceType::of_type_url(&item.type_url)?;
        Some(Resource::new(resource_type, item.name, item.version, item.body))
    };
    Ok(Some(LastGood {
        written_at: UNIX_EPOCH + Duration::from_secs(contents.written_at),
        resources: contents.resources.into_iter().filter_map(resource).collect(),
    }))
}

/// Writes it: whole, or not at all.
pub(super) fn write(directory: &Path, node: &str, resources: &[Resource], now: SystemTime) -> io::Result<()> {
    let item = |resource: &Resource| Item {
        type_url: resource.resource_type().type_url().to_owned(),
        name: resource.name().to_string(),
        version: resource.version().to_string(),
        body: resource.body().to_vec(),
    };
    let contents = Contents {
        written_at: now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()),
        node: node.to_owned(),
        resources: resources.iter().map(item).collect(),
    };
    let mut bytes = MAGIC.to_vec();
    // Writing to a vector does not fail.
    bytes.extend(contents.encode_to_vec());
    bytes.extend(xxh64(&bytes, 0).to_be_bytes());
    fs::create_dir_all(directory)?;
    let beside = directory.join(format!("{FILE}.{}", std::process::id()));
    // Policy is nobody else's business.
    let options = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .clone();
    let written = options.open(&beside).and_then(|mut file| {
        file.write_all(&bytes)?;
        file.sync_all()
    });
    let renamed = written.and_then(|()| fs::rename(&beside, directory.join(FILE)));
    if renamed.is_err() {
        // Nothing is left behind; if that fails, too, there is nothing to be done about it.
        let _ = fs::remove_file(&beside);
        return renamed;
    }
    File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resources() -> Vec<Resource> {
        vec![
            Resource::new(ResourceType::Cluster, "a", "7", b"one".to_vec()),
            Resource::new(ResourceType::Listener, "l", "8", b"two".to_vec()),
        ]
    }

    #[test]
    fn what_was_written_is_read_again() {
        let directory = tempfile::tempdir().unwrap();
        let below = directory.path().join("state");
        assert!(read(&below, "n").unwrap().is_none());
        let now = UNIX_EPOCH + Duration::from_secs(1_000);
        write(&below, "n", &resources(), now).unwrap();
        let found = read(&below, "n").unwrap().unwrap();
        assert_eq!((found.resources, found.written_at), (resources(), now));
        assert_eq!(
            fs::read_dir(&below).unwrap().count(),
            1,
            "nothing is left beside it"
        );
    }

    #[test]
    fn what_is_damaged_or_anothers_is_not_believed() {
        let directory = tempfile::tempdir().unwrap();
        write(directory.path(), "n", &resources(), UNIX_EPOCH).unwrap();
        assert!(matches!(
            read(directory.path(), "m"),
            Err(LastGoodError::Foreign { .. })
        ));
        let path = directory.path().join(FILE);
        let whole = fs::read(&path).unwrap();
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            fs::write(&path, &bytes).unwrap();
            assert!(
                matches!(read(directory.path(), "n"), Err(LastGoodError::Damaged { .. })),
                "{at}"
            );
            fs::write(&path, &whole[..at]).unwrap();
            assert!(
                matches!(read(directory.path(), "n"), Err(LastGoodError::Damaged { .. })),
                "{at}"
            );
        }
    }
}
