//! Causes that services make: a cluster each, at one proxy, with as much that is in order beside them as keeps their other
//! budgets whole.

use super::{Causes, PAUSE};
use outrigger_fixtures::Scripted;
use outrigger_harness::{Client, Proxy};
use std::net::SocketAddr;
use std::time::Duration;

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nok\n";
const FAILED: &str = "HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n";

/// More than half a second, which is what an attempt may take by its objective.
const SLOW: Duration = Duration::from_millis(600);

/// Requests that are in order, for each that is not, where a cause must not be seen by its errors: a fifth of what the
/// budget of errors allows.
const GOOD: usize = 5000;

/// Starts the proxy and what goes through it.
pub(super) async fn start(causes: &mut Causes) {
    let backend = Scripted::start(|mut script| async move {
        while let Some(request) = script.request().await? {
            match request.head.target() {
                path if path.ends_with("/fail") => script.send(FAILED).await?,
                path if path.ends_with("/slow") => {
                    tokio::time::sleep(SLOW).await;
                    script.send(OK).await?;
                }
                // It is never answered: whoever asks holds its place.
                path if path.ends_with("/hold") => script.until_closed().await?,
                _ => script.send(OK).await?,
            }
        }
        Ok(())
    })
    .await;
    let bad = Scripted::answering(FAILED).await;
    let document = document(backend.address(), bad.address(), causes.refusing.address());
    let proxy = Proxy::start(document).await;
    let address = proxy.address();
    for (alert, cluster) in [
        ("OutriggerErrorBudgetBurnsFast", "failing"),
        ("OutriggerErrorBudgetBurnsSlowly", "flaky"),
        ("OutriggerLatencyBudgetBurnsFast", "slow"),
        ("OutriggerLatencyBudgetBurnsSlowly", "sluggish"),
        ("OutriggerNoHealthyEndpoint", "unhealthy"),
        ("OutriggerEndpointsEjected", "ejected"),
        ("OutriggerBreakerOpen", "limited"),
        ("OutriggerRetryBudgetExhausted", "denied"),
    ] {
        causes.want(alert, cluster);
    }
    let tasks = &mut causes.tasks;
    // What is wrong of each hundred or thousand, from the second part of the turn on: never more than that at any time.
    tasks.spawn(turns(address, [("/failing/fail", 5), ("/failing/", 5)]));
    tasks.spawn(turns(address, [("/flaky/", 249), ("/flaky/fail", 1)]));
    tasks.spawn(turns(address, [("/slow/", 1), ("/slow/slow", 1)]));
    for _ in 0..4 {
        tasks.spawn(turns(address, [("/sluggish/", 24), ("/sluggish/slow", 1)]));
    }
    tasks.spawn(turns(address, [("/ejected/", 5), ("/ejected/", 5)]));
    tasks.spawn(turns(address, [("/denied/", GOOD), ("/denied/fail", 1)]));
    tasks.spawn(async move {
        let mut holds = Client::connect(address).await;
        holds
            .send("GET /limited/urgent/hold HTTP/1.1\r\nhost: a\r\n\r\n")
            .await;
        turns(address, [("/limited/", GOOD), ("/limited/urgent/", 1)]).await;
    });
    tasks.spawn(turns(address, [("/answered/", 10), ("/answered/forbidden", 1)]));
    tasks.spawn(calls(address));
    causes.targets.push(proxy.admin().0);
    causes.proxies.push(proxy);
    // They last as long as the tasks.
    causes.tasks.spawn(async move {
        let _upstreams = (backend, bad);
        std::future::pending::<()>().await;
    });
}

/// Asks for these paths so many times each, in turns, for ever, with a pause now and then for the others.
async fn turns(address: SocketAddr, paths: [(&'static str, usize); 2]) {
    let mut client = Client::connect(address).await;
    loop {
        for (path, times) in paths {
            for turn in 0..times {
                client.fetch(path, "").await;
                if turn % 16 == 0 {
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
            }
        }
    }
}

/// Calls by gRPC, for ever.
async fn calls(address: SocketAddr) {
    let mut client = Client::connect(address).await;
    loop {
        client
            .fetch("/answered/", "content-type: application/grpc\r\n")
            .await;
        tokio::time::sleep(PAUSE).await;
    }
}

fn document(backend: SocketAddr, bad: SocketAddr, nobody: SocketAddr) -> String {
    let plain = |name: &str, more: &str| {
        format!("  - {{ name: {name}, endpoints: [{{ address: '{backend}' }}]{more} }}\n")
    };
    let clusters = [
        plain("failing", ""),
        plain("flaky", ""),
        plain("slow", ", pool: { requests_per_connection_max: 1 }"),
        plain("sluggish", ""),
        plain("limited", ", circuit_breakers: { high: { requests_max: 1 } }"),
        plain("denied", ", retry_budget: { percent: 0, concurrency_min: 0 }"),
        format!(
            "  - {{ name: unhealthy, endpoints: [{{ address: '{nobody}' }}], \
             health_check: {{ tcp: {{}}, interval: 100ms, unhealthy_interval: 100ms }} }}\n"
        ),
        format!(
            "  - {{ name: ejected, endpoints: [{{ address: '{backend}' }}, {{ address: '{bad}' }}, \
             {{ address: '{nobody}' }}], panic_threshold: 0, \
             outlier_detection: {{ consecutive_5xx: 2, max_ejection_percent: 70, base_ejection_time: 300s, interval: 50ms }} }}\n"
        ),
    ];
    let retry = "retry: { retry_on: [5xx] }";
    let routes = [
        forward("failing", ""),
        forward("flaky", ""),
        forward("slow", ""),
        forward("sluggish", ""),
        forward("ejected", retry),
        forward("denied", retry),
        forward("limited/urgent", "priority: high, timeout: off, stream_idle_timeout: off").replace("cluster: limited/urgent", "cluster: limited"),
        forward("limited", ""),
        "          - { match: { prefix: /answered/ }, direct_response: { status: 200, body: ok }, rate_limits: [often] }\n".to_owned(),
    ];
    format!(
        "admin: {{ address: '127.0.0.1:0' }}\n\
         runtime: {{ workers: 1 }}\n\
         rate_limits: [{{ name: often, local: {{ limit: {{ requests: 5, per: 1s }} }} }}]\n\
         authorization_policies: [{{ name: no-forbidden, action: deny, rules: [{{ paths: [{{ path: /answered/forbidden }}] }}] }}]\n\
         listeners:\n  - {{ name: edge, address: '127.0.0.1:0', filter_chains: [{{ authorization: [no-forbidden], http: {{ route_configuration: main }} }}] }}\n\
         route_configurations:\n  - name: main\n    virtual_hosts:\n      - name: all\n        domains: ['*']\n        routes:\n{}\
         clusters:\n{}",
        routes.concat(),
        clusters.concat()
    )
}

fn forward(cluster: &str, more: &str) -> String {
    let more = if more.is_empty() {
        String::new()
    } else {
        format!(", {more}")
    };
    format!("          - {{ match: {{ prefix: /{cluster}/ }}, forward: {{ cluster: {cluster}{more} }} }}\n")
}
