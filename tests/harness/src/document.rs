//! Configurations as texts: one listener, one route configuration, and what a test adds to it.

use std::fmt;
use std::net::SocketAddr;

/// A configuration with the listener `edge` on a port that the kernel picks. Everything that is added is YAML.
///
/// Unless routes are given, there is one for everything, to the cluster `upstream`.
#[derive(Debug, Clone, Default)]
pub struct Document {
    http: String,
    chain: String,
    listener: String,
    forward: String,
    route: String,
    routes: Option<String>,
    virtual_hosts: Option<String>,
    endpoints: Vec<SocketAddr>,
    cluster: String,
    clusters: String,
    listeners: String,
    rest: String,
    workers: Option<usize>,
}

impl Document {
    /// Forwards everything to the cluster `upstream` of these endpoints.
    pub fn to(endpoints: &[SocketAddr]) -> Document {
        Document {
            endpoints: endpoints.to_vec(),
            ..Document::default()
        }
    }

    /// Adds fields to the chain's `http`, as in `accept_http_10: true`.
    pub fn http(mut self, fields: &str) -> Document {
        add(&mut self.http, fields);
        self
    }

    /// Adds fields to the filter chain.
    pub fn chain(mut self, fields: &str) -> Document {
        add(&mut self.chain, fields);
        self
    }

    /// Adds fields to the listener `edge`.
    pub fn listener(mut self, fields: &str) -> Document {
        add(&mut self.listener, fields);
        self
    }

    /// Adds fields to the one route's `forward`.
    pub fn forward(mut self, fields: &str) -> Document {
        add(&mut self.forward, fields);
        self
    }

    /// Adds fields to the one route.
    pub fn route(mut self, fields: &str) -> Document {
        add(&mut self.route, fields);
        self
    }

    /// Routes instead of the one: items of a flow list, as in `{ match: ..., forward: ... }, ...`.
    pub fn routes(mut self, items: &str) -> Document {
        self.routes = Some(items.to_owned());
        self
    }

    /// Virtual hosts instead of the one for `*`: items of a flow list.
    pub fn virtual_hosts(mut self, items: &str) -> Document {
        self.virtual_hosts = Some(items.to_owned());
        self
    }

    /// Adds fields to the cluster `upstream`.
    pub fn cluster(mut self, fields: &str) -> Document {
        add(&mut self.cluster, fields);
        self
    }

    /// Adds a cluster; `more` are fields beside its name and endpoints.
    pub fn with_cluster(mut self, name: &str, endpoints: &[SocketAddr], more: &str) -> Document {
        self.clusters
            .push_str(&cluster(name, endpoints, &separated(more)));
        self
    }

    /// Adds a listener with the same routes, on a port that the kernel picks.
    pub fn with_listener(self, name: &str) -> Document {
        let text = format!(
            "- {{ name: {name}, address: 127.0.0.1:0, filter_chains: [{{ http: {{ route_configuration: main }} }}] }}\n"
        );
        self.with_listener_text(&text)
    }

    /// Adds a listener: an item of a block list, with its line end.
    pub fn with_listener_text(mut self, item: &str) -> Document {
        self.listeners.push_str(item);
        self
    }

    /// Adds top-level blocks, as in `drain: { timeout: 1s }`.
    pub fn with(mut self, block: &str) -> Document {
        self.rest.push_str(block);
        self.rest.push('\n');
        self
    }

    /// Worker threads, 2 unless said.
    pub fn workers(mut self, workers: usize) -> Document {
        self.workers = Some(workers);
        self
    }
}

impl fmt::Display for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Document {
            http,
            chain,
            listener,
            forward,
            route,
            cluster: more,
            ..
        } = self;
        writeln!(
            f,
            "admin: {{ address: 127.0.0.1:0 }}\nruntime: {{ workers: {} }}",
            self.workers.unwrap_or(2)
        )?;
        writeln!(f, "{}listeners:", self.rest)?;
        writeln!(f, "- name: edge")?;
        if !listener.contains("address:") {
            writeln!(f, "  address: 127.0.0.1:0")?;
        }
        for field in listener.trim_start_matches(", ").lines() {
            writeln!(f, "  {field}")?;
        }
        if !listener.contains("filter_chains:") {
            writeln!(
                f,
                "  filter_chains: [{{ http: {{ route_configuration: main{http} }}{chain} }}]"
            )?;
        }
        write!(f, "{}", self.listeners)?;
        let one_route =
            format!("{{ match: {{ prefix: / }}, forward: {{ cluster: upstream{forward} }}{route} }}");
        let routes = self.routes.as_ref().unwrap_or(&one_route);
        let all = format!("{{ name: all, domains: ['*'], routes: [{routes}] }}");
        let hosts = self.virtual_hosts.as_ref().unwrap_or(&all);
        writeln!(
            f,
            "route_configurations:\n- {{ name: main, virtual_hosts: [{hosts}] }}\nclusters:"
        )?;
        write!(
            f,
            "{}{}",
            cluster("upstream", &self.endpoints, more),
            self.clusters
        )
    }
}

/// A cluster whose endpoints are discovered lists none.
fn cluster(name: &str, endpoints: &[SocketAddr], more: &str) -> String {
    if more.contains("discovery:") {
        return format!("- {{ name: {name}{more} }}\n");
    }
    let endpoints: Vec<String> = endpoints
        .iter()
        .map(|address| format!("{{ address: '{address}' }}"))
        .collect();
    format!(
        "- {{ name: {name}, endpoints: [{}]{more} }}\n",
        endpoints.join(", ")
    )
}

fn add(to: &mut String, fields: &str) {
    to.push_str(&separated(fields));
}

fn separated(fields: &str) -> String {
    if fields.is_empty() {
        String::new()
    } else {
        format!(", {fields}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use outrigger_config::{Environment, Source, load};

    #[test]
    fn documents_are_configurations() {
        let address = "127.0.0.1:1".parse().unwrap();
        let documents = [
            Document::to(&[address]),
            Document::to(&[])
                .http("accept_http_10: true")
                .cluster("connect_timeout: 1s")
                .with_listener("more"),
            Document::to(&[address])
                .forward("timeout: 1s")
                .route("request_body_max: 1KiB")
                .listener("connections_max: 5")
                .with("drain: { timeout: 1s }")
                .with_cluster("other", &[address, "[::1]:2".parse().unwrap()], "protocol: http2"),
        ];
        for document in documents {
            let text = document.to_string();
            let loaded = load(
                &Source {
                    name: "test".into(),
                    text: text.clone(),
                },
                &Environment::empty(),
            );
            assert!(loaded.is_ok(), "{}\n{text}", loaded.unwrap_err());
        }
    }
}
