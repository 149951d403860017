//! Protocols that a client may upgrade to.

use super::Unique;
use super::reader::{Fields, Reader};
use super::scalar::{self, Problem, problem, problem_with_help};

/// The protocols in the field `upgrades`, lower case; none if it is not given.
pub(super) fn upgrades(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Option<Vec<String>> {
    fields.entry("upgrades")?;
    let mut protocols = Vec::new();
    let mut seen = Unique::new("protocol");
    for node in fields.list(reader, "upgrades") {
        if let Some(protocol) = reader.parse(node, "a protocol", protocol) {
            seen.insert(reader, protocol.clone(), node.span);
            protocols.push(protocol);
        }
    }
    Some(protocols)
}

/// RFC 9110, section 7.8: a name, and maybe a version.
fn protocol(text: &str) -> Result<String, Problem> {
    let lower = text.to_ascii_lowercase();
    let (name, version) = lower.split_once('/').unwrap_or((&lower, "0"));
    if !scalar::is_token(name) || !scalar::is_token(version) || lower.len() > 64 {
        let message = format!("`{}` is not the name of a protocol", scalar::shortened(text));
        return problem_with_help(message, "such as `websocket`");
    }
    match name {
        "h2c" | "h2" | "http" => problem_with_help(
            format!("`{text}` cannot be upgraded to: requests inside it would go around policy"),
            "clients speak HTTP/2 by prior knowledge, or by ALPN",
        ),
        "tls" => problem(format!(
            "`{text}` cannot be upgraded to: TLS is terminated by a filter chain's `tls`"
        )),
        "connect" => problem_with_help(
            "CONNECT is a method, not an upgrade",
            "give it a route with `match: {connect: true}`",
        ),
        _ => Ok(lower),
    }
}
