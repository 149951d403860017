//! What the ledger needs of a database: a map of keys to bytes, of which several are changed at once.

use super::StoreError;
use tonic::async_trait;

/// The key that every commit changes: what makes of all commits one row.
pub(super) const META: &str = "meta";

/// One change of an [`Backend::apply`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Write {
    Put {
        key: String,
        value: Vec<u8>,
    },
    /// The key is there, put by [`Backend::stage`], and is to stay.
    Keep {
        key: String,
    },
    Delete {
        key: String,
    },
    /// All keys that begin so; it ends in `/`.
    DeleteAll {
        prefix: String,
    },
}

impl Write {
    pub(super) fn is_put(&self) -> bool {
        matches!(self, Write::Put { .. })
    }
}

/// Which way a scan goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    Ascending,
    Descending,
}

/// A key with its value.
pub(super) type Pair = (String, Vec<u8>);

#[async_trait]
pub(super) trait Backend: Send + Sync + 'static {
    /// `embedded` or `etcd`.
    fn kind(&self) -> &'static str;

    /// The most bytes of a value; packs are cut into chunks of this.
    fn chunk_bytes(&self) -> usize;

    /// What is wrong at present.
    fn fault(&self) -> Option<String>;

    /// The value of a key.
    async fn read(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError>;

    /// Keys from `from` to below `to`; at most `limit`.
    async fn scan(&self, from: &str, to: &str, order: Order, limit: usize) -> Result<Vec<Pair>, StoreError>;

    /// Brings values near, and gives the writes that make them last when they are applied. What is not applied goes away
    /// by itself.
    async fn stage(&self, values: Vec<Pair>) -> Result<Vec<Write>, StoreError>;

    /// Makes all writes at once if [`META`] still has this value (none: if it is not there), and says whether it had.
    async fn apply(&self, meta: Option<Vec<u8>>, writes: Vec<Write>) -> Result<bool, StoreError>;
}

/// The first key behind all that begin with a prefix that ends in `/`.
pub(super) fn end_of(prefix: &str) -> String {
    let stem = prefix.strip_suffix('/').expect("prefixes end in a slash");
    // In ASCII, `0` comes behind `/`.
    format!("{stem}0")
}
