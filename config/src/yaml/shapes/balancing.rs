//! How endpoints are picked.

use super::U32;
use crate::yaml::shape::{Kind, Shape, defaulted, optional, required};

const PERCENT: Kind = Kind::Integer { min: 0, max: 100 };

/// Policies that are named by a word.
pub(crate) const LOAD_BALANCING_WORDS: [&str; 6] = [
    "round_robin",
    "random",
    "least_request",
    "peak_ewma",
    "ring_hash",
    "maglev",
];

/// A word, or a policy with its settings.
pub(crate) const LOAD_BALANCING_KIND: Kind =
    Kind::Either(&[Kind::Choice(&LOAD_BALANCING_WORDS), Kind::Object(&LOAD_BALANCING)]);

pub(crate) static LOAD_BALANCING: Shape = Shape::new(
    "load balancing",
    "How an endpoint is picked, with settings.",
    &[
        optional(
            "least_request",
            Kind::Object(&LEAST_REQUEST),
            "Of some at random, the one with the fewest active requests for its weight.",
        ),
        optional(
            "peak_ewma",
            Kind::Object(&PEAK_EWMA),
            "Of two at random, the one whose recent response times and active requests promise the fastest answer.",
        ),
        optional(
            "ring_hash",
            Kind::Object(&RING_HASH),
            "Consistent hashing on a ring (ketama), by the route's `hash_policy`.",
        ),
        optional(
            "maglev",
            Kind::Object(&MAGLEV),
            "Consistent hashing by a table, by the route's `hash_policy`.",
        ),
    ],
)
.with_exactly_one(&["least_request", "peak_ewma", "ring_hash", "maglev"]);

pub(crate) static LEAST_REQUEST: Shape = Shape::new(
    "least request",
    "Least request.",
    &[defaulted(
        "choices",
        Kind::Integer { min: 2, max: 100 },
        "2",
        "How many endpoints are looked at.",
    )],
);

pub(crate) static PEAK_EWMA: Shape = Shape::new(
    "peak ewma",
    "A moving average of response times that rises at once and falls slowly.",
    &[
        defaulted(
            "decay",
            Kind::Duration { zero: false },
            "10s",
            "How long an observation counts, as the time constant of the average.",
        ),
        defaulted(
            "default_rtt",
            Kind::Duration { zero: false },
            "30ms",
            "What an endpoint that has not answered yet is taken to need.",
        ),
    ],
);

/// The largest ring, as Envoy's.
const RING_SIZE: Kind = Kind::Integer {
    min: 1,
    max: 8 * 1024 * 1024,
};
const BALANCE_FACTOR: Kind = Kind::IntegerOrOff {
    min: 100,
    max: 100_000,
};
const BALANCE_FACTOR_ABOUT: &str =
    "An endpoint takes at most this share of the mean of active requests, percent; others take the rest.";

pub(crate) static RING_HASH: Shape = Shape::new(
    "ring hash",
    "A hash ring.",
    &[
        defaulted("size_min", RING_SIZE, "1024", "Points on the ring at least."),
        defaulted("size_max", RING_SIZE, "8388608", "Points on the ring at most."),
        defaulted("balance_factor", BALANCE_FACTOR, "off", BALANCE_FACTOR_ABOUT),
    ],
);

pub(crate) static MAGLEV: Shape = Shape::new(
    "maglev",
    "A Maglev table.",
    &[
        defaulted(
            "table_size",
            // The largest table, as Envoy's.
            Kind::Integer {
                min: 2,
                max: 5_000_011,
            },
            "65537",
            "Entries of the table, a prime.",
        ),
        defaulted("balance_factor", BALANCE_FACTOR, "off", BALANCE_FACTOR_ABOUT),
    ],
);

/// `off`, or how the share of new endpoints grows.
pub(crate) const SLOW_START_OR_OFF: Kind = Kind::Either(&[Kind::Choice(&["off"]), Kind::Object(&SLOW_START)]);

