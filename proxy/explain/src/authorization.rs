//! What authorization policies decide of a request or a connection, as `outrigger explain` tells it: which policy, where
//! it is written, and, where no ALLOW policy matches, which comes nearest and what it wants.

use super::{ExplainError, Request, View, line, split_port};
use outrigger_config::MeshConfig;
use outrigger_config::model::{AuthorizationAction, AuthorizationPolicy, FilterChain, Name, Route, SpiffeId};
use outrigger_traffic::authorization::{
    Claims, Facts, Outcome, PeerFacts, PolicyExplanation, PolicyPlace, PolicySet, RequestFacts, Truth,
    decide, explain,
};
use outrigger_traffic::{RequestView, forwarded};
use serde_json::{Map, Value};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

/// Who asks, as it is described.
#[derive(Debug, Clone, Default)]
pub struct PeerDescription {
    /// The SPIFFE id of the client's verified certificate.
    pub id: Option<String>,
    /// Further names in it.
    pub names: Vec<String>,
    /// Where the connection comes from; 127.0.0.1 if not given.
    pub address: Option<IpAddr>,
    /// Claims of a verified token, whosever, as in `realm.roles=admin`.
    pub claims: Vec<String>,
}

/// Who asks.
#[derive(Debug, Default)]
pub struct Peer {
    pub(super) id: Option<SpiffeId>,
    names: Vec<String>,
    address: Option<IpAddr>,
    claims: Option<Value>,
}

impl Peer {
    /// Reads a description.
    ///
    /// # Errors
    /// What of it is not understood, and what is expected.
    pub fn parse(description: &PeerDescription) -> Result<Peer, ExplainError> {
        Self::read(description).map_err(ExplainError)
    }

    fn read(description: &PeerDescription) -> Result<Peer, String> {
        let id = description.id.as_deref().map(|text| {
            let parsed = text.parse::<SpiffeId>();
            parsed.map_err(|fault| format!("`{text}` is no SPIFFE id: {fault}"))
        });
        let mut claims = Map::new();
        for claim in &description.claims {
            let (path, value) = claim
                .split_once('=')
                .ok_or_else(|| format!("claim `{claim}`: expected 'path=value'"))?;
            put(&mut claims, path, value);
        }
        let id = id.transpose()?;
        let names = id.iter().map(ToString::to_string);
        Ok(Peer {
            names: names.chain(description.names.iter().cloned()).collect(),
            id,
            address: description.address,
            claims: (!claims.is_empty()).then_some(Value::Object(claims)),
        })
    }

    fn is_verified(&self) -> bool {
        !self.names.is_empty()
    }

    fn address(&self) -> IpAddr {
        self.address.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST))
    }

    /// The claims as those of every provider.
    fn claims_of(&self, config: &MeshConfig) -> Claims {
        let mut claims = Claims::default();
        if let Some(payload) = &self.claims {
            for provider in config.jwt_providers() {
                claims.add(provider.name().clone(), payload.clone());
            }
        }
        claims
    }
}

/// Puts a value at a path; one that is there already becomes a list.
fn put(claims: &mut Map<String, Value>, path: &str, value: &str) {
    match path.split_once('.') {
        Some((key, rest)) => {
            let inner = claims.entry(key).or_insert_with(|| Value::Object(Map::new()));
            if let Value::Object(inner) = inner {
                put(inner, rest, value);
            }
        }
        None => match claims.get_mut(path) {
            None => {
                claims.insert(path.to_owned(), value.into());
            }
            Some(Value::Array(list)) => list.push(value.into()),
            Some(one) => *one = Value::Array(vec![one.take(), value.into()]),
        },
    }
}

impl PeerFacts for Peer {
    fn spiffe_id(&self) -> Option<&SpiffeId> {
        self.id.as_ref()
    }
    fn names(&self, each: &mut dyn FnMut(&str)) {
        self.names.iter().for_each(|name| each(name));
    }
}

/// A request as policies are asked about it.
struct Asked<'r> {
    view: &'r View<'r>,
    claims: Claims,
}

impl RequestFacts for Asked<'_> {
    fn method(&self) -> &str {
        self.view.method()
    }
    fn authority(&self) -> &str {
        &self.view.request.authority
    }
    fn path(&self) -> &str {
        if self.view.is_connect() {
            ""
        } else {
            self.view.path()
        }
    }
    fn query(&self) -> Option<&str> {
        self.view.query()
    }
    fn headers(&self, name: &str, each: &mut dyn FnMut(&[u8])) {
        let named = self
            .view
            .request
            .headers
            .iter()
            .filter(|(other, _)| other == name);
        named.for_each(|(_, value)| each(value.as_bytes()));
    }
    fn claims(&self) -> Option<&Claims> {
        Some(&self.claims)
    }
}

/// Tells what is decided of a request. False if it is refused.
pub(super) fn describe(
    text: &mut String,
    config: &MeshConfig,
    chain: &FilterChain,
    route: &Route,
    view: &View<'_>,
) -> bool {
    let asked = Asked {
        view,
        claims: view.peer.claims_of(config),
    };
    let hops = chain
        .mode()
        .http()
        .map_or(0, |options| options.xff_num_trusted_hops());
    let told = view
        .request
        .headers
        .iter()
        .filter(|(name, _)| name == "x-forwarded-for");
    let client = forwarded::client(told.map(|(_, value)| value.as_bytes()), hops);
    let facts = Facts {
        remote: if hops == 0 {
            Some(view.peer.address())
        } else {
            client
        },
        request: Some(&asked),
        ..facts(view.request, view.peer)
    };
    let names = [chain.authorization().as_slice(), route.authorization()];
    let is_allowed = tell(text, config, &names, &facts);
    if !is_allowed {
        line(text, format_args!("answer: 403, or gRPC status 7"));
    }
    is_allowed
}

