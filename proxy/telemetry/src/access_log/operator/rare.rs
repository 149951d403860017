//! Operators that compute what they print, or are asked for so seldom that they may cost more: what they make is
//! printed by way of a [`Value`].

use super::header::{HeaderOperator, Section};
use super::plain::ReadTime;
use super::{Argument, FormatOptions, Value};
use crate::access_log::grpc::{GrpcNames, StatusSpelling};
use crate::access_log::record::{HeaderName, RequestRecord};
use crate::access_log::sensitive::REDACTED;
use crate::access_log::time_format::TimeFormat;
use std::borrow::Cow;
use std::time::Duration;

/// An operator of this kind: how its arguments are read.
pub(in crate::access_log) struct RareOperator {
    pub(in crate::access_log) name: &'static str,
    /// What its argument is called on the page of operators.
    pub(in crate::access_log) argument: &'static str,
    pub(in crate::access_log) about: &'static str,
    parse: fn(&Argument<'_>, FormatOptions<'_>) -> Result<Rare, &'static str>,
}

impl RareOperator {
    /// What it is in JSON, for the page of operators.
    pub(in crate::access_log) fn kind(&self) -> &'static str {
        match self.name {
            "GRPC_STATUS" => "string, or number with `NUMBER`",
            "COMMON_DURATION" | "GRPC_STATUS_NUMBER" => "number",
            name if name.ends_with("_BYTES") => "number",
            _ => "string",
        }
    }
}

pub(in crate::access_log) const RARE: &[RareOperator] = &[
    RareOperator {
        name: "COMMON_DURATION",
        argument: "FROM:TO:UNIT",
        about: "the time between two points: `DS_RX_BEG` and `DS_RX_END` (the request's first and last byte from the client), \
            `US_RX_BEG` (the first byte of the upstream's answer), `DS_TX_END` (the last to the client), in `ms`, `us` or `ns`; \
            missing where a point was not reached, or comes before the other",
        parse: |argument, _| argument.without_length()?.map_or(Err(SPAN), span),
    },
    RareOperator {
        name: "EMIT_TIME",
        argument: "FORMAT",
        about: "when the line is written: the end of the request or connection; the format is `%START_TIME%`'s",
        parse: |argument, _| time(argument, |record| record.start_time.checked_add(record.duration)),
    },
    RareOperator {
        name: "ENVIRONMENT",
        argument: "NAME",
        about: "a variable of the proxy's environment, read when the configuration is; one whose name is a credential's is \
            redacted",
        parse: environment,
    },
    RareOperator {
        name: "GRPC_STATUS",
        argument: "SPELLING",
        about: "of gRPC requests the status: `InvalidArgument`, or with `SNAKE_STRING` `INVALID_ARGUMENT`, or with `NUMBER` 3; \
            what HTTP's status stands for where the answer has none",
        parse: grpc_status,
    },
    RareOperator {
        name: "GRPC_STATUS_NUMBER",
        argument: "",
        about: "the same as a number",
        parse: |argument, _| {
            argument.none()?;
            Ok(Rare::GrpcStatus(GrpcNames::default(), StatusSpelling::Number))
        },
    },
    RareOperator {
        name: "HOSTNAME",
        argument: "",
        about: "this machine's name, read when the configuration is",
        parse: |argument, _| argument.none().map(|()| Rare::Constant(host_name())),
    },
    RareOperator {
        name: "PATH",
        argument: "QUERY:WHICH",
        about: "the path: with its query (`WQ`, the default) or without (`NQ`), and as it came (`ORIG`: \
            `x-envoy-original-path`), as it is (`PATH`), or as it came where that is known (`ORIG_OR_PATH`, the default)",
        parse: path,
    },
    RareOperator {
        name: "QUERY_PARAM",
        argument: "NAME",
        about: "the first parameter of this name in the path's query, as it stands there; one whose name is a credential's is \
            redacted",
        parse: query_parameter,
    },
    RareOperator {
        name: "REQUEST_HEADERS_BYTES",
        argument: "",
        about: "bytes of names and values of the request's header, uncompressed",
        parse: |argument, _| argument.none().map(|()| Rare::Bytes(Section::Request)),
    },
    RareOperator {
        name: "REQ_WITHOUT_QUERY",
        argument: "NAME",
        about: "as `%REQ(NAME)%`, up to a question mark",
        parse: |argument, options| {
            HeaderOperator::of_section(Section::Request, argument, options).map(Rare::WithoutQuery)
        },
    },
    RareOperator {
        name: "RESPONSE_FLAGS_LONG",
        argument: "",
        about: "the long names of the [flags](#flags), joined by commas",
        parse: |argument, _| argument.none().map(|()| Rare::LongFlags),
    },
    RareOperator {
        name: "RESPONSE_HEADERS_BYTES",
        argument: "",
        about: "bytes of names and values of the response's header, uncompressed",
        parse: |argument, _| argument.none().map(|()| Rare::Bytes(Section::Response)),
    },
    RareOperator {
        name: "RESPONSE_TRAILERS_BYTES",
        argument: "",
        about: "bytes of names and values of the response's trailers, uncompressed",
        parse: |argument, _| argument.none().map(|()| Rare::Bytes(Section::Trailers)),
    },
    RareOperator {
        name: "SPAN_ID",
        argument: "",
        about: "the id of our server span, 16 hexadecimal digits, where requests are traced, kept or not",
        parse: |argument, _| argument.none().map(|()| Rare::SpanId),
    },
    RareOperator {
        name: "STREAM_ID",
        argument: "",
        about: "`x-request-id`: the same in every log of a request; missing for TCP",
        parse: |argument, _| {
            argument
                .none()
                .map(|()| Rare::StreamId(HeaderName::named("x-request-id")))
        },
    },
    RareOperator {
        name: "TRACE_ID",
        argument: "",
        about: "the id of its trace, 32 hexadecimal digits, likewise",
        parse: |argument, _| argument.none().map(|()| Rare::TraceId),
    },
];

