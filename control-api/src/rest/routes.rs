//! What the table of all calls says of each.

mod table;

pub(super) use table::ROUTES;

use super::call::Call;
use super::{Answered, Shared};
use axum::routing::MethodFilter;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

/// A handler's answer, on its way.
pub(super) type Answering = Pin<Box<dyn Future<Output = Answered> + Send>>;

/// One call.
pub(super) struct Route {
    pub(super) method: Verb,
    /// As the router reads it: `{name}` is one segment, `{*name}` the rest.
    pub(super) path: &'static str,
    /// Its name, in the OpenAPI document and in metrics.
    pub(super) operation: &'static str,
    /// What it does, in a line.
    pub(super) summary: &'static str,
    pub(super) needs: Needs,
    pub(super) parameters: &'static [Parameter],
    pub(super) body: Body,
    /// When it is done: the status, and what it holds.
    pub(super) answer: (u16, Content),
    /// Statuses of errors beside those that every call has.
    pub(super) refusals: &'static [u16],
    pub(super) handler: fn(Arc<Shared>, Call) -> Answering,
}

/// A method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    Get,
    Put,
    Post,
    Delete,
}

impl Verb {
    /// As requests say it.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Verb::Get => "GET",
            Verb::Put => "PUT",
            Verb::Post => "POST",
            Verb::Delete => "DELETE",
        }
    }

    /// As the router knows it.
    pub(super) fn filter(self) -> MethodFilter {
        match self {
            Verb::Get => MethodFilter::GET,
            Verb::Put => MethodFilter::PUT,
            Verb::Post => MethodFilter::POST,
            Verb::Delete => MethodFilter::DELETE,
        }
    }
}

/// What it takes to make a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Needs {
    /// Anybody may.
    Nothing,
    /// Any role but `node`.
    Reading,
    /// The right to change all that the change touches; to try it, any role but `node`.
    Changing,
    /// The role `administrator`.
    Administering,
}

impl Needs {
    /// As the documentation says it.
    pub(super) fn words(self) -> &'static str {
        match self {
            Needs::Nothing => "anybody",
            Needs::Reading => "reader",
            Needs::Changing => "editor of all that it touches",
            Needs::Administering => "administrator",
        }
    }
}

/// Where a parameter is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Path,
    Query,
    Header,
}

/// A parameter.
pub(super) struct Parameter {
    pub(super) name: &'static str,
    pub(super) place: Place,
    /// `string`, `integer` or `boolean`.
    pub(super) kind: &'static str,
    pub(super) summary: &'static str,
}

/// What is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Body {
    None,
    /// A document, as it stands.
    Yaml {
        bytes_max: usize,
    },
    /// JSON of this shape.
    Json {
        shape: &'static str,
        bytes_max: usize,
    },
}

/// What is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    /// JSON of this shape.
    Json(&'static str),
    /// Something as it stands, of this media type.
    Text(&'static str),
    /// The OpenAPI document.
    OpenApi,
    Nothing,
}

/// Media types.
pub(super) const YAML: &str = "application/yaml";
pub(super) const PLAIN: &str = "text/plain; charset=utf-8";
pub(super) const METRICS: &str = "text/plain; version=0.0.4";
