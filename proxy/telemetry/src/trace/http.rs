//! The spans of a request, by OpenTelemetry's semantic conventions for HTTP and RPC: what is known of it at its end, told as
//! a server span and a client span for each attempt.
//!
//! Conventions leave room for what is this proxy's own: such attributes begin with `outrigger.`.

mod values;

use super::ids::{SpanId, TraceId};
use super::span::{AttributeValue, FinishedSpan, SpanEvent, SpanKind, SpanStatus};
use crate::flags::ResponseFlags;
use crate::story::{AttemptOutcome, AttemptStory, Event, Story};
use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, SystemTime};
use values::{Method, grpc_code, grpc_is_server_error, host_and_port, redacted, rpc_of};

/// A request that has ended.
#[derive(Clone, Copy, Debug)]
pub struct TracedRequest<'r> {
    /// Its trace.
    pub trace_id: TraceId,
    /// The id of its server span.
    pub span_id: SpanId,
    /// The span of whoever sent it.
    pub parent: Option<SpanId>,
    /// The flags of W3C that its trace has.
    pub flags: u8,
    /// The `tracestate` that it goes with.
    pub tracestate: Option<&'r [u8]>,
    /// When its head was read.
    pub start: SystemTime,
    /// From then to its end.
    pub duration: Duration,
    /// The name that its span is to have; None: by the conventions.
    pub name: Option<&'r str>,
    /// The method.
    pub method: &'r str,
    /// `http` or `https`.
    pub scheme: &'r str,
    /// Path and query as they came; empty if there is none.
    pub target: &'r str,
    /// Host, and port if it names one, as they came.
    pub authority: &'r str,
    /// What of that attempts were sent with.
    pub sent: SentRequest<'r>,
    /// The version of HTTP that the client spoke, as `1.1`.
    pub protocol_version: &'static str,
    /// The client, as trusted proxies tell it.
    pub client: IpAddr,
    /// Whom the connection comes from.
    pub peer: SocketAddr,
    /// `user-agent`.
    pub user_agent: Option<&'r [u8]>,
    /// `x-request-id`.
    pub request_id: Option<&'r [u8]>,
    /// The route that took it.
    pub route: Option<TracedRoute<'r>>,
    /// The cluster that it went to.
    pub cluster: Option<&'r str>,
    /// The status of the answer; 0: there was none.
    pub status: u16,
    /// It is gRPC.
    pub grpc: bool,
    /// The status of gRPC, if there was one.
    pub grpc_status: Option<u16>,
    /// Why the answer is not simply what the upstream said.
    pub response_flags: ResponseFlags,
    /// Why it was answered as it was.
    pub details: &'r str,
    /// What happened to it, if anything.
    pub story: Option<&'r Story>,
    /// The attempt that is not in the story.
    pub last_attempt: Option<AttemptStory>,
    /// What the configuration adds, or says in place of what would be said.
    pub attributes: &'r [(String, String)],
}

/// A request as it goes to an upstream.
#[derive(Clone, Copy, Debug)]
pub struct SentRequest<'r> {
    /// `http` or `https`, as the connection is.
    pub scheme: &'r str,
    /// Path and query, rewritten or as they came; empty if there is none.
    pub target: &'r str,
    /// Host, and port if it names one, rewritten or as they came.
    pub authority: &'r str,
}

/// A route, as spans tell it.
#[derive(Clone, Copy, Debug)]
pub struct TracedRoute<'r> {
    /// Its virtual host.
    pub virtual_host: &'r str,
    /// Its name.
    pub name: &'r str,
    /// What of a path it matches; None: it does not look at paths.
    pub template: Option<&'r str>,
}

/// Flags of requests whose answer did not end well.
const FAILED: [ResponseFlags; 7] = [
    ResponseFlags::UF,
    ResponseFlags::UC,
    ResponseFlags::UT,
    ResponseFlags::UR,
    ResponseFlags::UPE,
    ResponseFlags::SI,
    ResponseFlags::DT,
];

/// Whether a request ended in an error that is the server's, or of what is behind it.
pub fn is_error(status: u16, grpc_status: Option<u16>, flags: ResponseFlags) -> bool {
    status >= 500 || grpc_status.is_some_and(grpc_is_server_error) || has_failed(flags)
}

fn has_failed(flags: ResponseFlags) -> bool {
    FAILED.iter().any(|flag| flags.contains(*flag))
}

