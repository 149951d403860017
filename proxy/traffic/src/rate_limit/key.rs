//! Keys of tables: the values of a descriptor, so written that no two lists of values give the same key.

use aws_lc_rs::digest::{SHA256, digest};
use outrigger_config::model::defaults::DESCRIPTOR_VALUE_BYTES_MAX;
use smallvec::SmallVec;

/// In place of a value's length: its hash follows.
const HASHED: u16 = u16::MAX;

/// The values of a descriptor, one after the other. Of one that is longer than [`DESCRIPTOR_VALUE_BYTES_MAX`] the SHA-256
/// stands for it: what a key takes is bounded, and nobody finds two values that share a bucket.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Key(SmallVec<[u8; 96]>);

impl Key {
    pub(super) fn push(&mut self, value: &[u8]) {
        match u16::try_from(value.len()) {
            Ok(length) if value.len() <= DESCRIPTOR_VALUE_BYTES_MAX => {
                self.0.extend_from_slice(&length.to_be_bytes());
                self.0.extend_from_slice(value);
            }
            _ => {
                self.0.extend_from_slice(&HASHED.to_be_bytes());
                self.0.extend_from_slice(digest(&SHA256, value).as_ref());
            }
        }
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// The written value with this index in a key.
pub(super) fn part(mut key: &[u8], index: usize) -> Option<&[u8]> {
    for _ in 0..index {
        key = &key[length(key)?..];
    }
    key.get(..length(key)?)
}

/// Bytes of the first written value.
fn length(key: &[u8]) -> Option<usize> {
    let length = u16::from_be_bytes(key.get(..2)?.try_into().ok()?);
    Some(
        2 + if length == HASHED {
            SHA256.output_len()
        } else {
            length.into()
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(values: &[&[u8]]) -> Key {
        let mut key = Key::default();
        values.iter().for_each(|value| key.push(value));
        key
    }

    #[test]
    fn no_two_lists_of_values_are_one_key() {
        let long = vec![b'x'; DESCRIPTOR_VALUE_BYTES_MAX + 1];
        let mut longer = long.clone();
        longer.push(b'x');
        let lists: [&[&[u8]]; 8] = [
            &[],
            &[b""],
            &[b"", b""],
            &[b"ab"],
            &[b"a", b"b"],
            &[b"b", b"a"],
            &[&long],
            &[&longer],
        ];
        for (index, one) in lists.iter().enumerate() {
            for other in &lists[..index] {
                assert_ne!(key(one), key(other));
            }
        }
        assert!(key(&[&longer]).as_bytes().len() <= 34, "long values are bounded");
    }

    #[test]
    fn parts_are_found_again() {
        let long = vec![b'x'; 5_000];
        let whole = key(&[b"a", &long, b"", b"c"]);
        for (index, value) in [&b"a"[..], &long, b"", b"c"].into_iter().enumerate() {
            assert_eq!(
                part(whole.as_bytes(), index),
                Some(key(&[value]).as_bytes()),
                "{index}"
            );
        }
        assert_eq!(part(whole.as_bytes(), 4), None);
    }
}
