//! SHA-256, as all hashes here are.

use aws_lc_rs::digest::{Context, SHA256};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

/// A SHA-256. As text: 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest([u8; 32]);

impl Digest {
    /// What stands for "nothing before": the audit log's first entry has it as its previous one.
    pub const ZERO: Digest = Digest([0; 32]);

    /// The hash of some bytes.
    pub fn of(bytes: &[u8]) -> Digest {
        let mut hashing = Context::new(&SHA256);
        hashing.update(bytes);
        finish(hashing)
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

fn finish(hashing: Context) -> Digest {
    let digest = hashing.finish();
    Digest(digest.as_ref().try_into().expect("SHA-256 has 32 bytes"))
}

/// Hashes a row of fields, so that no two rows hash alike: the length of each goes before it.
pub(crate) struct Hashing(Context);

impl Hashing {
    /// `purpose` keeps hashes of different things apart.
    pub(crate) fn new(purpose: &str) -> Hashing {
        let hashing = Hashing(Context::new(&SHA256));
        hashing.field(purpose.as_bytes())
    }

    pub(crate) fn field(mut self, bytes: &[u8]) -> Hashing {
        self.0.update(&(bytes.len() as u64).to_be_bytes());
        self.0.update(bytes);
        self
    }

    pub(crate) fn number(self, number: u64) -> Hashing {
        self.field(&number.to_be_bytes())
    }

    pub(crate) fn optional(self, number: Option<u64>) -> Hashing {
        match number {
            Some(number) => self.number(number),
            None => self.field(&[]),
        }
    }

    pub(crate) fn finish(self) -> Digest {
        finish(self.0)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// A text that is not a hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a hash is 64 lower-case hexadecimal digits")]
pub struct NotADigest;

impl FromStr for Digest {
    type Err = NotADigest;

    fn from_str(text: &str) -> Result<Digest, NotADigest> {
        let digits = text.as_bytes();
        if digits.len() != 64 {
            return Err(NotADigest);
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = value_of(pair[0])? << 4 | value_of(pair[1])?;
        }
        Ok(Digest(bytes))
    }
}

fn value_of(digit: u8) -> Result<u8, NotADigest> {
    match digit {
        b'0'..=b'9' => Ok(digit - b'0'),
        b'a'..=b'f' => Ok(digit - b'a' + 10),
        _ => Err(NotADigest),
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Digest, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_hash_reads_back() {
        let text = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(Digest::of(b"abc").to_string(), text);
        assert_eq!(text.parse(), Ok(Digest::of(b"abc")));
        assert_eq!("ABC".parse::<Digest>(), Err(NotADigest));
        assert_eq!(text.to_uppercase().parse::<Digest>(), Err(NotADigest));
    }

    #[test]
    fn fields_are_kept_apart() {
        let hash = |fields: &[&str]| {
            let hashing = Hashing::new("test");
            let all = fields.iter();
            all.fold(hashing, |hashing, field| hashing.field(field.as_bytes()))
                .finish()
        };
        assert_ne!(hash(&["ab", "c"]), hash(&["a", "bc"]));
        assert_ne!(hash(&["a", ""]), hash(&["a"]));
    }
}
