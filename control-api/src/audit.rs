//! The audit log: who did what, when, why, and which revision was in force before and after.
//!
//! Entries are numbered 1, 2, 3, … and chained: the hash of each is over all its fields and the hash of the one before.
//! So an entry that is changed, removed, added between or moved is found ([`verify()`]). What a chain by itself cannot
//! show is a log that was cut at its end, or written anew as a whole, by someone who can write to the store: for that,
//! keep its [`Head`] elsewhere from time to time (an export does) and verify against it.
//!
//! Nothing here removes entries. Revisions are dropped after a while, their entries never; [`export()`] copies the log
//! out, a line of JSON for each.

mod verify;

pub use verify::{Chain, Report, VerifyError, export, verify};

use crate::store::{Digest, Moment};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What entries tell of. Other words may be used: lower case, `noun.verb`.
pub mod action {
    /// A revision was made.
    pub const REVISION_APPENDED: &str = "revision.appended";
    /// A change was refused: it did not pass validation, or by someone who may not make it.
    pub const REVISION_REFUSED: &str = "revision.refused";
    /// A revision is given to nodes in stages.
    pub const ROLLOUT_STARTED: &str = "rollout.started";
    /// A rollout reached its next stage.
    pub const ROLLOUT_ADVANCED: &str = "rollout.advanced";
    /// A rollout stays where it is until told otherwise.
    pub const ROLLOUT_HELD: &str = "rollout.held";
    /// A rollout that was held goes on by itself again.
    pub const ROLLOUT_RESUMED: &str = "rollout.resumed";
    /// A newer revision took a rollout's place.
    pub const ROLLOUT_SUPERSEDED: &str = "rollout.superseded";
    /// All nodes have the revision.
    pub const ROLLOUT_FINISHED: &str = "rollout.finished";
    /// Nodes go back to the revision before.
    pub const ROLLOUT_REVERTED: &str = "rollout.reverted";
    /// The authority signed a certificate.
    pub const CERTIFICATE_ISSUED: &str = "certificate.issued";
    /// The authority did not sign one.
    pub const CERTIFICATE_REFUSED: &str = "certificate.refused";
    /// The authority got a signing key, or gave one up.
    pub const SIGNING_CHANGED: &str = "signing.changed";
    /// A join token was made.
    pub const JOIN_TOKEN_ISSUED: &str = "join_token.issued";
    /// A node joined by a token.
    pub const JOIN_TOKEN_USED: &str = "join_token.used";
    /// Someone was not let in.
    pub const LOGIN_REFUSED: &str = "login.refused";
}

/// An author, an action or a subject at most, in bytes; what is longer is cut, and ends in `…`.
const FIELD_BYTES_MAX: usize = 512;
/// A reason or a detail at most, in bytes; the same.
const REASON_BYTES_MAX: usize = 4_096;
/// Details of an entry at most; others are left out.
const DETAILS_MAX: usize = 16;

/// Something that is to be entered. What is too long is cut rather than refused: an entry is never skipped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    time: Moment,
    who: String,
    what: String,
    subject: String,
    why: String,
    before: Option<u64>,
    after: Option<u64>,
    details: BTreeMap<String, String>,
}

impl Event {
    /// Who (an authenticated name, or an address) did what (of [`action`]) to which thing, and when.
    pub fn new(time: Moment, who: &str, what: &str, subject: &str) -> Event {
        Event {
            time,
            who: cut(who, FIELD_BYTES_MAX),
            what: cut(what, FIELD_BYTES_MAX),
            subject: cut(subject, FIELD_BYTES_MAX),
            why: String::new(),
            before: None,
            after: None,
            details: BTreeMap::new(),
        }
    }

    /// The reason: what a person gave, or what the server found.
    #[must_use]
    pub fn why(mut self, why: &str) -> Event {
        self.why = cut(why, REASON_BYTES_MAX);
        self
    }

    /// The revisions in force before and after.
    #[must_use]
    pub fn revisions(mut self, before: u64, after: u64) -> Event {
        self.before = Some(before);
        self.after = Some(after);
        self
    }

    /// One more thing worth knowing. Never a key, token or password.
    #[must_use]
    pub fn detail(mut self, name: &str, value: impl ToString) -> Event {
        if self.details.len() < DETAILS_MAX {
            let value = cut(&value.to_string(), REASON_BYTES_MAX);
            self.details.insert(cut(name, FIELD_BYTES_MAX), value);
        }
        self
    }
}

fn cut(text: &str, bytes_max: usize) -> String {
    if text.len() <= bytes_max {
        return text.to_owned();
    }
    let room = bytes_max - '…'.len_utf8();
    let end = (0..=room).rev().find(|at| text.is_char_boundary(*at));
    format!("{}…", &text[..end.unwrap_or_default()])
}

/// An entry of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Its place in the log, from 1.
    pub sequence: u64,
    /// The same for what was written in one transaction, and for nothing else.
    pub commit: String,
    /// When it was done.
    pub time: Moment,
    /// By whom.
    pub who: String,
    /// What was done, of [`action`].
    pub what: String,
    /// To which thing.
    pub subject: String,
    /// Why; empty if nobody said.
    pub why: String,
    /// The revision in force before.
    pub before: Option<u64>,
    /// The revision in force after.
    pub after: Option<u64>,
    /// What else is worth knowing. An appended revision has its `hash` here.
    pub details: BTreeMap<String, String>,
    /// The hash of the entry before; of the first one: zeros.
    pub previous: Digest,
    /// Of all fields above.
    pub hash: Digest,
}

impl Entry {
    /// The entry that follows `head` and tells of `event`.
    pub(crate) fn following(head: &Head, commit: &str, event: Event) -> Entry {
        let mut entry = Entry {
            sequence: head.count + 1,
            commit: commit.to_owned(),
            time: event.time,
            who: event.who,
            what: event.what,
            subject: event.subject,
            why: event.why,
            before: event.before,
            after: event.after,
            details: event.details,
            previous: head.hash,
            hash: Digest::ZERO,
        };
        entry.hash = entry.computed_hash();
        entry
    }

    /// What `hash` must be.
    fn computed_hash(&self) -> Digest {
        // Destructured, so that a field that is added one day is not left out.
        let Entry {
            sequence,
            commit,
            time,
            who,
            what,
            subject,
            why,
            before,
            after,
            details,
            previous,
            hash: _,
        } = self;
        let mut hashing = crate::store::Hashing::new("outrigger audit entry 1")
            .number(*sequence)
            .field(commit.as_bytes())
            .number(time.0)
            .field(who.as_bytes())
            .field(what.as_bytes())
            .field(subject.as_bytes())
            .field(why.as_bytes())
            .optional(*before)
            .optional(*after)
            .number(details.len() as u64);
        for (name, value) in details {
            hashing = hashing.field(name.as_bytes()).field(value.as_bytes());
        }
        hashing.field(previous.as_bytes()).finish()
    }

    /// The log's head once this is its last entry.
    pub fn head(&self) -> Head {
        Head {
            count: self.sequence,
            hash: self.hash,
        }
    }
}

/// How far a log goes. Two logs with the same head are the same, entry by entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// How many entries it has.
    pub count: u64,
    /// The hash of the last one; zeros if there is none.
    pub hash: Digest,
}

impl Default for Head {
    fn default() -> Head {
        Head {
            count: 0,
            hash: Digest::ZERO,
        }
    }
}

#[cfg(test)]
mod tests;
