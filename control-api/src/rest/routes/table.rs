//! The table of all calls.

use super::{Answering, Body, Content, METRICS, Needs, PLAIN, Parameter, Place, Route, Verb, YAML};
use crate::rest::Shared;
use crate::rest::call::{Call, REASON_HEADER};
use crate::rest::{audit_log, authority, documents, explain, health, nodes, revisions, rollouts, status};
use crate::store::{DOCUMENT_BYTES_MAX, MESH_BYTES_MAX};
use std::sync::Arc;

/// All documents as JSON: a text is at most twice as long there, but for control characters, which no YAML has.
const MESH_BODY_BYTES_MAX: usize = 2 * MESH_BYTES_MAX;
/// Small requests in JSON.
const SMALL_BODY_BYTES_MAX: usize = 64 * 1024;

const fn in_path(name: &'static str, kind: &'static str, summary: &'static str) -> Parameter {
    Parameter {
        name,
        place: Place::Path,
        kind,
        summary,
    }
}

const fn in_query(name: &'static str, kind: &'static str, summary: &'static str) -> Parameter {
    Parameter {
        name,
        place: Place::Query,
        kind,
        summary,
    }
}

const fn in_header(name: &'static str, summary: &'static str) -> Parameter {
    Parameter {
        name,
        place: Place::Header,
        kind: "string",
        summary,
    }
}

const IF_MATCH: Parameter = in_header(
    "if-match",
    "The revision that the change was made for, as `etag` said it: `\"7\"`. Required, but for a dry run.",
);
const REASON: Parameter = in_query(
    "reason",
    "string",
    "Why: it goes into the audit log. This or the header is required, but for a dry run.",
);
const REASON_AS_HEADER: Parameter = in_header(REASON_HEADER, "Why, where a header is handier.");
const DRY_RUN: Parameter = in_query(
    "dry_run",
    "boolean",
    "Changes nothing, and answers with a `DryRun`: what would change, for which nodes, and whether the caller may.",
);
const STAGES: Parameter = in_query(
    "stages",
    "string",
    "How the revision is released, instead of as the settings say: `5%,10% of shop/web,100%`.",
);
const STAGES_PAUSE: Parameter = in_query(
    "pause",
    "string",
    "Between its stages: `30s` (the default), or `by hand`.",
);
const NAME: Parameter = in_path(
    "name",
    "string",
    "The document's name, slashes and all: `shop/orders.yaml`.",
);
const NUMBER: Parameter = in_path("number", "integer", "A revision's number.");
const NODE: Parameter = in_path("node", "string", "The node's id; a slash in it is written `%2F`.");
const REVISION: Parameter = in_query(
    "revision",
    "integer",
    "As it was in this revision; the current one if not given.",
);
const LIMIT: Parameter = in_query("limit", "integer", "At most so many; 1,000 are the most.");

/// Statuses of all changes of documents.
const CHANGE_REFUSALS: &[u16] = &[404, 409, 412, 422, 428];

/// A handler of this name.
macro_rules! handler {
    ($handler:path) => {
        |shared, call| Box::pin($handler(shared, call))
    };
}

/// A call without a body that reads.
const fn read(
    path: &'static str,
    (operation, summary): (&'static str, &'static str),
    parameters: &'static [Parameter],
    (shape, refusals): (&'static str, &'static [u16]),
    handler: fn(Arc<Shared>, Call) -> Answering,
) -> Route {
    Route {
        method: Verb::Get,
        path,
        operation,
        summary,
        needs: Needs::Reading,
        parameters,
        body: Body::None,
        answer: (200, Content::Json(shape)),
        refusals,
        handler,
    }
}

