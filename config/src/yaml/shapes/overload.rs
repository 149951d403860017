//! Overload.

use super::U32;
use crate::yaml::shape::{Kind, Shape, defaulted};

const COUNT_OR_OFF: Kind = Kind::IntegerOrOff { min: 1, max: U32 };
const PRESSURE: Kind = Kind::Integer { min: 1, max: 100 };
const SIZE: Kind = Kind::Size {
    min: 1024 * 1024,
    max: i64::MAX as u64,
};

pub(crate) static OVERLOAD: Shape = Shape::new(
    "overload",
    "Limits of the whole process, and the pressures (what is in use, percent of its limit) at which it acts; the highest counts. \
     The admin endpoint keeps answering.",
    &[
        defaulted(
            "connections_max",
            COUNT_OR_OFF,
            "off",
            "Downstream connections, beside the listeners' limits.",
        ),
        defaulted("requests_max", COUNT_OR_OFF, "off", "Requests in flight."),
        defaulted(
            "buffered_bytes_max",
            Kind::Either(&[Kind::Choice(&["off"]), SIZE]),
            "off",
            "Bytes of bodies that are kept here, for replays, copies and questions.",
        ),
        defaulted(
            "memory_max",
            Kind::Either(&[Kind::Choice(&["off", "cgroup"]), SIZE]),
            "cgroup",
            "Memory of the process; `cgroup`: what its control group may have.",
        ),
        defaulted(
            "interval",
            Kind::Duration { zero: false },
            "250ms",
            "From one look at what is in use to the next.",
        ),
        defaulted(
            "stop_keepalive",
            PRESSURE,
            "85",
            "At this pressure, percent, connections are not kept alive.",
        ),
        defaulted(
            "refuse_requests",
            PRESSURE,
            "90",
            "From this pressure, percent, new requests are refused (503), a growing share of them until `refuse_all`.",
        ),
        defaulted(
            "refuse_all",
            PRESSURE,
            "95",
            "At this pressure, percent, all new requests are.",
        ),
        defaulted(
            "refuse_connections",
            PRESSURE,
            "98",
            "At this pressure, percent, new connections are refused.",
        ),
    ],
);
