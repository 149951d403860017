//! Where requests and connections go.

use super::U32;
use crate::yaml::shape::{Field, Kind, Shape, optional, required};

/// The fields that name targets; exactly one is given.
pub(crate) const TARGETS: [&str; 2] = ["cluster", "weighted_clusters"];

pub(crate) const TARGET: Field = optional("cluster", Kind::Name, "The name of a cluster.");

/// Which endpoints of a cluster.
pub(crate) const SUBSET: Field = optional(
    "subset",
    Kind::Map(&Kind::Text("a text")),
    "Only endpoints with this metadata, which the cluster's `subsets` select by; all if not given.",
);

const SHARES: Kind = Kind::FilledList(&Kind::Object(&WEIGHTED_CLUSTER));

pub(crate) const TARGETS_WEIGHTED: Field =
    optional("weighted_clusters", SHARES, "Clusters with their shares.");

pub(crate) static WEIGHTED_CLUSTER: Shape = Shape::new(
    "weighted cluster",
    "A cluster with its share.",
    &[
        required("cluster", Kind::Name, "The name of a cluster."),
        required(
            "weight",
            Kind::Integer { min: 0, max: U32 },
            "Its share of the sum of weights; 0: none.",
        ),
        SUBSET,
    ],
);