/// All of them, in the order of the documentation.
pub(in crate::rest) static ROUTES: &[Route] = &[
    read(
        "/v1/documents",
        ("listDocuments", "The documents of the mesh, by name."),
        &[REVISION, in_query("texts", "boolean", "With their texts.")],
        ("DocumentList", &[404, 410]),
        handler!(documents::list),
    ),
    Route {
        answer: (200, Content::Text(YAML)),
        ..read(
            "/v1/documents/{*name}",
            ("readDocument", "A document as it was written."),
            &[NAME, REVISION],
            ("", &[404, 410]),
            handler!(documents::one),
        )
    },
    Route {
        method: Verb::Put,
        path: "/v1/documents/{*name}",
        operation: "putDocument",
        summary: "Puts one document in, or in the place of the one of this name.",
        needs: Needs::Changing,
        parameters: &[
            NAME,
            IF_MATCH,
            REASON,
            REASON_AS_HEADER,
            DRY_RUN,
            STAGES,
            STAGES_PAUSE,
        ],
        body: Body::Yaml {
            bytes_max: DOCUMENT_BYTES_MAX,
        },
        answer: (200, Content::Json("Changed")),
        refusals: CHANGE_REFUSALS,
        handler: handler!(documents::put),
    },
    Route {
        method: Verb::Delete,
        path: "/v1/documents/{*name}",
        operation: "removeDocument",
        summary: "Takes one document out.",
        needs: Needs::Changing,
        parameters: &[
            NAME,
            IF_MATCH,
            REASON,
            REASON_AS_HEADER,
            DRY_RUN,
            STAGES,
            STAGES_PAUSE,
        ],
        body: Body::None,
        answer: (200, Content::Json("Changed")),
        refusals: CHANGE_REFUSALS,
        handler: handler!(documents::remove),
    },
    Route {
        method: Verb::Put,
        path: "/v1/mesh",
        operation: "putMesh",
        summary: "Puts all documents in at once: the mesh is these, and no others.",
        needs: Needs::Changing,
        parameters: &[
            in_query("keep", "boolean", "Documents that are not given stay."),
            IF_MATCH,
            REASON,
            REASON_AS_HEADER,
            DRY_RUN,
            STAGES,
            STAGES_PAUSE,
        ],
        body: Body::Json {
            shape: "Mesh",
            bytes_max: MESH_BODY_BYTES_MAX,
        },
        answer: (200, Content::Json("Changed")),
        refusals: CHANGE_REFUSALS,
        handler: handler!(documents::put_all),
    },
    read(
        "/v1/revisions",
        ("listRevisions", "The history, newest first."),
        &[
            LIMIT,
            in_query(
                "before",
                "integer",
                "Only revisions below this one: `next` of the page before.",
            ),
        ],
        ("RevisionPage", &[]),
        handler!(revisions::list),
    ),
    read(
        "/v1/revisions/{number}",
        ("readRevision", "One revision: who, when, why."),
        &[NUMBER],
        ("Revision", &[404, 410]),
        handler!(revisions::one),
    ),
    read(
        "/v1/revisions/{number}/diff/{other}",
        (
            "diffRevisions",
            "What `other` has that is different, line by line and by what it means.",
        ),
        &[NUMBER, in_path("other", "integer", "The other's number.")],
        ("Difference", &[404, 410]),
        handler!(revisions::diff),
    ),
    Route {
        method: Verb::Post,
        path: "/v1/revisions/{number}/rollback",
        operation: "rollBack",
        summary: "Makes a new revision with the documents of this older one.",
        needs: Needs::Changing,
        parameters: &[
            NUMBER,
            IF_MATCH,
            REASON,
            REASON_AS_HEADER,
            DRY_RUN,
            STAGES,
            STAGES_PAUSE,
        ],
        body: Body::None,
        answer: (200, Content::Json("Changed")),
        refusals: &[404, 409, 410, 412, 422, 428],
        handler: handler!(revisions::roll_back),
    },
    read(
        "/v1/rollout",
        (
            "readRollout",
            "How far the rollout of the newest revision is, or how the last one ended.",
        ),
        &[],
        ("Rollout", &[404]),
        handler!(rollouts::show),
    ),
    Route {
        method: Verb::Post,
        path: "/v1/rollouts/{number}/{command}",
        operation: "tellRollout",
        summary: "Tells the rollout of a revision to `advance`, `hold`, `resume` or `rollback`.",
        needs: Needs::Changing,
        parameters: &[
            NUMBER,
            in_path("command", "string", "`advance`, `hold`, `resume` or `rollback`."),
            REASON,
            REASON_AS_HEADER,
        ],
        body: Body::None,
        answer: (200, Content::Json("Rollout")),
        refusals: &[404, 409, 410],
        handler: handler!(rollouts::tell),
    },
    read(
        "/v1/audit",
        ("listAudit", "The audit log, oldest first."),
        &[
            LIMIT,
            in_query(
                "from",
                "integer",
                "Beginning with the entry of this number: `next` of the page before.",
            ),
            in_query("last", "boolean", "The last ones instead of the first."),
        ],
        ("AuditPage", &[]),
        handler!(audit_log::list),
    ),
    read(
        "/v1/audit/verify",
        ("verifyAudit", "Whether the log is as it was written, all of it."),
        &[
            in_query(
                "count",
                "integer",
                "A head that was kept elsewhere: how many entries there were then.",
            ),
            in_query("hash", "string", "And the hash of the last one of them."),
        ],
        ("AuditReport", &[]),
        handler!(audit_log::check),
    ),
    read(
        "/v1/nodes",
        (
            "listNodes",
            "Nodes by id: those that are connected, and those that have gone lately.",
        ),
        &[
            LIMIT,
            in_query(
                "after",
                "string",
                "Behind the node of this id: `next` of the page before.",
            ),
            in_query("service", "string", "Only those of this service or gateway."),
        ],
        ("NodePage", &[]),
        handler!(nodes::list),
    ),
    read(
        "/v1/nodes/{node}",
        (
            "readNode",
            "How a node stands: what it asked for, was sent, took and refused, and why.",
        ),
        &[NODE],
        ("Node", &[404]),
        handler!(nodes::one),
    ),
    Route {
        answer: (200, Content::Text(YAML)),
        ..read(
            "/v1/nodes/{node}/config",
            (
                "readNodeConfig",
                "What a node is to do, as a configuration with every default and no key.",
            ),
            &[
                NODE,
                in_query(
                    "service",
                    "string",
                    "As a node of this service, of an id that is not known.",
                ),
            ],
            ("", &[404]),
            handler!(nodes::config),
        )
    },
    Route {
        method: Verb::Post,
        path: "/v1/nodes/{node}/explain",
        operation: "explainRequest",
        summary: "What a node makes of a request, by the configuration that it is told; and which nodes have that in force.",
        needs: Needs::Reading,
        parameters: &[
            NODE,
            in_query(
                "service",
                "string",
                "As a node of this service, of an id that is not known.",
            ),
        ],
        body: Body::Json {
            shape: "ExplainRequest",
            bytes_max: SMALL_BODY_BYTES_MAX,
        },
        answer: (200, Content::Json("Explained")),
        refusals: &[404],
        handler: handler!(explain::show),
    },
    read(
        "/v1/health",
        (
            "readHealth",
            "The endpoints that nodes report to be other than healthy, and how many nodes see each so.",
        ),
        &[in_query("service", "string", "Only those of this service.")],
        ("Health", &[404]),
        handler!(health::show),
    ),
    Route {
        needs: Needs::Administering,
        ..read(
            "/v1/join-tokens",
            ("listJoinTokens", "Join tokens, without their texts."),
            &[],
            ("JoinTokenList", &[404]),
            handler!(authority::list_tokens),
        )
    },
    Route {
        method: Verb::Post,
        path: "/v1/join-tokens",
        operation: "makeJoinToken",
        summary: "Makes a join token. Its text is in this answer and nowhere else.",
        needs: Needs::Administering,
        parameters: &[],
        body: Body::Json {
            shape: "JoinTokenRequest",
            bytes_max: SMALL_BODY_BYTES_MAX,
        },
        answer: (201, Content::Json("JoinTokenMade")),
        refusals: &[404, 409],
        handler: handler!(authority::make_token),
    },
    Route {
        method: Verb::Delete,
        path: "/v1/join-tokens/{name}",
        operation: "removeJoinToken",
        summary: "Takes a join token back.",
        needs: Needs::Administering,
        parameters: &[in_path("name", "string", "The token's name.")],
        body: Body::None,
        answer: (204, Content::Nothing),
        refusals: &[404],
        handler: handler!(authority::remove_token),
    },
    read(
        "/v1/authority",
        (
            "readAuthority",
            "The roots that nodes believe, and how far a rollover is.",
        ),
        &[],
        ("Authority", &[404]),
        handler!(authority::show),
    ),
    Route {
        method: Verb::Post,
        path: "/v1/authority/roll",
        operation: "rollAuthority",
        summary: "Takes one step of a root rollover: prepare, distribute, sign, retire; or cancel.",
        needs: Needs::Administering,
        parameters: &[],
        body: Body::Json {
            shape: "RollRequest",
            bytes_max: SMALL_BODY_BYTES_MAX,
        },
        answer: (200, Content::Json("Authority")),
        refusals: &[404, 409],
        handler: handler!(authority::roll),
    },
    read(
        "/v1/status",
        ("readStatus", "How the mesh stands, in one look."),
        &[],
        ("Status", &[]),
        handler!(status::show),
    ),
    Route {
        needs: Needs::Nothing,
        answer: (200, Content::Text(PLAIN)),
        ..read(
            "/live",
            ("live", "The server runs."),
            &[],
            ("", &[]),
            handler!(status::live),
        )
    },
    Route {
        needs: Needs::Nothing,
        answer: (200, Content::Text(PLAIN)),
        ..read(
            "/ready",
            (
                "ready",
                "The store is well, and the mesh in it is what nodes are told.",
            ),
            &[],
            ("", &[]),
            handler!(status::ready),
        )
    },
    Route {
        answer: (200, Content::Text(METRICS)),
        ..read(
            "/metrics",
            ("metrics", "Metrics, for Prometheus."),
            &[],
            ("", &[]),
            handler!(status::metrics),
        )
    },
    Route {
        needs: Needs::Nothing,
        answer: (200, Content::OpenApi),
        ..read(
            "/openapi.json",
            ("openApi", "All calls, as OpenAPI 3.1."),
            &[],
            ("", &[]),
            handler!(status::openapi),
        )
    },
];
