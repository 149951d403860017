//! Small records that replicas share: the state of rollouts, signing keys, join tokens.

use super::StoreError;
use std::fmt;
use zeroize::Zeroizing;

/// A record's body at most: 512 KiB, so that a commit with one fits etcd's limit of 1.5 MiB a request.
pub const RECORD_BYTES_MAX: usize = 512 * 1024;
/// A record's id at most, in bytes.
const ID_BYTES_MAX: usize = 200;

/// A kind of records, by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Space {
    name: &'static str,
    secret: bool,
}

impl Space {
    /// Releases of a revision in stages, by id; JSON.
    pub const ROLLOUTS: Space = Space::shared("rollouts");
    /// What the certificate authority signs with. Secret.
    pub const SIGNING: Space = Space::secret("signing");
    /// Tokens that nodes join with, by id: hashes only.
    pub const JOIN_TOKENS: Space = Space::shared("join_tokens");

    /// A space whose records may be shown. A name is of lower-case letters and underscores.
    pub const fn shared(name: &'static str) -> Space {
        Space { name, secret: false }
    }

    /// A space whose records no interface shows.
    pub const fn secret(name: &'static str) -> Space {
        Space { name, secret: true }
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        self.name
    }

    /// Its records are never shown: not by REST, not in logs, not in an export.
    pub fn is_secret(self) -> bool {
        self.secret
    }
}

/// Which record.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordKey {
    space: Space,
    id: String,
}

impl RecordKey {
    /// An id is of 1 to 200 visible ASCII characters; others are refused.
    pub fn new(space: Space, id: impl Into<String>) -> Result<RecordKey, StoreError> {
        let id = id.into();
        let is_right =
            (1..=ID_BYTES_MAX).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic());
        match is_right {
            true => Ok(RecordKey { space, id }),
            false => Err(StoreError::refused(
                format!("the id of a record of {}", space.name),
                format!("it must be 1 to {ID_BYTES_MAX} visible ASCII characters"),
            )),
        }
    }

    /// Its kind.
    pub fn space(&self) -> Space {
        self.space
    }

    /// Its name within the space.
    pub fn id(&self) -> &str {
        &self.id
    }
}

impl fmt::Display for RecordKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.space.name, self.id)
    }
}

/// A record's bytes: wiped from memory when dropped, and never printed, whatever they are.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Body(Zeroizing<Vec<u8>>);

impl Body {
    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl From<Vec<u8>> for Body {
    fn from(bytes: Vec<u8>) -> Body {
        Body(Zeroizing::new(bytes))
    }
}

impl From<&[u8]> for Body {
    fn from(bytes: &[u8]) -> Body {
        Body::from(bytes.to_vec())
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

/// A record as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Which.
    pub key: RecordKey,
    /// Greater with each write, of this and of all records; never used twice, also after a removal.
    pub version: u64,
    /// What it holds.
    pub body: Body,
}

/// A change of one record, if it has the version that the writer believes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordWrite {
    pub(super) key: RecordKey,
    pub(super) expected: u64,
    /// None to remove it.
    pub(super) body: Option<Body>,
}

impl RecordWrite {
    /// A new record: there must be none of this key.
    pub fn create(key: RecordKey, body: impl Into<Body>) -> RecordWrite {
        RecordWrite::replace(key, 0, body)
    }

    /// Another body for a record of this version (0: there must be none).
    pub fn replace(key: RecordKey, version: u64, body: impl Into<Body>) -> RecordWrite {
        RecordWrite {
            key,
            expected: version,
            body: Some(body.into()),
        }
    }

    /// Away with a record of this version.
    pub fn remove(key: RecordKey, version: u64) -> RecordWrite {
        RecordWrite {
            key,
            expected: version,
            body: None,
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.body.as_ref().map_or(0, |body| body.as_bytes().len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn body_is_never_printed() {
        let key = RecordKey::new(Space::SIGNING, "root").expect("fits");
        let write = RecordWrite::create(key, b"private key".as_slice());
        let shown = format!("{write:?}");
        assert!(
            shown.contains("11 bytes") && !shown.contains("private"),
            "{shown}"
        );
    }

    #[test]
    fn ids_are_bounded() {
        for wrong in ["", "a b", "\n", "ü", &"x".repeat(ID_BYTES_MAX + 1)] {
            assert!(RecordKey::new(Space::ROLLOUTS, wrong).is_err(), "{wrong:?}");
        }
        let key = RecordKey::new(Space::ROLLOUTS, "a/b").expect("fits");
        assert_eq!(key.to_string(), "rollouts/a/b");
    }
}
