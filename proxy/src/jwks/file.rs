//! Keys out of a file, read again when it changes.

use super::standing::{KeyFault, Standing};
use crate::watch::Watch;
use outrigger_identity::jwt::KeySet;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// One more than a key set may have: what is longer is refused as such.
const READ_BYTES_MAX: u64 = 1024 * 1024 + 1;

/// How often a file is read that cannot be watched.
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
    let watched = Watch::start(&file).inspect_err(
        |error| tracing::warn!(%error, file = %file.display(), "a key set's file cannot be watched: it is read once a minute"),
    );
    let mut watch = watched.ok();
    // Whatever changed between the first reading and the watch.
    read_again(&file, &standing).await;
    loop {
        match &mut watch {
            Some(watch) => watch.changed().await,
            None => tokio::time::sleep(POLL_INTERVAL).await,
        }
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
