//! A request's line in access logs: what is known of it at its end.

use super::super::authenticate::with_query;
use super::{Logged, Record, Scene};
use crate::access_log;
use crate::tls;
use outrigger_http1::{Fields, KnownName, RequestHead};
use outrigger_telemetry::{AttemptOutcome, HeaderLookup, HeaderName, RequestRecord};
use std::net::SocketAddr;
use std::time::Duration;

/// The field that tells upstreams what was asked for before the path was rewritten.
pub(in super::super) const ORIGINAL_PATH: &str = "x-envoy-original-path";

/// What is logged as [`ORIGINAL_PATH`].
#[derive(Default)]
pub(super) enum OriginalPath {
    /// The field as it is.
    #[default]
    Field,
    /// The path that is logged: it was rewritten here.
    Logged,
    /// What a trusted proxy in front wrote there, without the parameters that no log shows.
    Cleaned(String),
}

impl Record {
    /// The path is another from now on, and `x-envoy-original-path` tells what was asked for: of that, what is logged of
    /// the path is.
    pub(in super::super) fn path_rewritten(&mut self) {
        if let Some(logged) = &mut self.logged {
            logged.original_path = OriginalPath::Logged;
        }
    }

    /// Leaves parameters out of the paths that are logged: those for which `hidden` says so.
    pub(in super::super) fn hide_parameters(&mut self, head: &RequestHead, hidden: impl Fn(&str) -> bool) {
        let Some(logged) = &mut self.logged else {
            return;
        };
        if let Some(path) = without_parameters(&logged.path, &hidden) {
            logged.path = path;
        }
        if let Some(told) = head.fields.find(ORIGINAL_PATH)
            && let Some(path) = without_parameters(&String::from_utf8_lossy(told), &hidden)
        {
            logged.original_path = OriginalPath::Cleaned(path);
        }
    }

    /// Writes it to the logs that take it.
    pub(super) fn write_line(
        &self,
        scene: &Scene<'_>,
        logged: &Logged,
        head: &RequestHead,
        duration: Duration,
    ) {
        let ends = &scene.accepted.ends;
        let downstream_tls = ends
            .tls
            .map(|terms| terms.record(ends.identity.as_deref(), ends.local.as_deref()));
        let upstream_tls = logged.upstream_tls.as_ref().map(tls::Session::record);
        let request = RequestLookup { head, logged };
        let response = FieldsLookup(&logged.response.fields);
        let trailers = self.trailers.as_deref().map(FieldsLookup);
        let record = RequestRecord {
            start_time: logged.start_time,
            protocol: Some(self.protocol()),
            response_code: self.status,
            response_code_details: self
                .story
                .as_ref()
                .and_then(|story| story.details.as_deref())
                .or((!self.details.is_empty()).then_some(self.details)),
            connection_termination_details: None,
            authorization_shadow_result: logged.remarks.shadow.as_deref(),
            authorization_audited: logged.remarks.audited.as_deref(),
            response_flags: self.flags,
            bytes_received: self.bytes_received,
            bytes_sent: self.bytes_sent,
            duration,
            request_duration: self.request_ended.map(|at| at.duration_since(self.started)),
            response_duration: self.upstream_answered,
            upstream_host: self
                .peer_address
                .as_deref()
                .copied()
                .or_else(|| self.endpoint.as_ref().map(|endpoint| endpoint.address)),
            upstream_cluster: scene.cluster,
            upstream_local_address: logged.upstream_local_address,
            upstream_protocol: logged.upstream_protocol,
            upstream_transport_failure_reason: self.last_failure(),
            upstream_request_attempt_count: self.attempts,
            trace_id: self.trace.as_ref().map(|trace| trace.trace_id),
            span_id: self.trace.as_ref().map(|trace| trace.span_id),
            trace_flags: self.trace.as_ref().map_or(0, |trace| trace.flags()),
            route_name: logged.route.as_ref().map(|(_, route)| route.as_str()),
            virtual_host: logged.route.as_ref().map(|(host, _)| host.as_str()),
            // A proxy tells no port: Envoy shows 0 there too.
            downstream_remote_address: Some(
                self.client
                    .map_or(ends.remote, |client| SocketAddr::new(client, 0)),
            ),
            downstream_direct_remote_address: Some(ends.peer),
            downstream_local_address: Some(ends.destination),
            requested_server_name: ends.server_name.as_deref(),
            downstream_tls: downstream_tls.as_ref(),
            upstream_tls: upstream_tls.as_ref(),
            connection_id: scene.accepted.registration.control.id,
            filter_chain_name: Some(scene.chain),
            request: &request,
            response: &response,
            trailers: trailers.as_ref().map(|trailers| trailers as &dyn HeaderLookup),
        };
        access_log::tell(scene.access_logs, &record, &scene.accepted.worker);
    }

