//! What JSON bodies look like: data, from which the OpenAPI document is made and to which tests hold every answer.

/// A JSON object.
pub(super) struct Shape {
    pub(super) name: &'static str,
    pub(super) summary: &'static str,
    pub(super) fields: &'static [Field],
}

/// A field of it.
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) presence: Presence,
    pub(super) summary: &'static str,
}

/// What a field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Whole,
    Number,
    Truth,
    Texts,
    /// An object of this shape.
    One(&'static str),
    /// A list of them.
    Many(&'static str),
    /// An object of texts by name.
    TextByName,
}

/// Whether a field is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Presence {
    /// Always.
    Given,
    /// Always, and null if there is nothing to say.
    Nullable,
    /// Of a request: it may be left out.
    Optional,
}

use Kind::{Many, Number, One, Text, TextByName, Texts, Truth, Whole};

const fn given(name: &'static str, kind: Kind, summary: &'static str) -> Field {
    Field {
        name,
        kind,
        presence: Presence::Given,
        summary,
    }
}

const fn nullable(name: &'static str, kind: Kind, summary: &'static str) -> Field {
    Field {
        name,
        kind,
        presence: Presence::Nullable,
        summary,
    }
}

const fn optional(name: &'static str, kind: Kind, summary: &'static str) -> Field {
    Field {
        name,
        kind,
        presence: Presence::Optional,
        summary,
    }
}

const fn shape(name: &'static str, summary: &'static str, fields: &'static [Field]) -> Shape {
    Shape {
        name,
        summary,
        fields,
    }
}

