//! What finding a route costs: `match_cost KIND ROUTES REQUESTS` compiles a table of that many routes and looks up that
//! many requests. Run it under `valgrind --tool=callgrind` with N and with 2 N requests; the difference divided by N is
//! the number of instructions of one look-up. KIND is `prefix`, `exact`, `template`, `host` or `normalize`.

use anyhow::{Context, bail, ensure};
use outrigger_config::model::{EscapedSlashes, RepeatedSlashes};
use outrigger_config::{Environment, Source, load};
use outrigger_traffic::{Found, RequestView, RouteTable, path};
use std::hint::black_box;

struct Request {
    host: String,
    path: String,
}

impl RequestView for Request {
    fn method(&self) -> &str {
        "GET"
    }
    fn source_identity(&self) -> Option<&outrigger_config::model::SpiffeId> {
        None
    }
    fn host(&self) -> &str {
        &self.host
    }
    fn path(&self) -> &str {
        &self.path
    }
    fn query(&self) -> Option<&str> {
        None
    }
    fn header<'a>(&'a self, _: &str, _: &'a mut Vec<u8>) -> Option<&'a [u8]> {
        None
    }
}

/// YAML of `count` routes of a kind, in one virtual host, or in one each.
fn configuration(kind: &str, count: usize) -> anyhow::Result<String> {
    let matches = |index: usize| {
        Ok(match kind {
            "prefix" | "normalize" => format!("{{prefix: /service-{index:05}/v1}}"),
            "exact" => format!("{{path: /service-{index:05}/v1/items}}"),
            "template" => format!("{{template: '/service-{index:05}/{{version}}/items'}}"),
            "host" => "{prefix: /}".to_owned(),
            _ => bail!("unknown kind {kind}"),
        })
    };
    let mut yaml = String::from("route_configurations:\n- name: main\n  virtual_hosts:\n");
    for index in 0..count {
        if kind == "host" || index == 0 {
            let domain = if kind == "host" {
                format!("service-{index:05}.example")
            } else {
                "*".to_owned()
            };
            yaml.push_str(&format!(
                "  - name: h{index}\n    domains: ['{domain}']\n    routes:\n"
            ));
        }
        yaml.push_str(&format!(
            "    - {{match: {}, direct_response: {{status: 200}}}}\n",
            matches(index)?
        ));
    }
    Ok(yaml)
}

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [kind, routes, requests] = arguments.as_slice() else {
        bail!("usage: match_cost KIND ROUTES REQUESTS")
    };
    let (routes, requests): (usize, usize) = (routes.parse()?, requests.parse()?);
    let source = Source {
        name: "match_cost.yaml".into(),
        text: configuration(kind, routes)?,
    };
    let loaded = load(&source, &Environment::empty()).map_err(|faults| anyhow::anyhow!("{faults}"))?;
    let model = loaded
        .config
        .route_configurations()
        .first()
        .context("a route configuration")?;
    let table = RouteTable::compile(model);
    let views: Vec<Request> = (0..64)
        .map(|turn| turn * routes / 64)
        .map(|index| Request {
            host: format!("service-{index:05}.example"),
            path: format!("/service-{index:05}/v1/items"),
        })
        .collect();
    for request in views.iter().cycle().take(requests) {
        if kind == "normalize" {
            let normalized = path::normalize(&request.path, EscapedSlashes::Keep, RepeatedSlashes::Keep)?;
            ensure!(!black_box(normalized).is_rewritten(), "the path is normal");
        } else {
            ensure!(
                matches!(black_box(table.find(request)), Found::Route { .. }),
                "{} is not found",
                request.path
            );
        }
    }
    Ok(())
}
