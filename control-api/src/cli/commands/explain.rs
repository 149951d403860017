//! What a node makes of a request.

use super::{Done, Out, is_raw, items, rows};
use crate::cli::client::{Asked, Client, encode};
use crate::cli::{DONE, Explain, REFUSED, show};
use http::Method;
use serde_json::json;

pub(super) async fn show(client: &Client, explain: Explain, out: Out<'_>) -> Done {
    let path = format!("/v1/nodes/{}/explain", encode(&explain.node, false));
    let query = [("service", explain.service)];
    let body = json!({
        "request": explain.request,
        "headers": explain.headers,
        "peer_id": explain.peer_id,
        "peer_names": explain.peer_name,
        "remote_address": explain.remote_address,
        "claims": explain.claims,
        "listener": explain.listener,
    });
    let asked = Asked {
        query: &query,
        body: Some(&body),
        ..Asked::default()
    };
    let answer = client.call(Method::POST, &path, asked).await?;
    let json = &answer.json;
    let code = if json["taken"] == true { DONE } else { REFUSED };
    if is_raw(client, &answer, &mut *out)? {
        return Ok(code);
    }
    let text = |name: &str| show::value(&json[name]);
    let (node, service, revision) = (text("node"), text("service"), text("revision"));
    writeln!(out, "node {node} of {service}, by revision {revision}")?;
    for line in items(json, "lines") {
        writeln!(out, "{}", show::value(line))?;
    }
    let count = |name: &str| show::value(&json["fleet"][name]);
    let (has, to_have, connected) = (count("have_it"), count("to_have_it"), count("connected"));
    writeln!(
        out,
        "\nrevision {revision} is in force at {has} of {to_have} nodes that are to have it; {connected} are connected"
    )?;
    let nodes = items(json, "nodes");
    if !nodes.is_empty() {
        let fields = ["node", "has_it", "in_force", "why"];
        show::table(
            out,
            &["NODE", "HAS IT", "IN FORCE", "WHY NOT"],
            &rows(nodes, &fields),
        )?;
    }
    Ok(code)
}
