//! The audit log: its pages, and whether it is as it was written.

use super::call::Call;
use super::fault::Fault;
use super::{Answered, Shared};
use crate::audit::{Head, VerifyError, verify};
use axum::Json;
use axum::response::IntoResponse;
use serde_json::json;
use std::sync::Arc;

/// Entries of a page unless told otherwise.
const PAGE: usize = 100;

/// `GET /v1/audit`
pub(super) async fn list(shared: Arc<Shared>, call: Call) -> Answered {
    let (from, limit, is_last) = (call.whole("from")?, call.limit(PAGE)?, call.flag("last")?);
    let store = &shared.parts.store;
    let head = store.audit_head().await?;
    let from = match (is_last, from) {
        (true, Some(_)) => {
            return Err(Fault::bad_request(
                "`from` and `last` are both given",
                "one of the two",
            ));
        }
        (true, None) => head.count.saturating_sub(limit as u64) + 1,
        (false, from) => from.unwrap_or(1).max(1),
    };
    let entries = store.entries(from, limit).await?;
    let end = entries.last().map_or(from, |entry| entry.sequence + 1);
    let next = (end <= head.count && !entries.is_empty()).then_some(end);
    Ok(Json(json!({ "entries": entries, "head": head, "next": next })).into_response())
}

/// `GET /v1/audit/verify`
pub(super) async fn check(shared: Arc<Shared>, call: Call) -> Answered {
    let kept = match (call.whole("count")?, call.text("hash")) {
        (None, None) => None,
        (Some(count), Some(hash)) => {
            let hash = serde_json::from_value(json!(hash));
            let hash = hash
                .map_err(|_| Fault::bad_request("`hash` is no hash", "`head.hash` of an earlier answer"))?;
            Some(Head { count, hash })
        }
        _ => {
            return Err(Fault::bad_request(
                "a head has `count` and `hash`",
                "both, or none",
            ));
        }
    };
    let _place = shared.heavy().await;
    let body = match verify(&*shared.parts.store, kept.as_ref()).await {
        Ok(report) => {
            json!({ "intact": true, "reason": null, "head": report.head, "revisions": report.revisions })
        }
        Err(error @ (VerifyError::Broken { .. } | VerifyError::Revision { .. })) => {
            json!({ "intact": false, "reason": error.to_string(), "head": null, "revisions": null })
        }
        Err(VerifyError::Store(error)) => return Err(error.into()),
        Err(VerifyError::Write(error)) => return Err(Fault::internal(error.to_string())),
    };
    Ok(Json(body).into_response())
}
