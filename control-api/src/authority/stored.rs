//! The authority's keys, join tokens and audit log in the mesh's store, so that servers that share it are one authority.

use super::join_token::{JoinToken, JoinTokens, JoinTokensFault};
use super::key_store::{Kept, KeyStore, KeyStoreError};
use super::report::{Audit, AuthorityEvent, Happening};
use crate::access::TokenDigest;
use crate::audit::{Event, action};
use crate::store::{Commit, Moment, Record, RecordKey, RecordWrite, Space, Store, StoreError};
use outrigger_config::Timestamp;
use outrigger_config::model::{SpiffeId, SpiffeMatch};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The record of the signing keys.
const RING: &str = "ring";
/// Join tokens at most; they are few, and used up or forgotten.
const TOKENS_MAX: usize = 10_000;
/// Records that are read at once.
const PAGE: usize = 500;

/// Everything that the authority keeps, in a store.
#[derive(Clone)]
pub struct StoredAuthority {
    store: Arc<dyn Store>,
}

impl StoredAuthority {
    /// In this store.
    pub fn new(store: Arc<dyn Store>) -> StoredAuthority {
        StoredAuthority { store }
    }
}

fn key(space: Space, id: &str) -> RecordKey {
    RecordKey::new(space, id).expect("the ids of our records are short and visible ASCII")
}

#[tonic::async_trait]
impl KeyStore for StoredAuthority {
    async fn load(&self) -> Result<Option<Kept>, KeyStoreError> {
        let record = self.store.record(&key(Space::SIGNING, RING)).await;
        let record = record.map_err(|error| failed("read", &error))?;
        Ok(record.map(|record| Kept {
            text: record.body.as_bytes().to_vec().into(),
            version: record.version,
        }))
    }

    async fn save(&self, text: &[u8], replaces: Option<u64>) -> Result<u64, KeyStoreError> {
        let write = RecordWrite::replace(key(Space::SIGNING, RING), replaces.unwrap_or(0), text);
        self.store.write(write).await.map_err(|error| match error {
            StoreError::RecordConflict { .. } => KeyStoreError::Conflict,
            error => failed("write", &error),
        })
    }
}

fn failed(what: &'static str, error: &StoreError) -> KeyStoreError {
    KeyStoreError::Failed {
        what,
        problem: error.to_string(),
    }
}

/// A join token as it is stored. Its record's id is its name; another record leads from the digest to the name, so that
/// neither is there twice.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredToken {
    digest: String,
    spiffe_id: String,
    /// The id is a prefix.
    is_prefix: bool,
    /// Seconds since 1970.
    expires: Option<u64>,
    reusable: bool,
}

impl StoredToken {
    fn of(token: &JoinToken) -> StoredToken {
        let (spiffe_id, is_prefix) = match &token.allows {
            SpiffeMatch::Exact(id) => (id.to_string(), false),
            SpiffeMatch::Prefix(id) => (id.to_string(), true),
            SpiffeMatch::TrustDomain(domain) => (format!("spiffe://{domain}"), true),
        };
        let seconds = |at: SystemTime| at.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        StoredToken {
            digest: token.digest.to_string(),
            spiffe_id,
            is_prefix,
            expires: token.expires.map(seconds),
            reusable: token.reusable,
        }
    }

    fn read(record: &Record) -> Option<JoinToken> {
        let stored: StoredToken = serde_json::from_slice(record.body.as_bytes()).ok()?;
        let id: SpiffeId = stored.spiffe_id.parse().ok()?;
        Some(JoinToken {
            name: record.key.id().strip_prefix(NAME)?.to_owned(),
            digest: stored.digest.parse().ok()?,
            allows: match stored.is_prefix {
                true => SpiffeMatch::Prefix(id),
                false => SpiffeMatch::Exact(id),
            },
            expires: match stored.expires {
                Some(seconds) => Some(UNIX_EPOCH.checked_add(Duration::from_secs(seconds))?),
                None => None,
            },
            reusable: stored.reusable,
        })
    }
}

/// What the ids of the two records of a token begin with.
const NAME: &str = "name/";
const DIGEST: &str = "digest/";

fn fault(error: StoreError) -> JoinTokensFault {
    JoinTokensFault(error.to_string())
}

fn name_key(name: &str) -> Result<RecordKey, JoinTokensFault> {
    RecordKey::new(Space::JOIN_TOKENS, format!("{NAME}{name}")).map_err(fault)
}

fn digest_key(digest: &TokenDigest) -> RecordKey {
    key(Space::JOIN_TOKENS, &format!("{DIGEST}{digest}"))
}

