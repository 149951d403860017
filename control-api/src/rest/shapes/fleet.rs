//! Nodes, the authority and the server itself.

use super::Kind::{Many, Number, One, Text, Texts, Truth, Whole};
use super::{Shape, given, nullable, optional, shape};

pub(super) static SHAPES: &[Shape] = &[
    shape(
        "NodeSummary",
        "A node, in short.",
        &[
            given("node", Text, "Its id."),
            given("service", Text, "The service or gateway."),
            given("agent", Text, "`outrigger`, `envoy`, `grpc` or `other`."),
            given("agent_version", Text, "As it says."),
            nullable("address", Text, "Where it comes from."),
            given("connected", Truth, "A stream of it is open."),
            given("since_seconds", Number, "Since when: seconds since 1970."),
            given("revision", Whole, "The revision that it is to have."),
            nullable("in_force", Whole, "The last that it took as a whole."),
            given("progress", Text, "`settled`, `underway` or `refused`."),
            given("refused", Whole, "How many resources it refuses."),
            nullable(
                "lag_seconds",
                Number,
                "The longest that any resource there is not the current one.",
            ),
            nullable(
                "impaired",
                Whole,
                "Endpoints that it reports to be other than healthy; null if it reports none at all.",
            ),
            nullable("fault", Text, "Why it has no view."),
            given("remarks", Whole, "How many remarks its configuration draws."),
        ],
    ),
    shape(
        "NodePage",
        "Some nodes.",
        &[
            given("nodes", Many("NodeSummary"), "By id."),
            nullable(
                "next",
                Text,
                "`after` of the next page; null if this is the last.",
            ),
        ],
    ),
    shape(
        "Node",
        "A node.",
        &[
            given("node", Text, "Its id."),
            given("service", Text, "The service or gateway."),
            given("agent", Text, "`outrigger`, `envoy`, `grpc` or `other`."),
            given("agent_version", Text, "As it says."),
            nullable("address", Text, "Where it comes from."),
            given("connected", Truth, "A stream of it is open."),
            given("since_seconds", Number, "Since when: seconds since 1970."),
            given("revision", Whole, "The revision that it is to have."),
            nullable("in_force", Whole, "The last that it took as a whole."),
            given("progress", Text, "`settled`, `underway` or `refused`."),
            given("types", Many("TypeReport"), "By type, those that it asks for."),
            given("refusals", Many("Refusal"), "What it refused."),
            nullable(
                "health",
                One("NodeHealth"),
                "How endpoints stand as it sees them; null: it has not reported.",
            ),
            nullable("fault", Text, "Why it has no view."),
            nullable(
                "receipt",
                One("Receipt"),
                "What it says is odd about its configuration; null if nothing is.",
            ),
        ],
    ),
    shape(
        "Receipt",
        "What is odd about a node's configuration, as the node tells it.",
        &[
            given("generation", Whole, "The node's own number of the configuration."),
            given("count", Whole, "How many remarks there are."),
            given(
                "remarks",
                Many("Remark"),
                "As many of them as were told: 64 at most.",
            ),
        ],
    ),
    shape(
        "Remark",
        "One remark.",
        &[
            given("code", Text, "Its kind (`docs/receipts.md`)."),
            given("message", Text, "What is odd."),
            nullable("help", Text, "What would be right."),
            nullable("part", Text, "The part that it is about."),
            nullable("field", Text, "The field of that part."),
            given("file", Text, "The resource, or the node's own document."),
            given("line", Whole, "The line in that document; 0 in a resource."),
            given("column", Whole, "The column."),
            nullable("path", Text, "The field of the resource."),
        ],
    ),
    shape(
        "TypeReport",
        "A type of resources at a node.",
        &[
            given("type", Text, "The type."),
            given("wildcard", Truth, "Everything is wanted."),
            given("named", Whole, "How many are wanted by name."),
            given("sent", Whole, "How many were sent."),
            given("acknowledged", Whole, "How many were taken."),
            given("refused", Whole, "How many were refused."),
            given("outstanding", Whole, "How many are still to be sent or removed."),
            nullable(
                "lag_seconds",
                Number,
                "The longest that any is not the current one.",
            ),
        ],
    ),
    shape(
        "Refusal",
        "A resource that a node refused.",
        &[
            given("type", Text, "Its type."),
            given("name", Text, "Its name."),
            given("version", Text, "What was refused."),
            nullable("effective", Text, "The version that is in force there still."),
            given("reason", Text, "Why, as the node says."),
            given("age_seconds", Number, "For how long nothing newer was taken."),
        ],
    ),
    shape(
        "NodeHealth",
        "How endpoints stand, as a node reports.",
        &[
            given("reported_seconds", Number, "When: seconds since 1970."),
            given("endpoints", Whole, "Endpoints of all its clusters."),
            given("impaired", Whole, "Those that are other than healthy."),
            given(
                "clusters",
                Many("ClusterHealth"),
                "Clusters with such endpoints; 512 at most.",
            ),
        ],
    ),
    shape(
        "ClusterHealth",
        "A cluster with endpoints that are other than healthy, as a node reports.",
        &[
            given("cluster", Text, "Its name."),
            given("endpoints", Whole, "Its endpoints."),
            given("impaired", Whole, "Those that are other than healthy."),
            given(
                "named",
                Many("EndpointHealth"),
                "The first of those; 1,024 a node at most.",
            ),
        ],
    ),
    shape(
        "EndpointHealth",
        "An endpoint that is other than healthy, as a node reports.",
        &[
            given("address", Text, "Its address."),
            given(
                "standing",
                Text,
                "`degraded`, `unhealthy`, `unchecked` or `draining`.",
            ),
            given("ejected", Truth, "It was ejected for its answers."),
            given("failed_check", Truth, "Its health check fails."),
        ],
    ),
    shape(
        "Health",
        "Endpoints that nodes report to be other than healthy.",
        &[
            given("connected", Whole, "Nodes that are connected."),
            given("reporting", Whole, "Those of them that report."),
            given(
                "omitted",
                Whole,
                "Endpoints that were too many for this answer: 1,000 are the most.",
            ),
            given("endpoints", Many("EndpointSeen"), "By cluster and address."),
        ],
    ),
    shape(
        "EndpointSeen",
        "An endpoint, and how many nodes see it other than healthy.",
        &[
            given("cluster", Text, "Its cluster."),
            nullable(
                "service",
                Text,
                "The service that the cluster is of; null if it is of none.",
            ),
            given("address", Text, "Its address."),
            given(
                "degraded",
                Whole,
                "Nodes that send it requests only where too few others are healthy.",
            ),
            given("unhealthy", Whole, "Nodes that send it none."),
            given(
                "unchecked",
                Whole,
                "Nodes that send it none until it has passed a check.",
            ),
            given("draining", Whole, "Nodes that begin no new sessions there."),
            given("ejected", Whole, "Nodes that ejected it for its answers."),
            given("failed_check", Whole, "Nodes whose checks of it fail."),
            given("nodes", Texts, "The first of these nodes; 20 at most."),
        ],
    ),
    shape(
        "ExplainRequest",
        "A request that is to be explained.",
        &[
            given("request", Text, "Method and URL: `GET https://host/path`."),
            optional("headers", Texts, "Its headers, as `name: value`."),
            optional(
                "peer_id",
                Text,
                "The SPIFFE id of the client's verified certificate.",
            ),
            optional("peer_names", Texts, "Further names in it."),
            optional(
                "remote_address",
                Text,
                "Where the connection comes from; 127.0.0.1 if not given.",
            ),
            optional(
                "claims",
                Texts,
                "Claims of a verified token, whosever, as `path=value`.",
            ),
            optional(
                "listener",
                Text,
                "The listener that it comes to; not needed where only one takes the URL's port.",
            ),
        ],
    ),
    shape(
        "Explained",
        "What a node makes of a request.",
        &[
            given("node", Text, "The node."),
            given("service", Text, "The service or gateway."),
            given(
                "revision",
                Whole,
                "The revision that it is told, by which this is.",
            ),
            nullable(
                "in_force",
                Whole,
                "The last that it took as a whole; null: none that is known of.",
            ),
            given("taken", Truth, "Something takes the request."),
            given(
                "lines",
                Texts,
                "Which listener, route, policies and clusters it meets, and why no others.",
            ),
            given("fleet", One("RevisionReach"), "How far the revision has come."),
            given(
                "nodes",
                Many("RevisionHolder"),
                "The nodes of the service that are connected.",
            ),
        ],
    ),
    shape(
        "RevisionReach",
        "How far a revision has come.",
        &[
            given("connected", Whole, "Nodes that are connected."),
            given("to_have_it", Whole, "Of them, those that are to have it."),
            given("have_it", Whole, "Those that took it as a whole."),
        ],
    ),
    shape(
        "RevisionHolder",
        "A node, and whether it has a revision.",
        &[
            given("node", Text, "Its id."),
            given("has_it", Truth, "It took the revision as a whole."),
            nullable("in_force", Whole, "The last that it took as a whole."),
            nullable("why", Text, "Why it does not have it."),
        ],
    ),
    shape(
        "JoinTokenRequest",
        "A join token that is wanted: for one identity, or for those below a prefix.",
        &[
            given("name", Text, "By which the audit log knows it."),
            optional("spiffe_id", Text, "The identity that it is good for."),
            optional("spiffe_prefix", Text, "Or all below this."),
            given(
                "lifetime_seconds",
                Whole,
                "From now; 31,536,000 (a year) at most.",
            ),
            optional(
                "reusable",
                Truth,
                "It may be used again; else it gives one certificate.",
            ),
        ],
    ),
    shape(
        "JoinTokenMade",
        "A join token.",
        &[
            given("name", Text, "Its name."),
            given("token", Text, "Its text, which is shown this once."),
            given("expires", Text, "From when on it is refused."),
        ],
    ),
    shape(
        "JoinToken",
        "A join token, without its text.",
        &[
            given("name", Text, "Its name."),
            given(
                "allows",
                Text,
                "Which identities it is good for; `…/*` for all below.",
            ),
            nullable("expires", Text, "From when on it is refused."),
            given("expired", Truth, "It is refused now."),
            given("reusable", Truth, "It may be used again."),
        ],
    ),
    shape(
        "JoinTokenList",
        "Join tokens.",
        &[given("tokens", Many("JoinToken"), "Those of the settings first.")],
    ),
    shape(
        "Authority",
        "The certificate authority.",
        &[
            given("trust_domain", Text, "Whose ids it gives out."),
            given("roots", Many("Root"), "Its keys, and how far each has come."),
            given("bundle", Text, "The roots that nodes believe, as PEM."),
            given(
                "distribution_seconds",
                Whole,
                "How long `sign` waits after `distribute`.",
            ),
            given(
                "retirement_seconds",
                Whole,
                "How long `retire` waits after `sign`.",
            ),
        ],
    ),
    shape(
        "Root",
        "A root.",
        &[
            given(
                "phase",
                Text,
                "`prepared`, `distributed`, `signing` or `superseded`.",
            ),
            given("since", Text, "Since when."),
            given("subject", Text, "Of its certificate."),
            given("serial", Text, "Hexadecimal."),
            given("fingerprint", Text, "SHA-256, hexadecimal."),
            given("not_after", Text, "How long it holds."),
            nullable(
                "belief",
                One("Belief"),
                "Of one that is distributed: which nodes say that they believe it.",
            ),
        ],
    ),
    shape(
        "Belief",
        "How far a root is believed, as the nodes of this server say themselves.",
        &[
            given("believing", Whole, "Live nodes that believe it."),
            given("doubting", Whole, "Live nodes that are not known to."),
            given("doubters", Texts, "The first of these; 20 at most."),
        ],
    ),
    shape(
        "RollRequest",
        "A step of a rollover.",
        &[
            given(
                "step",
                Text,
                "`prepare`, `distribute`, `sign`, `retire` or `cancel`.",
            ),
            optional(
                "acknowledged",
                Truth,
                "Every node has the step before. Else time must have passed, or, of `sign`, every live node must have said so.",
            ),
        ],
    ),
    shape(
        "Status",
        "How the mesh stands.",
        &[
            given("version", Text, "The server's."),
            given("revision", Whole, "The current revision of the store."),
            given("stable", Whole, "The revision that everybody is to have."),
            nullable(
                "releasing",
                Whole,
                "A newer one that is being released in stages.",
            ),
            given("nodes", One("NodeCounts"), "How nodes stand."),
            given("store", One("Store"), "How the store is doing."),
            given("audit", One("AuditHead"), "How far the audit log goes."),
            nullable(
                "trust_domain",
                Text,
                "The authority's; null if this server has none.",
            ),
        ],
    ),
    shape(
        "NodeCounts",
        "Nodes by how they stand.",
        &[
            given("connected", Whole, "With an open stream."),
            given("gone", Whole, "That have gone lately."),
            given("settled", Whole, "Connected, and have taken all."),
            given("underway", Whole, "Connected, and have not answered yet."),
            given("refused", Whole, "Connected, and refuse something."),
        ],
    ),
    shape(
        "Store",
        "How the store is doing.",
        &[
            given("kind", Text, "`embedded`, `directory` or `etcd`."),
            nullable("read_only", Text, "Why changes are not made here, and where."),
            nullable("fault", Text, "What is wrong at present."),
        ],
    ),
];
