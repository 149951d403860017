//! Keys out of a file, read again when it changes.

use super::standing::{KeyFault, Standing};
use crate::identities::FileWatch;
use outrigger_identity::jwt::KeySet;
use std::collections::BTreeSet;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// One more than a key set may have: what is longer is refused as such.
const READ_BYTES_MAX: u64 = 1024 * 1024 + 1;

/// How often a file is read though nothing told of a change, as files of identities are.
const POLL_INTERVAL: Duration = Duration::from_secs(60);

/// Reads a file. Blocking.
pub(super) fn read(file: &Path) -> Result<KeySet, KeyFault> {
    let mut text = Vec::new();
    let opened = std::fs::File::open(file).map_err(KeyFault::Unreadable)?;
    opened
        .take(READ_BYTES_MAX)
        .read_to_end(&mut text)
        .map_err(KeyFault::Unreadable)?;
    Ok(KeySet::parse(&text)?)
}

/// Keeps the keys those of the file, for as long as it is polled.
pub(super) async fn keep(file: PathBuf, standing: Arc<Standing>) {
    let files = BTreeSet::from([file.clone()]);
    let mut watch = FileWatch::new();
    watch.watch(&files);
    // Whatever changed between the first reading and the watch.
    read_again(&file, &standing).await;
    loop {
        // Where the system cannot tell of changes, the time does.
        let _ = tokio::time::timeout(POLL_INTERVAL, watch.changed()).await;
        // Links may lead elsewhere now.
        watch.watch(&files);
        read_again(&file, &standing).await;
    }
}

async fn read_again(file: &Path, standing: &Standing) {
    let file = file.to_owned();
    match tokio::task::spawn_blocking(move || read(&file)).await {
        Ok(Ok(keys)) => standing.succeeded(keys),
        Ok(Err(fault)) => standing.failed(&fault),
        // The runtime ends.
        Err(_) => {}
    }
}
