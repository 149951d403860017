//! The calls, as whoever makes them sees them. Every answer is held to what the table says of the call.

mod changes;
mod health;
mod reads;
mod rollouts;
mod rollover;
mod table;

use super::openapi::refusals;
use super::routes::{Content, ROUTES, Route};
use super::shapes::{self, Kind, Presence};
use super::*;
use crate::access::{Access, Grants, IdentityGrant, Role, TokenDigest, TokenGrant};
use crate::audit::Entry;
use crate::authority::{Authority, AuthorityMetrics, AuthorityParts, KeySource, StoredAuthority};
use crate::fleet::Fleet;
use crate::fleet::follow::follow;
use crate::store::{Store, embedded};
use axum::body::Body as HttpBody;
use http::{HeaderMap, StatusCode};
use http_body_util::BodyExt;
use outrigger_config::model::SpiffeMatch;
use serde_json::{Value, json};
use tokio::sync::watch;
use tower::ServiceExt;

const ADMIN: &str = "admin";
const READER: &str = "reader";
const SHOP: &str = "shop";
const EDGE: &str = "edge";
const NODE: &str = "node";

/// The mesh of the examples.
const EXAMPLE: [(&str, &str); 4] = [
    (
        "catalog.yaml",
        include_str!("../../../config/examples/mesh/catalog.yaml"),
    ),
    (
        "defaults.yaml",
        include_str!("../../../config/examples/mesh/defaults.yaml"),
    ),
    (
        "gateway.yaml",
        include_str!("../../../config/examples/mesh/gateway.yaml"),
    ),
    ("web.yaml", include_str!("../../../config/examples/mesh/web.yaml")),
];

/// A server without sockets.
pub(crate) struct World {
    pub(crate) router: Router,
    pub(crate) parts: Parts,
    drain: watch::Sender<bool>,
    _follow: tokio::task::JoinSet<()>,
}

/// An answer.
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    text: String,
    json: Value,
}

fn grants() -> Grants {
    let own = |namespace: &str| Role::Editor([namespace.to_owned()].into());
    let roles = [
        (ADMIN, Role::Administrator),
        (READER, Role::Reader),
        (SHOP, own("shop")),
        (EDGE, own("edge")),
        (NODE, Role::Node(["shop/web".to_owned()].into())),
    ];
    let tokens = roles.map(|(name, role)| TokenGrant {
        name: name.to_owned(),
        digest: TokenDigest::of(name),
        expires: None,
        roles: vec![role],
    });
    let ann = IdentityGrant {
        identity: SpiffeMatch::Exact("spiffe://example.org/people/ann".parse().unwrap()),
        roles: vec![Role::Reader],
    };
    Grants {
        tokens: tokens.into(),
        identities: vec![ann],
        ..Grants::default()
    }
}

impl World {
    pub(crate) async fn start() -> World {
        let store: Arc<dyn Store> = Arc::new(embedded::in_memory(100).await.unwrap());
        // It has been there for long enough to know its nodes.
        let started = std::time::Instant::now() - crate::fleet::RETURN_WITHIN;
        let (fleet, registry) = (Arc::new(Fleet::since(started)), prometheus::Registry::new());
        let stored = Arc::new(StoredAuthority::new(Arc::clone(&store)));
        let authority = AuthorityParts {
            trust_domain: "example.org".parse().unwrap(),
            validity_max: Duration::from_secs(3600),
            key: KeySource::Kept(Arc::clone(&stored) as _),
            fixed_tokens: Vec::new(),
            join_tokens: Arc::clone(&stored) as _,
            kubernetes: None,
            audit: stored,
            metrics: AuthorityMetrics::register(&registry).unwrap(),
        };
        let authority = Authority::open(authority, SystemTime::now()).await.unwrap();
        let (drain, draining) = watch::channel(false);
        let parts = Parts {
            fleet: Arc::clone(&fleet),
            store: Arc::clone(&store),
            access: Arc::new(Access::new(grants())),
            authority: Some(Arc::new(authority)),
            registry,
            replica: None,
            drain: draining,
        };
        let mut following = tokio::task::JoinSet::new();
        following.spawn(follow(fleet, store));
        World {
            router: router(parts.clone()),
            parts,
            drain,
            _follow: following,
        }
    }

    /// With the mesh of the examples as revision 1, in force.
    pub(crate) async fn with_example() -> World {
        let world = World::start().await;
        let documents: Value = EXAMPLE.iter().map(|(name, text)| (*name, *text)).collect();
        let body = json!({ "documents": documents }).to_string();
        let made = world
            .change(ADMIN, 0, "PUT", "/v1/mesh?reason=begin", &body)
            .await;
        assert_eq!(made.status, StatusCode::OK, "{}", made.text);
        world.in_force(1).await;
        world
    }

