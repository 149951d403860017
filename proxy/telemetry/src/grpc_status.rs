//! The statuses of gRPC: their numbers, their names, and what statuses of HTTP stand for. Who tells of them, and where they
//! are read, is not known here.

use crate::cell::labelled::Label;

/// Nothing better is known.
pub const UNKNOWN: u8 = 2;
/// The call's time was up.
pub const DEADLINE_EXCEEDED: u8 = 4;
/// Whoever calls may not.
pub const PERMISSION_DENIED: u8 = 7;
/// Something is used up: a quota, or room.
pub const RESOURCE_EXHAUSTED: u8 = 8;
/// Something else has to be otherwise first; to call again is no use.
pub const FAILED_PRECONDITION: u8 = 9;
/// Nobody serves this method.
pub const UNIMPLEMENTED: u8 = 12;
/// Something is broken.
pub const INTERNAL: u8 = 13;
/// The service is not to be had now; calling again may help.
pub const UNAVAILABLE: u8 = 14;
/// It is not known who calls.
pub const UNAUTHENTICATED: u8 = 16;

/// A status by its two names.
struct Status {
    /// As gRPC's specification writes it (`statuscodes.md`), and the conventions for spans.
    name: &'static str,
    /// As gRPC's libraries and Envoy's logs do.
    library_name: &'static str,
}

/// The statuses, each at its number.
const STATUSES: [Status; 17] = [
    status("OK", "OK"),
    status("CANCELLED", "Canceled"),
    status("UNKNOWN", "Unknown"),
    status("INVALID_ARGUMENT", "InvalidArgument"),
    status("DEADLINE_EXCEEDED", "DeadlineExceeded"),
    status("NOT_FOUND", "NotFound"),
    status("ALREADY_EXISTS", "AlreadyExists"),
    status("PERMISSION_DENIED", "PermissionDenied"),
    status("RESOURCE_EXHAUSTED", "ResourceExhausted"),
    status("FAILED_PRECONDITION", "FailedPrecondition"),
    status("ABORTED", "Aborted"),
    status("OUT_OF_RANGE", "OutOfRange"),
    status("UNIMPLEMENTED", "Unimplemented"),
    status("INTERNAL", "Internal"),
    status("UNAVAILABLE", "Unavailable"),
    status("DATA_LOSS", "DataLoss"),
    status("UNAUTHENTICATED", "Unauthenticated"),
];

const fn status(name: &'static str, library_name: &'static str) -> Status {
    Status { name, library_name }
}

/// The name of a status in gRPC's specification; none of a number that it does not know.
pub fn name(status: u32) -> Option<&'static str> {
    Some(STATUSES.get(status as usize)?.name)
}

/// The name of a status in gRPC's libraries; none of a number that they do not know.
pub(crate) fn library_name(status: u32) -> Option<&'static str> {
    Some(STATUSES.get(status as usize)?.library_name)
}

/// The number of a status that is told by that, or by its name in gRPC's specification.
pub fn parse(text: &str) -> Option<u16> {
    let named = STATUSES
        .iter()
        .position(|status| status.name.eq_ignore_ascii_case(text));
    text.parse().ok().or_else(|| u16::try_from(named?).ok())
}

/// Whether a status is the server's fault, by OpenTelemetry's conventions for spans of servers.
pub fn is_server_error(status: u16) -> bool {
    const FAULTS: [&str; 6] = [
        "UNKNOWN",
        "DEADLINE_EXCEEDED",
        "UNIMPLEMENTED",
        "INTERNAL",
        "UNAVAILABLE",
        "DATA_LOSS",
    ];
    // What has no name is unknown.
    name(status.into()).is_none_or(|name| FAULTS.contains(&name))
}

/// The status that a status of HTTP stands for (gRPC's `http-grpc-status-mapping.md`).
pub fn of_http(status: u16) -> u8 {
    match status {
        400 => INTERNAL,
        401 => UNAUTHENTICATED,
        403 => PERMISSION_DENIED,
        404 => UNIMPLEMENTED,
        429 | 502..=504 => UNAVAILABLE,
        _ => UNKNOWN,
    }
}

/// The status of an answered call, by Envoy's rule: the trailers', else the head's, else what HTTP's stands for. None
/// where no answer was sent (`http` is 0) or the status is no number.
pub(crate) fn of_answer(trailers: Option<&[u8]>, head: Option<&[u8]>, http: u16) -> Option<u32> {
    match trailers.or(head) {
        Some(number) => std::str::from_utf8(number).ok()?.trim().parse().ok(),
        None => (http != 0).then(|| of_http(http).into()),
    }
}

