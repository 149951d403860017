//! Connections and requests of our own making, and sets of policies from YAML.

use outrigger_config::model::{AuthorizationPolicy, Name, SpiffeId};
use outrigger_config::{Environment, Source, load};
use outrigger_traffic::authorization::{Claims, Facts, PeerFacts, PolicySet, RequestFacts};
use serde_json::Value;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// A peer's certificate.
#[derive(Debug, Clone, Default)]
pub(crate) struct Peer {
    pub(crate) id: Option<SpiffeId>,
    pub(crate) names: Vec<String>,
}

impl PeerFacts for Peer {
    fn spiffe_id(&self) -> Option<&SpiffeId> {
        self.id.as_ref()
    }
    fn names(&self, each: &mut dyn FnMut(&str)) {
        self.names.iter().for_each(|name| each(name));
    }
}

/// A request.
#[derive(Debug, Clone, Default)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) authority: String,
    pub(crate) path: String,
    pub(crate) query: Option<String>,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) claims: Claims,
}

impl RequestFacts for Request {
    fn method(&self) -> &str {
        &self.method
    }
    fn authority(&self) -> &str {
        &self.authority
    }
    fn path(&self) -> &str {
        &self.path
    }
    fn query(&self) -> Option<&str> {
        self.query.as_deref()
    }
    fn headers(&self, name: &str, each: &mut dyn FnMut(&[u8])) {
        let named = self.headers.iter().filter(|(field, _)| field == name);
        named.for_each(|(_, value)| each(value.as_bytes()));
    }
    fn claims(&self) -> Option<&Claims> {
        (!self.claims.is_empty()).then_some(&self.claims)
    }
}

/// A connection, with a request or without.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    pub(crate) peer: Option<Peer>,
    pub(crate) remote: Option<IpAddr>,
    pub(crate) direct: IpAddr,
    pub(crate) destination: SocketAddr,
    pub(crate) server_name: Option<String>,
    pub(crate) request: Option<Request>,
}

impl Known {
    /// `GET /` of `a.example`, from 10.0.0.1 to 10.0.0.2:80, without TLS.
    pub(crate) fn get(path: &str) -> Known {
        let (path, query) = match path.split_once('?') {
            Some((path, query)) => (path, Some(query.to_owned())),
            None => (path, None),
        };
        Known {
            request: Some(Request {
                method: "GET".into(),
                authority: "a.example".into(),
                path: path.into(),
                query,
                ..Request::default()
            }),
            ..Known::bytes()
        }
    }

    /// A connection of which nothing more is known.
    pub(crate) fn bytes() -> Known {
        Known {
            peer: None,
            remote: Some([10, 0, 0, 1].into()),
            direct: [10, 0, 0, 1].into(),
            destination: "10.0.0.2:80".parse().expect("an address"),
            server_name: None,
            request: None,
        }
    }

    /// The same from this peer.
    pub(crate) fn from(mut self, id: &str) -> Known {
        self.peer = Some(Peer {
            id: Some(id.parse().expect("a SPIFFE id")),
            names: vec![id.into()],
        });
        self
    }

    /// The same with one more header.
    pub(crate) fn header(mut self, name: &str, value: &str) -> Known {
        let request = self.request.as_mut().expect("a request");
        request.headers.push((name.into(), value.into()));
        self
    }

    /// The same to another authority.
    pub(crate) fn authority(mut self, authority: &str) -> Known {
        self.request.as_mut().expect("a request").authority = authority.into();
        self
    }

    /// The same by another method.
    pub(crate) fn method(mut self, method: &str) -> Known {
        self.request.as_mut().expect("a request").method = method.into();
        self
    }

    /// The same with the payload of a verified token.
    pub(crate) fn token(mut self, provider: &str, payload: Value) -> Known {
        self.request
            .as_mut()
            .expect("a request")
            .claims
            .add(name(provider), payload);
        self
    }

    pub(crate) fn facts(&self) -> Facts<'_> {
        Facts {
            peer: self.peer.as_ref().map(|peer| peer as &dyn PeerFacts),
            remote: self.remote,
            direct: self.direct,
            destination: self.destination,
            server_name: self.server_name.as_deref(),
            request: self.request.as_ref().map(|request| request as &dyn RequestFacts),
        }
    }
}

/// The policies of a YAML flow list, in order. Providers `p` and `q` exist.
pub(crate) fn policies(items: &str) -> Vec<Arc<AuthorizationPolicy>> {
    let providers: Vec<String> = ["p", "q"].iter().map(|name| provider(name)).collect();
    let text = format!(
        "jwt_providers: [{}]\nauthorization_policies: [{items}]\n",
        providers.join(", ")
    );
    config(text).authorization_policies().clone()
}

/// A compiled set of policies.
pub(crate) fn set(items: &str) -> PolicySet {
    PolicySet::compile(policies(items))
}

fn name(text: &str) -> Name {
    let text = format!("jwt_providers: [{}]\n", provider(text));
    config(text).jwt_providers()[0].name().clone()
}

fn provider(name: &str) -> String {
    format!("{{name: {name}, issuer: i, keys: {{inline: '{{\"keys\":[]}}'}}}}")
}

fn config(text: String) -> outrigger_config::MeshConfig {
    let source = Source {
        name: "policies.yaml".into(),
        text: text.clone(),
    };
    match load(&source, &Environment::empty()) {
        Ok(loaded) => loaded.config,
        Err(diagnostics) => panic!("{diagnostics}\n{text}"),
    }
}
