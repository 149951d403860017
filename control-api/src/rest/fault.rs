//! Why a call is not answered as asked: one shape for all, with a status.

use crate::access::Denied;
use crate::authority::{AuthorityError, Refusal};
use crate::store::StoreError;
use axum::Json;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use outrigger_config::{Diagnostic, Severity};
use serde_json::{Value, json};
use std::time::Duration;

/// An answer that is an error: `{error, help, revision, diagnostics, rendered}`.
#[derive(Debug)]
pub(super) struct Fault {
    status: StatusCode,
    error: String,
    help: Option<String>,
    /// The current revision, where that is what the caller must know.
    revision: Option<u64>,
    diagnostics: Vec<Value>,
    rendered: String,
    /// Somebody only tried: the audit log is not told.
    is_trial: bool,
}

impl Fault {
    fn new(status: StatusCode, error: impl Into<String>, help: Option<String>) -> Fault {
        Fault {
            status,
            error: error.into(),
            help,
            revision: None,
            diagnostics: Vec::new(),
            rendered: String::new(),
            is_trial: false,
        }
    }

    /// The call says something that it cannot mean.
    pub(super) fn bad_request(error: impl Into<String>, expected: impl Into<String>) -> Fault {
        let help = format!("expected {}", expected.into());
        Fault::new(StatusCode::BAD_REQUEST, error, Some(help))
    }

    /// There is no such thing.
    pub(super) fn not_found(error: impl Into<String>, help: impl Into<String>) -> Fault {
        Fault::new(StatusCode::NOT_FOUND, error, Some(help.into()))
    }

    /// The path is there, and not by this method.
    pub(super) fn method_not_allowed() -> Fault {
        let error = "this path has no such method";
        Fault::new(
            StatusCode::METHOD_NOT_ALLOWED,
            error,
            Some("`GET /openapi.json` lists all".to_owned()),
        )
    }

    /// What is asked does not go with what is there.
    pub(super) fn conflict(error: impl Into<String>, help: Option<String>) -> Fault {
        Fault::new(StatusCode::CONFLICT, error, help)
    }

    /// The body is longer than may be.
    pub(super) fn too_large(bytes_max: usize) -> Fault {
        let error = format!("the body has more than {bytes_max} bytes");
        Fault::new(StatusCode::PAYLOAD_TOO_LARGE, error, None)
    }

    /// The answer was not there in time.
    pub(super) fn too_late(limit: Duration) -> Fault {
        let error = format!("there was no answer within {} s", limit.as_secs());
        let help = "a change that was begun may have been made: look at the current revision";
        Fault::new(StatusCode::SERVICE_UNAVAILABLE, error, Some(help.to_owned()))
    }

    /// Something here is broken.
    pub(super) fn internal(error: impl Into<String>) -> Fault {
        Fault::new(StatusCode::INTERNAL_SERVER_ERROR, error, None)
    }

    /// Somebody may not.
    pub(super) fn denied(denied: &Denied) -> Fault {
        Fault::new(denied.status(), denied.reason(), None)
    }

    /// A change without the revision that it was made for.
    pub(super) fn precondition_required(current: u64) -> Fault {
        let error = "a change must say which revision it was made for";
        let help = format!("expected `if-match: \"{current}\"` if it was made for the current one");
        let fault = Fault::new(StatusCode::PRECONDITION_REQUIRED, error, Some(help));
        Fault {
            revision: Some(current),
            ..fault
        }
    }

    /// A change that was made for another revision.
    pub(super) fn precondition_failed(expected: u64, current: u64) -> Fault {
        let error = format!("the current revision is {current}, not {expected}");
        let help = "read it, apply the change to that one, and try again".to_owned();
        let fault = Fault::new(StatusCode::PRECONDITION_FAILED, error, Some(help));
        Fault {
            revision: Some(current),
            ..fault
        }
    }

    /// Documents that are no mesh.
    pub(super) fn invalid(faults: &[Diagnostic]) -> Fault {
        let count = faults.len();
        let error = match count {
            1 => "the documents have a fault; nothing has changed".to_owned(),
            _ => format!("the documents have {count} faults; nothing has changed"),
        };
        let fault = Fault::new(StatusCode::UNPROCESSABLE_ENTITY, error, None);
        Fault {
            diagnostics: faults.iter().map(diagnostic).collect(),
            rendered: rendered(faults),
            ..fault
        }
    }

