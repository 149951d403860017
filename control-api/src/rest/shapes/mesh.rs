//! Documents, revisions, the audit log, and errors.

use super::Kind::{Many, Number, One, Text, TextByName, Texts, Truth, Whole};
use super::{Shape, given, nullable, shape};

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
            nullable("code", Text, "What kind of warning it is (`docs/receipts.md`)."),
            nullable("part", Text, "The part that a warning is about."),
            nullable(
                "field",
                Text,
                "The field of that part, where the place is the part's.",
            ),
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
        "Rollout",
        "A release of a revision in stages.",
        &[
            given("revision", Whole, "What is released."),
            given("stable", Whole, "What everybody else has, and all go back to."),
            given("in_force", Whole, "What nodes have that are not chosen."),
            given(
                "state",
                Text,
                "`advancing`, `staged`, `held`, `done` or `rolled_back`.",
            ),
            given("stage", Whole, "The present stage, from 1."),
            given("stages", Texts, "All of them, with their pauses."),
            given(
                "settle_timeout_seconds",
                Number,
                "How long nodes of a stage may take.",
            ),
            given("since", Text, "Since when it is so."),
            given("by", Text, "Who brought it there."),
            given("why", Text, "Why."),
            given("settled", Whole, "How many nodes of the stages so far have it."),
            given("settled_nodes", Texts, "Some of them."),
            given("waiting", Whole, "How many of them do not have it yet."),
            given("waiting_nodes", Texts, "Some of them."),
            given("refusals", Many("RolloutRefusal"), "Who refused it."),
        ],
    ),
    shape(
        "RolloutRefusal",
        "A node that refused a revision.",
        &[
            given("node", Text, "The node."),
            given("type", Text, "The type of what it refused."),
            given("name", Text, "Its name."),
            given("reason", Text, "Why, as the node says."),
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
];
