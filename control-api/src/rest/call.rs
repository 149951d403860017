//! What a call says: its parameters, headers and body, read strictly.

use super::fault::Fault;
use super::routes::{Body, Needs, Place, Route};
use super::{Shared, path_parameters};
use crate::access::Caller;
use axum::extract::Query;
use bytes::Bytes;
use http::{HeaderMap, header};
use serde::de::DeserializeOwned;
use std::str::FromStr;
use std::time::SystemTime;

/// The header that gives the reason of a change.
pub(super) const REASON_HEADER: &str = "x-reason";

/// A call that may be made.
pub(super) struct Call {
    caller: Option<Caller>,
    parameters: Vec<(String, String)>,
    query: Vec<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
    /// When it came.
    pub(super) now: SystemTime,
}

impl Call {
    /// Reads all of it.
    pub(super) async fn read(
        shared: &Shared,
        route: &Route,
        mut parts: http::request::Parts,
        body: axum::body::Body,
        caller: Option<Caller>,
        now: SystemTime,
    ) -> Result<Call, Fault> {
        let query = Query::<Vec<(String, String)>>::try_from_uri(&parts.uri);
        let Query(query) = query.map_err(|error| Fault::bad_request(error.to_string(), "`name=value&…`"))?;
        if route.needs != Needs::Nothing {
            check_query(route, &query)?;
        }
        let parameters = path_parameters(&mut parts).await?;
        let body = match route.body {
            Body::None if route.needs == Needs::Nothing => Bytes::new(),
            Body::None => shared.body(body, 0).await?,
            Body::Yaml { bytes_max } | Body::Json { bytes_max, .. } => shared.body(body, bytes_max).await?,
        };
        Ok(Call {
            caller,
            parameters,
            query,
            headers: parts.headers,
            body,
            now,
        })
    }

    /// Who calls.
    pub(super) fn caller(&self) -> &Caller {
        self.caller
            .as_ref()
            .expect("only calls that need nothing have no caller")
    }

    /// Who calls, as the audit log says it.
    pub(super) fn who(&self) -> String {
        self.caller().principal().to_string()
    }

    /// A parameter of the path.
    pub(super) fn parameter(&self, name: &str) -> &str {
        let found = self.parameters.iter().find(|(own, _)| own == name);
        found.map_or("", |(_, value)| value.as_str())
    }

    /// A parameter of the path that is a number.
    pub(super) fn number(&self, name: &str) -> Result<u64, Fault> {
        parse(name, self.parameter(name), "a number of a revision")
    }

    /// A parameter of the query; the last of several.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        let found = self.query.iter().rev().find(|(own, _)| own == name);
        found.map(|(_, value)| value.as_str())
    }

    /// A parameter of the query that is a number.
    pub(super) fn whole(&self, name: &str) -> Result<Option<u64>, Fault> {
        self.text(name)
            .map(|text| parse(name, text, "a whole number"))
            .transpose()
    }

    /// A parameter of the query that is true or false; false if it is not there.
    pub(super) fn flag(&self, name: &str) -> Result<bool, Fault> {
        self.text(name)
            .map_or(Ok(false), |text| parse(name, text, "`true` or `false`"))
    }

    /// How many are asked for; at most what a page of the store has.
    pub(super) fn limit(&self, default: usize) -> Result<usize, Fault> {
        let asked = self
            .whole("limit")?
            .map(|limit| usize::try_from(limit).unwrap_or(usize::MAX));
        match asked {
            Some(0) => Err(Fault::bad_request("`limit` is 0", "at least 1")),
            asked => Ok(asked.unwrap_or(default).min(crate::store::PAGE_MAX)),
        }
    }

    /// Why a change is made: the parameter `reason`, or the header.
    pub(super) fn reason(&self) -> Option<&str> {
        let header = self
            .headers
            .get(REASON_HEADER)
            .and_then(|value| std::str::from_utf8(value.as_bytes()).ok());
        self.text("reason")
            .or(header)
            .map(str::trim)
            .filter(|reason| !reason.is_empty())
    }

    /// The revision of `If-Match`; none if there is no such header.
    pub(super) fn if_match(&self) -> Result<Option<u64>, Fault> {
        let Some(value) = self.headers.get(header::IF_MATCH) else {
            return Ok(None);
        };
        let text = value.to_str().unwrap_or_default();
        let number = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
        let wrong = || Fault::bad_request("`if-match` holds no revision", "the `etag` of a read, as `\"7\"`");
        number
            .and_then(|number| number.parse().ok())
            .map(Some)
            .ok_or_else(wrong)
    }

    /// The body as a text.
    pub(super) fn body_text(&self) -> Result<&str, Fault> {
        std::str::from_utf8(&self.body)
            .map_err(|_| Fault::bad_request("the body is not UTF-8", "a document in YAML"))
    }

    /// The body as JSON.
    pub(super) fn body_json<T: DeserializeOwned>(&self) -> Result<T, Fault> {
        serde_json::from_slice(&self.body).map_err(|error| {
            Fault::bad_request(format!("the body: {error}"), "what `/openapi.json` says of it")
        })
    }
}

fn parse<T: FromStr>(name: &str, text: &str, expected: &str) -> Result<T, Fault> {
    let text = crate::access::printable(text);
    text.parse()
        .map_err(|_| Fault::bad_request(format!("`{name}` is `{text}`"), expected))
}

/// A parameter that is misspelt must not be taken for one that is not given.
fn check_query(route: &Route, query: &[(String, String)]) -> Result<(), Fault> {
    let known = || {
        route
            .parameters
            .iter()
            .filter(|parameter| parameter.place == Place::Query)
    };
    let unknown = query
        .iter()
        .find(|(name, _)| !known().any(|parameter| parameter.name == name));
    let Some((name, _)) = unknown else {
        return Ok(());
    };
    let names: Vec<String> = known().map(|parameter| format!("`{}`", parameter.name)).collect();
    let expected = if names.is_empty() {
        "none".to_owned()
    } else {
        names.join(", ")
    };
    let name = crate::access::printable(name);
    Err(Fault::bad_request(
        format!("there is no parameter `{name}` here"),
        expected,
    ))
}
