//! Micro-benchmarks: what one call of a hot function costs, in nanoseconds, and in instructions when this
//! program runs itself under callgrind.
//!
//! Inputs are made before the clock starts. Nothing here does I/O.

mod access_log;
mod authorization;
mod balancing;
mod rate_limit;
mod recorder;
mod scrape;

use std::hint::black_box;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use clap::ValueEnum;
use outrigger_config::{Environment, MeshConfig, Source, load, reuse};
use outrigger_dataplane::refusals;
use outrigger_dataplane::snapshot::{Compiler, Discovered, Snapshot};
use outrigger_http1::{
    Event, Framing, KnownName, Limits, Method, RequestDecoder, RequestHead, ResponseDecoder, ResponseHead,
    Version, encode_request_head, encode_response_head, strip_hop_by_hop,
};
use outrigger_telemetry::{AccessLogSinks, Metrics};
use outrigger_traffic::{Found, RequestView, RouteTable};

use crate::callgrind;
use crate::statistics::median;

const REQUEST: &[u8] = b"GET /service-00007/v1/items?page=2 HTTP/1.1\r\nhost: shop.example\r\n\
    user-agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\n\
    accept: text/html,application/xhtml+xml\r\naccept-language: en-GB,en;q=0.5\r\n\
    accept-encoding: gzip, deflate, br\r\nreferer: https://shop.example/\r\ncookie: session=0123456789abcdef\r\n\
    x-request-id: 8f1c2f1e-6a52-4f0e-9a57-0d8f0a0c1b2d\r\ncache-control: no-cache\r\nconnection: keep-alive\r\n\r\n";
const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\nserver: upstream\r\ndate: Thu, 01 Jan 2026 00:00:00 GMT\r\n\
    content-type: application/json\r\ncache-control: no-store\r\netag: \"33a64df5\"\r\nvary: accept-encoding\r\n\
    x-frame-options: DENY\r\nset-cookie: session=0123456789abcdef; HttpOnly\r\ncontent-length: 0\r\n\r\n";
/// Batches that are timed, of which the median is printed.
const BATCHES: usize = 11;
const CLUSTERS: usize = 1_000;
const ENDPOINTS_EACH: usize = 10;
const ROUTES_FEW: usize = 10;
const ROUTES_MANY: usize = 10_000;
const POLICIES: [usize; 3] = [10, 1_000, 10_000];

/// One function under measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Case {
    /// Find a prefix route among 10.
    #[value(name = "route-prefix-10")]
    RoutePrefix10,
    /// Find a prefix route among 10,000.
    #[value(name = "route-prefix-10000")]
    RoutePrefix10000,
    /// Find an exact route among 10,000.
    #[value(name = "route-exact-10000")]
    RouteExact10000,
    /// Decode a request head of ten fields.
    DecodeRequest,
    /// Encode it.
    EncodeRequest,
    /// Decode a response head of ten fields.
    DecodeResponse,
    /// Encode it.
    EncodeResponse,
    /// Decode a request head, drop its hop-by-hop fields, and set, replace and remove one field each.
    EditHead,
    /// Decide by 10 authorization policies.
    #[value(name = "authorize-10")]
    Authorize10,
    /// Decide by 1,000 authorization policies.
    #[value(name = "authorize-1000")]
    Authorize1000,
    /// Decide by 10,000 authorization policies.
    #[value(name = "authorize-10000")]
    Authorize10000,
    /// Count by a rate limit of all requests.
    RateLimit,
    /// Count by a rate limit of each client, of whom 5,000 are known.
    RateLimitKeyed,
    /// Record a plain request.
    RecordRequest,
    /// Pick among 100 endpoints in turn.
    PickRoundRobin,
    /// Pick among 100 endpoints by a key, on a ring.
    PickRing,
    /// Pick among 100 endpoints by a key, in a Maglev table.
    PickMaglev,
    /// Pick among 100 endpoints by their cost.
    PickPeakEwma,
    /// Pick among 100 endpoints in two priorities, the first of which is half healthy.
    PickPriority,
    /// Write a line of the default text format.
    AccessLogText,
    /// Write a line of the default JSON format.
    AccessLogJson,
    /// Ask a filter that leaves the request out.
    AccessLogFilteredOut,
    /// Compile a configuration of 1,000 clusters with 10,000 endpoints of which one changed.
    CompileOneEndpoint,
    /// Render the metrics of 100 clusters that have all been called.
    #[value(name = "scrape-100-clusters")]
    Scrape100Clusters,
}

