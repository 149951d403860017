//! Whom is believed no more: certificate revocation lists and denied SPIFFE ids.

use crate::certificate::time_of;
use crate::credential::InputDigest;
use crate::error::{IdentityError, Place};
use crate::files::{bad_pem, read_lists};
use crate::peer::PeerIdentity;
use outrigger_config::model::{Name, Revocation, RevocationList, SpiffeId, SpiffeMatch};
use rustls_pki_types::CertificateRevocationListDer;
use rustls_pki_types::pem::PemObject;
use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;
use webpki::{CertRevocationList, OwnedCertRevocationList};
use x509_parser::prelude::FromDer;
use x509_parser::revocation_list::CertificateRevocationList;

/// Whom is believed no more. Shared by `Arc` for as long as it stays the same, so that "unchanged" is pointer equality.
#[derive(Default)]
pub struct Revocations {
    files: Vec<Arc<RevocationLists>>,
    /// Indices of all lists, the newest first.
    newest_first: Vec<(usize, usize)>,
    /// The same by the DER of their issuers' names.
    by_issuer: HashMap<Box<[u8]>, Vec<(usize, usize)>>,
    policy: RevocationPolicy,
}

#[derive(Default, Clone, PartialEq)]
struct RevocationPolicy {
    list_required: bool,
    outdated_refused: bool,
    denied_ids: HashSet<SpiffeId>,
    denied: Vec<SpiffeMatch>,
}

/// The certificate revocation lists of one source.
pub struct RevocationLists {
    source: ListSource,
    digest: InputDigest,
    lists: Vec<List>,
}

/// Where lists come from.
#[derive(Debug, Clone, PartialEq)]
enum ListSource {
    Configured(RevocationList),
    /// They came over the network, with the identity of this name.
    Identity(Name),
}

struct List {
    list: CertRevocationList<'static>,
    facts: RevocationListFacts,
    /// DER.
    issuer: Box<[u8]>,
}

/// What a certificate revocation list says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevocationListFacts {
    /// The file, if they are in one.
    pub file: Option<PathBuf>,
    /// The identity that they came with, if they came over the network.
    pub identity: Option<Name>,
    /// Whose certificates it lists, as `CN=root`.
    pub issuer: String,
    /// When it was made.
    pub this_update: SystemTime,
    /// When the next is due; none: not said.
    pub next_update: Option<SystemTime>,
    /// How many certificates it lists.
    pub revoked: usize,
}

/// Why a connection that was accepted is not acceptable any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RevocationReason {
    /// A list names the certificate, or an authority of its chain.
    Listed,
    /// Its SPIFFE id is denied.
    Denied,
    /// No list covers it, and one is required.
    NoList,
    /// The list that covers it is past its next update, and that is not allowed.
    ListOutdated,
}

impl Revocations {
    /// Reads the lists; those of `previous` whose contents are the same are kept, and `previous` itself if all are. A
    /// source at fault keeps what it had. What came with an identity is kept if `keeps` says so.
    pub(crate) fn load(
        model: &Revocation,
        previous: Option<&Arc<Revocations>>,
        keeps: &dyn Fn(&Name) -> bool,
        faults: &mut Vec<(RevocationList, IdentityError)>,
    ) -> Arc<Revocations> {
        let mut files = Vec::new();
        for source in model.lists() {
            let before = previous.and_then(|previous| previous.files.iter().find(|file| file.is_of(source)));
            match RevocationLists::load(source, before) {
                Ok(file) => files.push(file),
                Err(error) => {
                    files.extend(before.cloned());
                    faults.push((source.clone(), error));
                }
            }
        }
        let given = previous.iter().flat_map(|previous| &previous.files);
        files.extend(given.filter(|file| file.identity().is_some_and(keeps)).cloned());
        let policy = RevocationPolicy::of(model);
        if let Some(previous) = previous
            && previous.policy == policy
            && previous.files.len() == files.len()
            && previous
                .files
                .iter()
                .zip(&files)
                .all(|(old, new)| Arc::ptr_eq(old, new))
        {
            return Arc::clone(previous);
        }
        Arc::new(Revocations::new(files, policy))
    }

    fn new(files: Vec<Arc<RevocationLists>>, policy: RevocationPolicy) -> Revocations {
        let mut newest_first: Vec<(usize, usize)> = Vec::new();
        for (at, file) in files.iter().enumerate() {
            newest_first.extend((0..file.lists.len()).map(|within| (at, within)));
        }
        newest_first.sort_by_key(|&(at, within)| Reverse(files[at].lists[within].facts.this_update));
        let mut by_issuer: HashMap<Box<[u8]>, Vec<(usize, usize)>> = HashMap::new();
        for &(at, within) in &newest_first {
            let issuer = files[at].lists[within].issuer.clone();
            by_issuer.entry(issuer).or_default().push((at, within));
        }
        Revocations {
            files,
            newest_first,
            by_issuer,
            policy,
        }
    }