    /// Waits until everybody is to have this revision.
    async fn in_force(&self, revision: u64) {
        let mut plans = self.parts.fleet.plans();
        let waiting = plans.wait_for(|plan| plan.stable.number() == revision);
        timeout(Duration::from_secs(60), waiting).await.unwrap().unwrap();
    }

    async fn get(&self, who: &str, path: &str) -> Answer {
        self.call(Some(who), "GET", path, &[], "").await
    }

    /// A change that was made for revision `base`.
    async fn change(&self, who: &str, base: u64, method: &str, path: &str, body: &str) -> Answer {
        let base = format!("\"{base}\"");
        self.call(Some(who), method, path, &[("if-match", &base)], body)
            .await
    }

    /// Makes a call, and holds the answer to what the table says.
    async fn call(
        &self,
        who: Option<&str>,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        if let Some(who) = who {
            request = request.header("authorization", format!("Bearer {who}"));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(HttpBody::from(body.to_owned())).unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (head, body) = response.into_parts();
        let text = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
        let json = serde_json::from_str(&text).unwrap_or(Value::Null);
        let answer = Answer {
            status: head.status,
            headers: head.headers,
            text,
            json,
        };
        if let Some(route) = route_of(method, path.split('?').next().unwrap()) {
            answer.check(route, path);
        }
        answer
    }

    /// The audit log, from its beginning.
    async fn audit(&self) -> Vec<Entry> {
        self.parts.store.entries(1, 1_000).await.unwrap()
    }
}

impl Answer {
    fn check(&self, route: &Route, path: &str) {
        let (status, content) = route.answer;
        if self.status.as_u16() != status {
            assert!(
                refusals(route).contains(&self.status.as_u16()),
                "{path}: {} is not told of",
                self.status
            );
            if self.json.is_object() {
                conforms(&self.json, "Error");
            }
            return;
        }
        match content {
            Content::Json("Changed") if path.contains("dry_run=true") => conforms(&self.json, "DryRun"),
            Content::Json(shape) => conforms(&self.json, shape),
            Content::Text(media_type) => assert_eq!(self.headers["content-type"], media_type, "{path}"),
            Content::OpenApi => assert_eq!(self.json["openapi"], "3.1.0"),
            Content::Nothing => assert_eq!(self.text, ""),
        }
    }

    fn etag(&self) -> &str {
        self.headers["etag"].to_str().unwrap()
    }
}

/// A value is what the shape says, to the last field.
fn conforms(value: &Value, shape: &str) {
    let shape = shapes::find(shape).unwrap_or_else(|| panic!("there is no shape {shape}"));
    let object = value
        .as_object()
        .unwrap_or_else(|| panic!("{} is no object: {value}", shape.name));
    for name in object.keys() {
        let known = shape.fields.iter().any(|field| field.name == name);
        assert!(known, "{}.{name} is not told of", shape.name);
    }
    for field in shape.fields {
        let Some(value) = object.get(field.name) else {
            assert_eq!(
                field.presence,
                Presence::Optional,
                "{}.{} is missing",
                shape.name,
                field.name
            );
            continue;
        };
        if value.is_null() {
            assert_eq!(
                field.presence,
                Presence::Nullable,
                "{}.{} is null",
                shape.name,
                field.name
            );
            continue;
        }
        let fits = match field.kind {
            Kind::Text => value.is_string(),
            Kind::Whole => value.is_u64(),
            Kind::Number => value.is_number(),
            Kind::Truth => value.is_boolean(),
            Kind::Texts => value
                .as_array()
                .is_some_and(|all| all.iter().all(Value::is_string)),
            Kind::TextByName => value
                .as_object()
                .is_some_and(|all| all.values().all(Value::is_string)),
            Kind::One(shape) => {
                conforms(value, shape);
                true
            }
            Kind::Many(shape) => {
                value
                    .as_array()
                    .unwrap()
                    .iter()
                    .for_each(|value| conforms(value, shape));
                true
            }
        };
        assert!(fits, "{}.{} is {value}", shape.name, field.name);
    }
}

/// The route that a path leads to.
fn route_of(method: &str, path: &str) -> Option<&'static Route> {
    let fits = |route: &&Route| {
        let (mut own, mut asked) = (route.path.split('/'), path.split('/'));
        loop {
            match (own.next(), asked.next()) {
                (None, None) => return true,
                (Some(own), Some(_)) if own.starts_with("{*") => return true,
                (Some(own), Some(asked)) if own == asked || own.starts_with('{') => {}
                _ => return false,
            }
        }
    };
    ROUTES
        .iter()
        .filter(|route| route.method.as_str() == method)
        .find(fits)
}
