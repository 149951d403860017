//! Hedging: a request that is not answered in time is sent to another endpoint, too; the better answer is passed on and
//! the other attempt cancelled.
//!
//! Two endpoints share one plan: what becomes of a request depends on how many came before it to either, and is never a
//! question of time.

use outrigger_fixtures::frames::{Frame, FrameConnection, FrameKind, FrameServer, code};
use outrigger_fixtures::scripted::{Script, Scripted};
use outrigger_harness::{Client, Document, Proxy, wait_until};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::watch;

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
const BUSY: &str = "HTTP/1.1 503 X\r\ncontent-length: 4\r\n\r\nbusy";
const QUICK: &str = "backoff: { base: 1ms }";

/// What becomes of a request.
#[derive(Debug, Clone, Copy)]
enum Deed {
    /// 200.
    Answer,
    /// 503.
    Refuse,
    /// No answer, for as long as the connection is there.
    Stall,
    /// 200, once this many requests have come.
    AnswerAfter(usize),
    /// 503, once this many requests have come.
    RefuseAfter(usize),
    /// The connection ends, once this many requests have come.
    CloseAfter(usize),
    /// 200, once as many as this were released.
    AnswerWhenReleased(usize),
}
use Deed::*;

/// What two endpoints do, and what they saw.
struct Plan {
    act: fn(usize) -> Deed,
    seen: watch::Sender<usize>,
    released: watch::Sender<usize>,
    cancelled: AtomicUsize,
}

impl Plan {
    fn new(act: fn(usize) -> Deed) -> Arc<Plan> {
        Arc::new(Plan {
            act,
            seen: watch::channel(0).0,
            released: watch::channel(0).0,
            cancelled: AtomicUsize::new(0),
        })
    }

    fn next(&self) -> Deed {
        let mut number = 0;
        self.seen.send_modify(|seen| {
            number = *seen;
            *seen += 1;
        });
        (self.act)(number)
    }

    async fn until_seen(&self, count: usize) {
        let mut seen = self.seen.subscribe();
        seen.wait_for(|seen| *seen >= count).await.unwrap();
    }

    fn requests(&self) -> usize {
        *self.seen.borrow()
    }

    async fn until_cancelled(&self, count: usize) {
        wait_until("cancelled attempts", async || {
            (self.cancelled.load(Ordering::SeqCst) == count).then_some(())
        })
        .await;
    }
}

async fn serve(mut script: Script, plan: Arc<Plan>) -> io::Result<()> {
    while script.request().await?.is_some() {
        let answer = match plan.next() {
            Answer => OK,
            Refuse => BUSY,
            Stall => {
                script.until_closed().await?;
                plan.cancelled.fetch_add(1, Ordering::SeqCst);
                return Ok(());
            }
            AnswerAfter(count) => {
                plan.until_seen(count).await;
                OK
            }
            RefuseAfter(count) => {
                plan.until_seen(count).await;
                BUSY
            }
            CloseAfter(count) => {
                plan.until_seen(count).await;
                return Ok(());
            }
            AnswerWhenReleased(count) => {
                let mut released = plan.released.subscribe();
                let is_closed = tokio::select! {
                    _ = released.wait_for(|released| *released >= count) => false,
                    _ = script.until_closed() => true,
                };
                if is_closed {
                    plan.cancelled.fetch_add(1, Ordering::SeqCst);
                    return Ok(());
                }
                OK
            }
        };
        script.send(answer).await?;
    }
    Ok(())
}

async fn endpoints(plan: &Arc<Plan>) -> [Scripted; 2] {
    let start = || {
        let plan = Arc::clone(plan);
        Scripted::start(move |script| serve(script, Arc::clone(&plan)))
    };
    [start().await, start().await]
}

/// One route to both, with these retries.
async fn proxy(endpoints: &[Scripted; 2], retry: &str) -> Proxy {
    let addresses = [endpoints[0].address(), endpoints[1].address()];
    let document = Document::to(&addresses)
        .workers(1)
        .forward(&format!("timeout: 10s, retry: {{ {retry} }}"));
    Proxy::start(document).await
}

async fn status_and_body(proxy: &Proxy) -> (u16, String) {
    let response = Client::connect(proxy.address()).await.fetch("/", "").await;
    (response.status(), response.text())
}

const HEDGES: &str = "outrigger_route_hedges_total";
const WON: &str = "outrigger_route_hedges_won_total";
const DENIED: &str = "outrigger_route_hedges_denied_total";

fn ok() -> (u16, String) {
    (200, "ok".to_owned())
}