/// The operators that read a time and take its format; without one they are plain.
const TIMES: &[(&str, ReadTime)] = &[
    ("START_TIME", |record| Some(record.start_time)),
    ("DOWNSTREAM_PEER_CERT_V_START", |record| {
        Some(record.downstream_tls?.peer?.not_before)
    }),
    ("DOWNSTREAM_PEER_CERT_V_END", |record| {
        Some(record.downstream_tls?.peer?.not_after)
    }),
    ("UPSTREAM_PEER_CERT_V_START", |record| {
        Some(record.upstream_tls?.peer?.not_before)
    }),
    ("UPSTREAM_PEER_CERT_V_END", |record| {
        Some(record.upstream_tls?.peer?.not_after)
    }),
];

const SPAN: &str = "it takes two of DS_RX_BEG, DS_RX_END, US_RX_BEG and DS_TX_END and one of ms, us and ns, such as \
    (DS_RX_BEG:US_RX_BEG:us); other points are not measured";

#[derive(Debug, Clone)]
pub(in crate::access_log) enum Rare {
    Constant(Option<String>),
    Time(ReadTime, TimeFormat),
    /// A time without a format that is not a plain operator.
    IsoTime(ReadTime),
    Span {
        from: Point,
        to: Point,
        unit: fn(Duration) -> u128,
    },
    GrpcStatus(GrpcNames, StatusSpelling),
    LongFlags,
    QueryParameter {
        name: String,
        redacted: bool,
        length_max: usize,
    },
    WithoutQuery(HeaderOperator),
    Header(HeaderOperator),
    Bytes(Section),
    StreamId(HeaderName),
    SpanId,
    TraceId,
}

/// A point of a request's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::access_log) enum Point {
    Begin,
    RequestEnd,
    AnswerBegin,
    End,
}

