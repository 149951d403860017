//! Every response flag, and every kind of 503 and of refusal: what produces it, and what is told.

use super::{calls, cuts, endings, gist, limits, policies, times};
use outrigger_telemetry::ResponseFlags;
use serde_json::Value;
use std::pin::Pin;

type Produced = Pin<Box<dyn Future<Output = Value>>>;

/// A way to an end.
struct Case {
    name: &'static str,
    /// The flags that the record has, with commas between them.
    flags: &'static str,
    /// The status that the client got.
    status: u16,
    produce: fn() -> Produced,
    /// What the cause says: the policy with its position, or the endpoint or peer.
    says: &'static [&'static str],
}

impl Case {
    /// What is wrong with its record, if anything is.
    fn objection(&self, record: &Value) -> Option<String> {
        let (flags, cause) = gist(record);
        let lacking: Vec<&&str> = self.says.iter().filter(|part| !cause.contains(**part)).collect();
        let is_as_wanted = flags.join(",") == self.flags && record["status"] == self.status;
        (!is_as_wanted || !lacking.is_empty()).then(|| {
            format!(
                "{}: {} {flags:?}, wanted {} {}; lacking {lacking:?}; {record:#}",
                self.name, record["status"], self.status, self.flags
            )
        })
    }
}

macro_rules! cases {
    ($($name:literal: $status:literal $flags:literal by $produce:path, $says:expr;)*) => {
        &[$(Case {
            name: $name,
            flags: $flags,
            status: $status,
            produce: || Box::pin($produce()),
            says: &$says,
        }),*]
    };
}

const CLUSTER: &str = "cluster `upstream` (test.yaml:";
const ROUTE: &str = "route `all/0` (test.yaml:";

