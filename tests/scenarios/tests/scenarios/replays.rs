//! The proof of what is never sent twice: upstreams that count what may have had an effect, under every failure, for every
//! kind of request and policy, over both versions of HTTP.
//!
//! The upstream fails each request once and answers it from then on. What it was sent counts as run from the moment at which
//! it may have acted, its head. So a request that may have run and is not idempotent is counted once, whatever policy says;
//! and where another attempt is right, it is counted twice and answered: the tables bite both ways.

mod http1;
mod http2;

use outrigger_harness::{Client, Document, Proxy};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

/// Every condition that there is.
const RETRY_ON: &str = "retry_on: [5xx, gateway-error, reset, reset-before-request, connect-failure, refused-stream, \
     retriable-4xx, retriable-status-codes, retriable-headers, envoy-ratelimited, cancelled, deadline-exceeded, internal, \
     resource-exhausted, unavailable], retriable_status_codes: [429], \
     retriable_headers: [{ name: x-again, present: true }], backoff: { base: 1ms }";

/// What a route says of retries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Policy {
    None,
    /// Every condition; requests with a key are idempotent, too.
    Everything,
    /// Every condition, and all requests are said to be idempotent.
    Declared,
}

const POLICIES: [Policy; 3] = [Policy::None, Policy::Everything, Policy::Declared];

impl Policy {
    fn path(self) -> &'static str {
        match self {
            Policy::None => "/none",
            Policy::Everything => "/everything",
            Policy::Declared => "/declared",
        }
    }

    fn route(self, timeouts: Timeouts) -> String {
        let (path, whole) = (self.path(), timeouts.whole());
        let per_try = timeouts.per_try();
        let retry = match self {
            Policy::None => String::new(),
            Policy::Everything => {
                format!(", retry: {{ {RETRY_ON}{per_try}, idempotent: {{ header: idempotency-key }} }}")
            }
            Policy::Declared => format!(", retry: {{ {RETRY_ON}{per_try}, idempotent: declared }}"),
        };
        format!("{{ match: {{ prefix: {path} }}, forward: {{ cluster: upstream{whole}{retry} }} }}")
    }
}

/// Which time limits are short enough to be met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Timeouts {
    No,
    Route,
    PerTry,
}

impl Timeouts {
    fn whole(self) -> &'static str {
        match self {
            Timeouts::Route => ", timeout: 250ms",
            _ => "",
        }
    }

    fn per_try(self) -> &'static str {
        match self {
            Timeouts::PerTry => ", per_try_timeout: 250ms",
            _ => "",
        }
    }
}

/// A kind of request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Get,
    Put,
    Post,
    /// POST with `idempotency-key`.
    Keyed,
    Grpc,
}

const KINDS: [Kind; 5] = [Kind::Get, Kind::Put, Kind::Post, Kind::Keyed, Kind::Grpc];

impl Kind {
    fn request(self, path: &str, id: &str) -> String {
        let (method, fields) = match self {
            Kind::Get => ("GET", ""),
            Kind::Put => ("PUT", "content-length: 3\r\n"),
            Kind::Post => ("POST", "content-length: 3\r\n"),
            Kind::Keyed => ("POST", "content-length: 3\r\nidempotency-key: 7\r\n"),
            Kind::Grpc => ("POST", "content-length: 3\r\ncontent-type: application/grpc\r\n"),
        };
        let body = if self == Kind::Get { "" } else { "abc" };
        format!(
            "{method} {path} HTTP/1.1\r\nhost: a\r\nx-id: {id}\r\nconnection: close\r\n{fields}\r\n{body}"
        )
    }

    /// It may be sent twice under this policy though it may have run.
    fn is_idempotent(self, policy: Policy) -> bool {
        match self {
            Kind::Get | Kind::Put => true,
            Kind::Keyed => policy != Policy::None,
            Kind::Post | Kind::Grpc => policy == Policy::Declared,
        }
    }
}

