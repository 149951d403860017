//! A revision: all documents of a mesh as they were together, and who made it so.

use super::digest::{Digest, Hashing};
use super::{Moment, StoreError};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// Documents of a mesh at most. The list of their names and hashes has to fit into one request of etcd.
pub const DOCUMENTS_MAX: usize = 4_096;
/// A document's name at most, in bytes.
pub const NAME_BYTES_MAX: usize = 128;
/// A document at most: 8 MiB.
pub const DOCUMENT_BYTES_MAX: usize = 8 * 1024 * 1024;
/// All documents of a mesh at most: 32 MiB.
pub const MESH_BYTES_MAX: usize = 32 * 1024 * 1024;
/// An author at most, in bytes.
const AUTHOR_BYTES_MAX: usize = 512;
/// A reason at most, in bytes.
const REASON_BYTES_MAX: usize = 4_096;

/// One document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Document {
    pub(super) text: Arc<str>,
    pub(super) hash: Digest,
}

/// Mesh documents by name, within the limits. Cheap to clone: texts are shared.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Documents(BTreeMap<String, Document>);

impl Documents {
    /// None.
    pub fn new() -> Documents {
        Documents::default()
    }

    /// Puts a document in, in the place of one of the same name. A name is of ASCII letters, digits and `. _ - /`, as
    /// that of a file within a directory; neither it nor the text may be longer than fits.
    pub fn insert(&mut self, name: impl Into<String>, text: impl Into<Arc<str>>) -> Result<(), StoreError> {
        self.insert_hashed(name.into(), text.into(), |text| Digest::of(text.as_bytes()))
    }

    fn insert_hashed(
        &mut self,
        name: String,
        text: Arc<str>,
        hash: impl FnOnce(&str) -> Digest,
    ) -> Result<(), StoreError> {
        check_name(&name)?;
        if text.len() > DOCUMENT_BYTES_MAX {
            let reason = format!("it has {} bytes; {DOCUMENT_BYTES_MAX} are the most", text.len());
            return Err(StoreError::refused(format!("document {name}"), reason));
        }
        let replaced = self.0.get(&name).map(|document| document.text.len());
        let count = self.0.len() + usize::from(replaced.is_none());
        let bytes = self.bytes() - replaced.unwrap_or_default() + text.len();
        if count > DOCUMENTS_MAX || bytes > MESH_BYTES_MAX {
            let reason = format!(
                "{count} documents with {bytes} bytes; {DOCUMENTS_MAX} with {MESH_BYTES_MAX} are the most"
            );
            return Err(StoreError::refused("the mesh", reason));
        }
        let hash = hash(&text);
        self.0.insert(name, Document { text, hash });
        Ok(())
    }

    /// As [`Documents::insert`]; a text that is the same in `before` is shared with it.
    pub fn insert_after(
        &mut self,
        before: &Documents,
        name: impl Into<String>,
        text: impl Into<Arc<str>> + AsRef<str>,
    ) -> Result<(), StoreError> {
        let name = name.into();
        match before.0.get(&name).filter(|known| *known.text == *text.as_ref()) {
            Some(known) => {
                let hash = known.hash;
                self.insert_hashed(name, Arc::clone(&known.text), |_| hash)
            }
            None => self.insert(name, text),
        }
    }

    /// For texts that were stored, and so have been checked.
    pub(super) fn insert_stored(&mut self, name: String, document: Document) {
        self.0.insert(name, document);
    }

    pub(super) fn document(&self, name: &str) -> Option<&Document> {
        self.0.get(name)
    }

    pub(super) fn all(&self) -> impl Iterator<Item = (&String, &Document)> {
        self.0.iter()
    }

    /// Takes a document out, and says whether there was one.
    pub fn remove(&mut self, name: &str) -> bool {
        self.0.remove(name).is_some()
    }

    /// A document's text.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|document| &*document.text)
    }

    /// Names and texts, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Arc<str>)> {
        let all = self.0.iter();
        all.map(|(name, document)| (name.as_str(), &document.text))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// There are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The bytes of all texts.
    pub fn bytes(&self) -> usize {
        self.0.values().map(|document| document.text.len()).sum()
    }

    /// The same for the same names and texts, and else another.
    pub fn hash(&self) -> Digest {
        let hashing = Hashing::new("outrigger documents 1");
        let all = self.0.iter();
        let hashing = all.fold(hashing, |hashing, (name, document)| {
            hashing.field(name.as_bytes()).field(document.hash.as_bytes())
        });
        hashing.finish()
    }

    /// What is different in `newer`, by name. Cheap for what is alike.
    pub fn changes(&self, newer: &Documents) -> Vec<DocumentChange> {
        let mut names: Vec<&String> = self.0.keys().chain(newer.0.keys()).collect();
        names.sort_unstable();
        names.dedup();
        let changed = names.into_iter().filter(|name| {
            let hash = |documents: &Documents| documents.0.get(*name).map(|document| document.hash);
            hash(self) != hash(newer)
        });
        let text = |documents: &Documents, name: &String| {
            documents.0.get(name).map(|document| document.text.clone())
        };
        let changes = changed.map(|name| DocumentChange {
            name: name.clone(),
            before: text(self, name),
            after: text(newer, name),
        });
        changes.collect()
    }
}

fn check_name(name: &str) -> Result<(), StoreError> {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-/".contains(&byte);
    let is_right = (1..=NAME_BYTES_MAX).contains(&name.len())
        && name.bytes().all(is_allowed)
        && name.split('/').all(|part| !matches!(part, "" | "." | ".."));
    match is_right {
        true => Ok(()),
        false => Err(StoreError::refused(
            format!(
                "document name {:?}",
                name.chars().take(NAME_BYTES_MAX).collect::<String>()
            ),
            format!(
                "it must be 1 to {NAME_BYTES_MAX} ASCII letters, digits and `._-/`, like `shop/orders.yaml`"
            ),
        )),
    }
}