/// All shapes.
pub(super) static SHAPES: &[Shape] = &[
    shape(
        "Error",
        "Why a call is not answered as asked.",
        &[
            given("error", Text, "What is wrong."),
            nullable("help", Text, "What would be right."),
            nullable(
                "revision",
                Whole,
                "The current revision, where the call was made for another.",
            ),
            given("diagnostics", Many("Diagnostic"), "Faults of documents."),
            given(
                "rendered",
                Text,
                "The same as text, as `outrigger check` prints it; empty if there are none.",
            ),
        ],
    ),
    shape(
        "Diagnostic",
        "What is wrong, or looks wrong, and where.",
        &[
            given("severity", Text, "`error` or `warning`."),
            given("file", Text, "The document's name."),
            given("line", Whole, "From 1."),
            given("column", Whole, "In characters, from 1."),
            given("length", Whole, "How many characters are meant."),
            given("message", Text, "What is wrong."),
            nullable("help", Text, "What to do about it."),
            given("snippet", Text, "The line, without private keys."),
        ],
    ),
    shape(
        "Revision",
        "All documents as they were together.",
        &[
            given("number", Whole, "From 1."),
            given("parent", Whole, "The one before it."),
            given("author", Text, "Who made it."),
            given("time", Text, "When, as RFC 3339 says."),
            given("reason", Text, "Why."),
            given("source", Text, "`api`, `rollback to N`, `directory` or `local`."),
            given("hash", Text, "Of all names and texts."),
            given("documents", Whole, "How many documents it has."),
            given("bytes", Whole, "Of their texts."),
        ],
    ),
    shape(
        "RevisionPage",
        "A part of the history.",
        &[
            given("revisions", Many("Revision"), "Newest first."),
            nullable(
                "next",
                Whole,
                "`before` of the next page; null if this is the last.",
            ),
        ],
    ),
    shape(
        "Document",
        "A document.",
        &[
            given("name", Text, "Its name."),
            given("bytes", Whole, "Of its text."),
            nullable("text", Text, "Its text, if that was asked for."),
        ],
    ),
    shape(
        "DocumentList",
        "The documents of a revision.",
        &[
            given("revision", Whole, "Its number, as `etag` has it."),
            given("documents", Many("Document"), "By name."),
        ],
    ),
    shape(
        "Mesh",
        "Documents of a mesh.",
        &[given(
            "documents",
            TextByName,
            "Texts in YAML, by the documents' names.",
        )],
    ),
    shape(
        "Change",
        "Something of the mesh that is not the same.",
        &[
            given(
                "what",
                Text,
                "`defaults`, `service`, `gateway`, `node`, `authorization policy`, …",
            ),
            given("name", Text, "Its name; empty for the defaults."),
            given("namespaces", Texts, "Which namespaces it is in."),
            given("change", Text, "`added`, `removed` or `changed`."),
            given("fields", Texts, "Which fields of it have changed."),
        ],
    ),
    shape(
        "DocumentDifference",
        "A document that is not the same.",
        &[
            given("name", Text, "Its name."),
            given("change", Text, "`added`, `removed` or `changed`."),
            given("diff", Text, "A unified diff."),
        ],
    ),
    shape(
        "Difference",
        "What is different between two revisions.",
        &[
            given("from", Whole, "The one."),
            given("to", Whole, "The other."),
            given("documents", Many("DocumentDifference"), "Line by line."),
            nullable(
                "changes",
                Many("Change"),
                "By what it means; null if one of the two cannot be read any more.",
            ),
        ],
    ),
    shape(
        "Changed",
        "A change that was accepted.",
        &[
            given(
                "changed",
                Truth,
                "False if the documents were so already: there is no new revision then.",
            ),
            given(
                "revision",
                One("Revision"),
                "The current revision: the new one, if there is one.",
            ),
            nullable(
                "changes",
                Many("Change"),
                "What it means; null if the one before could not be read.",
            ),
            given("warnings", Many("Diagnostic"), "What looks odd in it."),
            given("rendered", Text, "The same as text."),
        ],
    ),
    shape(
        "DryRun",
        "What a change would do.",
        &[
            given("revision", Whole, "The revision that it was tried on."),
            given("scope", Text, "What it touches."),
            given("allowed", Truth, "Whether the caller may make it."),
            nullable("denied", Text, "Why not."),
            given("documents", Many("DocumentDifference"), "Line by line."),
            nullable(
                "changes",
                Many("Change"),
                "By what it means; null if the current revision cannot be read.",
            ),
            given(
                "views",
                Many("ViewEffect"),
                "For whom it changes something, and what.",
            ),
            given("warnings", Many("Diagnostic"), "What looks odd in it."),
            given("rendered", Text, "The same as text."),
        ],
    ),
    shape(
        "ViewEffect",
        "What changes for nodes that are told the same.",
        &[
            given(
                "role",
                Text,
                "What they are: `sidecar shop/web`, `gateway edge/public`.",
            ),
            given("connected", Texts, "Those that are connected."),
            given("added", Whole, "How many resources are new."),
            given("changed", Whole, "How many are others."),
            given("removed", Whole, "How many are gone."),
            given("resources", Many("ResourceEffect"), "Which; 200 at most."),
        ],
    ),
    shape(
        "ResourceEffect",
        "A resource that is not the same.",
        &[
            given("type", Text, "Its type."),
            given("name", Text, "Its name."),
            given("change", Text, "`added`, `removed` or `changed`."),
        ],
    ),
    shape(
        "AuditEntry",
        "An entry of the audit log, as it is chained.",
        &[
            given("sequence", Whole, "From 1."),
            given(
                "commit",
                Text,
                "The same for what was written in one transaction.",
            ),
            given("time", Whole, "Milliseconds since 1970."),
            given("who", Text, "By whom."),
            given("what", Text, "`revision.appended`, `certificate.issued`, …"),
            given("subject", Text, "To which thing."),
            given("why", Text, "Why."),
            nullable("before", Whole, "The revision before."),
            nullable("after", Whole, "The revision after."),
            given("details", TextByName, "What else is worth knowing."),
            given("previous", Text, "The hash of the entry before."),
            given("hash", Text, "Of all fields above."),
        ],
    ),
    shape(
        "AuditHead",
        "How far the log goes.",
        &[
            given("count", Whole, "How many entries."),
            given("hash", Text, "Of the last one."),
        ],
    ),
    shape(
        "AuditPage",
        "A part of the audit log.",
        &[
            given("entries", Many("AuditEntry"), "Oldest first."),
            given("head", One("AuditHead"), "How far the log goes."),
            nullable(
                "next",
                Whole,
                "`from` of the next page; null if this is the last.",
            ),
        ],
    ),
    shape(
        "AuditReport",
        "Whether the log is as it was written.",
        &[
            given("intact", Truth, "It is."),
            nullable("reason", Text, "Why not."),
            nullable(
                "head",
                One("AuditHead"),
                "How far it goes. Keep it, and verify against it.",
            ),
            nullable(
                "revisions",
                Whole,
                "How many revisions were compared with their entries.",
            ),
        ],
    ),
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
            nullable("fault", Text, "Why it has no view."),
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
            nullable("fault", Text, "Why it has no view."),
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
                "Every node has the step before; else time must have passed.",
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

/// The shape of a name.
#[cfg(test)]
pub(super) fn find(name: &str) -> Option<&'static Shape> {
    SHAPES.iter().find(|shape| shape.name == name)
}