/// Prints nanoseconds per call of the chosen cases, all if none is chosen.
pub(crate) fn run(chosen: &[Case], iterations: u64) -> Result<()> {
    println!("| case | ns per call |\n|---|---|");
    for case in Case::value_variants() {
        if !chosen.is_empty() && !chosen.contains(case) {
            continue;
        }
        let mut call = case.prepare()?;
        repeat(&mut call, iterations / 10);
        let mut batches = Vec::with_capacity(BATCHES);
        for _ in 0..BATCHES {
            let start = Instant::now();
            repeat(&mut call, iterations);
            batches.push(start.elapsed().as_secs_f64() * 1e9 / iterations as f64);
        }
        println!(
            "| {} | {:.0} |",
            case.name(),
            median(&batches).unwrap_or_default()
        );
    }
    Ok(())
}

/// Calls one case so many times and does nothing else: what callgrind watches.
pub(crate) fn run_once(case: Case, iterations: u64) -> Result<()> {
    repeat(&mut case.prepare()?, iterations);
    Ok(())
}

/// Instructions per call, from runs of this program under callgrind.
pub(crate) fn instructions(case: Case, directory: &Path) -> Result<u64> {
    let calls = match case {
        Case::CompileOneEndpoint | Case::Scrape100Clusters => 50,
        _ => 4_000,
    };
    let file = directory.join("micro.out");
    let mut counts = [0_u64; 2];
    for (times, count) in (1..).zip(&mut counts) {
        let program = std::env::current_exe().context("finding this program")?;
        let status = callgrind::command_within(MEASURED, program, &file)
            .args([
                "micro",
                "--once",
                "--case",
                &case.name(),
                "--iterations",
                &(calls * times).to_string(),
            ])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .status()
            .context("running valgrind")?;
        ensure!(
            status.success(),
            "{} ended with {status} under valgrind",
            case.name()
        );
        *count = callgrind::instructions(&file)?;
        ensure!(*count > 0, "{} was not seen under valgrind", case.name());
    }
    Ok(counts[1].saturating_sub(counts[0]) / calls)
}

/// Where instructions are counted: what goes before takes another number of them each time, because the tables of the
/// standard library are seeded at random, by as much as a hundred for each call of a small function.
const MEASURED: &str = "outrigger_benches::micro::repeat";

#[inline(never)]
fn repeat(call: &mut Call, iterations: u64) {
    for _ in 0..iterations {
        call();
    }
}

type Call = Box<dyn FnMut()>;

impl Case {
    /// The name on the command line and in the budget.
    pub(crate) fn name(self) -> String {
        self.to_possible_value()
            .map(|value| value.get_name().to_owned())
            .unwrap_or_default()
    }

