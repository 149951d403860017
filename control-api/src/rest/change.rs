//! The one way to change documents: for which revision, why, whether they are a mesh, what they touch, whether the caller
//! may; then they are a revision, or, for a dry run, a description of what they would do.

use super::call::Call;
use super::effects::effects;
use super::fault::{Fault, diagnostic, etag, rendered};
use super::{Answered, Shared};
use super::{revisions, rollouts, scope, text_diff};
use crate::access::{Action, Scope};
use crate::fleet::{Fleet, MeshRevision, NodeStatus};
use crate::rollout;
use crate::store::{Commit, DocumentChange, Documents, Draft, Revision, RevisionHead, Source};
use axum::Json;
use axum::response::{IntoResponse, Response};
use http::header;
use outrigger_config::{Diagnostic, MeshChange, MeshChangeKind};
use serde_json::{Value, json};
use std::sync::Arc;

/// A difference of one document is cut beyond this.
const DIFF_BYTES_MAX: usize = 1024 * 1024;

/// What a call says of its change.
struct Terms {
    is_trial: bool,
    reason: String,
}

impl Terms {
    /// A change must say why and for which revision; a trial need not, but what it says must hold.
    fn of(call: &Call, current: u64) -> Result<Terms, Fault> {
        let is_trial = call.flag("dry_run")?;
        match call.if_match()? {
            Some(expected) if expected != current => {
                return Err(Fault::precondition_failed(expected, current));
            }
            None if !is_trial => return Err(Fault::precondition_required(current)),
            _ => {}
        }
        let reason = match call.reason() {
            Some(reason) => reason.to_owned(),
            None if is_trial => String::new(),
            None => {
                let expected = "the parameter `reason` or the header `x-reason`: the audit log says why";
                return Err(Fault::bad_request("a change must say why it is made", expected));
            }
        };
        Ok(Terms { is_trial, reason })
    }
}

/// What was found of proposed documents.
struct Examined {
    warnings: Vec<Diagnostic>,
    /// None if the revision before cannot be loaded.
    changes: Option<Vec<MeshChange>>,
    scope: Scope,
    /// Of a trial alone.
    views: Vec<Value>,
    /// What they make.
    after: Arc<MeshRevision>,
}

/// Makes of the current documents others, by `edit`, and of these a revision.
pub(super) async fn propose(
    shared: &Shared,
    call: &Call,
    edit: impl FnOnce(&Revision) -> Result<(Documents, Source), Fault> + Send,
) -> Answered {
    let current = shared.current().await?;
    let terms = Terms::of(call, current.number())?;
    let released_by = rollouts::terms(call)?;
    let (documents, source) = edit(&current)?;
    let differing = current.documents.changes(&documents);
    if differing.is_empty() && !terms.is_trial {
        return Ok(changed(&current.head, false, &Some(Vec::new()), &[]));
    }
    let before = shared.mesh_of(current.number()).await?;
    let nodes = if terms.is_trial {
        shared.parts.fleet.register().all()
    } else {
        Vec::new()
    };
    let examining = Examining {
        fleet: Arc::clone(&shared.parts.fleet),
        current: Arc::clone(&current),
        before,
        documents: documents.clone(),
        nodes,
        is_trial: terms.is_trial,
        released_by: released_by.clone(),
    };
    let examined = shared.aside(move || examining.run()).await?;
    let examined = examined.map_err(|fault| if terms.is_trial { fault.of_trial() } else { fault })?;
    let may = match differing.is_empty() {
        // A trial of what is there already.
        true => Ok(()),
        false => shared
            .parts
            .access
            .may(call.caller(), &Action::Write(&examined.scope)),
    };
    if terms.is_trial {
        let denied = may.err().map(|denied| denied.reason().to_owned());
        return Ok(trial(current.number(), &differing, &examined, denied));
    }
    may.map_err(|denied| Fault::denied(&denied))?;
    let draft = Draft {
        author: call.who(),
        time: call.now.into(),
        reason: terms.reason,
        source,
        documents,
    };
    let mut commit = Commit::revision(current.number(), draft);
    if let Some(terms) = &released_by {
        commit = commit.record(rollout::wish(current.number() + 1, terms)?);
    }
    // Who releases it may be faster than the answer.
    let fleet = &shared.parts.fleet;
    fleet.expect(&examined.after);
    let committed = shared.parts.store.commit(commit).await;
    let committed = committed.inspect_err(|_| fleet.discard(&examined.after))?;
    let head = committed
        .revision
        .expect("a commit with a draft makes a revision");
    Ok(changed(&head, true, &examined.changes, &examined.warnings))
}