/// Tells what is decided of a connection whose bytes would be passed on. False if it is closed.
pub(super) fn describe_bytes(
    text: &mut String,
    config: &MeshConfig,
    chain: &FilterChain,
    request: &Request,
    peer: &Peer,
) -> bool {
    let is_allowed = tell(text, config, &[chain.authorization()], &facts(request, peer));
    if !is_allowed {
        line(
            text,
            format_args!("the connection is closed, and nothing is dialled"),
        );
    }
    is_allowed
}

fn facts<'f>(request: &'f Request, peer: &'f Peer) -> Facts<'f> {
    // Of a name the URL does not tell the address.
    let host = split_port(&request.authority).0.trim_matches(['[', ']']);
    let address = host.parse().unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    Facts {
        peer: peer.is_verified().then_some(peer as &dyn PeerFacts),
        remote: Some(peer.address()),
        direct: peer.address(),
        destination: SocketAddr::new(address, request.port),
        server_name: request.tls.then_some(host),
        request: None,
    }
}

/// Tells what these policies decide, if there are any: whether it passes.
fn tell(text: &mut String, config: &MeshConfig, names: &[&[Name]], facts: &Facts<'_>) -> bool {
    let of = |names: &&[Name]| {
        let policy = |name: &Name| {
            let mut all = config.authorization_policies().iter();
            all.find(|policy| policy.name() == name).map(Arc::clone)
        };
        PolicySet::compile(names.iter().filter_map(policy).collect())
    };
    let sets: Vec<PolicySet> = names.iter().filter(|names| !names.is_empty()).map(of).collect();
    let levels: Vec<&PolicySet> = sets.iter().collect();
    if levels.is_empty() {
        return true;
    }
    let decision = decide(&levels, facts);
    let explained = explain(&levels, facts);
    let teller = Teller {
        levels: &levels,
        explained: &explained,
    };
    line(
        text,
        format_args!("authorization: {}", teller.outcome(decision.outcome)),
    );
    if let Some(shadow) = decision.shadow {
        line(
            text,
            format_args!("with shadow policies: {}", teller.outcome(shadow)),
        );
    }
    for place in decision.audited {
        line(text, format_args!("audited by {}", teller.named(place)));
    }
    if let Outcome::NotAllowed { level } = decision.outcome {
        teller.tell_nearest(text, level);
    }
    decision.outcome.is_allowed()
}

struct Teller<'t> {
    levels: &'t [&'t PolicySet],
    explained: &'t [PolicyExplanation],
}

impl Teller<'_> {
    fn policy(&self, place: PolicyPlace) -> &AuthorizationPolicy {
        &self.levels[place.level].policies()[place.policy]
    }

    fn named(&self, place: PolicyPlace) -> String {
        let policy = self.policy(place);
        format!("policy `{}` ({})", policy.name(), policy.origin())
    }

    fn outcome(&self, outcome: Outcome) -> String {
        match outcome {
            Outcome::Allowed(None) => "nothing denies it, and there are no ALLOW policies".to_owned(),
            Outcome::Allowed(Some(place)) => {
                format!("{} allows it{}", self.named(place), self.because(place))
            }
            Outcome::Denied(place) => format!("{} denies it{}", self.named(place), self.because(place)),
            Outcome::NotAllowed { level } => {
                let whose = if level == 0 { "" } else { " of the route" };
                format!("no ALLOW policy{whose} matches it")
            }
        }
    }

    /// By which rule, and what of it is only possible.
    fn because(&self, place: PolicyPlace) -> String {
        let mut explained = self.explained.iter();
        let Some(rule) = explained
            .find(|one| one.place == place)
            .and_then(|one| one.nearest.as_ref())
        else {
            return String::new();
        };
        let conditions: Vec<String> = rule
            .conditions
            .iter()
            .map(|(words, truth)| match truth {
                Truth::True => words.clone(),
                _ => format!("{words}, which may or may not hold"),
            })
            .collect();
        format!(": rule {}, {}", rule.index + 1, conditions.join("; "))
    }

    /// The ALLOW policies in force of a level that came nearest to matching, and what each still wants.
    fn tell_nearest(&self, text: &mut String, level: usize) {
        let mut nearest: Vec<&PolicyExplanation> = self
            .explained
            .iter()
            .filter(|one| {
                let policy = self.policy(one.place);
                one.place.level == level && policy.action() == AuthorizationAction::Allow && !policy.shadow()
            })
            .collect();
        nearest.sort_by_key(|one| {
            let unmet = one
                .nearest
                .as_ref()
                .map_or(usize::MAX, |rule| rule.unmet().count());
            (std::cmp::Reverse(one.truth), unmet)
        });
        let told = nearest.len().min(NEAREST_MAX);
        for one in &nearest[..told] {
            let wants = match &one.nearest {
                None => "it has no rules".to_owned(),
                Some(rule) => {
                    let unmet: Vec<String> = rule
                        .unmet()
                        .map(|(words, truth)| match truth {
                            Truth::Unknown => format!("{words}, which cannot be told for certain"),
                            _ => words.to_owned(),
                        })
                        .collect();
                    format!("rule {} needs {}", rule.index + 1, unmet.join("; "))
                }
            };
            line(text, format_args!("not {}: {wants}", self.named(one.place)));
        }
        if nearest.len() > told {
            line(
                text,
                format_args!("nor {} more that are further off", nearest.len() - told),
            );
        }
    }
}

/// Policies that are told of those that do not match.
const NEAREST_MAX: usize = 5;
