//! Header edits of routes and virtual hosts. A value that is plain text is written as it stands; one that has variables
//! is put together first.

use super::Taken;
use super::record::Record;
use crate::connection::Ends;
use outrigger_config::model::{
    HeaderEdit, HeaderEditKind, HeaderEdits, HeaderValue, HeaderValuePart, PathMatch,
};
use outrigger_http1::{Fields, RequestHead};
use outrigger_telemetry::access_log::{REDACTED, is_credential};
use outrigger_traffic::header_value::{ValueSource, assemble};
use outrigger_traffic::template;
use std::borrow::Cow;
use std::net::IpAddr;

/// What values are put together from, beside the request's head.
pub(super) struct Known<'k> {
    pub(super) ends: &'k Ends,
    /// The route that takes the request, where one does.
    pub(super) taken: Option<Taken<'k>>,
    pub(super) record: &'k Record,
    /// The path by which the route was found, where a value may name it.
    pub(super) matched_path: Option<&'k str>,
}

/// Edits a request. A value sees what the edits before it have made of the head.
pub(super) fn edit_request(head: &mut RequestHead, edits: &HeaderEdits, known: &Known<'_>) {
    remove(&mut head.fields, edits);
    for edit in edits.write() {
        match edit.value() {
            HeaderValue::Text(value) => write(&mut head.fields, edit, value.as_bytes()),
            HeaderValue::Parts(parts) => {
                let value = known.assemble(parts, head);
                write_assembled(&mut head.fields, edit, &value);
            }
        }
    }
}

/// Edits a response to the request with this head, which is as it was sent upstream.
pub(super) fn edit_response(
    fields: &mut Fields,
    edits: &HeaderEdits,
    request: &RequestHead,
    known: &Known<'_>,
) {
    remove(fields, edits);
    for edit in edits.write() {
        match edit.value() {
            HeaderValue::Text(value) => write(fields, edit, value.as_bytes()),
            HeaderValue::Parts(parts) => write_assembled(fields, edit, &known.assemble(parts, request)),
        }
    }
}

fn remove(fields: &mut Fields, edits: &HeaderEdits) {
    for name in edits.remove() {
        fields.remove(name.as_str());
    }
}

fn write(fields: &mut Fields, edit: &HeaderEdit, value: &[u8]) {
    let name = edit.name().as_str();
    match edit.kind() {
        HeaderEditKind::Add if fields.find(name).is_some() => {}
        HeaderEditKind::Add | HeaderEditKind::Append => fields.push(name.as_bytes(), value),
        HeaderEditKind::Set => fields.set(name.as_bytes(), value),
    }
}

/// A value that turned out empty is not written, as in Envoy. One that was to replace others takes their place all the
/// same: what a client sent must not pass for what was to stand there.
fn write_assembled(fields: &mut Fields, edit: &HeaderEdit, value: &[u8]) {
    if !value.is_empty() {
        write(fields, edit, value);
    } else if edit.kind() == HeaderEditKind::Set {
        fields.remove(edit.name().as_str());
    }
}

impl Known<'_> {
    /// A value that is known now, as it may be told to others: without credentials.
    pub(super) fn told<'v>(&self, value: &'v HeaderValue, head: &RequestHead) -> Cow<'v, [u8]> {
        match value {
            HeaderValue::Text(text) => Cow::Borrowed(text.as_bytes()),
            HeaderValue::Parts(parts) => Cow::Owned(self.put_together(parts, head, true)),
        }
    }

    fn assemble(&self, parts: &[HeaderValuePart], head: &RequestHead) -> Vec<u8> {
        self.put_together(parts, head, false)
    }

    fn put_together(&self, parts: &[HeaderValuePart], head: &RequestHead, redacts: bool) -> Vec<u8> {
        let source = Source {
            known: self,
            head,
            redacts,
        };
        let mut value = Vec::new();
        assemble(parts, &source, &mut value);
        value
    }
}

struct Source<'s> {
    known: &'s Known<'s>,
    head: &'s RequestHead,
    redacts: bool,
}

/// Headers with a whole target in them, whose query may hold anything.
const TARGETS: [&str; 2] = ["referer", "x-envoy-original-path"];

/// What is told of a header: of a credential that it is there, by the rule of the access log; of a target no query.
fn without_secrets<'v>(name: &str, value: &'v [u8]) -> &'v [u8] {
    if TARGETS.contains(&name) {
        let end = value.iter().position(|byte| *byte == b'?');
        &value[..end.unwrap_or(value.len())]
    } else if !value.is_empty() && is_credential(name) {
        REDACTED
    } else {
        value
    }
}

impl ValueSource for Source<'_> {
    fn path_variable(&self, name: &str) -> Option<&str> {
        let PathMatch::Template(matched) = self.known.taken?.route.matches().path() else {
            return None;
        };
        template::variable(matched, self.known.matched_path?, name)
    }

    fn request_header(&self, name: &str) -> Option<&[u8]> {
        match name {
            "host" => Some(self.head.authority().as_bytes()),
            name if self.redacts => {
                let value = self.head.fields.find(name)?;
                Some(without_secrets(name, value))
            }
            name => self.head.fields.find(name),
        }
    }

    fn client_address(&self) -> IpAddr {
        self.known.record.client.unwrap_or(self.known.ends.remote.ip())
    }

    fn protocol(&self) -> &str {
        self.known.record.protocol()
    }

    fn upstream_host(&self) -> Option<&str> {
        self.known.record.upstream_host()
    }
}

#[cfg(test)]
mod tests {
    use super::without_secrets;

    #[test]
    fn credentials_are_not_told() {
        for (name, value, told) in [
            ("authorization", "Bearer abc", "[redacted]"),
            ("cookie", "a=b", "[redacted]"),
            ("x-vault-token", "s.1", "[redacted]"),
            ("authorization", "", ""),
            ("x-tenant", "a?b", "a?b"),
            ("referer", "https://a.example/b?token=c", "https://a.example/b"),
            ("x-envoy-original-path", "/b?token=c", "/b"),
            ("referer", "https://a.example/b", "https://a.example/b"),
        ] {
            assert_eq!(without_secrets(name, value.as_bytes()), told.as_bytes(), "{name}");
        }
    }
}
