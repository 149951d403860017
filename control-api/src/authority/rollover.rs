//! From one root to the next, so that nobody ever meets a certificate whose root it does not know.
//!
//! A new key is **prepared**: it exists, and nobody knows of it. Its root is **distributed** beside the old one: both are in
//! the bundle, the old key signs. Only when every node has both does the new key **sign**; the old key is destroyed, its
//! root is **superseded** and stays in the bundle for as long as certificates by it hold; then it is **retired**. Every
//! step that needs the one before to have reached everybody asks for evidence: that so much time has passed, that every
//! live node says so itself, or somebody's word that all have acknowledged.
//!
//! A pure state machine: time is handed in, keys too; whoever holds a [`KeyRing`] keeps it.

use super::signer::SignerPem;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use zeroize::Zeroizing;

/// How far a root has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Its key exists; nobody knows of it.
    Prepared,
    /// It is in the bundle; its key does not sign yet.
    Distributed,
    /// Its key signs.
    Signing,
    /// It is in the bundle still; its key signs no more, and is gone.
    Superseded,
}

/// What is to happen next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// A new key is made, or taken.
    Prepare,
    /// Its root goes into the bundle.
    Distribute,
    /// It signs from now on.
    Sign,
    /// The old root leaves the bundle.
    Retire,
    /// The new key is given up, before it has ever signed.
    Cancel,
}

impl Step {
    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Step::Prepare => "prepare",
            Step::Distribute => "distribute",
            Step::Sign => "sign",
            Step::Retire => "retire",
            Step::Cancel => "cancel",
        }
    }
}

impl Step {
    /// The step before must have reached everybody.
    pub fn needs_evidence(self) -> bool {
        matches!(self, Step::Sign | Step::Retire)
    }
}

/// How it is known that the step before has reached everybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Evidence {
    /// Enough time has passed: the longest that a certificate holds, within which everybody has renewed once.
    Time,
    /// Every live node has said so itself: that it believes the new root. It is no evidence for [`Step::Retire`].
    Nodes,
    /// Somebody's word that every node has acknowledged it; for [`Step::Retire`] that every node shows a certificate by
    /// the new root.
    Acknowledged,
}

impl Evidence {
    /// As the audit log says it.
    pub fn as_str(self) -> &'static str {
        match self {
            Evidence::Time => "time",
            Evidence::Nodes => "nodes",
            Evidence::Acknowledged => "word",
        }
    }
}

/// How long each step waits for the one before, where time is the evidence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waits {
    /// From [`Step::Distribute`] to [`Step::Sign`].
    pub distribution: Duration,
    /// From [`Step::Sign`] to [`Step::Retire`].
    pub retirement: Duration,
}

/// Why a step is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RolloverRefusal {
    /// Another rollover is under way.
    #[error("a rollover is under way; expected it to be finished or cancelled before the next is prepared")]
    UnderWay,
    /// The step has no such root to act on.
    #[error("there is no root that is {}; expected `{}` before", phase_text(*.0), step_before(*.0).as_str())]
    Missing(Phase),
    /// The step before may not have reached everybody.
    #[error(
        "the step before may not have reached every node: {} s remain, unless all have acknowledged",
        left.as_secs()
    )]
    TooEarly {
        /// How long until time alone is evidence.
        left: Duration,
    },
    /// The old root vouches for certificates still.
    #[error("a rollover whose key has signed cannot be cancelled; expected another rollover")]
    HasSigned,
}

fn phase_text(phase: Phase) -> &'static str {
    match phase {
        Phase::Prepared => "prepared",
        Phase::Distributed => "distributed",
        Phase::Signing => "signing",
        Phase::Superseded => "superseded",
    }
}

fn step_before(phase: Phase) -> Step {
    match phase {
        Phase::Prepared => Step::Prepare,
        Phase::Distributed => Step::Distribute,
        Phase::Signing | Phase::Superseded => Step::Sign,
    }
}

/// One root, with its key for as long as that is needed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    phase: Phase,
    /// Since when it is in this phase; seconds since 1970.
    since: u64,
    /// PEM, the signing certificate first, the root last.
    chain: String,
    /// PEM; none once it signs no more.
    private_key: Option<PrivateKey>,
}

/// A key's PEM, overwritten when it goes.
#[derive(Clone, PartialEq, Eq)]
struct PrivateKey(Zeroizing<String>);

impl Serialize for PrivateKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for PrivateKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<PrivateKey, D::Error> {
        String::deserialize(deserializer).map(|pem| PrivateKey(Zeroizing::new(pem)))
    }
}

/// What may be shown of a root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RootState<'r> {
    /// How far it has come.
    pub phase: Phase,
    /// Since when.
    pub since: SystemTime,
    /// PEM, the root last.
    pub chain: &'r str,
}

/// All roots with their keys. Exactly one signs.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyRing {
    /// Of this text's form.
    version: u32,
    roots: Vec<Entry>,
}

/// The form of a ring's text.
const VERSION: u32 = 1;

impl KeyRing {
    /// A ring of one key, which signs.
    pub fn new(signer: SignerPem, now: SystemTime) -> KeyRing {
        KeyRing {
            version: VERSION,
            roots: vec![Entry::new(Phase::Signing, signer, now)],
        }
    }

