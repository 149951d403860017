//! The document of a proxy that is started by flags, because all its policy comes from a control plane.
//!
//! Flags are no second way to configure: they become the text that a person would have written, and the loader reads it
//! as it reads a file. Each line ends with the flag that it came from, so that a fault, which shows its line, names it.

use crate::cli::ControlArguments;
use outrigger_config::Source;
use std::fmt::{Display, Write};
use std::path::Path;

/// What faults call the document.
const NAME: &str = "command line";
/// The identity and the trust bundle that views of the control API refer to.
const IDENTITY: &str = "default";
const TRUST_BUNDLE: &str = "mesh";

/// The document that these flags stand for. Relative file names are taken from the working directory.
pub(crate) fn document(flags: &ControlArguments) -> Source {
    Source {
        name: NAME.to_owned(),
        text: text(flags),
    }
}

/// The text alone.
pub(crate) fn text(flags: &ControlArguments) -> String {
    let mut text = Lines::default();
    if let Some(admin) = flags.admin {
        text.open("admin:");
        text.line("  address: ", &quoted(admin), "--admin");
    }
    control(flags, &mut text);
    if let Some(id) = &flags.spiffe_id {
        identity(flags, id, &mut text);
    }
    text.0
}

fn control(flags: &ControlArguments, text: &mut Lines) {
    let service = flags.service.as_deref().unwrap_or_default();
    let has_tls = flags.control.iter().any(|url| is_tls(url));
    text.open("control:");
    text.open("  servers:");
    for server in &flags.control {
        text.line("    - ", &quoted(server), "--control");
    }
    let node = flags.node_id.as_deref().unwrap_or_default();
    text.line("  node: ", &quoted(node), "--node-id");
    text.line("  service: ", &quoted(service), "--service");
    if has_tls || flags.control_ca_file.is_some() {
        roots(flags, "  ", text);
    }
    match &flags.spiffe_id {
        Some(_) if has_tls => text.line("  identity: ", IDENTITY, "--spiffe-id"),
        Some(_) => {}
        None => text.file("  token_file: ", flags.token_file.as_deref(), "--token-file"),
    }
    text.file("  last_good: ", flags.last_good.as_deref(), "--last-good");
}

/// The identity, from the authority that serves where the policy comes from.
fn identity(flags: &ControlArguments, id: &str, text: &mut Lines) {
    // A certificate is given over TLS only: without such a server the loader says so of the first.
    let server = flags.control.iter().find(|url| is_tls(url));
    let url = server.or(flags.control.first()).map_or("", String::as_str);
    let url = url.trim_end_matches('/').replacen("grpcs://", "https://", 1);
    text.open("identities:");
    text.line("  - name: ", IDENTITY, "--spiffe-id");
    text.open("    authority:");
    text.line("      url: ", &quoted(url), "--control");
    roots(flags, "      ", text);
    text.line("      spiffe_id: ", &quoted(id), "--spiffe-id");
    text.file("      token_file: ", flags.token_file.as_deref(), "--token-file");
    // An id that is none is told of by its own line.
    if let Some((domain, _)) = id.strip_prefix("spiffe://").and_then(|rest| rest.split_once('/')) {
        text.open("trust_bundles:");
        text.line("  - name: ", TRUST_BUNDLE, "--spiffe-id");
        text.line("    trust_domain: ", &quoted(domain), "--spiffe-id");
        text.line("    identity: ", IDENTITY, "--spiffe-id");
    }
}

/// Whom the servers' certificates must chain to.
fn roots(flags: &ControlArguments, indent: &str, text: &mut Lines) {
    match flags.control_ca_file.as_deref() {
        Some(file) => text.file(&format!("{indent}ca_file: "), Some(file), "--control-ca-file"),
        None => text.line(&format!("{indent}roots: "), "system", "no --control-ca-file"),
    }
}

fn is_tls(url: &str) -> bool {
    url.starts_with("https://") || url.starts_with("grpcs://")
}

/// As a YAML text on one line. What looks like a variable is none.
fn quoted(value: impl Display) -> String {
    // JSON's texts are YAML's.
    serde_json::Value::from(value.to_string())
        .to_string()
        .replace("${", "$${")
}

/// A document in the making.
#[derive(Default)]
struct Lines(String);

impl Lines {
    fn open(&mut self, key: &str) {
        self.0.push_str(key);
        self.0.push('\n');
    }

    fn line(&mut self, key: &str, value: &str, flag: &str) {
        // Writing to a text does not fail.
        let _ = writeln!(self.0, "{key}{value} # {flag}");
    }

    fn file(&mut self, key: &str, file: Option<&Path>, flag: &str) {
        if let Some(file) = file {
            self.line(key, &quoted(file.display()), flag);
        }
    }
}

#[cfg(test)]
mod tests;