    /// The same of a dry run.
    pub(super) fn of_trial(self) -> Fault {
        Fault {
            is_trial: true,
            ..self
        }
    }

    /// Nothing was to be changed.
    pub(super) fn is_trial(&self) -> bool {
        self.is_trial
    }

    /// Its status.
    pub(super) fn status(&self) -> StatusCode {
        self.status
    }

    /// What is wrong, in a line; of documents with the first of their faults.
    pub(super) fn summary(&self) -> String {
        match self.rendered.lines().next() {
            Some(first) => format!("{}: {first}", self.error),
            None => self.error.clone(),
        }
    }
}

/// Diagnostics as text, as `outrigger check` prints them.
pub(super) fn rendered(diagnostics: &[Diagnostic]) -> String {
    let texts: Vec<String> = diagnostics.iter().map(Diagnostic::to_string).collect();
    texts.join("\n")
}

/// A diagnostic as JSON.
pub(super) fn diagnostic(diagnostic: &Diagnostic) -> Value {
    let severity = match diagnostic.severity() {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    json!({
        "severity": severity,
        "code": diagnostic.code().map(|code| code.as_str()),
        "part": diagnostic.part(),
        "field": diagnostic.field(),
        "file": diagnostic.file(),
        "line": diagnostic.line(),
        "column": diagnostic.column(),
        "length": diagnostic.length(),
        "message": diagnostic.message(),
        "help": diagnostic.help(),
        "snippet": diagnostic.snippet(),
    })
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        let body = Json(json!({
            "error": self.error,
            "help": self.help,
            "revision": self.revision,
            "diagnostics": self.diagnostics,
            "rendered": self.rendered,
        }));
        let mut response = (self.status, body).into_response();
        if self.status == StatusCode::UNAUTHORIZED {
            let scheme = HeaderValue::from_static("Bearer");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, scheme);
        }
        if let Some(revision) = self.revision {
            response.headers_mut().insert(header::ETAG, etag(revision));
        }
        response
    }
}

/// A revision as a header.
pub(super) fn etag(revision: u64) -> HeaderValue {
    HeaderValue::try_from(format!("\"{revision}\"")).expect("digits within quotes are a header's value")
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Fault {
        let text = error.to_string();
        match error {
            StoreError::Conflict { expected, current } => Fault::precondition_failed(expected, current),
            StoreError::RecordConflict { .. } => Fault::conflict(text, Some("try again".to_owned())),
            StoreError::ReadOnly { .. } => Fault::conflict(text, None),
            StoreError::NoRevision { .. } => {
                Fault::not_found(text, "`GET /v1/revisions` lists all that are kept")
            }
            StoreError::Dropped { .. } => Fault::new(StatusCode::GONE, text, None),
            StoreError::Refused { .. } => Fault::new(StatusCode::BAD_REQUEST, text, None),
            StoreError::Unavailable { .. } | StoreError::Uncertain { .. } => {
                Fault::new(StatusCode::SERVICE_UNAVAILABLE, text, None)
            }
            StoreError::InUse { .. } | StoreError::Damaged { .. } => Fault::internal(text),
        }
    }
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Fault {
        let status = match &refusal {
            Refusal::Request(_) | Refusal::Unauthenticated(_) | Refusal::Forbidden(_) | Refusal::Spent(_) => {
                StatusCode::BAD_REQUEST
            }
            Refusal::RateLimited(_) => StatusCode::TOO_MANY_REQUESTS,
            Refusal::JoinTokens(_) | Refusal::Signer(_) | Refusal::Audit(_) => {
                StatusCode::SERVICE_UNAVAILABLE
            }
        };
        Fault::new(status, refusal.to_string(), None)
    }
}

impl From<AuthorityError> for Fault {
    fn from(error: AuthorityError) -> Fault {
        match error {
            AuthorityError::Refused(refusal) => refusal.into(),
            AuthorityError::Given | AuthorityError::Rollover(_) | AuthorityError::NameTaken(_) => {
                Fault::conflict(error.to_string(), None)
            }
            AuthorityError::KeyStore(_) => {
                Fault::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string(), None)
            }
            AuthorityError::Unreadable | AuthorityError::Signer(_) | AuthorityError::Roots(_) => {
                Fault::internal(error.to_string())
            }
        }
    }
}
