//! The YAML front: a document becomes a [`MeshConfig`], or a list of everything that is wrong with it.
//!
//! Three steps, each in its own module: [`tree`] parses the text into nodes that know their place and puts variables
//! in; [`reader`] takes the nodes apart by the [`shapes`] and collects faults; the modules named after the model's
//! parts build it and refuse what cannot work. [`write`] goes the other way.

mod access_log;
mod action;
mod alike;
mod authorization;
mod balancing;
mod breakers;
mod chain;
mod client_certificate;
mod cluster;
mod compression;
mod condition;
mod consistency;
mod control;
mod cors;
mod discovery;
mod edge;
mod external_authorization;
mod fault;
mod forward;
mod hash_policy;
mod header_value;
mod headers;
mod health;
mod http;
mod identity;
mod jwt;
mod listener;
mod overload;
pub(crate) mod parts;
mod peers;
mod proxy_protocol;
mod rate_limit;
pub(crate) mod reader;
mod retry;
mod returning;
mod rewrite;
mod route;
mod route_match;
pub(crate) mod scalar;
pub(crate) mod schema;
pub(crate) mod secrets;
mod shadow;
pub(crate) mod shape;
pub(crate) mod shapes;
mod substitute;
mod targets;
mod tcp;
mod telemetry;
mod template;
mod tls;
mod tracing;
pub(crate) mod tree;
mod unsupported;
mod unused;
mod upgrades;
pub(crate) mod write;

#[cfg(test)]
pub(crate) mod tests;

use crate::diagnostic::{Diagnostic, Diagnostics, Severity, Span};
use crate::load::Loaded;
use crate::model::{Admin, Drain, Listener, MeshConfig, Notes, Runtime, defaults};
use crate::source::{Environment, Source};
use reader::{DIAGNOSTICS_MAX, Declarations, Reader, Readings};
use secrets::Secrets;
use shapes::{ADMIN, DOCUMENT, DRAIN, RUNTIME};
use std::collections::HashMap;
use std::hash::Hash;
use std::path::Path;
use std::sync::Arc;
use tree::Node;

/// The largest document, in bytes.
pub(crate) use tree::DOCUMENT_BYTES_MAX;

/// Reads a document whose relative file names are taken from `directory`.
pub(crate) fn read(
    source: &Source,
    directory: &Path,
    environment: &Environment,
) -> Result<Loaded, Diagnostics> {
    let mut reader = Reader::new(&source.name, directory);
    let parsed = tree::parse(&source.text, 0, environment);
    let broken = parsed.root.is_none();
    for fault in parsed.faults {
        reader.report(Severity::Error, fault.span, fault.message, fault.help);
    }
    let config = match &parsed.root {
        Some(root) => document(&mut reader, root),
        None => None,
    };
    if broken && reader.fault_count() == 0 {
        reader.fault(
            Span {
                line: 1,
                column: 1,
                length: 1,
                ..Span::default()
            },
            "the document is empty",
        );
    }
    let (faults, warnings) = (reader.fault_count(), reader.warning_count());
    let mut diagnostics = reader.diagnostics;
    finish(&mut diagnostics, &source.text);
    count_the_rest(&mut diagnostics, Severity::Warning, warnings);
    count_the_rest(&mut diagnostics, Severity::Error, faults);
    match config {
        Some(mut config) if faults == 0 => {
            let notes = diagnostics.iter().filter(|one| one.code.is_some());
            config.notes = Notes::new(notes.cloned().collect(), reader.remarked);
            Ok(Loaded {
                config,
                warnings: diagnostics,
            })
        }
        _ => {
            // What a fault leaves out looks unused: warnings wait until there are no faults.
            diagnostics.retain(|diagnostic| diagnostic.severity == Severity::Error);
            Err(Diagnostics(diagnostics))
        }
    }
}

/// What the reading of several documents found: warnings, or the faults there are. They have no lines yet
/// ([`give_lines`]).
pub(crate) fn found(reader: Reader<'_>) -> Result<Vec<Diagnostic>, Vec<Diagnostic>> {
    let (faults, warnings) = (reader.fault_count(), reader.warning_count());
    let mut diagnostics = reader.diagnostics;
    diagnostics.sort_by_key(|diagnostic| diagnostic.span);
    count_the_rest(&mut diagnostics, Severity::Warning, warnings);
    count_the_rest(&mut diagnostics, Severity::Error, faults);
    if faults == 0 {
        return Ok(diagnostics);
    }
    diagnostics.retain(|diagnostic| diagnostic.severity == Severity::Error);
    Err(diagnostics)
}

