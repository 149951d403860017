//! The control plane.

use super::{BUNDLE, CA_FILE};
use crate::yaml::shape::{Kind, Shape, defaulted, optional, required};

pub(crate) static CONTROL: Shape = Shape::new(
    "control",
    "Policy comes from a control plane by xDS; what this document declares is there beside it. Read at start.",
    &[
        required(
            "servers",
            Kind::FilledList(&Kind::Text("https://control.example:15010")),
            "Servers in order of preference; `http://` is plain text.",
        ),
        required(
            "node",
            Kind::Text("1 to 253 printable characters"),
            "Who this process is; unique in the mesh.",
        ),
        optional(
            "service",
            Kind::Text("shop/catalog"),
            "The service beside which it runs, or the gateway that it is.",
        ),
        optional(
            "metadata",
            Kind::Map(&Kind::Text("a text")),
            "What else the control plane is told of it.",
        ),
        CA_FILE,
        optional(
            "roots",
            Kind::Choice(&["system"]),
            "system: servers' certificates must chain to a root of the operating system.",
        ),
        BUNDLE,
        optional(
            "server_name",
            Kind::Text("a DNS name or an IP address"),
            "The name that servers' certificates must hold; the URL's host if not given.",
        ),
        optional(
            "identity",
            Kind::Name,
            "The identity whose certificate is shown to servers; none if not given.",
        ),
        optional(
            "token_file",
            Kind::File,
            "Holds the token that says who we are, read anew for each stream; none is sent if not given.",
        ),
        defaulted(
            "transport",
            Kind::Choice(&["delta", "state_of_the_world"]),
            "delta",
            "Whether changes are sent, or all resources of a type each time.",
        ),
        optional(
            "last_good",
            Kind::File,
            "A directory in which the last good configuration is kept, without private keys; not kept if not given.",
        ),
        defaulted(
            "first_wait",
            Kind::Duration { zero: false },
            "10s",
            "How long a start waits for a first configuration before it begins with the last good one.",
        ),
        defaulted(
            "return_interval",
            Kind::Duration { zero: false },
            "30s",
            "How often preferred servers are tried while another one is followed.",
        ),
    ],
)
.with_at_most_one(&["ca_file", "roots", "trust_bundle"]);