/// Every hedge is within the share here; what that bounds is a scenario of its own.
const SOON: &str = "hedging: { after: 5ms, extra_load_max: 100 }";

#[tokio::test(flavor = "multi_thread")]
async fn a_stalled_request_is_answered_by_another_endpoint_and_cancelled() {
    let plan = Plan::new(|number| if number == 0 { Stall } else { Answer });
    let upstreams = endpoints(&plan).await;
    let proxy = proxy(&upstreams, SOON).await;
    assert_eq!(status_and_body(&proxy).await, ok());
    let counts = [upstreams[0].request_count(), upstreams[1].request_count()];
    assert_eq!(counts, [1, 1], "another endpoint, and no third attempt");
    plan.until_cancelled(1).await;
    let admin = proxy.admin();
    for (metric, value) in [
        (HEDGES, 1.0),
        (WON, 1.0),
        (
            "outrigger_route_hedged_attempts_cancelled_total{attempt=\"first\"}",
            1.0,
        ),
        ("outrigger_cluster_attempts_total", 2.0),
        ("outrigger_cluster_attempt_time_to_answer_seconds_count", 1.0),
        (
            "outrigger_cluster_attempts_unanswered_total{cluster=\"upstream\",reason=\"cancelled\"}",
            1.0,
        ),
        ("outrigger_cluster_attempt_duration_seconds_count", 2.0),
    ] {
        admin.wait_for_metric(metric, value).await;
    }
    assert_eq!(admin.metric("outrigger_cluster_retries_total").await, 0.0);
    let hedge = upstreams
        .iter()
        .flat_map(Scripted::requests)
        .filter_map(|request| request.head.field("x-outrigger-retry").map(str::to_owned));
    assert_eq!(hedge.collect::<Vec<_>>(), ["1"], "the next hop is told");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_hedge_is_cancelled_if_the_first_attempt_answers() {
    let plan = Plan::new(|number| if number == 0 { AnswerAfter(2) } else { Stall });
    let upstreams = endpoints(&plan).await;
    for hedging in [
        SOON,
        "per_try_timeout: 5ms, hedging: { after: per_try_timeout, extra_load_max: 100 }",
    ] {
        plan.seen.send_replace(0);
        let proxy = proxy(&upstreams, hedging).await;
        assert_eq!(status_and_body(&proxy).await, ok(), "{hedging}");
        assert_eq!(plan.requests(), 2, "{hedging}");
        let admin = proxy.admin();
        let cancelled = "outrigger_route_hedged_attempts_cancelled_total{attempt=\"hedge\"}";
        admin.wait_for_metric(cancelled, 1.0).await;
        admin.wait_for_metric(HEDGES, 1.0).await;
        assert_eq!(admin.metric(WON).await, 0.0, "{hedging}");
        let cancelled =
            "outrigger_cluster_attempts_unanswered_total{cluster=\"upstream\",reason=\"cancelled\"}";
        admin.wait_for_metric(cancelled, 1.0).await;
        let ended = "outrigger_cluster_attempt_duration_seconds_count";
        admin.wait_for_metric(ended, 2.0).await;
    }
    plan.until_cancelled(2).await;
}

const POST: &str = "POST / HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 3\r\n\r\nabc";

#[tokio::test(flavor = "multi_thread")]
async fn what_must_not_run_twice_is_not_hedged() {
    let plan = Plan::new(|number| match number {
        0 => AnswerWhenReleased(1),
        1 => Stall,
        _ => Answer,
    });
    let upstreams = endpoints(&plan).await;
    let proxy = proxy(&upstreams, SOON).await;
    let mut client = Client::connect(proxy.address()).await;
    client.send(POST).await;
    plan.until_seen(1).await;
    // It came later and has been hedged: the first one's time was up before.
    assert_eq!(status_and_body(&proxy).await, ok());
    assert_eq!(plan.requests(), 3);
    plan.released.send_replace(1);
    assert!(client.to_close().await.ends_with(b"ok"));
    let requests = upstreams.iter().flat_map(Scripted::requests);
    assert_eq!(requests.filter(|request| request.body.bytes == b"abc").count(), 1);
    assert_eq!(proxy.admin().metric(DENIED).await, 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_declared_idempotent_is_hedged_with_its_body() {
    let plan = Plan::new(|number| if number == 0 { Stall } else { Answer });
    let upstreams = endpoints(&plan).await;
    let proxy = proxy(&upstreams, &format!("{SOON}, idempotent: declared")).await;
    let mut client = Client::connect(proxy.address()).await;
    client.send(POST).await;
    assert!(client.to_close().await.ends_with(b"ok"));
    for upstream in &upstreams {
        assert_eq!(upstream.last_request().body.bytes, b"abc");
    }
    assert_eq!(plan.requests(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_still_coming_is_not_hedged() {
    let plan = Plan::new(|_| Answer);
    let upstreams = endpoints(&plan).await;
    let proxy = proxy(&upstreams, SOON).await;
    let mut client = Client::connect(proxy.address()).await;
    client
        .send("PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\na")
        .await;
    let denied = "outrigger_route_hedges_denied_total{reason=\"body\"}";
    proxy.admin().wait_for_metric(denied, 1.0).await;
    client.send("bc").await;
    assert_eq!(client.response("PUT").await.status(), 200);
    assert_eq!(plan.requests(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn hedges_are_the_share_of_requests_that_they_may_be() {
    // Every first attempt is held until its hedge is made or denied.
    let plan = Plan::new(|_| Answer);
    let start = || {
        let plan = Arc::clone(&plan);
        Scripted::start(move |script| hold_first_attempts(script, Arc::clone(&plan)))
    };
    let upstreams = [start().await, start().await];
    let proxy = proxy(&upstreams, "hedging: { after: 1ms, extra_load_max: 10 }").await;
    let admin = proxy.admin();
    let mut client = Client::connect(proxy.address()).await;
    for number in 1..=200 {
        client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
        wait_until("a hedge, made or denied", async || {
            let metrics = admin.metrics().await;
            let decided = metrics.sum(HEDGES) + metrics.sum(DENIED);
            (decided >= f64::from(number)).then_some(())
        })
        .await;
        plan.released.send_replace(number as usize);
        assert_eq!(client.response("GET").await.status(), 200);
        let hedges = admin.metric(HEDGES).await;
        assert_eq!(hedges, f64::from(number / 10), "of {number} requests");
    }
    let over = "outrigger_route_hedges_denied_total{reason=\"extra_load\"}";
    admin.wait_for_metric(over, 180.0).await;
    let requests: usize = upstreams.iter().map(Scripted::request_count).sum();
    assert_eq!(requests, 220);
}

/// Answers a hedge at once, and a first attempt when as many as came by then are released.
async fn hold_first_attempts(mut script: Script, plan: Arc<Plan>) -> io::Result<()> {
    while let Some(request) = script.request().await? {
        if request.head.field("x-outrigger-retry").is_none() {
            plan.next();
            let number = plan.requests();
            let mut released = plan.released.subscribe();
            tokio::select! {
                _ = released.wait_for(|released| *released >= number) => {}
                _ = script.until_closed() => return Ok(()),
            }
        }
        script.send(OK).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quantile_is_learnt_before_anything_is_hedged_by_it() {
    let plan = Plan::new(|number| if number == 100 { Stall } else { Answer });
    let upstreams = endpoints(&plan).await;
    let proxy = proxy(
        &upstreams,
        "hedging: { after: { quantile: 95, delay_min: 1s }, extra_load_max: 100 }",
    )
    .await;
    let mut client = Client::connect(proxy.address()).await;
    for _ in 0..100 {
        assert_eq!(client.fetch("/", "").await.status(), 200);
    }
    assert_eq!(proxy.admin().metric(HEDGES).await, 0.0);
    assert_eq!(client.fetch("/", "").await.text(), "ok", "the stalled one");
    proxy.admin().wait_for_metric(HEDGES, 1.0).await;
    assert_eq!(plan.requests(), 102);
}

#[tokio::test(flavor = "multi_thread")]
async fn if_both_attempts_are_no_good_policy_decides_on_the_last() {
    // The hedge is refused at once, and then the first attempt.
    for (retries_max, expected, requests) in [(1, (503, "busy".to_owned()), 2), (2, ok(), 3)] {
        let plan = Plan::new(|number| match number {
            0 => RefuseAfter(2),
            1 => Refuse,
            _ => Answer,
        });
        let upstreams = endpoints(&plan).await;
        let retry = format!("retry_on: [5xx], retries_max: {retries_max}, {QUICK}, {SOON}");
        let proxy = proxy(&upstreams, &retry).await;
        assert_eq!(status_and_body(&proxy).await, expected);
        assert_eq!(plan.requests(), requests);
        proxy.admin().wait_for_metric(HEDGES, 1.0).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_attempt_that_fails_leaves_the_other_to_answer() {
    let first_fails: fn(usize) -> Deed = |number| {
        if number == 0 {
            CloseAfter(2)
        } else {
            AnswerWhenReleased(1)
        }
    };
    let hedge_fails: fn(usize) -> Deed = |number| {
        if number == 0 {
            AnswerWhenReleased(1)
        } else {
            CloseAfter(2)
        }
    };
    for (act, won) in [(first_fails, 1.0), (hedge_fails, 0.0)] {
        let plan = Plan::new(act);
        let upstreams = endpoints(&plan).await;
        let proxy = proxy(&upstreams, SOON).await;
        let mut client = Client::connect(proxy.address()).await;
        client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
        wait_until("the connection that closes", async || {
            let open: usize = upstreams.iter().map(Scripted::open_connections).sum();
            (plan.requests() == 2 && open == 1).then_some(())
        })
        .await;
        plan.released.send_replace(1);
        assert_eq!(client.response("GET").await.status(), 200);
        assert_eq!(plan.requests(), 2, "nothing was tried again");
        proxy.admin().wait_for_metric(WON, won).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_another_endpoint_nothing_is_hedged() {
    let plan = Plan::new(|_| AnswerWhenReleased(1));
    let [upstream, _] = endpoints(&plan).await;
    let document = Document::to(&[upstream.address()])
        .workers(1)
        .forward(&format!("retry: {{ {SOON} }}"));
    let proxy = Proxy::start(document).await;
    let mut client = Client::connect(proxy.address()).await;
    client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let denied = "outrigger_route_hedges_denied_total{reason=\"no_endpoint\"}";
    proxy.admin().wait_for_metric(denied, 1.0).await;
    plan.released.send_replace(1);
    assert_eq!(client.response("GET").await.status(), 200);
    assert_eq!((plan.requests(), upstream.request_count()), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_goes_ends_both_attempts() {
    let plan = Plan::new(|_| Stall);
    let upstreams = endpoints(&plan).await;
    let proxy = proxy(&upstreams, SOON).await;
    let mut client = Client::connect(proxy.address()).await;
    client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    plan.until_seen(2).await;
    client.reset();
    plan.until_cancelled(2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_deadline_ends_both_attempts() {
    let plan = Plan::new(|_| Stall);
    let upstreams = endpoints(&plan).await;
    let addresses = [upstreams[0].address(), upstreams[1].address()];
    let document = Document::to(&addresses)
        .workers(1)
        .forward(&format!("timeout: 300ms, retry: {{ {SOON} }}"));
    let proxy = Proxy::start(document).await;
    assert_eq!(status_and_body(&proxy).await.0, 504);
    plan.until_cancelled(2).await;
    assert_eq!(plan.requests(), 2);
}

async fn serve_frames(mut connection: FrameConnection, plan: Arc<Plan>) -> anyhow::Result<()> {
    connection.greet(&[]).await?;
    while let Some(frame) = connection.next().await? {
        match frame.kind {
            FrameKind::Headers if matches!(plan.next(), Answer) => {
                let answer = [
                    Frame::response(frame.stream, "200", false),
                    Frame::data(frame.stream, "ok", true),
                ];
                connection.send_all(&answer).await?;
            }
            FrameKind::RstStream if frame.error_code() == Some(code::CANCEL) => {
                plan.cancelled.fetch_add(1, Ordering::SeqCst);
            }
            _ => {}
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stalled_stream_is_reset_and_its_connection_stays() {
    let plan = Plan::new(|number| if number == 0 { Stall } else { Answer });
    let start = || {
        let plan = Arc::clone(&plan);
        FrameServer::start(move |connection, _| serve_frames(connection, Arc::clone(&plan)))
    };
    let upstreams = [start().await.unwrap(), start().await.unwrap()];
    let addresses = [upstreams[0].address(), upstreams[1].address()];
    let document = Document::to(&addresses)
        .workers(1)
        .cluster("protocol: http2")
        .forward(&format!("retry: {{ {SOON} }}"));
    let proxy = Proxy::start(document).await;
    assert_eq!(status_and_body(&proxy).await, ok());
    plan.until_cancelled(1).await;
    for _ in 0..4 {
        assert_eq!(status_and_body(&proxy).await, ok());
    }
    let opened = "outrigger_cluster_connections_opened_total";
    assert_eq!(proxy.admin().metric(opened).await, 2.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_that_may_not_be_hedged_ends_at_its_own_time() {
    let plan = Plan::new(|_| Stall);
    let [upstream, _] = endpoints(&plan).await;
    let document = Document::to(&[upstream.address()])
        .workers(1)
        .forward("retry: { per_try_timeout: 50ms, hedging: { after: per_try_timeout } }");
    let proxy = Proxy::start(document).await;
    assert_eq!(status_and_body(&proxy).await.0, 504);
    plan.until_cancelled(1).await;
    assert_eq!(plan.requests(), 1);
}