/// Gives diagnostics, which are in the order of documents, the lines that they point at.
pub(crate) fn give_lines<'t>(diagnostics: &mut [Diagnostic], text: impl Fn(u32) -> Option<&'t str>) {
    for found in diagnostics.chunk_by_mut(|one, other| one.span.document == other.span.document) {
        if let Some(text) = text(found[0].span.document) {
            finish(found, text);
        }
    }
}

/// Sorts diagnostics by place and gives each its line.
fn finish(diagnostics: &mut [Diagnostic], text: &str) {
    diagnostics.sort_by_key(|diagnostic| diagnostic.span);
    if !diagnostics.is_empty() {
        give_lines_of(diagnostics.iter_mut(), text);
    }
}

/// Gives diagnostics of one document the lines that they point at.
pub(crate) fn give_lines_of<'d>(diagnostics: impl Iterator<Item = &'d mut Diagnostic>, text: &str) {
    let secrets = Secrets::find(text);
    let mut at = 0;
    let lines: Vec<(usize, &str)> = text
        .split('\n')
        .map(|line| {
            let start = at;
            at += line.len() + 1;
            (start, line)
        })
        .collect();
    for diagnostic in diagnostics {
        let (at, line) = lines
            .get(diagnostic.span.line.saturating_sub(1) as usize)
            .copied()
            .unwrap_or_default();
        let line = line.strip_suffix('\r').unwrap_or(line);
        diagnostic.snippet = secrets.hide(shown(line, diagnostic.span.column), at);
    }
}

/// Says how many were left out.
fn count_the_rest(diagnostics: &mut Vec<Diagnostic>, severity: Severity, count: usize) {
    let what = match severity {
        Severity::Error => "faults",
        Severity::Warning => "warnings",
    };
    let last = diagnostics
        .iter()
        .rev()
        .find(|diagnostic| diagnostic.severity == severity)
        .cloned();
    if let (Some(last), Some(rest @ 1..)) = (last, count.checked_sub(DIAGNOSTICS_MAX)) {
        let message = format!("{rest} more {what} are not shown");
        diagnostics.push(Diagnostic {
            message,
            help: None,
            code: None,
            part: None,
            ..last
        });
    }
}

/// As much of a line as a diagnostic may need: thousands may point at one long line.
fn shown(line: &str, column: u32) -> &str {
    let end = line.char_indices().nth(column as usize + 200);
    &line[..end.map_or(line.len(), |(end, _)| end)]
}

fn document(reader: &mut Reader<'_>, root: &Node) -> Option<MeshConfig> {
    reader.declarations = Declarations::collect(root);
    let config = contents(reader, root)?;
    unused::warn(reader, &config);
    Some(config)
}

