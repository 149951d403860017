//! Cross-origin requests: preflights are answered here, and answers say who may read them. What is allowed is
//! [`CorsPolicy`]'s to decide.

use super::{Request, RequestContext, Taken, respond};
use crate::server::Downstream;
use bytes::Bytes;
use outrigger_http1::{Fields, KnownName, ResponseHead};
use outrigger_telemetry::CorsOrigin;
use outrigger_traffic::{CorsDecision, CorsPolicy};

/// Envoy's: 204 would do as well, but not for every browser in use.
const PREFLIGHT_STATUS: u16 = 200;

/// An allowed origin that waits for its answer; kept, because edits of the request may change the field.
pub(super) struct CrossOrigin {
    origin: Box<[u8]>,
    preflight: bool,
}

/// Decides what the request is and remembers it for the answer's head. True if it is a preflight that is to be answered.
pub(super) fn begin(
    request: &mut Request<'_>,
    context: &RequestContext<'_>,
    taken: Taken<'_>,
    policy: &CorsPolicy,
) -> bool {
    let fields = &request.head.fields;
    let origin = fields.get(KnownName::Origin);
    let asks = fields.contains(KnownName::AccessControlRequestMethod);
    let decision = policy.decide(request.head.method.as_str(), origin, asks);
    let cells = taken.policy.metrics.worker(context.worker().index);
    match decision {
        CorsDecision::SameOrigin => {}
        CorsDecision::NotAllowed => cells.cors_requests[CorsOrigin::Invalid].inc(),
        CorsDecision::Allowed | CorsDecision::Preflight => {
            cells.cors_requests[CorsOrigin::Valid].inc();
            request.cross_origin = origin.map(|origin| {
                Box::new(CrossOrigin {
                    origin: origin.into(),
                    preflight: decision == CorsDecision::Preflight,
                })
            });
        }
    }
    decision == CorsDecision::Preflight
}

/// Answers a preflight.
pub(super) async fn preflight(
    request: &mut Request<'_>,
    downstream: &mut Downstream<'_>,
    context: &RequestContext<'_>,
    taken: Taken<'_>,
    policy: &CorsPolicy,
) {
    request.record.answered_here(PREFLIGHT_STATUS, "cors_response");
    let mut head = ResponseHead::new();
    head.status = PREFLIGHT_STATUS;
    let asked = &request.head.fields;
    let answers = [
        (
            KnownName::AccessControlAllowMethods,
            &policy.allow_methods,
            KnownName::AccessControlRequestMethod,
        ),
        (
            KnownName::AccessControlAllowHeaders,
            &policy.allow_headers,
            KnownName::AccessControlRequestHeaders,
        ),
    ];
    for (name, allowed, asked_in) in answers {
        match allowed {
            Some(allowed) => head.fields.push_known(name, allowed.as_bytes()),
            None => asked
                .get_all(asked_in)
                .for_each(|value| head.fields.push_known(name, value)),
        }
    }
    if let Some(max_age) = &policy.max_age {
        head.fields
            .push_known(KnownName::AccessControlMaxAge, max_age.as_bytes());
    }
    respond::send(request, downstream, context, Some(taken), head, Bytes::new()).await;
}

/// Writes into an answer who may read it, whatever the upstream or header edits have said of that. An origin that is not
/// allowed leaves the answer as it is.
pub(super) fn finish(policy: &CorsPolicy, cross_origin: Option<&CrossOrigin>, fields: &mut Fields) {
    if let Some(CrossOrigin { origin, preflight }) = cross_origin {
        fields.set_known(KnownName::AccessControlAllowOrigin, policy.allow_origin(origin));
        fields.remove("access-control-allow-credentials");
        if policy.allow_credentials() {
            fields.push(b"access-control-allow-credentials", b"true");
        }
        fields.remove_known(KnownName::AccessControlExposeHeaders);
        if let Some(names) = policy.expose_headers.as_ref().filter(|_| !preflight) {
            fields.push_known(KnownName::AccessControlExposeHeaders, names.as_bytes());
        }
    }
    // For requests without an origin too: a cache must not give their answer to others that have one.
    if policy.depends_on_origin() && !varies_by_origin(fields) {
        fields.push_known(KnownName::Vary, b"origin");
    }
}

fn varies_by_origin(fields: &Fields) -> bool {
    let names = |name: &[u8]| name.eq_ignore_ascii_case(b"origin") || name == b"*";
    fields
        .get_all(KnownName::Vary)
        .flat_map(|value| value.split(|byte| *byte == b','))
        .any(|name| names(name.trim_ascii()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_varies_already_is_not_told_twice() {
        for (values, expected) in [
            (&[][..], false),
            (&["accept-encoding"], false),
            (&["Origin"], true),
            (&["accept-encoding", "accept, ORIGIN"], true),
            (&["*"], true),
            (&["x-origin"], false),
        ] {
            let mut fields = Fields::new();
            for value in values {
                fields.push_known(KnownName::Vary, value.as_bytes());
            }
            assert_eq!(varies_by_origin(&fields), expected, "{values:?}");
        }
    }
}
