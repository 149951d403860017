//! The history: its pages, what is different between two revisions, and going back.

use super::call::Call;
use super::change::{differences, meanings, propose};
use super::fault::etag;
use super::{Answered, Shared};
use crate::store::{Revision, RevisionHead, Source};
use axum::Json;
use axum::response::IntoResponse;
use http::header;
use serde_json::{Value, json};
use std::sync::Arc;

/// Revisions of a page unless told otherwise.
const PAGE: usize = 100;

/// A revision without its documents, as JSON.
pub(super) fn head(head: &RevisionHead) -> Value {
    let RevisionHead {
        number,
        parent,
        author,
        time,
        reason,
        source,
        hash,
        documents,
        bytes,
    } = head;
    json!({
        "number": number,
        "parent": parent,
        "author": author,
        "time": time.to_string(),
        "reason": reason,
        "source": source.to_string(),
        "hash": hash.to_string(),
        "documents": documents,
        "bytes": bytes,
    })
}

/// `GET /v1/revisions`
pub(super) async fn list(shared: Arc<Shared>, call: Call) -> Answered {
    let (before, limit) = (call.whole("before")?, call.limit(PAGE)?);
    let heads = shared.parts.store.history(before, limit).await?;
    // The oldest that is kept may be any number: whether there is more, the next page tells.
    let next = heads
        .last()
        .map(|head| head.number)
        .filter(|number| heads.len() == limit && *number > 1);
    let revisions: Vec<Value> = heads.iter().map(head).collect();
    Ok(Json(json!({ "revisions": revisions, "next": next })).into_response())
}

/// `GET /v1/revisions/{number}`
pub(super) async fn one(shared: Arc<Shared>, call: Call) -> Answered {
    let revision = shared.parts.store.revision(call.number("number")?).await?;
    let headers = [(header::ETAG, etag(revision.number()))];
    Ok((headers, Json(head(&revision.head))).into_response())
}

/// `GET /v1/revisions/{number}/diff/{other}`
pub(super) async fn diff(shared: Arc<Shared>, call: Call) -> Answered {
    let (from, to) = (call.number("number")?, call.number("other")?);
    let store = &shared.parts.store;
    let (one, other) = (store.revision(from).await?, store.revision(to).await?);
    let changes = match (shared.mesh_of(from).await?, shared.mesh_of(to).await?) {
        (Some(one), Some(other)) => Some(meanings(&one.mesh().changes(other.mesh()))),
        _ => None,
    };
    let comparing = move || differences(&one.documents.changes(&other.documents));
    let documents = shared.aside(comparing).await?;
    let body = json!({ "from": from, "to": to, "documents": documents, "changes": changes });
    Ok(Json(body).into_response())
}

/// `POST /v1/revisions/{number}/rollback`
pub(super) async fn roll_back(shared: Arc<Shared>, call: Call) -> Answered {
    let to = call.number("number")?;
    let older = shared.parts.store.revision(to).await?;
    let edit = |_: &Revision| Ok((older.documents.clone(), Source::Rollback { to }));
    propose(&shared, &call, edit).await
}
