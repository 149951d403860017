//! Documents: reading them, and putting them in and taking them out, one by one or all at once.

use super::call::Call;
use super::change::propose;
use super::fault::{Fault, etag};
use super::routes::YAML;
use super::{Answered, Shared};
use crate::store::{Documents, Revision, Source};
use axum::Json;
use axum::response::IntoResponse;
use http::header;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The revision that is asked for.
async fn asked(shared: &Shared, call: &Call) -> Result<Arc<Revision>, Fault> {
    match call.whole("revision")? {
        Some(number) => Ok(shared.parts.store.revision(number).await?),
        None => shared.current().await,
    }
}

/// `GET /v1/documents`
pub(super) async fn list(shared: Arc<Shared>, call: Call) -> Answered {
    let with_texts = call.flag("texts")?;
    let revision = asked(&shared, &call).await?;
    let document = |(name, text): (&str, &Arc<str>)| -> Value {
        json!({ "name": name, "bytes": text.len(), "text": with_texts.then_some(&**text) })
    };
    let documents: Vec<Value> = revision.documents.iter().map(document).collect();
    let body = json!({ "revision": revision.number(), "documents": documents });
    Ok(([(header::ETAG, etag(revision.number()))], Json(body)).into_response())
}

/// `GET /v1/documents/{name}`
pub(super) async fn one(shared: Arc<Shared>, call: Call) -> Answered {
    let revision = asked(&shared, &call).await?;
    let name = call.parameter("name");
    let Some(text) = revision.documents.text(name) else {
        return Err(no_document(name, revision.number()));
    };
    let headers = [
        (header::ETAG, etag(revision.number())),
        (header::CONTENT_TYPE, http::HeaderValue::from_static(YAML)),
    ];
    Ok((headers, text.to_owned()).into_response())
}

/// `PUT /v1/documents/{name}`
pub(super) async fn put(shared: Arc<Shared>, call: Call) -> Answered {
    let text = call.body_text()?;
    let edit = |current: &Revision| {
        let mut documents = current.documents.clone();
        documents.insert(call.parameter("name"), text)?;
        Ok((documents, Source::Api))
    };
    propose(&shared, &call, edit).await
}

/// `DELETE /v1/documents/{name}`
pub(super) async fn remove(shared: Arc<Shared>, call: Call) -> Answered {
    let name = call.parameter("name");
    let edit = |current: &Revision| {
        let mut documents = current.documents.clone();
        match documents.remove(name) {
            true => Ok((documents, Source::Api)),
            false => Err(no_document(name, current.number())),
        }
    };
    propose(&shared, &call, edit).await
}

/// All documents of a mesh.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Mesh {
    documents: BTreeMap<String, String>,
}

/// `PUT /v1/mesh`
pub(super) async fn put_all(shared: Arc<Shared>, call: Call) -> Answered {
    let mesh: Mesh = call.body_json()?;
    let keep = call.flag("keep")?;
    let edit = |current: &Revision| {
        let mut documents = match keep {
            true => current.documents.clone(),
            false => Documents::new(),
        };
        for (name, text) in mesh.documents {
            documents.insert_after(&current.documents, name, text)?;
        }
        Ok((documents, Source::Api))
    };
    propose(&shared, &call, edit).await
}

fn no_document(name: &str, revision: u64) -> Fault {
    let name = crate::access::printable(name);
    let error = format!("revision {revision} has no document `{name}`");
    Fault::not_found(error, "`GET /v1/documents` lists all")
}