type Attributes = Vec<(Cow<'static, str>, AttributeValue)>;

fn put(attributes: &mut Attributes, name: &'static str, value: impl Into<AttributeValue>) {
    attributes.push((Cow::Borrowed(name), value.into()));
}

fn put_server(attributes: &mut Attributes, authority: &str, scheme: &str) {
    let (host, port) = host_and_port(authority, scheme);
    if !host.is_empty() {
        put(attributes, "server.address", host.to_owned());
        if let Some(port) = port {
            put(attributes, "server.port", port);
        }
    }
}

/// The service and the method of gRPC.
fn put_rpc(attributes: &mut Attributes, rpc: Option<(&str, &str)>) {
    if let Some((service, method)) = rpc {
        put(attributes, "rpc.system", "grpc");
        put(attributes, "rpc.service", service.to_owned());
        put(attributes, "rpc.method", method.to_owned());
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

impl TracedRequest<'_> {
    /// Its server span, and after it the client spans of its attempts by their numbers.
    pub fn spans(&self) -> Vec<FinishedSpan> {
        let mut attempts: Vec<AttemptStory> = self.story.map_or(&[][..], Story::attempts).to_vec();
        attempts.extend(self.last_attempt);
        attempts.sort_by_key(|attempt| attempt.number);
        // The one that is open answered, or was under way at the end: of two that raced that may be the first.
        let last = self.last_attempt.as_ref().or(attempts.last());
        let last = last.map(|attempt| attempt.number);
        let mut spans = Vec::with_capacity(1 + attempts.len());
        spans.push(self.server_span());
        for attempt in &attempts {
            spans.push(self.client_span(attempt, Some(attempt.number) == last));
        }
        spans.iter_mut().for_each(FinishedSpan::cut);
        spans
    }

    fn span(
        &self,
        span_id: SpanId,
        kind: SpanKind,
        name: String,
        start: Duration,
        end: Duration,
    ) -> FinishedSpan {
        FinishedSpan {
            trace_id: self.trace_id,
            span_id,
            parent: None,
            parent_is_remote: false,
            flags: self.flags,
            tracestate: self.tracestate.map(text).unwrap_or_default(),
            name,
            kind,
            start: self.start + start,
            end: self.start + end,
            attributes: Vec::with_capacity(24),
            events: Vec::new(),
            status: SpanStatus::Unset,
        }
    }

    fn server_span(&self) -> FinishedSpan {
        let method = Method::of(self.method);
        let rpc = self.rpc(self.target);
        let name = match (self.name, rpc, self.route.and_then(|route| route.template)) {
            (Some(name), _, _) => name.to_owned(),
            (None, Some((service, method)), _) => format!("{service}/{method}"),
            (None, None, Some(template)) => format!("{} {template}", method.in_names()),
            (None, None, None) => method.in_names().to_owned(),
        };
        let mut span = self.span(
            self.span_id,
            SpanKind::Server,
            name,
            Duration::ZERO,
            self.duration,
        );
        span.parent = self.parent;
        span.parent_is_remote = self.parent.is_some();
        let attributes = &mut span.attributes;
        method.put(attributes);
        self.put_request(attributes);
        self.put_answer(attributes);
        span.events = self
            .story
            .map_or(&[][..], Story::events)
            .iter()
            .map(|event| self.event(event))
            .collect();
        if let Some(kind) = self.error_type() {
            put(&mut span.attributes, "error.type", kind);
            span.status = SpanStatus::Error(match has_failed(self.response_flags) {
                true => self.details.to_owned().into(),
                false => "".into(),
            });
        }
        self.put_configured(&mut span.attributes);
        span
    }

    /// What the configuration has it say, in place of what it says by itself: a key stands once.
    fn put_configured(&self, attributes: &mut Attributes) {
        for (key, value) in self.attributes {
            let value = value.clone().into();
            match attributes.iter_mut().find(|(known, _)| known == key) {
                Some((_, said)) => *said = value,
                None => attributes.push((Cow::Owned(key.clone()), value)),
            }
        }
    }

    /// What came.
    fn put_request(&self, attributes: &mut Attributes) {
        let (path, query) = self.target.split_once('?').unwrap_or((self.target, ""));
        if !path.is_empty() {
            put(attributes, "url.path", path.to_owned());
        }
        if !query.is_empty() {
            put(attributes, "url.query", redacted(query));
        }
        put(attributes, "url.scheme", self.scheme.to_owned());
        put_server(attributes, self.authority, self.scheme);
        put(attributes, "client.address", self.client.to_string());
        put(
            attributes,
            "network.peer.address",
            self.peer.ip().to_canonical().to_string(),
        );
        put(attributes, "network.peer.port", self.peer.port());
        put(attributes, "network.protocol.version", self.protocol_version);
        if let Some(agent) = self.user_agent {
            put(attributes, "user_agent.original", text(agent));
        }
        if let Some(id) = self.request_id {
            put(attributes, "outrigger.request_id", text(id));
        }
        if let Some(route) = self.route {
            if let Some(template) = route.template {
                put(attributes, "http.route", template.to_owned());
            }
            put(
                attributes,
                "outrigger.virtual_host",
                route.virtual_host.to_owned(),
            );
            put(attributes, "outrigger.route", route.name.to_owned());
        }
        put_rpc(attributes, self.rpc(self.target));
    }

    /// What became of it.
    fn put_answer(&self, attributes: &mut Attributes) {
        if let Some(cluster) = self.cluster {
            put(attributes, "outrigger.cluster", cluster.to_owned());
        }
        if self.status != 0 {
            put(attributes, "http.response.status_code", self.status);
        }
        if let Some(status) = self.grpc_status.filter(|_| self.grpc) {
            put(attributes, "rpc.grpc.status_code", status);
        }
        if !self.response_flags.is_empty() {
            put(
                attributes,
                "outrigger.response_flags",
                self.response_flags.to_string(),
            );
        }
        let details = self
            .story
            .and_then(|story| story.details.as_deref())
            .unwrap_or(self.details);
        if !details.is_empty() {
            put(attributes, "outrigger.response_code_details", details.to_owned());
        }
        if let Some(left_out) = self.story.map(Story::left_out).filter(|count| *count > 0) {
            put(attributes, "outrigger.left_out", left_out);
        }
    }

    /// The service and the method of gRPC.
    fn rpc<'t>(&self, target: &'t str) -> Option<(&'t str, &'t str)> {
        rpc_of(target).filter(|_| self.grpc)
    }

    /// What kind of error it ended in: what failed on the way, or else the status.
    fn error_type(&self) -> Option<Cow<'static, str>> {
        if !is_error(self.status, self.grpc_status, self.response_flags) {
            None
        } else if has_failed(self.response_flags) && !self.details.is_empty() {
            Some(self.details.to_owned().into())
        } else if let Some(code) = self.grpc_status.filter(|code| grpc_is_server_error(*code)) {
            Some(grpc_code(code))
        } else {
            Some(self.status.to_string().into())
        }
    }

    fn client_span(&self, attempt: &AttemptStory, is_last: bool) -> FinishedSpan {
        let method = Method::of(self.method);
        let sent = self.sent;
        let rpc = self.rpc(sent.target);
        let name = match rpc {
            Some((service, method)) => format!("{service}/{method}"),
            None => method.in_names().to_owned(),
        };
        let id = self.span_id.of_attempt(attempt.number);
        let mut span = self.span(id, SpanKind::Client, name, attempt.started, attempt.ended);
        span.parent = Some(self.span_id);
        let attributes = &mut span.attributes;
        method.put(attributes);
        if !sent.target.is_empty() {
            let (path, query) = sent.target.split_once('?').unwrap_or((sent.target, ""));
            let mark = if query.is_empty() { "" } else { "?" };
            let url = format!(
                "{}://{}{path}{mark}{}",
                sent.scheme,
                sent.authority,
                redacted(query)
            );
            put(attributes, "url.full", url);
        }
        put_server(attributes, sent.authority, sent.scheme);
        put(
            attributes,
            "network.peer.address",
            attempt.endpoint.ip().to_canonical().to_string(),
        );
        put(attributes, "network.peer.port", attempt.endpoint.port());
        if attempt.number > 1 {
            put(attributes, "http.request.resend_count", attempt.number - 1);
        }
        if let Some(cluster) = self.cluster {
            put(attributes, "outrigger.cluster", cluster.to_owned());
        }
        put_rpc(attributes, rpc);
        let error = match attempt.outcome {
            AttemptOutcome::Answered(status) => {
                put(attributes, "http.response.status_code", status);
                self.answer_error(attributes, status, is_last)
            }
            AttemptOutcome::Failed(why) => Some(Cow::Borrowed(why)),
            // It was let go: that is nobody's error but the request's, if it has one.
            AttemptOutcome::Cancelled => match self.error_type().filter(|_| is_last) {
                Some(error) => Some(error),
                None => {
                    put(attributes, "outrigger.cancelled", AttributeValue::Bool(true));
                    None
                }
            },
        };
        if let Some(answered) = attempt.answered {
            span.events.push(SpanEvent {
                name: "answered".into(),
                at: self.start + answered,
                attributes: Vec::new(),
            });
        }
        if let Some(kind) = error {
            put(&mut span.attributes, "error.type", kind.clone());
            span.status = match attempt.outcome {
                AttemptOutcome::Answered(_) => SpanStatus::Error("".into()),
                _ => SpanStatus::Error(kind),
            };
        }
        span
    }

    /// What is wrong with an answer, as a client sees it. Only the last one's end is known.
    fn answer_error(
        &self,
        attributes: &mut Attributes,
        status: u16,
        is_last: bool,
    ) -> Option<Cow<'static, str>> {
        if let Some(code) = self.grpc_status.filter(|_| is_last && self.grpc) {
            put(attributes, "rpc.grpc.status_code", code);
            if code != 0 {
                return Some(grpc_code(code));
            }
        }
        if status >= 400 {
            return Some(status.to_string().into());
        }
        (is_last && has_failed(self.response_flags)).then(|| self.details.to_owned().into())
    }

    fn event(&self, event: &Event) -> SpanEvent {
        let mut attributes = Vec::new();
        if !event.subject.is_empty() {
            put(&mut attributes, "outrigger.subject", event.subject.to_string());
        }
        if !event.detail.is_empty() {
            put(&mut attributes, "outrigger.detail", event.detail);
        }
        if event.value != 0 {
            let value = i64::try_from(event.value).unwrap_or(i64::MAX);
            put(&mut attributes, "outrigger.value", AttributeValue::Integer(value));
        }
        SpanEvent {
            name: event.kind.as_str().into(),
            at: self.start + event.at,
            attributes,
        }
    }
}

#[cfg(test)]
mod tests;