    /// The inputs, and the call on them; fails where the call would not do what its name says.
    fn prepare(self) -> Result<Call> {
        match self {
            Self::RoutePrefix10 => find_route("prefix: /service-{}/v1", ROUTES_FEW),
            Self::RoutePrefix10000 => find_route("prefix: /service-{}/v1", ROUTES_MANY),
            Self::RouteExact10000 => find_route("path: /service-{}/v1/items", ROUTES_MANY),
            Self::DecodeRequest => {
                let mut decoder = RequestDecoder::new(Limits::default());
                let mut head = RequestHead::new();
                decode_request(&mut decoder, &mut head)?;
                Ok(Box::new(move || {
                    // The same bytes as a moment ago, when they were decoded without an error.
                    let _ = black_box(decode_request(&mut decoder, &mut head));
                }))
            }
            Self::EncodeRequest => encode_request(),
            Self::DecodeResponse => {
                let mut decoder = ResponseDecoder::new(Limits::default());
                let mut head = ResponseHead::new();
                decode_response(&mut decoder, &mut head)?;
                Ok(Box::new(move || {
                    let _ = black_box(decode_response(&mut decoder, &mut head));
                }))
            }
            Self::EncodeResponse => encode_response(),
            Self::EditHead => edit_head(),
            Self::Authorize10 => authorization::decide_among(POLICIES[0]),
            Self::Authorize1000 => authorization::decide_among(POLICIES[1]),
            Self::Authorize10000 => authorization::decide_among(POLICIES[2]),
            Self::Scrape100Clusters => Ok(scrape::render(100)),
            Self::AccessLogText => access_log::text(),
            Self::AccessLogJson => access_log::json(),
            Self::AccessLogFilteredOut => access_log::filtered_out(),
            Self::RateLimit => rate_limit::count(false),
            Self::RateLimitKeyed => rate_limit::count(true),
            Self::RecordRequest => recorder::record(),
            Self::PickRoundRobin => balancing::pick("round_robin", false),
            Self::PickRing => balancing::pick("ring_hash", false),
            Self::PickMaglev => balancing::pick("maglev", false),
            Self::PickPeakEwma => balancing::pick("peak_ewma", false),
            Self::PickPriority => balancing::pick("round_robin", true),
            Self::CompileOneEndpoint => compile_one_endpoint(),
        }
    }
}

/// Goes to and fro between two configurations that differ in one endpoint.
fn compile_one_endpoint() -> Result<Call> {
    let configuration = |port: u16| {
        let mut text = "clusters:\n".to_owned();
        for cluster in 0..CLUSTERS {
            text += &format!("- name: cluster-{cluster}\n  endpoints:\n");
            for endpoint in 0..ENDPOINTS_EACH {
                let port = if cluster == 0 && endpoint == 0 { port } else { 80 };
                text += &format!(
                    "  - {{address: 10.{}.{}.{endpoint}:{port}}}\n",
                    cluster / 250,
                    cluster % 250
                );
            }
        }
        let source = Source {
            name: "clusters.yaml".to_owned(),
            text,
        };
        Ok(load(&source, &Environment::empty())
            .map_err(|faults| anyhow::anyhow!("{faults}"))?
            .config)
    };
    let first: Result<_> = configuration(80);
    let first = first?;
    let second: Result<_> = configuration(81);
    let second = Arc::new(reuse(&first, second?));
    let first = Arc::new(first);
    let metrics = Metrics::new(1, refusals::reasons());
    let sinks = Arc::new(AccessLogSinks::new(Arc::clone(&metrics)));
    let compiler = Compiler::new(metrics, sinks);
    let compile = move |config: &Arc<MeshConfig>, previous: Option<&Snapshot>| {
        compiler
            .compile(
                Arc::clone(config),
                &Discovered::default(),
                Arc::default(),
                previous,
            )
            .map_err(|faults| anyhow::anyhow!("{faults:?}"))
    };
    let mut snapshot = compile(&first, None)?;
    let mut forth = true;
    Ok(Box::new(move || {
        let config = if forth { &second } else { &first };
        forth = !forth;
        if let Ok(next) = compile(config, Some(&snapshot)) {
            snapshot = black_box(next);
        }
    }))
}

struct View {
    path: String,
}

impl RequestView for View {
    fn method(&self) -> &str {
        "GET"
    }
    fn source_identity(&self) -> Option<&outrigger_config::model::SpiffeId> {
        None
    }
    fn host(&self) -> &str {
        "shop.example"
    }
    fn path(&self) -> &str {
        &self.path
    }
    fn query(&self) -> Option<&str> {
        None
    }
    fn header<'a>(&'a self, _: &str, _: &'a mut Vec<u8>) -> Option<&'a [u8]> {
        None
    }
}