impl Rare {
    /// Reads the arguments of the operator `name`; none if it is not one of these.
    pub(super) fn parse(
        name: &str,
        argument: &Argument<'_>,
        options: FormatOptions<'_>,
    ) -> Option<Result<Rare, &'static str>> {
        if let Some(rare) = RARE.iter().find(|rare| rare.name == name) {
            return Some((rare.parse)(argument, options));
        }
        // Without a format it is printed the fast way.
        let (_, read) = TIMES.iter().find(|(known, _)| *known == name)?;
        argument.inside?;
        Some(time(argument, *read))
    }

    pub(super) fn is_number(&self) -> bool {
        matches!(
            self,
            Rare::Span { .. } | Rare::Bytes(_) | Rare::GrpcStatus(_, StatusSpelling::Number)
        )
    }

    pub(super) fn number_names(&mut self, number_of: &dyn Fn(&str) -> Option<u8>) {
        match self {
            Rare::GrpcStatus(names, _) => names.number_names(number_of),
            Rare::WithoutQuery(header) | Rare::Header(header) => header.number_names(number_of),
            Rare::StreamId(name) => name.become_number(number_of),
            _ => {}
        }
    }

    pub(super) fn value<'a>(&self, record: &RequestRecord<'a>) -> Value<'a> {
        let owned = |text: Option<String>| Value::from(text.map(|text| Cow::Owned(text.into_bytes())));
        match self {
            Rare::Constant(text) => owned(text.clone()),
            Rare::Time(read, format) => Value::from(read(record).map(|time| {
                let mut text = Vec::new();
                format.print(time, &mut text);
                Cow::Owned(text)
            })),
            Rare::IsoTime(read) => super::Read::Time(*read).value(record),
            Rare::Span { from, to, unit } => Value::of_number(
                between(record, *from, *to).map(|span| u64::try_from(unit(span)).unwrap_or(u64::MAX)),
            ),
            Rare::GrpcStatus(names, spelling) => names.value(record, *spelling),
            Rare::LongFlags => {
                let names: Vec<_> = record.response_flags.long_names().collect();
                owned((!names.is_empty()).then(|| names.join(",")))
            }
            Rare::QueryParameter {
                name,
                redacted,
                length_max,
            } => {
                let value = parameter(record, name).map(|value| if *redacted { REDACTED } else { value });
                Value::from(value.map(|value| Cow::Borrowed(&value[..value.len().min(*length_max)])))
            }
            Rare::WithoutQuery(header) => Value::from(header.read_without_query(record).map(Cow::Borrowed)),
            Rare::Header(header) => header.value(record),
            Rare::Bytes(section) => Value::of_number(section.of(record).map(|headers| headers.bytes())),
            Rare::SpanId => owned(record.span_id.map(|id| id.to_string())),
            Rare::TraceId => owned(record.trace_id.map(|id| id.to_string())),
            Rare::StreamId(name) => Value::from(record.request.lookup(name).map(Cow::Borrowed)),
        }
    }
}

/// Each point's time since the request began.
fn at(record: &RequestRecord<'_>, point: Point) -> Option<Duration> {
    match point {
        Point::Begin => Some(Duration::ZERO),
        Point::RequestEnd => record.request_duration,
        Point::AnswerBegin => record.response_duration,
        Point::End => Some(record.duration),
    }
}

fn between(record: &RequestRecord<'_>, from: Point, to: Point) -> Option<Duration> {
    at(record, to)?.checked_sub(at(record, from)?)
}

/// The raw value of the first parameter of this name.
fn parameter<'a>(record: &RequestRecord<'a>, name: &str) -> Option<&'a [u8]> {
    let path = record.request.lookup(&HeaderName::Path)?;
    let query = path.iter().position(|byte| *byte == b'?')? + 1;
    let end = path[query..].iter().position(|byte| *byte == b'#');
    let query = &path[query..end.map_or(path.len(), |end| query + end)];
    query.split(|byte| *byte == b'&').find_map(|pair| {
        let rest = pair.strip_prefix(name.as_bytes())?;
        match rest {
            [] => Some(rest),
            rest => rest.strip_prefix(b"="),
        }
    })
}