impl StoredAuthority {
    /// Takes a token's two records away, if both are there still.
    async fn take_away(&self, token: &JoinToken) -> Result<bool, JoinTokensFault> {
        let mut commit = Commit::default();
        for key in [name_key(&token.name)?, digest_key(&token.digest)] {
            let Some(record) = self.store.record(&key).await.map_err(fault)? else {
                return Ok(false);
            };
            commit = commit.record(RecordWrite::remove(key, record.version));
        }
        match self.store.commit(commit).await {
            Ok(_) => Ok(true),
            Err(StoreError::RecordConflict { .. }) => Ok(false),
            Err(error) => Err(fault(error)),
        }
    }

    async fn by_name(&self, name: &str) -> Result<Option<JoinToken>, JoinTokensFault> {
        let Some(record) = self.store.record(&name_key(name)?).await.map_err(fault)? else {
            return Ok(None);
        };
        let damaged = || JoinTokensFault(format!("{} cannot be read", record.key));
        StoredToken::read(&record).ok_or_else(damaged).map(Some)
    }
}

#[tonic::async_trait]
impl JoinTokens for StoredAuthority {
    async fn find(&self, digest: &TokenDigest) -> Result<Option<JoinToken>, JoinTokensFault> {
        let named = self.store.record(&digest_key(digest)).await.map_err(fault)?;
        let Some(named) = named else {
            return Ok(None);
        };
        let name = String::from_utf8_lossy(named.body.as_bytes()).into_owned();
        let found = self.by_name(&name).await?;
        Ok(found.filter(|token| token.digest == *digest))
    }

    async fn spend(&self, token: &JoinToken, _: &SpiffeId) -> Result<bool, JoinTokensFault> {
        self.take_away(token).await
    }

    async fn add(&self, token: JoinToken) -> Result<bool, JoinTokensFault> {
        if self.list().await?.len() >= TOKENS_MAX {
            let problem =
                format!("there are {TOKENS_MAX}, as many as may be; expected some to be taken back");
            return Err(JoinTokensFault(problem));
        }
        let body = serde_json::to_vec(&StoredToken::of(&token)).expect("texts and numbers can be written");
        let commit = Commit::default()
            .record(RecordWrite::create(name_key(&token.name)?, body))
            .record(RecordWrite::create(
                digest_key(&token.digest),
                token.name.as_bytes(),
            ));
        match self.store.commit(commit).await {
            Ok(_) => Ok(true),
            Err(StoreError::RecordConflict { .. }) => Ok(false),
            Err(error) => Err(fault(error)),
        }
    }

    async fn remove(&self, name: &str) -> Result<bool, JoinTokensFault> {
        match self.by_name(name).await? {
            Some(token) => self.take_away(&token).await,
            None => Ok(false),
        }
    }

    async fn list(&self) -> Result<Vec<JoinToken>, JoinTokensFault> {
        let mut tokens = Vec::new();
        let mut after: Option<String> = None;
        loop {
            let page = self.store.records(Space::JOIN_TOKENS, after.as_deref(), PAGE);
            let page = page.await.map_err(fault)?;
            tokens.extend(page.iter().filter_map(StoredToken::read));
            match page.last() {
                Some(last) if page.len() == PAGE => after = Some(last.key.id().to_owned()),
                _ => return Ok(tokens),
            }
        }
    }
}

#[tonic::async_trait]
impl Audit for StoredAuthority {
    async fn record(&self, event: &AuthorityEvent) -> Result<(), String> {
        let entered = self.store.enter(entry(event)).await;
        entered.map(drop).map_err(|error| error.to_string())
    }
}

/// What the audit log says of an event.
fn entry(event: &AuthorityEvent) -> Event {
    let at = Moment::from(event.at);
    let from = event
        .from
        .map_or("this server".to_owned(), |from| from.to_string());
    match &event.happening {
        Happening::Issued {
            id,
            serial,
            not_after,
            proof,
        } => Event::new(at, &proof.to_string(), action::CERTIFICATE_ISSUED, id.as_str())
            .detail("serial", serial)
            .detail("not_after", Timestamp(*not_after))
            .detail("proof", proof.as_str())
            .detail("from", from),
        Happening::Refused { id, reason } => {
            let subject = id.as_ref().map_or("unknown", SpiffeId::as_str);
            Event::new(at, &from, action::CERTIFICATE_REFUSED, subject).why(reason)
        }
        Happening::Rollover { step, evidence, by } => {
            let event = Event::new(at, by, action::SIGNING_CHANGED, "root").detail("step", step.as_str());
            match step.needs_evidence() {
                true => event.detail("evidence", evidence.as_str()),
                false => event,
            }
        }
        Happening::JoinToken { name, made: true, by } => Event::new(at, by, action::JOIN_TOKEN_ISSUED, name),
        Happening::JoinToken {
            name,
            made: false,
            by,
        } => Event::new(at, by, JOIN_TOKEN_REMOVED, name),
    }
}

/// A join token was taken back.
const JOIN_TOKEN_REMOVED: &str = "join_token.removed";

#[cfg(test)]
mod tests;
