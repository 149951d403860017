//! What every store must do, as one suite that runs over each of them.

mod contract;
mod directory;
mod embedded;
mod etcd;
pub(in crate::store) mod etcd_process;
mod place;
mod writers;

use super::{Documents, Draft, Moment, Position, Source, Store};
use crate::audit::Event;
use std::future::Future;
use std::time::Duration;

/// What is waited for at most; nothing is expected to take a tenth of it.
const PATIENCE: Duration = Duration::from_secs(60);

fn documents(all: &[(&str, &str)]) -> Documents {
    let mut documents = Documents::new();
    for (name, text) in all {
        documents.insert(*name, *text).unwrap();
    }
    documents
}

fn draft(author: &str, documents: Documents) -> Draft {
    Draft {
        author: author.to_owned(),
        time: Moment(1_700_000_000_000),
        reason: format!("{author} wants it"),
        source: Source::Api,
        documents,
    }
}

fn event(subject: &str) -> Event {
    Event::new(Moment(1), "test", "test.done", subject)
}

async fn soon<T>(what: &str, waiting: impl Future<Output = T>) -> T {
    let waited = tokio::time::timeout(PATIENCE, waiting).await;
    waited.unwrap_or_else(|_| panic!("waited in vain: {what}"))
}

/// Waits until the store tells of a position that fits.
async fn told(store: &dyn Store, what: &str, fits: impl FnMut(&Position) -> bool) -> Position {
    let mut watch = store.watch();
    let position = soon(what, watch.wait_for(fits)).await;
    *position.expect("the store is there")
}
