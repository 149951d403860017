//! The status of gRPC requests, as log lines tell it.

use super::operator::Value;
use super::record::{HeaderName, RequestRecord};
use crate::grpc_status;
use std::borrow::Cow;

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
        let head = record.response.lookup(&self.status);
        grpc_status::of_answer(trailers, head, record.response_code)
    }

    pub(super) fn value<'a>(&self, record: &RequestRecord<'a>, spelling: StatusSpelling) -> Value<'a> {
        let status = self.status(record);
        let name_of = match spelling {
            StatusSpelling::Camel => grpc_status::library_name,
            StatusSpelling::Snake => grpc_status::name,
            StatusSpelling::Number => return Value::of_number(status.map(u64::from)),
        };
        Value::from(status.map(|status| match name_of(status) {
            Some(name) => Cow::Borrowed(name.as_bytes()),
            None => Cow::Owned(status.to_string().into_bytes()),
        }))
    }
}