const CASES: &[Case] = cases! {
    "no endpoints": 503 "UH" by endings::no_endpoints, [CLUSTER, "has no endpoints"];
    "no healthy endpoint": 503 "UH" by endings::none_healthy, [CLUSTER, "none of the 1 endpoints", "is healthy", "fails_in_panic"];
    "refused connection": 503 "UF,URX" by endings::refused, ["by default", "endpoint 127.0.0.1:", CLUSTER, "nothing listens there"];
    "connection timeout": 503 "UF,URX" by endings::connect_timeout, ["endpoint 127.0.0.1:", CLUSTER, "no connection came about in time"];
    "TLS where plain text is spoken": 503 "UF,URX" by endings::no_tls, ["endpoint 127.0.0.1:", CLUSTER, "TLS"];
    "retries used up": 503 "UF,URX" by endings::retries_used_up, ["nothing listens there", "after 3 attempts", "`retries_max` of route `all/0` (test.yaml:", ": 2)"];
    "retry of an answer used up": 503 "URX" by endings::answers_used_up, ["answered 503", "as many attempts were made", "`retries_max`"];
    "retry budget": 503 "UF,UO" by limits::retry_budget, ["nothing listens there", "the retry budget", CLUSTER];
    "requests": 503 "UO" by limits::requests, [CLUSTER, "requests are in flight", "at most 1"];
    "pending requests": 503 "UO" by limits::pending, [CLUSTER, "requests wait for a connection", "at most 1"];
    "wait for a connection": 503 "UO" by limits::pending_timeout, [CLUSTER, "waited for a connection"];
    "requests at an endpoint": 503 "UO" by limits::endpoints, [CLUSTER, "every endpoint", "at most 1"];
    "adaptive concurrency": 503 "UO" by limits::adaptive, [CLUSTER, "adaptive concurrency"];
    "overload": 503 "OM" by limits::overload, ["`overload.requests_max`"];
    "overload by pressure": 503 "OM" by limits::pressure, ["the requests that it may have in flight (`overload.requests_max`)", "100 % of new requests"];
    "closed by the upstream": 503 "UC" by endings::closed, ["endpoint 127.0.0.1:", CLUSTER, "closed the connection before its answer", "it may have run"];
    "reset by the upstream": 503 "UC" by endings::reset, ["endpoint 127.0.0.1:", CLUSTER, "reset the connection"];
    "stream reset by the upstream": 503 "UR" by endings::stream_reset, ["endpoint 127.0.0.1:", CLUSTER, "reset the stream"];
    "route timeout": 504 "UT" by endings::route_timeout, ["endpoint 127.0.0.1:", CLUSTER, "within the timeout of", ROUTE, "50.0 ms"];
    "timeout of attempts": 504 "URX,UT" by endings::per_try_timeout, ["within the time that", ROUTE, "gives each attempt", "20.0 ms"];
    "client's deadline": 200 "UT" by times::client_deadline, ["endpoint 127.0.0.1:", CLUSTER, "the deadline that its client told (`grpc-timeout`): 50.0 ms"];
    "client's deadline that is bounded": 200 "UT" by times::bounded_deadline, [ROUTE, "`client_timeout_max`): 40.0 ms"];
    "client without time": 200 "UT" by times::no_time_left, ["no time left", "`grpc-timeout`"];
    "time left by the peer": 504 "UT" by times::told_by_the_peer, ["`x-envoy-expected-rq-timeout-ms`): 30.0 ms"];
    "timeout of the peer": 504 "UT" by times::asked_by_the_peer, ["`x-envoy-upstream-rq-timeout-ms`): 60.0 ms"];
    "timeout of attempts of the peer": 504 "URX,UT" by times::attempts_of_the_peer, ["`x-envoy-upstream-rq-per-try-timeout-ms`): 20.0 ms", "the peer asks for 1 retries at most"];
    "answer that takes too long": 200 "UT" by times::answer_takes_too_long, ["endpoint 127.0.0.1:", "did not come to the end of its answer", ROUTE, "50.0 ms"];
    "garbage from the upstream": 502 "UPE" by endings::garbage, ["endpoint 127.0.0.1:", CLUSTER];
    "client that stalls": 200 "SI" by times::client_stalls, ["the client took nothing of its answer", "filter chain `", "`stream_idle_timeout`: 200.0 ms"];
    "endpoint that stalls": 200 "SI" by times::endpoint_stalls, ["endpoint 127.0.0.1:", CLUSTER, "sent nothing", ROUTE, "`stream_idle_timeout`: 50.0 ms"];
    "tunnel that idles": 101 "SI" by cuts::tunnel_idles, ["nothing moved in the tunnel", "filter chain `", "`upgrade_idle_timeout`: 50.0 ms"];
    "tunnel that was drained": 101 "" by cuts::tunnel_drained, ["its connection was to end", "`drain.timeout`: 50.0 ms"];
    "tunnel that lost its right": 101 "" by cuts::tunnel_lost_its_right, ["lost its right", "authorization policy `closed` (test.yaml:"];
    "lost right": 200 "" by cuts::right_lost, ["lost its right", "authorization policy `closed` (test.yaml:"];
    "gRPC error in a head": 200 "" by calls::in_head, ["endpoint 127.0.0.1:", CLUSTER, "gRPC status UNAVAILABLE (14)"];
    "gRPC error in trailers": 200 "" by calls::in_trailers, ["endpoint 127.0.0.1:", "gRPC status INTERNAL (13)"];
    "gRPC refusal": 200 "" by calls::denied, ["authorization policy `nobody` (test.yaml:", "denies it"];
    "gRPC maintenance": 200 "" by calls::maintenance, ["virtual host `all` (test.yaml:", "down for maintenance"];
    "nothing moves": 504 "SI" by endings::idle, ["sent nothing", "filter chain `", "`stream_idle_timeout`: 50.0 ms"];
    "greatest age": 504 "DT" by endings::aged, ["greatest age (50.0 ms)", ROUTE];
    "client that leaves": 0 "DC" by endings::client_leaves, ["the client went away before it had an answer"];
    "no virtual host": 404 "NR" by endings::no_virtual_host, ["no virtual host of route configuration `main` (test.yaml:", "`test`"];
    "no route": 404 "NR" by endings::no_route, ["no route of virtual host `all` (test.yaml:", "GET `/case`"];
    "bad path": 400 "DPE" by endings::bad_path, ["the client's request was refused"];
    "bad head": 400 "DPE" by endings::bad_head, ["the client's request was refused"];
    "rate limit": 429 "RL" by policies::rate_limit, ["rate limit `few` (test.yaml:", "allows 1 in"];
    "rate limit service": 500 "RLSE" by policies::rate_limit_service, ["rate limit `asked` (test.yaml:", "cluster `counter`", "no endpoint"];
    "authorization service that denies": 403 "UAEX" by policies::externally_denied, ["the authorization service in cluster `authz`", "filter chain `", "said no with status 403"];
    "authorization service that fails": 403 "UAEX" by policies::external_failure, ["the authorization service in cluster `authz`", "could not be asked"];
    "fault that aborts": 418 "FI" by policies::fault_abort, ["the fault of route `all/0` (test.yaml:", "100 % answered 418", "status 418"];
    "fault that delays": 200 "DI" by policies::fault_delay, ["answered 200", "the fault of filter chain `", "held it for 1 ms"];
    "DENY policy": 403 "" by policies::denied, ["authorization policy `nobody` (test.yaml:", "denies it"];
    "no ALLOW policy": 403 "" by policies::not_allowed, ["no ALLOW policy matches it", "authorization policy `admins` (test.yaml:"];
    "no token": 401 "" by policies::no_token, [ROUTE, "needs a token", "missing"];
    "maintenance": 503 "" by policies::maintenance, ["virtual host `all` (test.yaml:", "down for maintenance"];
    "body too long": 413 "" by policies::body_too_long, ["its body is longer than", ROUTE];
    "the upstream's own 503": 503 "" by endings::own_answer, ["endpoint 127.0.0.1:", CLUSTER, "answered 503, and that was passed on"];
};

#[tokio::test(flavor = "multi_thread")]
async fn each_end_is_told_by_its_true_cause() {
    let local = tokio::task::LocalSet::new();
    let mut wrong = Vec::new();
    for case in CASES {
        let produced = local.run_until(async { tokio::task::spawn_local((case.produce)()).await });
        match produced.await {
            Ok(record) => wrong.extend(case.objection(&record)),
            Err(error) => wrong.push(format!("{}: {error}", case.name)),
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn each_flag_has_a_case() {
    for name in ResponseFlags::NAMES {
        let has = |case: &&Case| case.flags.split(',').any(|flag| flag == *name);
        assert!(CASES.iter().any(|case| has(&case)), "no case produces {name}");
    }
}