fn span(text: &str) -> Result<Rare, &'static str> {
    let point = |name: &str| match name {
        "DS_RX_BEG" => Ok(Point::Begin),
        "DS_RX_END" => Ok(Point::RequestEnd),
        "US_RX_BEG" => Ok(Point::AnswerBegin),
        "DS_TX_END" => Ok(Point::End),
        _ => Err(SPAN),
    };
    let mut parts = text.split(':');
    let (Some(from), Some(to), Some(unit), None) = (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(SPAN);
    };
    let unit = match unit {
        "ms" => |span: Duration| span.as_millis(),
        "us" => |span: Duration| span.as_micros(),
        "ns" => |span: Duration| span.as_nanos(),
        _ => return Err(SPAN),
    };
    Ok(Rare::Span {
        from: point(from)?,
        to: point(to)?,
        unit,
    })
}

fn time(argument: &Argument<'_>, read: ReadTime) -> Result<Rare, &'static str> {
    match argument.without_length()? {
        Some(format) => Ok(Rare::Time(read, TimeFormat::parse(format)?)),
        None => Ok(Rare::IsoTime(read)),
    }
}

fn grpc_status(argument: &Argument<'_>, _: FormatOptions<'_>) -> Result<Rare, &'static str> {
    let spelling = match argument.without_length()? {
        None | Some("" | "CAMEL_STRING") => StatusSpelling::Camel,
        Some("SNAKE_STRING") => StatusSpelling::Snake,
        Some("NUMBER") => StatusSpelling::Number,
        Some(_) => return Err("the spellings are CAMEL_STRING, SNAKE_STRING and NUMBER"),
    };
    Ok(Rare::GrpcStatus(GrpcNames::default(), spelling))
}

fn environment(argument: &Argument<'_>, options: FormatOptions<'_>) -> Result<Rare, &'static str> {
    let name = argument
        .inside
        .filter(|name| !name.is_empty())
        .ok_or("a variable's name in parentheses is missing")?;
    if name.contains(['=', '\0']) {
        return Err("a variable's name has a character that none can have");
    }
    let text = std::env::var_os(name).map(|value| value.to_string_lossy().into_owned());
    let text = match options.redacts(&name.to_ascii_lowercase()) {
        true => text.map(|_| String::from_utf8_lossy(REDACTED).into_owned()),
        false => text,
    };
    let length_max = argument.length_max.unwrap_or(usize::MAX);
    Ok(Rare::Constant(text.map(|text| {
        let end = text.floor_char_boundary(length_max);
        text[..end].to_owned()
    })))
}

fn host_name() -> Option<String> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    Some(name.trim_end().to_owned()).filter(|name| !name.is_empty())
}

fn query_parameter(argument: &Argument<'_>, options: FormatOptions<'_>) -> Result<Rare, &'static str> {
    let name = argument
        .inside
        .filter(|name| !name.is_empty())
        .ok_or("a parameter's name in parentheses is missing")?;
    Ok(Rare::QueryParameter {
        redacted: options.redacts(&name.to_ascii_lowercase()),
        name: name.to_owned(),
        length_max: argument.length_max.unwrap_or(usize::MAX),
    })
}

fn path(argument: &Argument<'_>, options: FormatOptions<'_>) -> Result<Rare, &'static str> {
    let problem = "it takes WQ or NQ and then ORIG, PATH or ORIG_OR_PATH, such as (NQ:PATH)";
    let (query, which) = match argument.inside {
        None | Some("") => ("WQ", "ORIG_OR_PATH"),
        Some(both) => both.split_once(':').unwrap_or((both, "ORIG_OR_PATH")),
    };
    let names = match which {
        "ORIG" => "x-envoy-original-path",
        "PATH" => ":path",
        "ORIG_OR_PATH" => "x-envoy-original-path?:path",
        _ => return Err(problem),
    };
    let names = Argument {
        inside: Some(names),
        ..*argument
    };
    let header = HeaderOperator::of_section(Section::Request, &names, options)?;
    match query {
        "WQ" => Ok(Rare::Header(header)),
        "NQ" => Ok(Rare::WithoutQuery(header)),
        _ => Err(problem),
    }
}