    /// Reads what [`KeyRing::to_text`] wrote; none if it is something else, or no one key signs.
    pub fn parse(text: &[u8]) -> Option<KeyRing> {
        let ring: KeyRing = serde_json::from_slice(text).ok()?;
        let count = |phase| ring.roots.iter().filter(|root| root.phase == phase).count();
        let has_keys = ring
            .roots
            .iter()
            .all(|root| (root.phase == Phase::Superseded) == root.private_key.is_none());
        let next = count(Phase::Prepared) + count(Phase::Distributed);
        let is_sound = ring.version == VERSION && count(Phase::Signing) == 1 && next <= 1 && has_keys;
        is_sound.then_some(ring)
    }

    /// The whole ring with its private keys, as it is kept.
    pub fn to_text(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(serde_json::to_vec(self).expect("texts and numbers can be written"))
    }

    /// What may be shown of its roots.
    pub fn roots(&self) -> impl Iterator<Item = RootState<'_>> {
        self.roots.iter().map(|root| RootState {
            phase: root.phase,
            since: UNIX_EPOCH + Duration::from_secs(root.since),
            chain: &root.chain,
        })
    }

    /// The key that signs.
    pub fn signer(&self) -> SignerPem {
        let root = self.of(Phase::Signing).expect("exactly one root signs, always");
        SignerPem {
            chain: root.chain.clone(),
            private_key: root.private_key.clone().expect("what signs has its key").0,
        }
    }

    /// Takes a new key.
    ///
    /// # Errors
    /// If another rollover is under way: from its preparation to the retirement of the old root.
    pub fn prepare(&self, signer: SignerPem, now: SystemTime) -> Result<KeyRing, RolloverRefusal> {
        if self.roots.len() > 1 {
            return Err(RolloverRefusal::UnderWay);
        }
        let mut next = self.clone();
        next.roots.push(Entry::new(Phase::Prepared, signer, now));
        Ok(next)
    }

    /// Takes any step but [`Step::Prepare`], which needs a key; that is refused as under way.
    ///
    /// # Errors
    /// If it is not this step's turn, or the one before may not have reached everybody.
    pub fn advance(
        &self,
        step: Step,
        evidence: Evidence,
        waits: Waits,
        now: SystemTime,
    ) -> Result<KeyRing, RolloverRefusal> {
        let mut next = self.clone();
        match step {
            Step::Prepare => return Err(RolloverRefusal::UnderWay),
            Step::Distribute => next.enter(Phase::Prepared, Phase::Distributed, now)?,
            Step::Sign => {
                self.check_reached(Phase::Distributed, evidence, waits.distribution, now)?;
                next.enter(Phase::Signing, Phase::Superseded, now)?;
                next.enter(Phase::Distributed, Phase::Signing, now)?;
            }
            Step::Retire => {
                self.check_reached(Phase::Superseded, evidence, waits.retirement, now)?;
                next.roots.retain(|root| root.phase != Phase::Superseded);
            }
            Step::Cancel => {
                let is_new = |root: &Entry| matches!(root.phase, Phase::Prepared | Phase::Distributed);
                if !self.roots.iter().any(is_new) {
                    return Err(match self.of(Phase::Superseded) {
                        Some(_) => RolloverRefusal::HasSigned,
                        None => RolloverRefusal::Missing(Phase::Prepared),
                    });
                }
                next.roots.retain(|root| !is_new(root));
            }
        }
        Ok(next)
    }

    fn of(&self, phase: Phase) -> Option<&Entry> {
        self.roots.iter().find(|root| root.phase == phase)
    }

    fn enter(&mut self, from: Phase, to: Phase, now: SystemTime) -> Result<(), RolloverRefusal> {
        let root = self.roots.iter_mut().find(|root| root.phase == from);
        let root = root.ok_or(RolloverRefusal::Missing(from))?;
        root.phase = to;
        root.since = seconds(now);
        if to == Phase::Superseded {
            root.private_key = None;
        }
        Ok(())
    }

    fn check_reached(
        &self,
        phase: Phase,
        evidence: Evidence,
        wait: Duration,
        now: SystemTime,
    ) -> Result<(), RolloverRefusal> {
        let root = self.of(phase).ok_or(RolloverRefusal::Missing(phase))?;
        // A clock that was stepped back shows no time to have passed.
        let passed = Duration::from_secs(seconds(now).saturating_sub(root.since));
        match evidence {
            Evidence::Acknowledged => Ok(()),
            Evidence::Nodes if phase == Phase::Distributed => Ok(()),
            Evidence::Nodes | Evidence::Time if passed >= wait => Ok(()),
            Evidence::Nodes | Evidence::Time => Err(RolloverRefusal::TooEarly { left: wait - passed }),
        }
    }
}

impl std::fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let phases: Vec<Phase> = self.roots.iter().map(|root| root.phase).collect();
        f.debug_struct("KeyRing").field("roots", &phases).finish()
    }
}

impl Entry {
    fn new(phase: Phase, signer: SignerPem, now: SystemTime) -> Entry {
        Entry {
            phase,
            since: seconds(now),
            chain: signer.chain,
            private_key: Some(PrivateKey(signer.private_key)),
        }
    }
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests;