/// A document that is not the same in two revisions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DocumentChange {
    /// Its name.
    pub name: String,
    /// Its text in the older one; none if it was added.
    pub before: Option<Arc<str>>,
    /// Its text in the newer one; none if it was removed.
    pub after: Option<Arc<str>>,
}

/// What a revision was made from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// Someone's change over the API.
    Api,
    /// Going back: the documents are those of this older revision.
    Rollback {
        /// That revision.
        to: u64,
    },
    /// The contents of a watched directory.
    Directory,
    /// The server itself: what a demonstration or a first start puts in place.
    Local,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Api => f.write_str("api"),
            Source::Rollback { to } => write!(f, "rollback to {to}"),
            Source::Directory => f.write_str("directory"),
            Source::Local => f.write_str("local"),
        }
    }
}

/// A revision that is to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// Who: an authenticated name, 1 to 512 bytes.
    pub author: String,
    /// When.
    pub time: Moment,
    /// Why, as the author tells it: 1 to 4,096 bytes.
    pub reason: String,
    /// From what.
    pub source: Source,
    /// All documents, not only those that changed.
    pub documents: Documents,
}

impl Draft {
    pub(super) fn check(&self) -> Result<(), StoreError> {
        check_text("author", &self.author, AUTHOR_BYTES_MAX)?;
        check_text("reason", &self.reason, REASON_BYTES_MAX)
    }
}

fn check_text(what: &str, text: &str, bytes_max: usize) -> Result<(), StoreError> {
    match (1..=bytes_max).contains(&text.trim().len()) && text.len() <= bytes_max {
        true => Ok(()),
        false => Err(StoreError::refused(
            what,
            format!("it must have 1 to {bytes_max} bytes; it has {}", text.len()),
        )),
    }
}

/// All of a revision but its documents.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevisionHead {
    /// 1 for the first; one more than its parent's.
    pub number: u64,
    /// The revision that it was made from: the one before it.
    pub parent: u64,
    /// Who made it.
    pub author: String,
    /// When.
    pub time: Moment,
    /// Why.
    pub reason: String,
    /// From what.
    pub source: Source,
    /// Of all names and texts: [`Documents::hash`].
    pub hash: Digest,
    /// How many documents it has.
    pub documents: usize,
    /// The bytes of their texts.
    pub bytes: usize,
}

/// A revision with its documents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revision {
    /// All but the documents.
    pub head: RevisionHead,
    /// The documents.
    pub documents: Documents,
}

impl Revision {
    /// What every mesh begins with: number 0, no documents.
    pub fn empty() -> Revision {
        let documents = Documents::new();
        let head = RevisionHead {
            number: 0,
            parent: 0,
            author: "outrigger".to_owned(),
            time: Moment(0),
            reason: "a mesh begins empty".to_owned(),
            source: Source::Local,
            hash: documents.hash(),
            documents: 0,
            bytes: 0,
        };
        Revision { head, documents }
    }

    /// Its number.
    pub fn number(&self) -> u64 {
        self.head.number
    }
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
    fn hash_is_of_names_and_texts() {
        let one = documents(&[("a", "x"), ("b", "y")]);
        assert_eq!(one.hash(), documents(&[("b", "y"), ("a", "x")]).hash());
        assert_ne!(one.hash(), documents(&[("a", "y"), ("b", "x")]).hash());
        assert_ne!(one.hash(), documents(&[("a", "x")]).hash());
    }

    #[test]
    fn changes_tell_both_texts() {
        let older = documents(&[("a", "1"), ("b", "1"), ("c", "1")]);
        let newer = documents(&[("a", "1"), ("b", "2"), ("d", "1")]);
        let told: Vec<_> = older
            .changes(&newer)
            .into_iter()
            .map(|change| {
                (
                    change.name,
                    change.before.as_deref().map(str::to_owned),
                    change.after.as_deref().map(str::to_owned),
                )
            })
            .collect();
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(
            told,
            [
                ("b".to_owned(), text("1"), text("2")),
                ("c".to_owned(), text("1"), None),
                ("d".to_owned(), None, text("1")),
            ]
        );
        assert!(older.changes(&older).is_empty());
    }

    #[test]
    fn names_are_those_of_files_within() {
        let mut documents = Documents::new();
        for wrong in [
            "",
            "/etc",
            "a//b",
            "../a",
            "a/..",
            "a/./b",
            "ä",
            "a b",
            &"x".repeat(129),
        ] {
            assert!(documents.insert(wrong, "").is_err(), "{wrong:?}");
        }
        assert!(documents.insert("shop/orders.yaml", "").is_ok());
    }

    #[test]
    fn sizes_are_bounded() {
        let mut documents = Documents::new();
        let large: Arc<str> = "x".repeat(DOCUMENT_BYTES_MAX).into();
        for number in 0..4 {
            documents
                .insert(format!("{number}"), large.clone())
                .expect("fits");
        }
        let error = documents.insert("5", "x").expect_err("above the limit");
        assert!(error.to_string().starts_with("the mesh: 5 documents"), "{error}");
        let error = Documents::new()
            .insert("a", format!("{large}x"))
            .expect_err("too large");
        assert!(
            error.to_string().starts_with("document a: it has 8388609 bytes"),
            "{error}"
        );
    }
}
