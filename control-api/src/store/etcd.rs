//! The store in etcd: any number of servers serve one mesh.
//!
//! What is written in one request has to stay below etcd's limits (1.5 MiB and 128 operations unless set otherwise): small
//! revisions are part of the transaction that makes them current; large ones are written before it, in chunks, under a
//! lease, which the transaction takes off them. So chunks of a writer that fails or dies go away by themselves.

mod client;
mod connection;
mod follow;
mod messages;

use super::StoreError;
use super::backend::{Backend, META, Order, Pair, Write, end_of};
use super::ledger::Ledger;
use crate::settings::EtcdSettings;
use client::{Client, Repeat};
use messages::{
    Compare, DeleteRangeRequest, Expected, LeaseGrantRequest, LeaseGrantResponse, Operation, PutRequest,
    PutResponse, RangeRequest, RangeResponse, RequestOp, TARGET_VALUE, TARGET_VERSION, TxnRequest,
    TxnResponse,
};
use parking_lot::Mutex;
use std::sync::Arc;
use tonic::async_trait;

const RANGE: &str = "/etcdserverpb.KV/Range";
const PUT: &str = "/etcdserverpb.KV/Put";
const TXN: &str = "/etcdserverpb.KV/Txn";
const LEASE_GRANT: &str = "/etcdserverpb.Lease/LeaseGrant";

/// Below etcd's 1.5 MiB a request (`--max-request-bytes`), with room for keys.
const CHUNK_BYTES: usize = 1024 * 1024;
/// Chunks up to this together go into the transaction itself, with up to 512 KiB of records and 100 KiB of others.
const INLINE_BYTES_MAX: usize = 256 * 1024;
/// Longer than a commit may take (15 seconds), with time for a large upload before it.
const STAGE_SECONDS: i64 = 120;
/// Keys of one answer.
const PAGE: usize = 64;

/// Connects to etcd, and begins a store under the prefix if there is none. Fails if no member answers.
/// `revisions_kept`: how many revisions stay, at least 1; the same for all replicas.
pub async fn open(settings: &EtcdSettings, revisions_kept: u64) -> Result<Ledger, StoreError> {
    let etcd = Arc::new(Etcd {
        client: Client::new(settings)?,
        prefix: settings.prefix.clone(),
        fault: Mutex::new(None),
    });
    let ledger = Ledger::start(etcd.clone(), revisions_kept).await?;
    let following = tokio::spawn(follow::follow(etcd, Arc::downgrade(ledger.shared())));
    ledger.shared().own(following);
    Ok(ledger)
}

struct Etcd {
    client: Client,
    prefix: String,
    fault: Mutex<Option<String>>,
}

impl Etcd {
    fn key(&self, key: &str) -> Vec<u8> {
        format!("{}{key}", self.prefix).into_bytes()
    }

    /// A range, and with it whether etcd can be read at present.
    async fn range(&self, request: RangeRequest, repeat: Repeat) -> Result<RangeResponse, StoreError> {
        let found = self.client.call("read", RANGE, request, repeat).await;
        let fault = found.as_ref().err().map(ToString::to_string);
        let mut known = self.fault.lock();
        match (&fault, &*known) {
            (Some(fault), None) => tracing::warn!(fault, "etcd cannot be read"),
            (None, Some(_)) => tracing::info!("etcd can be read again"),
            _ => {}
        }
        *known = fault;
        found
    }

    fn pair(&self, kv: messages::KeyValue) -> Result<Pair, StoreError> {
        let key = String::from_utf8(kv.key).ok();
        let key = key.as_deref().and_then(|key| key.strip_prefix(&self.prefix));
        match key {
            Some(key) => Ok((key.to_owned(), kv.value)),
            None => Err(StoreError::damaged("a key", "it does not begin with the prefix")),
        }
    }

