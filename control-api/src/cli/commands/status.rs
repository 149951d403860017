//! How the mesh and its nodes stand.

use super::{Done, Out, health, is_raw, items, rows};
use crate::cli::client::{Asked, Client, encode};
use crate::cli::{CommandError, DONE, REFUSED, Status, show};
use http::Method;
use serde_json::{Value, json};

pub(super) async fn show(client: &Client, status: Status, out: Out<'_>) -> Done {
    if let Some(node) = &status.node {
        return one_node(client, node, out).await;
    }
    let answer = client.call(Method::GET, "/v1/status", Asked::default()).await?;
    let json = &answer.json;
    let nodes = all_nodes(client, status.service.as_deref()).await?;
    let is_well = json["store"]["fault"].is_null() && nodes.iter().all(|node| !is_refusing(node));
    let code = if is_well { DONE } else { REFUSED };
    if client.json {
        let mut told = json.clone();
        told["listed"] = Value::Array(nodes);
        writeln!(out, "{told}")?;
        return Ok(code);
    }
    write!(out, "revision {}", show::value(&json["revision"]))?;
    match &json["releasing"] {
        Value::Null => writeln!(out)?,
        releasing => {
            let (releasing, stable) = (show::value(releasing), show::value(&json["stable"]));
            writeln!(out, ", {releasing} being released, {stable} everybody else's")?;
        }
    }
    let store = &json["store"];
    write!(out, "store: {}", show::value(&store["kind"]))?;
    for field in ["fault", "read_only"] {
        if !store[field].is_null() {
            write!(out, "; {}", show::value(&store[field]))?;
        }
    }
    let count = |name: &str| show::value(&json["nodes"][name]);
    writeln!(
        out,
        "\nnodes: {} connected, {} of them settled, {} underway, {} refusing; {} gone",
        count("connected"),
        count("settled"),
        count("underway"),
        count("refused"),
        count("gone")
    )?;
    if !nodes.is_empty() {
        let fields = [
            "node",
            "service",
            "agent",
            "connected",
            "progress",
            "revision",
            "in_force",
            "refused",
            "remarks",
            "lag_seconds",
            "impaired",
        ];
        let heads = [
            "NODE",
            "SERVICE",
            "AGENT",
            "CONNECTED",
            "STATE",
            "REVISION",
            "IN FORCE",
            "REFUSED",
            "REMARKS",
            "LAG (S)",
            "IMPAIRED",
        ];
        show::table(out, &heads, &rows(&nodes, &fields))?;
    }
    Ok(code)
}

fn is_refusing(node: &Value) -> bool {
    node["connected"] == json!(true) && (node["progress"] == json!("refused") || !node["fault"].is_null())
}

/// Every node, page by page.
async fn all_nodes(client: &Client, service: Option<&str>) -> Result<Vec<Value>, CommandError> {
    let (mut nodes, mut after) = (Vec::new(), None);
    loop {
        let query = [("after", after), ("service", service.map(str::to_owned))];
        let asked = Asked {
            query: &query,
            ..Asked::default()
        };
        let page = client.call(Method::GET, "/v1/nodes", asked).await?;
        nodes.extend_from_slice(items(&page.json, "nodes"));
        after = page.json["next"].as_str().map(str::to_owned);
        if after.is_none() {
            return Ok(nodes);
        }
    }
}

async fn one_node(client: &Client, node: &str, out: Out<'_>) -> Done {
    let path = format!("/v1/nodes/{}", encode(node, false));
    let answer = client.call(Method::GET, &path, Asked::default()).await?;
    let node = &answer.json;
    let code = if is_refusing(node) { REFUSED } else { DONE };
    if is_raw(client, &answer, &mut *out)? {
        return Ok(code);
    }
    for (name, field) in [
        ("node", "node"),
        ("service", "service"),
        ("runs", "agent"),
        ("version", "agent_version"),
        ("address", "address"),
        ("connected", "connected"),
        ("state", "progress"),
        ("revision", "revision"),
        ("in force", "in_force"),
        ("fault", "fault"),
    ] {
        writeln!(out, "{name}: {}", show::value(&node[field]))?;
    }
    let fields = [
        "type",
        "wildcard",
        "named",
        "sent",
        "acknowledged",
        "refused",
        "outstanding",
        "lag_seconds",
    ];
    let heads = [
        "TYPE", "ALL", "NAMED", "SENT", "TAKEN", "REFUSED", "TO COME", "LAG (S)",
    ];
    show::table(&mut *out, &heads, &rows(items(node, "types"), &fields))?;
    for refusal in items(node, "refusals") {
        let text = |name: &str| show::value(&refusal[name]);
        let (resource_type, name, version) = (text("type"), text("name"), text("version"));
        writeln!(
            out,
            "refused: {resource_type} {name}, version {version}; in force: {}",
            text("effective")
        )?;
        writeln!(out, "  {}", text("reason"))?;
    }
    health::of_node(&node["health"], &mut *out)?;
    remarks(&node["receipt"], out)?;
    Ok(code)
}

/// What a node says is odd about its configuration.
fn remarks(receipt: &Value, out: Out<'_>) -> Result<(), CommandError> {
    if receipt.is_null() {
        return Ok(());
    }
    writeln!(
        out,
        "remarks on its configuration: {}",
        show::value(&receipt["count"])
    )?;
    for remark in items(receipt, "remarks") {
        let text = |name: &str| show::value(&remark[name]);
        let given = |name: &str| !remark[name].is_null() && remark[name] != json!("");
        let part = if given("part") {
            format!("{}: ", text("part"))
        } else {
            String::new()
        };
        writeln!(out, "[{}] {part}{}", text("code"), text("message"))?;
        let place = match given("path") {
            true => format!("{}: {}", text("file"), text("path")),
            false => text("file"),
        };
        let field = if given("field") {
            format!(", {}", text("field"))
        } else {
            String::new()
        };
        writeln!(out, "  at {place}{field}")?;
        if given("help") {
            writeln!(out, "  {}", text("help"))?;
        }
    }
    Ok(())
}