    /// The same with what came with an identity, in place of what had come with it before.
    pub(crate) fn with_given(
        self: &Arc<Revocations>,
        identity: &Name,
        lists: Option<&Arc<RevocationLists>>,
    ) -> Arc<Revocations> {
        let before = self.files.iter().find(|file| file.identity() == Some(identity));
        let is_same = match (before, lists) {
            (Some(before), Some(lists)) => before.digest == lists.digest,
            (before, lists) => before.is_none() && lists.is_none(),
        };
        if is_same {
            return Arc::clone(self);
        }
        let others = self.files.iter().filter(|file| file.identity() != Some(identity));
        let files = others.chain(lists).cloned().collect();
        Arc::new(Revocations::new(files, self.policy.clone()))
    }

    /// True if nobody is refused, whoever it is.
    pub fn is_empty(&self) -> bool {
        let policy = &self.policy;
        self.by_issuer.is_empty()
            && !policy.list_required
            && policy.denied_ids.is_empty()
            && policy.denied.is_empty()
    }

    /// Whether a peer whose certificate was accepted is refused now, for a connection that is open.
    ///
    /// Lists are believed as they are configured: that their issuers signed them was or will be seen at handshakes, which
    /// they make fail otherwise.
    pub fn refuses(&self, peer: &PeerIdentity, now: SystemTime) -> Option<RevocationReason> {
        if peer.spiffe_id.as_ref().is_some_and(|id| self.denies(id)) {
            return Some(RevocationReason::Denied);
        }
        let mut reason = None;
        for (issuer, serial) in peer.issued() {
            if self.lists_certificate(issuer, serial) {
                return Some(RevocationReason::Listed);
            }
            let (mut is_covered, mut is_fresh) = (false, false);
            for list in self.lists_of_issuer(issuer) {
                is_covered = true;
                is_fresh |= list.facts.next_update.is_none_or(|next| next >= now);
            }
            if is_covered && !is_fresh && self.policy.outdated_refused {
                reason = Some(RevocationReason::ListOutdated);
            }
            if !is_covered && self.policy.list_required {
                reason = reason.or(Some(RevocationReason::NoList));
            }
        }
        reason
    }

    /// True if any list under this issuer's name (DER) names this serial number (the contents of its DER), or cannot be
    /// searched.
    pub(crate) fn lists_certificate(&self, issuer: &[u8], serial: &[u8]) -> bool {
        self.lists_of_issuer(issuer)
            .any(|list| !matches!(list.list.find_serial(serial), Ok(None)))
    }

    /// The lists under this issuer's name (DER), the newest first.
    fn lists_of_issuer(&self, issuer: &[u8]) -> impl Iterator<Item = &List> {
        let lists = self.by_issuer.get(issuer).map(Vec::as_slice).unwrap_or_default();
        lists.iter().map(|&(file, list)| &self.files[file].lists[list])
    }

    /// True if there are no lists.
    pub(crate) fn is_without_lists(&self) -> bool {
        self.newest_first.is_empty()
    }

    /// True if this id is denied.
    pub fn denies(&self, id: &SpiffeId) -> bool {
        self.policy.denied_ids.contains(id) || self.policy.denied.iter().any(|denied| denied.matches(id))
    }

    /// A certificate that no list covers is refused.
    pub(crate) fn list_required(&self) -> bool {
        self.policy.list_required
    }

    /// A list past its next update makes its issuer's certificates refused.
    pub(crate) fn outdated_refused(&self) -> bool {
        self.policy.outdated_refused
    }

    /// The lists as webpki wants them: it looks at the first that speaks for a certificate, and at no other, so that
    /// the newest come first.
    pub(crate) fn lists(&self) -> impl Iterator<Item = &CertRevocationList<'static>> {
        let lists = self.newest_first.iter();
        lists.map(|&(file, list)| &self.files[file].lists[list].list)
    }

    /// What the lists say, in the order of the configuration.
    pub fn facts(&self) -> impl Iterator<Item = &RevocationListFacts> {
        self.files
            .iter()
            .flat_map(|file| file.lists.iter().map(|list| &list.facts))
    }
}

impl fmt::Debug for Revocations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Revocations")
            .field("lists", &self.lists().count())
            .field(
                "denied",
                &(self.policy.denied_ids.len() + self.policy.denied.len()),
            )
            .finish_non_exhaustive()
    }
}