/// What a failure says of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Says {
    /// It may have run, and there was no answer.
    MayHaveRun,
    /// The connection died before a byte of an answer: without a policy an idempotent request is sent again if the connection
    /// had served before.
    Died,
    /// It was not begun, and every policy sends it again.
    NeverRan,
    /// An answer says that it was refused before it ran: policies with that condition send it again.
    Refused,
    /// Its answer has begun to be passed on: nothing is sent again.
    Begun,
    /// The request's time is up.
    TimeUp,
}

/// How often a request is to have run, and whether it is answered in the end.
fn expected(says: Says, kind: Kind, policy: Policy, reused: bool) -> (usize, bool) {
    let has_policy = policy != Policy::None;
    let idempotent = kind.is_idempotent(policy);
    let (first, again) = match says {
        Says::MayHaveRun => (1, idempotent && has_policy),
        Says::Died => (1, idempotent && (has_policy || reused)),
        Says::NeverRan => (0, true),
        Says::Refused => (0, has_policy),
        Says::Begun | Says::TimeUp => (1, false),
    };
    (first + usize::from(again), again)
}

/// What ran, by the request's id, and what has failed already.
#[derive(Clone, Default)]
struct Effects(Arc<Mutex<HashMap<String, (usize, usize)>>>);

impl Effects {
    /// A request has come: true if it is to fail.
    fn came(&self, id: &str) -> bool {
        let mut all = self.0.lock().unwrap();
        let (seen, _) = all.entry(id.to_owned()).or_default();
        *seen += 1;
        id != "warm" && *seen == 1
    }

    /// A request may have had its effect.
    fn ran(&self, id: &str) {
        self.0.lock().unwrap().entry(id.to_owned()).or_default().1 += 1;
    }

    fn runs_of(&self, id: &str) -> usize {
        self.0.lock().unwrap().get(id).map_or(0, |(_, runs)| *runs)
    }
}

/// A proxy before an upstream, with a route for each policy. Connections are used again, or not at all.
async fn proxy(upstream: SocketAddr, cluster: &str, timeouts: Timeouts, reused: bool) -> Proxy {
    let routes: Vec<String> = POLICIES
        .into_iter()
        .map(|policy| policy.route(timeouts))
        .collect();
    let pool = if reused {
        "pool: { idle_timeout: 1h }"
    } else {
        "pool: { requests_per_connection_max: 1 }"
    };
    let document = Document::to(&[upstream])
        .workers(1)
        .routes(&routes.join(", "))
        .cluster(pool)
        .cluster("retry_budget: { concurrency_min: 1000 }")
        .cluster(cluster);
    Proxy::start(document).await
}

/// Sends each kind of request under each policy, and compares what ran with what was to run. The faults, in words.
async fn judge(what: &str, says: Says, proxy: &Proxy, effects: &Effects, reused: bool) -> Vec<String> {
    let mut faults = Vec::new();
    for policy in POLICIES {
        for kind in KINDS {
            if reused {
                let warm = Client::connect(proxy.address())
                    .await
                    .fetch(policy.path(), "x-id: warm\r\n")
                    .await;
                assert_eq!(warm.text(), "ok", "{what}");
            }
            let id = format!("{policy:?}-{kind:?}");
            let mut client = Client::connect(proxy.address()).await;
            client.send(kind.request(policy.path(), &id)).await;
            let response = client.try_response_within().await;
            let is_answered =
                response.is_ok_and(|response| response.status() == 200 && response.text() == "ok");
            let (runs, answered) = expected(says, kind, policy, reused);
            if (effects.runs_of(&id), is_answered) != (runs, answered) {
                faults.push(format!(
                    "{what}, reused {reused}: {kind:?} under {policy:?} ran {} times, answered: {is_answered}; \
                     expected {runs} and {answered}",
                    effects.runs_of(&id)
                ));
            }
        }
    }
    faults
}