    /// Why the last attempt failed, if it did.
    fn last_failure(&self) -> Option<&'static str> {
        let last = self
            .story
            .as_ref()?
            .attempts()
            .iter()
            .max_by_key(|attempt| attempt.number)?;
        match last.outcome {
            AttemptOutcome::Failed(why) if last.number == self.attempts => Some(why),
            _ => None,
        }
    }
}

/// A path without some of its parameters; none if it has none of them.
fn without_parameters(path: &str, hidden: &impl Fn(&str) -> bool) -> Option<String> {
    let (path, query) = path.split_once('?')?;
    let left = outrigger_traffic::query::without(query, |name, _| hidden(name))?;
    Some(with_query(path, &left))
}

/// The request's header as the client sent it, but for sanitized fields.
struct RequestLookup<'r> {
    head: &'r RequestHead,
    logged: &'r Logged,
}

impl RequestLookup<'_> {
    fn pseudo(&self) -> [&str; 4] {
        let scheme = self.head.scheme().unwrap_or_default();
        [
            self.head.method.as_str(),
            &self.logged.path,
            &self.logged.authority,
            scheme,
        ]
    }

    /// What stands for `x-envoy-original-path`, if it is that one's name and the field is not for logs: tokens may be in it.
    fn original_path(&self, name: &HeaderName) -> Option<&[u8]> {
        let path = match &self.logged.original_path {
            OriginalPath::Field => return None,
            OriginalPath::Logged => &self.logged.path,
            OriginalPath::Cleaned(path) => path,
        };
        let is_its = matches!(name, HeaderName::Named(name) if **name == *ORIGINAL_PATH);
        is_its.then_some(path.as_bytes())
    }
}

impl HeaderLookup for RequestLookup<'_> {
    fn lookup(&self, name: &HeaderName) -> Option<&[u8]> {
        let text = match name {
            HeaderName::Method => self.head.method.as_str(),
            HeaderName::Path => &self.logged.path,
            HeaderName::Authority => &self.logged.authority,
            HeaderName::Scheme => self.head.scheme()?,
            name => {
                let field = find(&self.head.fields, name)?;
                return Some(self.original_path(name).unwrap_or(field));
            }
        };
        Some(text.as_bytes())
    }

    fn joined<'a>(&'a self, name: &HeaderName, joined: &'a mut Vec<u8>) -> Option<&'a [u8]> {
        match name {
            HeaderName::Numbered(_) | HeaderName::Named(_) => match self.original_path(name) {
                Some(_) => self.lookup(name),
                None => find_joined(&self.head.fields, name, joined),
            },
            pseudo => self.lookup(pseudo),
        }
    }

    /// With the names of pseudo-headers, as HTTP/2 has them.
    fn bytes(&self) -> u64 {
        let values = self.pseudo().iter().map(|value| value.len()).sum::<usize>();
        let names = ":method:path:authority:scheme".len();
        (values + names) as u64 + count_bytes(&self.head.fields)
    }
}

struct FieldsLookup<'f>(&'f Fields);

impl HeaderLookup for FieldsLookup<'_> {
    fn lookup(&self, name: &HeaderName) -> Option<&[u8]> {
        find(self.0, name)
    }

    fn joined<'a>(&'a self, name: &HeaderName, joined: &'a mut Vec<u8>) -> Option<&'a [u8]> {
        find_joined(self.0, name, joined)
    }

    fn bytes(&self) -> u64 {
        count_bytes(self.0)
    }
}

fn count_bytes(fields: &Fields) -> u64 {
    fields
        .iter()
        .map(|field| (field.name.len() + field.value.len()) as u64)
        .sum()
}

/// Formats have the numbers of [`KnownName`] for the names that have one.
fn find<'f>(fields: &'f Fields, name: &HeaderName) -> Option<&'f [u8]> {
    match name {
        HeaderName::Numbered(number) => fields.get(*KnownName::ALL.get(usize::from(*number))?),
        HeaderName::Named(name) => fields.find(name),
        HeaderName::Method | HeaderName::Path | HeaderName::Authority | HeaderName::Scheme => None,
    }
}

/// All values of a name, with commas between them.
fn find_joined<'a>(fields: &'a Fields, name: &HeaderName, joined: &'a mut Vec<u8>) -> Option<&'a [u8]> {
    let known = match name {
        HeaderName::Numbered(number) => KnownName::ALL.get(usize::from(*number))?.as_str(),
        HeaderName::Named(name) => name,
        HeaderName::Method | HeaderName::Path | HeaderName::Authority | HeaderName::Scheme => return None,
    };
    let mut values = fields.find_all(known);
    let first = values.next()?;
    let Some(second) = values.next() else {
        return Some(first);
    };
    joined.extend_from_slice(first);
    for value in std::iter::once(second).chain(values) {
        joined.push(b',');
        joined.extend_from_slice(value);
    }
    Some(joined)
}
