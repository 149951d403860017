//! How documents of a thousand revisions are kept without keeping each a thousand times.
//!
//! A revision's changed documents lie together in one *pack*, and its *manifest* says of every document in which pack it
//! lies, and where. Unchanged documents stay where the parent's manifest says. Since revisions form a line, a pack that a
//! manifest no longer names is named by none of the later ones: so it can go when the last manifest that names it goes,
//! and nothing has to be counted.

use super::StoreError;
use super::digest::Digest;
use super::revision::{Document, Documents};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Packs that a manifest names at most: a revision that would need more gets all its documents in a new one. Bounds what
/// is read to load a revision, and the space that stale documents take.
pub(super) const PACKS_MAX: usize = 32;

/// Where the documents of a revision lie.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Manifest {
    pub(super) packs: Vec<Pack>,
    places: Vec<Place>,
}

/// Documents' texts, one behind the other, in chunks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Pack {
    pub(super) id: String,
    pub(super) chunks: usize,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Place {
    name: String,
    hash: Digest,
    /// Which of `packs`.
    pack: usize,
    /// From this byte of the pack on.
    offset: usize,
    bytes: usize,
}

/// A manifest that is to be written, and its new pack in chunks.
#[derive(Debug)]
pub(super) struct Packed {
    pub(super) manifest: Manifest,
    pub(super) chunks: Vec<Vec<u8>>,
}

/// Places documents: what is as in `parent` stays, the rest goes into a new pack of this id.
pub(super) fn pack(parent: &Manifest, documents: &Documents, id: &str, chunk_bytes: usize) -> Packed {
    let packed = pack_beside(parent, documents, id, chunk_bytes);
    match packed.manifest.packs.len() > PACKS_MAX {
        true => pack_beside(&Manifest::default(), documents, id, chunk_bytes),
        false => packed,
    }
}

fn pack_beside(parent: &Manifest, documents: &Documents, id: &str, chunk_bytes: usize) -> Packed {
    let (mut packs, mut places) = (Vec::<Pack>::new(), Vec::new());
    let mut fresh: Vec<u8> = Vec::new();
    let mut fresh_places = Vec::new();
    for (name, document) in documents.all() {
        let kept = parent.place(name).filter(|place| place.hash == document.hash);
        let Some(kept) = kept else {
            fresh_places.push(places.len());
            places.push(Place {
                name: name.clone(),
                hash: document.hash,
                pack: 0,
                offset: fresh.len(),
                bytes: document.text.len(),
            });
            fresh.extend_from_slice(document.text.as_bytes());
            continue;
        };
        let old = &parent.packs[kept.pack];
        let known = packs.iter().position(|pack| pack.id == old.id);
        let pack = known.unwrap_or_else(|| {
            packs.push(old.clone());
            packs.len() - 1
        });
        places.push(Place { pack, ..kept.clone() });
    }
    let chunks: Vec<Vec<u8>> = fresh.chunks(chunk_bytes).map(<[u8]>::to_vec).collect();
    if !fresh_places.is_empty() {
        for at in fresh_places {
            places[at].pack = packs.len();
        }
        packs.push(Pack {
            id: id.to_owned(),
            chunks: chunks.len(),
        });
    }
    Packed {
        manifest: Manifest { packs, places },
        chunks,
    }
}

impl Manifest {
    fn place(&self, name: &str) -> Option<&Place> {
        let found = self
            .places
            .binary_search_by(|place| place.name.as_str().cmp(name));
        found.ok().map(|at| &self.places[at])
    }

    /// What is wrong with a manifest that was read; it may have been written by anyone who can write to the store.
    pub(super) fn check(&self) -> Result<(), String> {
        let mut names = self.places.windows(2);
        if !names.all(|pair| pair[0].name < pair[1].name) {
            return Err("documents are not in order".to_owned());
        }
        match self.places.iter().find(|place| place.pack >= self.packs.len()) {
            Some(place) => Err(format!(
                "document {} lies in a pack that is not named",
                place.name
            )),
            None => Ok(()),
        }
    }

    /// Packs that are needed for documents that `known` does not have, by their places in `packs`.
    pub(super) fn missing(&self, known: &Documents) -> Vec<usize> {
        let missing = self
            .places
            .iter()
            .filter(|place| known_text(known, place).is_none());
        let mut packs: Vec<usize> = missing.map(|place| place.pack).collect();
        packs.sort_unstable();
        packs.dedup();
        packs
    }