    fn operation(&self, write: Write) -> RequestOp {
        let put = |key: String, value: Vec<u8>, ignore_value: bool| {
            Operation::Put(PutRequest {
                key: self.key(&key),
                value,
                lease: 0,
                ignore_value,
            })
        };
        let operation = match write {
            Write::Put { key, value } => put(key, value, false),
            // Takes the lease off, and so makes it last.
            Write::Keep { key } => put(key, Vec::new(), true),
            Write::Delete { key } => Operation::DeleteRange(DeleteRangeRequest {
                key: self.key(&key),
                range_end: Vec::new(),
            }),
            Write::DeleteAll { prefix } => Operation::DeleteRange(DeleteRangeRequest {
                key: self.key(&prefix),
                range_end: self.key(&end_of(&prefix)),
            }),
        };
        RequestOp {
            operation: Some(operation),
        }
    }
}

#[async_trait]
impl Backend for Etcd {
    fn kind(&self) -> &'static str {
        "etcd"
    }

    fn chunk_bytes(&self) -> usize {
        CHUNK_BYTES
    }

    fn fault(&self) -> Option<String> {
        self.fault.lock().clone()
    }

    async fn read(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let request = RangeRequest {
            key: self.key(key),
            ..RangeRequest::default()
        };
        let mut found = self.range(request, Repeat::Freely).await?;
        Ok(found.kvs.pop().map(|kv| kv.value))
    }

    async fn scan(&self, from: &str, to: &str, order: Order, limit: usize) -> Result<Vec<Pair>, StoreError> {
        let (mut from, mut to) = (self.key(from), self.key(to));
        let (mut pairs, mut revision) = (Vec::new(), 0);
        while pairs.len() < limit && from < to {
            let request = RangeRequest {
                key: from.clone(),
                range_end: to.clone(),
                limit: i64::try_from(PAGE.min(limit - pairs.len())).unwrap_or(i64::MAX),
                // All pages as of the first.
                revision,
                sort_order: match order {
                    Order::Ascending => 0,
                    Order::Descending => 2,
                },
            };
            let found = self.range(request, Repeat::Freely).await?;
            revision = found.header.map_or(0, |header| header.revision);
            let Some(last) = found.kvs.last() else { break };
            match order {
                Order::Ascending => from = [last.key.as_slice(), &[0]].concat(),
                Order::Descending => to = last.key.clone(),
            }
            for kv in found.kvs {
                pairs.push(self.pair(kv)?);
            }
            if !found.more {
                break;
            }
        }
        Ok(pairs)
    }

    async fn stage(&self, values: Vec<Pair>) -> Result<Vec<Write>, StoreError> {
        let bytes: usize = values.iter().map(|(_, value)| value.len()).sum();
        if bytes <= INLINE_BYTES_MAX {
            let values = values.into_iter();
            return Ok(values.map(|(key, value)| Write::Put { key, value }).collect());
        }
        let request = LeaseGrantRequest { ttl: STAGE_SECONDS };
        let lease: LeaseGrantResponse = self
            .client
            .call("get a lease", LEASE_GRANT, request, Repeat::Freely)
            .await?;
        if !lease.error.is_empty() {
            return Err(StoreError::unavailable("get a lease", lease.error));
        }
        let mut writes = Vec::with_capacity(values.len());
        for (key, value) in values {
            let request = PutRequest {
                key: self.key(&key),
                value,
                lease: lease.id,
                ignore_value: false,
            };
            let _: PutResponse = self
                .client
                .call("write a chunk", PUT, request, Repeat::Freely)
                .await?;
            writes.push(Write::Keep { key });
        }
        Ok(writes)
    }

    async fn apply(&self, meta: Option<Vec<u8>>, writes: Vec<Write>) -> Result<bool, StoreError> {
        let (target, expected) = match meta {
            Some(meta) => (TARGET_VALUE, Expected::Value(meta)),
            None => (TARGET_VERSION, Expected::Version(0)),
        };
        let compare = Compare {
            target,
            key: self.key(META),
            expected: Some(expected),
        };
        let request = TxnRequest {
            compare: vec![compare],
            success: writes.into_iter().map(|write| self.operation(write)).collect(),
        };
        let answer: TxnResponse = self.client.call("commit", TXN, request, Repeat::Never).await?;
        Ok(answer.succeeded)
    }
}