pub(crate) static SLOW_START: Shape = Shape::new(
    "slow start",
    "How the share of a new endpoint grows.",
    &[
        required(
            "window",
            Kind::Duration { zero: false },
            "From the moment that an endpoint is there, or healthy again, to its whole share.",
        ),
        defaulted(
            "aggression",
            Kind::Text("a number above 0, at most 100"),
            "1.0",
            "The share is the part of the window that has passed, to the power of 1 / this; 1: in proportion.",
        ),
        defaulted(
            "weight_min",
            Kind::Integer { min: 1, max: 100 },
            "10",
            "The share at first, percent of the whole.",
        ),
    ],
);

/// A word, or zone-aware routing.
pub(crate) const LOCALITY_BALANCING_KIND: Kind = Kind::Either(&[
    Kind::Choice(&["off", "weighted"]),
    Kind::Object(&LOCALITY_BALANCING),
]);

pub(crate) static LOCALITY_BALANCING: Shape = Shape::new(
    "locality balancing",
    "How the localities of a priority share requests.",
    &[required(
        "zone_aware",
        Kind::Object(&ZONE_AWARE),
        "Requests stay in this proxy's own zone as far as it can take its share of all. Needs `runtime.locality`.",
    )],
);

pub(crate) static ZONE_AWARE: Shape = Shape::new(
    "zone aware",
    "Zone-aware routing.",
    &[
        required(
            "local_cluster",
            Kind::Name,
            "The cluster of the proxies that send to this one, by which the share of this zone is known.",
        ),
        defaulted("routing", PERCENT, "100", "Requests that are routed so, percent."),
        defaulted(
            "cluster_size_min",
            Kind::Integer { min: 1, max: U32 },
            "6",
            "Clusters with fewer endpoints are not.",
        ),
        defaulted(
            "strict",
            Kind::Boolean,
            "false",
            "A request goes to another zone only where this one has no healthy endpoint.",
        ),
    ],
);

/// `region/zone/sub_zone`, or its parts.
pub(crate) const LOCALITY_KIND: Kind =
    Kind::Either(&[Kind::Text("region/zone/sub_zone"), Kind::Object(&LOCALITY)]);

pub(crate) static LOCALITY: Shape = Shape::new(
    "locality",
    "Where something runs; what is not given is not known.",
    &[
        optional("region", Kind::Text("eu-west-1"), "The region."),
        optional("zone", Kind::Text("eu-west-1a"), "The zone within the region."),
        optional(
            "sub_zone",
            Kind::Text("rack-7"),
            "The part of the zone, such as a rack.",
        ),
    ],
)
.with_at_least_one(&["region", "zone", "sub_zone"]);

/// A priority: as many as Envoy has.
pub(crate) const PRIORITY: Kind = Kind::Integer { min: 0, max: 127 };

pub(crate) static LOCALITY_WEIGHT: Shape = Shape::new(
    "locality weight",
    "The share of a locality in a priority.",
    &[
        required("locality", LOCALITY_KIND, "Which."),
        defaulted("priority", PRIORITY, "0", "In which priority."),
        required(
            "weight",
            Kind::Integer { min: 0, max: U32 },
            "Its share; 0: none.",
        ),
    ],
);

pub(crate) static SUBSETS: Shape = Shape::new(
    "subsets",
    "How endpoints are grouped by their metadata, so that routes can ask for a `subset`.",
    &[
        required(
            "selectors",
            Kind::FilledList(&Kind::FilledList(&Kind::Text("version"))),
            "Sets of metadata keys by whose values endpoints are grouped.",
        ),
        defaulted(
            "fallback",
            Kind::Either(&[Kind::Choice(&["none", "any"]), Kind::Object(&SUBSET_FALLBACK)]),
            "none",
            "What happens to a request for a subset that is not there: it is refused (503), goes to any endpoint, or to one with \
             the metadata in `default`.",
        ),
    ],
);

pub(crate) static SUBSET_FALLBACK: Shape = Shape::new(
    "subset fallback",
    "Where requests for a subset go that is not there.",
    &[required(
        "default",
        Kind::Map(&Kind::Text("a text")),
        "To an endpoint with this metadata.",
    )],
);
