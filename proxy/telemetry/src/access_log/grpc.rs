//! The status of gRPC requests, by Envoy's rules: the trailers', else the header's, else what HTTP's status stands for.

use super::operator::Value;
use super::record::{HeaderName, RequestRecord};
use std::borrow::Cow;

/// The statuses by their numbers, as gRPC's libraries name them.
const CAMEL: [&str; 17] = [
    "OK",
    "Canceled",
    "Unknown",
    "InvalidArgument",
    "DeadlineExceeded",
    "NotFound",
    "AlreadyExists",
    "PermissionDenied",
    "ResourceExhausted",
    "FailedPrecondition",
    "Aborted",
    "OutOfRange",
    "Unimplemented",
    "Internal",
    "Unavailable",
    "DataLoss",
    "Unauthenticated",
];

/// The same, as gRPC's specification does.
const SNAKE: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// How a status is printed. A number that has no name prints as itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StatusSpelling {
    Camel,
    Snake,
    Number,
}

/// The names of the fields that tell a request's gRPC status.
#[derive(Debug, Clone)]
pub struct GrpcNames {
    status: HeaderName,
    content_type: HeaderName,
}

impl Default for GrpcNames {
    fn default() -> GrpcNames {
        GrpcNames {
            status: HeaderName::named("grpc-status"),
            content_type: HeaderName::named("content-type"),
        }
    }
}

impl GrpcNames {
    /// Looks the fields up by number from now on, where `number_of` knows one.
    pub fn number_names(&mut self, number_of: &dyn Fn(&str) -> Option<u8>) {
        self.status.become_number(number_of);
        self.content_type.become_number(number_of);
    }

    /// The status of a gRPC request; none of any other.
    pub fn status(&self, record: &RequestRecord<'_>) -> Option<u32> {
        let content_type = record.request.lookup(&self.content_type)?;
        let rest = content_type.strip_prefix(b"application/grpc")?;
        if !matches!(rest.first(), None | Some(b'+' | b';')) {
            return None;
        }
        let trailers = record.trailers.and_then(|trailers| trailers.lookup(&self.status));
        match trailers.or_else(|| record.response.lookup(&self.status)) {
            Some(number) => std::str::from_utf8(number).ok()?.trim().parse().ok(),
            None => of_http(record.response_code),
        }
    }

    pub(super) fn value<'a>(&self, record: &RequestRecord<'a>, spelling: StatusSpelling) -> Value<'a> {
        let names = match spelling {
            StatusSpelling::Camel => CAMEL,
            StatusSpelling::Snake => SNAKE,
            StatusSpelling::Number => return Value::of_number(self.status(record).map(u64::from)),
        };
        Value::from(
            self.status(record)
                .map(|status| match names.get(status as usize) {
                    Some(name) => Cow::Borrowed(name.as_bytes()),
                    None => Cow::Owned(status.to_string().into_bytes()),
                }),
        )
    }
}

/// What a status of HTTP stands for (gRPC's `http-grpc-status-mapping.md`); none where no answer was sent.
fn of_http(status: u16) -> Option<u32> {
    Some(match status {
        0 => return None,
        400 => 13,
        401 => 16,
        403 => 7,
        404 => 12,
        429 | 502..=504 => 14,
        _ => 2,
    })
}