/// A document whose declarations are known.
pub(crate) fn contents(reader: &mut Reader<'_>, root: &Node) -> Option<MeshConfig> {
    let fields = reader.fields(root, &DOCUMENT)?;
    let admin = fields.node(reader, "admin").map(|node| admin(reader, node));
    let runtime = fields.node(reader, "runtime").map(|node| runtime(reader, node));
    let drain = fields.node(reader, "drain").map(|node| drain(reader, node));
    let admin = admin.unwrap_or(Admin {
        address: defaults::ADMIN_ADDRESS,
    });
    let nodes = fields.list(reader, "listeners");
    let listeners = listeners(reader, nodes, &admin);
    let mut names = Unique::new("route configuration");
    let mut route_configurations = Vec::new();
    for node in fields.list(reader, "route_configurations") {
        let read = route::route_configuration;
        route_configurations.extend(reader.once(node, Readings::route_configurations, &mut names, read));
    }
    let mut names = Unique::new("cluster");
    let mut clusters = Vec::new();
    for node in fields.list(reader, "clusters") {
        let once =
            |reader: &mut Reader<'_>| reader.once(node, Readings::clusters, &mut names, cluster::cluster);
        clusters.extend(reader.within(once));
    }
    let nodes = fields.list(reader, "identities");
    let identities = identity::identities(reader, nodes);
    let nodes = fields.list(reader, "trust_bundles");
    let trust_bundles = identity::trust_bundles(reader, nodes, &identities);
    let revocation = identity::revocation(reader, &fields);
    let nodes = fields.list(reader, "authorization_policies");
    let authorization_policies = authorization::policies(reader, nodes);
    let nodes = fields.list(reader, "jwt_providers");
    let jwt_providers = jwt::providers(reader, nodes);
    let nodes = fields.list(reader, "rate_limits");
    let rate_limits = rate_limit::limits(reader, nodes);
    let overload = overload::overload(reader, &fields);
    let telemetry = telemetry::telemetry(reader, &fields);
    let control = control::control(reader, &fields);
    let config = MeshConfig {
        identities,
        trust_bundles,
        revocation,
        authorization_policies,
        jwt_providers,
        rate_limits,
        overload,
        telemetry,
        control,
        admin,
        runtime: runtime.unwrap_or(Runtime {
            workers: None,
            socket_mark: None,
            locality: None,
        }),
        drain: drain.unwrap_or(Drain {
            grace: defaults::DRAIN_GRACE,
            timeout: defaults::DRAIN_TIMEOUT,
        }),
        listeners,
        route_configurations,
        clusters,
        notes: Notes::default(),
    };
    authorization::check(reader, &config);
    external_authorization::check(reader, &config);
    consistency::check(reader, &config);
    rate_limit::check(reader, &config);
    returning::warn(reader, &config);
    Some(config)
}

fn admin(reader: &mut Reader<'_>, node: &Node) -> Admin {
    let address = reader
        .fields(node, &ADMIN)
        .and_then(|fields| fields.address(reader, "address"));
    Admin {
        address: address.unwrap_or(defaults::ADMIN_ADDRESS),
    }
}

fn runtime(reader: &mut Reader<'_>, node: &Node) -> Runtime {
    let fields = reader.fields(node, &RUNTIME);
    let mut number = |name| fields.as_ref().and_then(|fields| fields.integer32(reader, name));
    let (workers, socket_mark) = (number("workers"), number("socket_mark"));
    Runtime {
        workers: workers.map(|workers| workers as usize),
        socket_mark,
        locality: fields.and_then(|fields| balancing::locality(reader, &fields, "locality")),
    }
}

fn drain(reader: &mut Reader<'_>, node: &Node) -> Drain {
    let mut drain = Drain {
        grace: defaults::DRAIN_GRACE,
        timeout: defaults::DRAIN_TIMEOUT,
    };
    if let Some(fields) = reader.fields(node, &DRAIN) {
        drain.grace = fields.duration(reader, "grace").unwrap_or(drain.grace);
        drain.timeout = fields.duration(reader, "timeout").unwrap_or(drain.timeout);
    }
    drain
}

fn listeners(reader: &mut Reader<'_>, nodes: &[std::sync::Arc<Node>], admin: &Admin) -> Vec<Arc<Listener>> {
    let mut names = Unique::new("listener");
    let mut addresses = Unique::new("listener with the address");
    let mut listeners = Vec::new();
    for node in nodes {
        if let Some(read) =
            reader.within(|reader| listener::listener(reader, node, &mut names, &mut addresses, admin))
        {
            listeners.push(Arc::new(read));
        }
    }
    listeners
}

/// Values of which each may stand once, with the place where it stands first.
pub(crate) struct Unique<T> {
    what: &'static str,
    seen: HashMap<T, Span>,
}

impl<T: Hash + Eq + std::fmt::Display> Unique<T> {
    pub(crate) fn new(what: &'static str) -> Unique<T> {
        Unique {
            what,
            seen: HashMap::new(),
        }
    }

    /// Takes a value in; a fault if it is there already.
    pub(crate) fn insert(&mut self, reader: &mut Reader<'_>, value: T, span: Span) {
        if let Some(first) = self.seen.get(&value) {
            let message = format!("a second {} `{value}`", self.what);
            let help = format!("the first stands at {}", reader.shown(*first, span));
            reader.fault_with_help(span, message, help);
        } else {
            self.seen.insert(value, span);
        }
    }
}
