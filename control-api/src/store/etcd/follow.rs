//! Learns what other replicas commit.
//!
//! The truth is always what a read gives; the watch only makes it quick. So whatever befalls a watch (the connection is
//! lost, its member hangs, etcd compacts what it would go on from), the way on is the same: read, and watch from there.

use super::Etcd;
use super::client::{Repeat, shown};
use super::messages::{RangeRequest, WatchResponse};
use crate::store::StoreError;
use crate::store::backend::META;
use crate::store::ledger::{Meta, Shared};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tonic::Streaming;

/// A watch that tells nothing for so long is checked by a read.
const SILENCE: Duration = Duration::from_secs(30);
/// Between attempts, at random up to twice this; each failure in a row doubles it, up to the most.
const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// Ends when the ledger is gone.
pub(super) async fn follow(etcd: Arc<Etcd>, ledger: Weak<Shared>) {
    let mut pause = PAUSE_MIN;
    while ledger.strong_count() > 0 {
        match follow_once(&etcd, &ledger).await {
            Ok(()) => pause = PAUSE_MIN,
            Err(reason) => {
                tracing::debug!(reason, "the watch of etcd ended");
                etcd.client.turn_away();
                pause = (pause * 2).min(PAUSE_MAX);
            }
        }
        tokio::time::sleep(pause.mul_f64(2.0 * fastrand::f64())).await;
    }
}

/// Reads, then watches until something happens to the watch.
async fn follow_once(etcd: &Etcd, ledger: &Weak<Shared>) -> Result<(), String> {
    let next = read(etcd, ledger).await.map_err(|error| error.to_string())?;
    let watch = etcd.client.watch(etcd.key(META), next).await;
    let mut watch = watch.map_err(|status| shown(&status))?;
    loop {
        match tokio::time::timeout(SILENCE, heard(&mut watch, ledger)).await {
            Ok(heard) => match heard? {
                Heard::Told => {}
                Heard::ReadAnew => return Ok(()),
            },
            Err(_) => {
                let Some(known) = ledger.upgrade().map(|ledger| ledger.known()) else {
                    return Ok(());
                };
                read(etcd, ledger).await.map_err(|error| error.to_string())?;
                if ledger.upgrade().is_some_and(|ledger| ledger.known() != known) {
                    return Err("the watch did not tell of a change".to_owned());
                }
            }
        }
    }
}

enum Heard {
    Told,
    ReadAnew,
}

async fn heard(watch: &mut Streaming<WatchResponse>, ledger: &Weak<Shared>) -> Result<Heard, String> {
    let response = match watch.message().await {
        Ok(Some(response)) => response,
        Ok(None) => return Err("etcd ended it".to_owned()),
        Err(status) => return Err(shown(&status)),
    };
    if response.canceled && response.compact_revision > 0 {
        return Ok(Heard::ReadAnew);
    }
    if response.canceled {
        return Err(response.cancel_reason);
    }
    let Some(last) = response.events.last() else {
        return Ok(Heard::Told);
    };
    let value = last.kv.as_ref().map(|kv| kv.value.as_slice());
    let (0, Some(value), Some(ledger)) = (last.kind, value, ledger.upgrade()) else {
        return Ok(Heard::ReadAnew);
    };
    let meta = Meta::parse(Some(value)).map_err(|error| error.to_string())?;
    ledger.advance(meta.position());
    Ok(Heard::Told)
}

/// Tells the ledger what is in force, and gives the revision of etcd from which a watch goes on.
async fn read(etcd: &Etcd, ledger: &Weak<Shared>) -> Result<i64, StoreError> {
    let before = ledger.upgrade().map(|ledger| ledger.known());
    let request = RangeRequest {
        key: etcd.key(META),
        ..RangeRequest::default()
    };
    let found = etcd.range(request, Repeat::Freely).await?;
    let meta = Meta::parse(found.kvs.first().map(|kv| kv.value.as_slice()))?;
    if let (Some(ledger), Some(before)) = (ledger.upgrade(), before) {
        // A read is never older than what was known before it began, unless etcd was put back to a copy.
        match meta.position().sequence < before.sequence {
            true => ledger.reset(meta.position()),
            false => ledger.advance(meta.position()),
        }
    }
    Ok(found.header.map_or(0, |header| header.revision) + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::conformance::etcd_process::EtcdProcess;
    use crate::store::etcd;
    use crate::store::{Commit, Moment, Store};

    /// Between a read and the watch from there, etcd may be compacted.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn compacted_watch_leads_to_a_read() {
        let Some(process) = EtcdProcess::start() else {
            return;
        };
        let settings = process.settings();
        let ledger = loop {
            if let Ok(ledger) = etcd::open(&settings, 10).await {
                break ledger;
            }
        };
        for _ in 0..3 {
            let event = crate::audit::Event::new(Moment(0), "test", "test.done", "x");
            ledger.commit(Commit::event(event)).await.unwrap();
        }
        process.control(&["compact", "4"]);
        let client = etcd::Client::new(&settings).unwrap();
        let weak = Arc::downgrade(ledger.shared());
        let meta = b"/outrigger/meta".to_vec();
        let mut watch = client.watch(meta.clone(), 2).await.unwrap();
        // Etcd tells first that the watch was made.
        while let Heard::Told = heard(&mut watch, &weak).await.unwrap() {}
        // From a revision that is still there, it tells of what is behind it.
        let mut watch = client.watch(meta, 4).await.unwrap();
        assert!(matches!(heard(&mut watch, &weak).await, Ok(Heard::Told)));
    }
}