/// How a call ended, as metrics tell it: by the name of its status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GrpcOutcome(u8);

impl GrpcOutcome {
    /// How many there are: the statuses, [`GrpcOutcome::OTHER`] and [`GrpcOutcome::NONE`].
    pub const COUNT: usize = STATUSES.len() + 2;
    /// A number that is no status.
    pub const OTHER: GrpcOutcome = GrpcOutcome(STATUSES.len() as u8);
    /// It was over before a status was told: the client went away, or the stream was reset.
    pub const NONE: GrpcOutcome = GrpcOutcome(STATUSES.len() as u8 + 1);

    const NAMES: [&'static str; GrpcOutcome::COUNT] = {
        let mut names = ["other"; GrpcOutcome::COUNT];
        let mut number = 0;
        while number < STATUSES.len() {
            names[number] = STATUSES[number].name;
            number += 1;
        }
        names[GrpcOutcome::NONE.0 as usize] = "none";
        names
    };
}

impl From<u32> for GrpcOutcome {
    /// Of a status by its number.
    fn from(status: u32) -> GrpcOutcome {
        match u8::try_from(status) {
            Ok(known) if known < GrpcOutcome::OTHER.0 => GrpcOutcome(known),
            _ => GrpcOutcome::OTHER,
        }
    }
}

impl Label for GrpcOutcome {
    const NAME: &'static str = "grpc_status";
    const VALUES: &'static [&'static str] = &GrpcOutcome::NAMES;

    fn index(self) -> usize {
        self.0.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_are_as_many_as_there_are_statuses_and_two_more() {
        let value = |outcome: GrpcOutcome| GrpcOutcome::VALUES[outcome.index()];
        assert_eq!(value(0.into()), "OK");
        assert_eq!(value(16.into()), "UNAUTHENTICATED");
        for other in [17, 18, 255, 256, u32::MAX] {
            assert_eq!(value(other.into()), "other");
        }
        assert_eq!(value(GrpcOutcome::NONE), "none");
        assert_eq!(GrpcOutcome::VALUES.len(), 19);
    }

    #[test]
    fn numbers_have_both_names_or_none() {
        for (status, both) in [
            (0, Some(("OK", "OK"))),
            (1, Some(("CANCELLED", "Canceled"))),
            (14, Some(("UNAVAILABLE", "Unavailable"))),
            (16, Some(("UNAUTHENTICATED", "Unauthenticated"))),
            (17, None),
            (u32::MAX, None),
        ] {
            assert_eq!(name(status).zip(library_name(status)), both, "{status}");
        }
        for (number, spelt) in [
            (UNKNOWN, "UNKNOWN"),
            (DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED"),
            (PERMISSION_DENIED, "PERMISSION_DENIED"),
            (RESOURCE_EXHAUSTED, "RESOURCE_EXHAUSTED"),
            (FAILED_PRECONDITION, "FAILED_PRECONDITION"),
            (UNIMPLEMENTED, "UNIMPLEMENTED"),
            (INTERNAL, "INTERNAL"),
            (UNAVAILABLE, "UNAVAILABLE"),
            (UNAUTHENTICATED, "UNAUTHENTICATED"),
        ] {
            assert_eq!(name(number.into()), Some(spelt));
        }
        // The two spellings differ by more than their case nowhere but in the second.
        for (number, status) in STATUSES.iter().enumerate().filter(|(number, _)| *number != 1) {
            let plain = status.name.replace('_', "").to_lowercase();
            assert_eq!(plain, status.library_name.to_lowercase(), "{number}");
        }
    }

    #[test]
    fn statuses_are_read_by_number_and_by_name() {
        for (text, status) in [
            ("0", Some(0)),
            ("14", Some(14)),
            ("UNAVAILABLE", Some(14)),
            ("data_loss", Some(15)),
            ("Unavailable!", None),
            ("-1", None),
        ] {
            assert_eq!(parse(text), status, "{text}");
        }
    }

    #[test]
    fn trailers_go_before_the_head_and_both_before_http() {
        for (trailers, head, http, status) in [
            (Some("0"), Some("5"), 503, Some(0)),
            (None, Some("5"), 503, Some(5)),
            (None, None, 503, Some(14)),
            (None, None, 403, Some(7)),
            (None, None, 200, Some(2)),
            (None, None, 0, None),
            (Some("99"), None, 200, Some(99)),
            (Some("x"), Some("5"), 200, None),
        ] {
            let read = of_answer(trailers.map(str::as_bytes), head.map(str::as_bytes), http);
            assert_eq!(read, status, "{trailers:?} {head:?} {http}");
        }
    }
}