/// `shape` is a path matcher in YAML with `{}` for the route's number.
fn find_route(shape: &str, count: usize) -> Result<Call> {
    let mut text =
        "route_configurations:\n- name: main\n  virtual_hosts:\n  - name: all\n    domains: ['*']\n    \
                    routes:\n"
            .to_owned();
    for index in 0..count {
        let matcher = shape.replace("{}", &format!("{index:05}"));
        text += &format!("    - {{match: {{{matcher}}}, direct_response: {{status: 200}}}}\n");
    }
    let source = Source {
        name: "routes.yaml".to_owned(),
        text,
    };
    let loaded = load(&source, &Environment::empty()).map_err(|faults| anyhow::anyhow!("{faults}"))?;
    let model = loaded
        .config
        .route_configurations()
        .first()
        .context("no route configuration")?;
    let table = RouteTable::compile(model);
    let views: Vec<View> = (0..64)
        .map(|turn| View {
            path: format!("/service-{:05}/v1/items", turn * count / 64),
        })
        .collect();
    for view in &views {
        ensure!(
            matches!(table.find(view), Found::Route { .. }),
            "{} is not found",
            view.path
        );
    }
    let mut turn = 0;
    Ok(Box::new(move || {
        black_box(table.find(&views[turn % views.len()]));
        turn += 1;
    }))
}

fn decode_request(decoder: &mut RequestDecoder, head: &mut RequestHead) -> Result<()> {
    head.clear();
    let decoded = decoder.decode(black_box(REQUEST), head)?;
    ensure!(matches!(decoded.event, Event::Head(_)), "the request has no head");
    let decoded = decoder.decode(&REQUEST[decoded.consumed..], head)?;
    ensure!(decoded.event == Event::End, "the request does not end");
    Ok(())
}

fn decode_response(decoder: &mut ResponseDecoder, head: &mut ResponseHead) -> Result<()> {
    head.clear();
    decoder.begin(&Method::Get);
    let decoded = decoder.decode(black_box(RESPONSE), head)?;
    ensure!(
        matches!(decoded.event, Event::Head(_)),
        "the response has no head"
    );
    let decoded = decoder.decode(&RESPONSE[decoded.consumed..], head)?;
    ensure!(decoded.event == Event::End, "the response does not end");
    Ok(())
}

fn encode_request() -> Result<Call> {
    let mut head = RequestHead::new();
    decode_request(&mut RequestDecoder::new(Limits::default()), &mut head)?;
    let mut out = Vec::new();
    Ok(Box::new(move || {
        out.clear();
        encode_request_head(black_box(&head), Framing::None, &mut out);
        black_box(&out);
    }))
}

fn encode_response() -> Result<Call> {
    let mut head = ResponseHead::new();
    decode_response(&mut ResponseDecoder::new(Limits::default()), &mut head)?;
    let mut out = Vec::new();
    Ok(Box::new(move || {
        out.clear();
        encode_response_head(
            black_box(&head),
            Framing::Length(1024),
            Version::Http11,
            false,
            &mut out,
        );
        black_box(&out);
    }))
}

fn edit_head() -> Result<Call> {
    let mut decoder = RequestDecoder::new(Limits::default());
    let mut head = RequestHead::new();
    decode_request(&mut decoder, &mut head)?;
    if head.fields.find("cache-control").is_none() {
        bail!("the field to remove is not there");
    }
    Ok(Box::new(move || {
        let _ = black_box(decode_request(&mut decoder, &mut head));
        let fields = &mut head.fields;
        strip_hop_by_hop(fields);
        fields.set_known(KnownName::XForwardedProto, b"http");
        fields.set(b"x-team", b"shop");
        fields.set_known(KnownName::XRequestId, b"00000000-0000-4000-8000-000000000000");
        fields.remove("cache-control");
        black_box(&head);
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_case_does_what_it_says() {
        for case in Case::value_variants() {
            let mut call = case
                .prepare()
                .unwrap_or_else(|error| panic!("{}: {error:#}", case.name()));
            repeat(&mut call, 200);
        }
    }
}
