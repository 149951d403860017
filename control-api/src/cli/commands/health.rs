//! How endpoints stand, as nodes report it.

use super::{Done, Out, is_raw, items, rows};
use crate::cli::client::{Asked, Client};
use crate::cli::{DONE, Health, show};
use http::Method;
use serde_json::Value;

/// Fields of an endpoint that count the nodes which see it so.
const COUNTS: [&str; 4] = ["unhealthy", "degraded", "unchecked", "draining"];

pub(super) async fn show(client: &Client, health: Health, out: Out<'_>) -> Done {
    let query = [("service", health.service)];
    let asked = Asked {
        query: &query,
        ..Asked::default()
    };
    let answer = client.call(Method::GET, "/v1/health", asked).await?;
    if is_raw(client, &answer, &mut *out)? {
        return Ok(DONE);
    }
    let json = &answer.json;
    let (reporting, connected) = (show::value(&json["reporting"]), show::value(&json["connected"]));
    writeln!(out, "{reporting} of {connected} connected nodes report")?;
    let endpoints = items(json, "endpoints");
    if endpoints.is_empty() {
        writeln!(out, "every endpoint that they know is healthy")?;
        return Ok(DONE);
    }
    let fields = [
        "cluster",
        "address",
        COUNTS[0],
        COUNTS[1],
        COUNTS[2],
        COUNTS[3],
        "ejected",
        "failed_check",
        "nodes",
    ];
    let heads = [
        "CLUSTER",
        "ENDPOINT",
        "UNHEALTHY",
        "DEGRADED",
        "UNCHECKED",
        "DRAINING",
        "EJECTED",
        "FAILS CHECK",
        "AS SEEN BY",
    ];
    show::table(&mut *out, &heads, &rows(endpoints, &fields))?;
    if json["omitted"] != 0 {
        writeln!(out, "and {} more", show::value(&json["omitted"]))?;
    }
    Ok(DONE)
}

/// What one node sees, a line an endpoint.
pub(super) fn of_node(endpoints: &Value, out: Out<'_>) -> std::io::Result<()> {
    if endpoints.is_null() {
        return writeln!(out, "endpoints: it has not reported any");
    }
    let (impaired, all) = (
        show::value(&endpoints["impaired"]),
        show::value(&endpoints["endpoints"]),
    );
    writeln!(out, "endpoints: {all}, {impaired} of them not healthy")?;
    for cluster in items(endpoints, "clusters") {
        for endpoint in items(cluster, "named") {
            let why = [("ejected", ", ejected"), ("failed_check", ", fails its check")];
            let why = why.into_iter().filter(|(field, _)| endpoint[*field] == true);
            let why: String = why.map(|(_, words)| words).collect();
            let (cluster, address) = (
                show::value(&cluster["cluster"]),
                show::value(&endpoint["address"]),
            );
            writeln!(
                out,
                "  {address} of {cluster}: {}{why}",
                show::value(&endpoint["standing"])
            )?;
        }
    }
    Ok(())
}