    /// Packs that `later` does not name.
    pub(super) fn packs_without<'a>(&'a self, later: &'a Manifest) -> impl Iterator<Item = &'a Pack> {
        let packs = self.packs.iter();
        packs.filter(|pack| later.packs.iter().all(|other| other.id != pack.id))
    }

    /// The documents, from what is known and the packs that were [`Manifest::missing`] (in that order).
    pub(super) fn documents(
        &self,
        known: &Documents,
        missing: &[usize],
        packs: &[Vec<u8>],
    ) -> Result<Documents, StoreError> {
        let mut documents = Documents::new();
        for place in &self.places {
            let document = match known_text(known, place) {
                Some(document) => document.clone(),
                None => {
                    let at = missing.binary_search(&place.pack).ok();
                    let pack = at.and_then(|at| packs.get(at));
                    read(place, pack.map_or(&[], Vec::as_slice))?
                }
            };
            documents.insert_stored(place.name.clone(), document);
        }
        Ok(documents)
    }
}

fn known_text<'a>(known: &'a Documents, place: &Place) -> Option<&'a Document> {
    known
        .document(&place.name)
        .filter(|document| document.hash == place.hash)
}

fn read(place: &Place, pack: &[u8]) -> Result<Document, StoreError> {
    let damaged = |reason: &str| StoreError::damaged(format!("document {}", place.name), reason);
    let end = place.offset.checked_add(place.bytes);
    let bytes = end.and_then(|end| pack.get(place.offset..end));
    let bytes = bytes.ok_or_else(|| damaged("its pack is too short"))?;
    if Digest::of(bytes) != place.hash {
        return Err(damaged("its text has another hash"));
    }
    let text = std::str::from_utf8(bytes).map_err(|_| damaged("it is not UTF-8"))?;
    Ok(Document {
        text: Arc::from(text),
        hash: place.hash,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn documents(all: &[(&str, &str)]) -> Documents {
        let mut documents = Documents::new();
        for (name, text) in all {
            documents.insert(*name, *text).expect("fits");
        }
        documents
    }

    #[test]
    fn only_what_changed_is_packed() {
        let first = pack(
            &Manifest::default(),
            &documents(&[("a", "1"), ("b", "22")]),
            "p1",
            2,
        );
        assert_eq!(first.chunks, [b"12".to_vec(), b"2".to_vec()]);
        let newer = documents(&[("a", "1"), ("b", "3"), ("c", "")]);
        let second = pack(&first.manifest, &newer, "p2", 2);
        assert_eq!(second.chunks, [b"3".to_vec()]);
        assert_eq!(second.manifest.packs.len(), 2);
        let known = documents(&[("b", "3"), ("c", "")]);
        let missing = second.manifest.missing(&known);
        let read = second
            .manifest
            .documents(&known, &missing, &[b"122".to_vec()])
            .expect("fits");
        assert_eq!(read, newer);
        let third = pack(&second.manifest, &documents(&[("b", "3")]), "p3", 2);
        assert!(third.chunks.is_empty());
        let gone: Vec<&Pack> = second.manifest.packs_without(&third.manifest).collect();
        assert_eq!(gone, [&first.manifest.packs[0]]);
    }

    #[test]
    fn packs_are_bounded() {
        let mut documents = Documents::new();
        let mut manifest = Manifest::default();
        for number in 0..100 {
            documents.insert(format!("{number:03}"), "x").expect("fits");
            let packed = pack(&manifest, &documents, &format!("p{number}"), 1024);
            manifest = packed.manifest;
            assert!((1..=PACKS_MAX).contains(&manifest.packs.len()));
            manifest.check().expect("fits");
        }
    }

    #[test]
    fn damage_is_found() {
        let packed = pack(&Manifest::default(), &documents(&[("a", "text")]), "p1", 100);
        for wrong in [&b"tExt"[..], b"tex", b""] {
            let read = packed
                .manifest
                .documents(&Documents::new(), &[0], &[wrong.to_vec()]);
            assert!(matches!(read, Err(StoreError::Damaged { .. })), "{wrong:?}");
        }
    }
}