impl RevocationPolicy {
    fn of(model: &Revocation) -> RevocationPolicy {
        let mut policy = RevocationPolicy {
            list_required: model.list_required(),
            outdated_refused: !model.outdated_allowed(),
            ..RevocationPolicy::default()
        };
        for denied in model.denied() {
            match denied {
                SpiffeMatch::Exact(id) => {
                    policy.denied_ids.insert(id.clone());
                }
                denied => policy.denied.push(denied.clone()),
            }
        }
        policy
    }
}

impl RevocationLists {
    /// What came with an identity, in DER; none if that is nothing.
    ///
    /// # Errors
    /// If one cannot be used.
    pub fn given(
        identity: &Name,
        lists: &[CertificateRevocationListDer<'_>],
    ) -> Result<Option<Arc<RevocationLists>>, IdentityError> {
        if lists.is_empty() {
            return Ok(None);
        }
        let source = ListSource::Identity(identity.clone());
        let digest = InputDigest::of(lists.iter().map(|list| list.as_ref()));
        RevocationLists::parse(source, lists, &Place::Given("the answer"), digest).map(Some)
    }

    fn is_of(&self, source: &RevocationList) -> bool {
        matches!(&self.source, ListSource::Configured(own) if own == source)
    }

    fn identity(&self) -> Option<&Name> {
        match &self.source {
            ListSource::Identity(name) => Some(name),
            ListSource::Configured(_) => None,
        }
    }

    fn load(
        source: &RevocationList,
        before: Option<&Arc<RevocationLists>>,
    ) -> Result<Arc<RevocationLists>, IdentityError> {
        let (contents, place) = match source {
            RevocationList::File(file) => (read_lists(file)?.to_vec(), Place::File(file.clone())),
            RevocationList::Inline(text) => (text.as_bytes().to_vec(), Place::Given("the configuration")),
        };
        let digest = InputDigest::of([contents.as_slice()]);
        if let Some(before) = before.filter(|before| before.digest == digest) {
            return Ok(Arc::clone(before));
        }
        let lists = lists_of(&contents, &place)?;
        RevocationLists::parse(ListSource::Configured(source.clone()), &lists, &place, digest)
    }

    fn parse(
        source: ListSource,
        lists: &[CertificateRevocationListDer<'_>],
        place: &Place,
        digest: InputDigest,
    ) -> Result<Arc<RevocationLists>, IdentityError> {
        let mut parsed = Vec::with_capacity(lists.len());
        for (index, der) in lists.iter().enumerate() {
            let list = List::parse(der, &source).map_err(|problem| IdentityError::BadRevocationList {
                place: place.clone(),
                position: index + 1,
                problem,
            })?;
            parsed.push(list);
        }
        Ok(Arc::new(RevocationLists {
            source,
            digest,
            lists: parsed,
        }))
    }
}

impl fmt::Debug for RevocationLists {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RevocationLists")
            .field("source", &self.source)
            .field("lists", &self.lists.len())
            .finish_non_exhaustive()
    }
}

impl List {
    fn parse(der: &CertificateRevocationListDer<'_>, source: &ListSource) -> Result<List, String> {
        let list = OwnedCertRevocationList::from_der(der).map_err(|error| error.to_string())?;
        let Ok(([], parsed)) = CertificateRevocationList::from_der(der) else {
            return Err("it cannot be parsed".to_owned());
        };
        let (file, identity) = match source {
            ListSource::Configured(RevocationList::File(file)) => (Some(file.clone()), None),
            ListSource::Configured(RevocationList::Inline(_)) => (None, None),
            ListSource::Identity(name) => (None, Some(name.clone())),
        };
        let facts = RevocationListFacts {
            file,
            identity,
            issuer: parsed.issuer().to_string(),
            this_update: time_of(parsed.last_update().timestamp()),
            next_update: parsed.next_update().map(|next| time_of(next.timestamp())),
            revoked: parsed.iter_revoked_certificates().count(),
        };
        Ok(List {
            issuer: parsed.issuer().as_raw().into(),
            list: list.into(),
            facts,
        })
    }
}

/// PEM of at least one list, or one list in DER.
fn lists_of<'a>(
    contents: &'a [u8],
    place: &Place,
) -> Result<Vec<CertificateRevocationListDer<'a>>, IdentityError> {
    let der_sequence = 0x30;
    if contents.first() == Some(&der_sequence) {
        return Ok(vec![CertificateRevocationListDer::from(contents)]);
    }
    let lists: Result<Vec<_>, _> = CertificateRevocationListDer::pem_slice_iter(contents).collect();
    let lists = lists.map_err(|error| bad_pem(place, &error))?;
    match lists.is_empty() {
        true => Err(IdentityError::NoRevocationList { place: place.clone() }),
        false => Ok(lists),
    }
}
