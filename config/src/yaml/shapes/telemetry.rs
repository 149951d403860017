//! What collectors are told.

use super::{U32, UPSTREAM_TLS};
use crate::yaml::shape::{Kind, Shape, defaulted, optional, required};

const COUNT: Kind = Kind::Integer { min: 1, max: U32 };

pub(crate) static TELEMETRY: Shape = Shape::new(
    "telemetry",
    "What the process says of itself to collectors, and where they are.",
    &[
        optional(
            "service_name",
            Kind::Text("shop/catalog"),
            "Who it says that it is (`service.name`); the `service` of `control`, or else `outrigger`, if not given.",
        ),
        optional(
            "resource",
            Kind::Map(&Kind::Text("a text")),
            "What else it says of itself: attributes of OpenTelemetry's resource.",
        ),
        defaulted(
            "latency_buckets",
            Kind::List(&Kind::Duration { zero: false }),
            "[500us, 1ms, 2500us, 5ms, 10ms, 25ms, 50ms, 100ms, 200ms, 250ms, 300ms, 500ms, 1s, 2500ms, 5s, 10s, 30s, 60s]",
            "Upper bounds of the buckets of all histograms of metrics: 1 to 40, rising, of 100us to 1h. Read once, at start.",
        ),
        optional(
            "collectors",
            Kind::List(&Kind::Object(&COLLECTOR)),
            "Servers that take OTLP; what is sent to them is said where they are named.",
        ),
        optional(
            "recorder",
            Kind::Either(&[Kind::Choice(&["off"]), Kind::Object(&RECORDER)]),
            "What is kept of requests and connections that are over, for `outrigger why`; on if not given.",
        ),
    ],
);

pub(crate) static RECORDER: Shape = Shape::new(
    "flight_recorder",
    "What is kept of requests and connections that are over. Errors and slow ones are kept longer. Other settings begin it anew.",
    &[
        defaulted(
            "memory",
            Kind::Size {
                min: 256 * 1024,
                max: 1024 * 1024 * 1024,
            },
            "8MiB",
            "Memory that records may take, of all workers together; each has 32 KiB in any case.",
        ),
        defaulted(
            "slow",
            Kind::Duration { zero: true },
            "1s",
            "From this on a request is kept for as long as an error is.",
        ),
    ],
);

pub(crate) static COLLECTOR: Shape = Shape::new(
    "collector",
    "A server that takes OTLP. What it does not take is dropped and counted; no request waits for it.",
    &[
        required("name", Kind::Name, "Unique among collectors."),
        required(
            "endpoint",
            Kind::Text("http://127.0.0.1:4317"),
            "`http://HOST:PORT`, or `https://` and `tls`. Over HTTP a path may follow; `/v1/traces` and `/v1/logs` are added.",
        ),
        defaulted(
            "protocol",
            Kind::Choice(&["grpc", "http"]),
            "grpc",
            "OTLP over gRPC, or over HTTP with protobuf.",
        ),
        defaulted(
            "compression",
            Kind::Choice(&["none", "gzip"]),
            "none",
            "What is made of messages before they are sent.",
        ),
        optional(
            "tls",
            Kind::Object(&UPSTREAM_TLS),
            "TLS, as a cluster's; `server_name` is the endpoint's host if not given.",
        ),
        optional(
            "headers",
            Kind::Map(&Kind::Text("a header value")),
            "Sent with each request. Values are not shown.",
        ),
        defaulted(
            "timeout",
            Kind::Duration { zero: false },
            "10s",
            "How long one request may take.",
        ),
        defaulted(
            "queue_max",
            COUNT,
            "2048",
            "Spans that may wait, and log records beside them; what comes when so many do is dropped.",
        ),
        defaulted(
            "batch_max",
            COUNT,
            "512",
            "How many are sent at once at most; not above `queue_max`.",
        ),
        defaulted(
            "batch_delay",
            Kind::Duration { zero: false },
            "5s",
            "How long the first of a batch waits for others.",
        ),
    ],
);