/// What is looked at off the threads that serve: it costs what all views of the mesh cost.
struct Examining {
    fleet: Arc<Fleet>,
    current: Arc<Revision>,
    before: Option<Arc<MeshRevision>>,
    documents: Documents,
    nodes: Vec<Arc<NodeStatus>>,
    is_trial: bool,
    released_by: Option<rollout::Terms>,
}

impl Examining {
    fn run(self) -> Result<Examined, Fault> {
        let before = self.before.as_deref();
        let number = self.current.number() + 1;
        let loaded = self.fleet.load(number, &self.documents);
        let after = loaded.map_err(|faults| Fault::invalid(&faults.into_vec()))?;
        check_services(self.released_by.as_ref(), &after)?;
        let changes = before.map(|before| before.mesh().changes(after.mesh()));
        let differing = self.current.documents.changes(&self.documents);
        let scope = scope::scope(changes.as_deref(), &differing);
        let views = if self.is_trial {
            effects(before, &after, &self.nodes)
        } else {
            Vec::new()
        };
        Ok(Examined {
            warnings: after.warnings().to_vec(),
            changes,
            scope,
            views,
            after,
        })
    }
}

/// A stage of a service that is not there would choose nobody.
fn check_services(terms: Option<&rollout::Terms>, after: &MeshRevision) -> Result<(), Fault> {
    let mesh = after.mesh();
    for stage in terms.map(rollout::Terms::stages).unwrap_or_default() {
        let Some(service) = stage.selection.service.as_deref() else {
            continue;
        };
        if !mesh
            .services()
            .chain(mesh.gateways())
            .any(|known| known == service)
        {
            let service = crate::access::printable(service);
            let error = format!("a stage is of `{service}`, which the mesh does not have");
            return Err(Fault::bad_request(error, "a service or gateway of the mesh"));
        }
    }
    Ok(())
}

fn changed(
    head: &RevisionHead,
    changed: bool,
    changes: &Option<Vec<MeshChange>>,
    warnings: &[Diagnostic],
) -> Response {
    let body = json!({
        "changed": changed,
        "revision": revisions::head(head),
        "changes": changes.as_deref().map(meanings),
        "warnings": warnings.iter().map(diagnostic).collect::<Vec<_>>(),
        "rendered": rendered(warnings),
    });
    ([(header::ETAG, etag(head.number))], Json(body)).into_response()
}

fn trial(
    revision: u64,
    differing: &[DocumentChange],
    examined: &Examined,
    denied: Option<String>,
) -> Response {
    let body = json!({
        "revision": revision,
        "scope": if differing.is_empty() { "nothing".to_owned() } else { examined.scope.to_string() },
        "allowed": denied.is_none(),
        "denied": denied,
        "documents": differences(differing),
        "changes": examined.changes.as_deref().map(meanings),
        "views": examined.views,
        "warnings": examined.warnings.iter().map(diagnostic).collect::<Vec<_>>(),
        "rendered": rendered(&examined.warnings),
    });
    ([(header::ETAG, etag(revision))], Json(body)).into_response()
}

/// Documents that are not the same, as JSON.
pub(super) fn differences(differing: &[DocumentChange]) -> Vec<Value> {
    let of = |change: &DocumentChange| {
        let word = match (&change.before, &change.after) {
            (None, _) => "added",
            (_, None) => "removed",
            _ => "changed",
        };
        let (before, after) = (change.before.as_deref(), change.after.as_deref());
        let diff = text_diff::unified(&change.name, before, after, DIFF_BYTES_MAX);
        json!({ "name": change.name, "change": word, "diff": diff })
    };
    differing.iter().map(of).collect()
}

/// What changes mean, as JSON.
pub(super) fn meanings(changes: &[MeshChange]) -> Vec<Value> {
    let of = |change: &MeshChange| {
        let (word, fields) = match &change.kind {
            MeshChangeKind::Added => ("added", Vec::new()),
            MeshChangeKind::Removed => ("removed", Vec::new()),
            MeshChangeKind::Changed { fields } => ("changed", fields.clone()),
        };
        json!({
            "what": change.what,
            "name": change.name,
            "namespaces": change.namespaces,
            "change": word,
            "fields": fields,
        })
    };
    changes.iter().map(of).collect()
}
