//! The cases of W3C's Trace Context (level 2), through a proxy: what the next hop is told.

use super::{collector, traced, traceparent};
use outrigger_fixtures::Scripted;
use outrigger_harness::{Client, Document, Proxy};

const TRACE: &str = "12345678901234567890123456789012";
const PARENT: &str = "1234567890123456";

/// A case: fields that are sent, in lines; whether the trace goes on; and the `tracestate` that arrives.
struct Case {
    sent: Vec<(&'static str, String)>,
    goes_on: bool,
    state: Option<String>,
}

fn case(sent: &[(&'static str, &str)], goes_on: bool, state: Option<&str>) -> Case {
    let sent = sent.iter().map(|(name, value)| (*name, (*value).to_owned()));
    Case {
        sent: sent.collect(),
        goes_on,
        state: state.map(str::to_owned),
    }
}

/// Values of `traceparent` alone.
fn traceparents() -> Vec<Case> {
    let ids = format!("{TRACE}-{PARENT}");
    let going_on = [
        format!("00-{ids}-00"),
        format!("00-{ids}-01"),
        format!("00-{ids}-02"),
        format!("00-{ids}-ff"),
        format!("\t 00-{ids}-01 \t"),
        format!("01-{ids}-01"),
        format!("cc-{ids}-01"),
        format!("cc-{ids}-01-what-the-future-will-be-like"),
    ];
    let beginning = [
        "00".to_owned(),
        format!("ff-{ids}-01"),
        format!("00-{ids}-01-what-the-future-will-be-like"),
        format!("00-{ids}-01."),
        format!("cc-{ids}-01.what-the-future-will-be-like"),
        format!(".0-{ids}-01"),
        format!("0.-{ids}-01"),
        format!("0-{ids}-01"),
        format!("000-{ids}-01"),
        format!("00-{}-{PARENT}-01", "0".repeat(32)),
        format!("00-{TRACE}-{}-01", "0".repeat(16)),
        format!("00-.{}-{PARENT}-01", &TRACE[1..]),
        format!("00-{}.-{PARENT}-01", &TRACE[1..]),
        format!("00-A{}-{PARENT}-01", &TRACE[1..]),
        format!("00-{TRACE}3-{PARENT}-01"),
        format!("00-{}-{PARENT}-01", &TRACE[1..]),
        format!("00-{TRACE}-.{}-01", &PARENT[1..]),
        format!("00-{TRACE}-{PARENT}7-01"),
        format!("00-{TRACE}-{}-01", &PARENT[1..]),
        format!("00-{ids}-.0"),
        format!("00-{ids}-0."),
        format!("00-{ids}-001"),
        format!("00-{ids}-1"),
        format!("00-{ids}-01,00-{ids}-01"),
    ];
    let one = |goes_on| move |value: String| case(&[("traceparent", &value)], goes_on, None);
    let mut cases: Vec<Case> = going_on.into_iter().map(one(true)).collect();
    cases.extend(beginning.into_iter().map(one(false)));
    let valid = format!("00-{ids}-01");
    cases.extend([
        case(&[], false, None),
        case(&[("TraceParent", &valid)], true, None),
        case(&[("TRACEPARENT", &valid)], true, None),
        case(&[("trace-parent", &valid)], false, None),
        case(&[("traceparent", &valid), ("traceparent", &valid)], false, None),
        case(
            &[
                ("traceparent", &format!("00-{}1-{PARENT}-01", &TRACE[1..])),
                ("traceparent", &valid),
            ],
            false,
            None,
        ),
    ]);
    cases
}

/// Fields of `tracestate` beside a `traceparent` that is valid.
fn tracestates() -> Vec<Case> {
    let long_key = "z".repeat(256);
    let too_long_key = "z".repeat(257);
    let tenant = format!("{}@{}", "t".repeat(241), "v".repeat(14));
    let (long, longer) = (format!("{long_key}=1"), format!("{too_long_key}=1"));
    let tenant = format!("{tenant}=1");
    let value = format!("a={}", "v".repeat(256));
    let too_long_value = format!("a={}", "v".repeat(257));
    let members = |count: usize| {
        let members: Vec<String> = (1..=count)
            .map(|number| format!("bar{number:02}={number:02}"))
            .collect();
        members.join(",")
    };
    let (full, too_full, over_512) = (members(32), members(33), format!("{value},b={}", &value[2..]));
    let all: String = (0x20..=0x7e_u8)
        .map(char::from)
        .filter(|char| !",=".contains(*char))
        .collect();
    let all = format!(
        "abcdefghijklmnopqrstuvwxyz0123456789_-*/@a-z0-9_-*/={}",
        all.trim_end()
    );
    let kept: Vec<&str> = vec![
        "foo=1,bar=2",
        "foo=1 \t , \t bar=2, \t baz=3",
        "foo=1,,bar=2",
        "foo=1,foo=1",
        "foo=1,foo=2",
        "foo@=1,bar=2",
        "foo@@bar=1,bar=2",
        "foo@bar@baz=1,bar=2",
        "foo= 1",
        &long,
        &tenant,
        &value,
        &full,
        &over_512,
        &all,
    ];
    let dropped: Vec<&str> = vec![
        "",
        ",",
        "foo",
        "foo =1",
        "FOO=1",
        "foo.bar=1",
        "@foo=1,bar=2",
        "foo=bar=baz",
        "foo=,bar=3",
        &longer,
        &too_long_value,
        &too_full,
    ];
    let valid = format!("00-{TRACE}-{PARENT}-00");
    let with = |states: &[&str], state: Option<&str>| {
        let mut sent = vec![("traceparent", valid.as_str())];
        sent.extend(states.iter().map(|state| ("tracestate", *state)));
        case(&sent, true, state)
    };
    let mut cases: Vec<Case> = kept.iter().map(|state| with(&[state], Some(state))).collect();
    cases.extend(dropped.iter().map(|state| with(&[state], None)));
    cases.extend([
        with(
            &["foo=1,bar=2", "rojo=1,congo=2", "baz=3"],
            Some("foo=1,bar=2,rojo=1,congo=2,baz=3"),
        ),
        with(&["foo=1", ""], Some("foo=1")),
        with(&["", "foo=1"], Some("foo=1")),
        with(&["foo=1", "foo=2"], Some("foo=1,foo=2")),
        with(&["foo=1", &longer], None),
        with(&["foo=1", &too_full], None),
        with(&[&full, "z=1"], None),
        case(
            &[("traceparent", &valid), ("TraceState", "foo=1")],
            true,
            Some("foo=1"),
        ),
        case(&[("traceparent", &valid), ("trace-state", "foo=1")], true, None),
        // It belongs to the trace that was, not to the one that begins.
        case(&[("tracestate", "foo=1")], false, None),
        case(&[("traceparent", "00-x"), ("tracestate", "foo=1")], false, None),
        case(
            &[
                ("traceparent", &valid),
                ("traceparent", &valid),
                ("tracestate", "foo=1"),
            ],
            false,
            None,
        ),
    ]);
    cases
}

#[tokio::test(flavor = "multi_thread")]
async fn every_case_is_as_the_specification_has_it() {
    let (upstream, collector) = (Scripted::ok().await, collector().await);
    let document = traced(Document::to(&[upstream.address()]), &collector, "");
    let proxy = Proxy::start(document).await;
    let mut client = Client::connect(proxy.address()).await;
    for case in traceparents().into_iter().chain(tracestates()) {
        let lines: String = case
            .sent
            .iter()
            .map(|(name, value)| format!("{name}: {value}\r\n"))
            .collect();
        let baggage = "baggage: a=b;c, d=e\r\n";
        assert_eq!(
            client.fetch("/", &format!("{lines}{baggage}")).await.status(),
            200
        );
        let head = upstream.last_request().head;
        let (trace, parent, flags) = traceparent(&head);
        assert_eq!(trace == TRACE, case.goes_on, "{lines}");
        assert_ne!(parent, PARENT, "{lines}");
        assert_ne!(trace, "0".repeat(32));
        // What is not known of flags is not passed on; what begins here is random.
        let sent = case
            .sent
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case("traceparent"));
        let expected = match sent {
            Some((_, value)) if case.goes_on => {
                let digits = &value.trim()[53..55];
                u8::from_str_radix(digits, 16).unwrap() & 3
            }
            _ => 3,
        };
        assert_eq!(flags, format!("{expected:02x}"), "{lines}");
        let states: Vec<&str> = head.all("tracestate").collect();
        assert_eq!(states, case.state.iter().collect::<Vec<_>>(), "{lines}");
        assert_eq!(head.field("baggage"), Some("a=b;c, d=e"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_tracing_everything_passes_as_it_came() {
    let upstream = Scripted::ok().await;
    let proxy = Proxy::start(Document::to(&[upstream.address()])).await;
    let fields = "traceparent: 00-x\r\ntracestate: A\r\nb3: 1\r\nx-datadog-trace-id: 7\r\n";
    let mut client = Client::connect(proxy.address()).await;
    client.fetch("/", fields).await;
    let head = upstream.last_request().head;
    let passed = ["traceparent", "tracestate", "b3", "x-datadog-trace-id"].map(|name| head.field(name));
    assert_eq!(passed, [Some("00-x"), Some("A"), Some("1"), Some("7")]);
}
