//! JSON Web Tokens: whose are accepted, and where they are required.

use super::condition::claim_path;
use super::headers::editable_name;
use super::reader::{Fields, Part, Reader, is_off, scalar_of};
use super::scalar::{self, Problem, problem, problem_with_help};
use super::shapes::{CLAIM_HEADER, JWKS, JWT_ALGORITHMS, JWT_PROVIDER, JWT_REQUIREMENT, TOKEN_LOCATION};
use super::tree::Node;
use super::{Unique, peers};
use crate::model::{
    ClaimHeader, HeaderName, JwksSource, JwksUrl, JwtAlgorithm, JwtProvider, JwtRequirement, Name, Roots,
    TokenLocation, defaults,
};
use std::sync::Arc;

/// Bytes of a key set that stands in the document.
const JWKS_BYTES_MAX: usize = 1024 * 1024;
/// Requirements inside each other at most.
const DEPTH_MAX: usize = 4;
/// Places where a token is looked for, requirements of one list, at most: each may cost a verification.
const LIST_MAX: usize = 32;

const ALGORITHMS: [JwtAlgorithm; 9] = [
    JwtAlgorithm::Rs256,
    JwtAlgorithm::Rs384,
    JwtAlgorithm::Rs512,
    JwtAlgorithm::Ps256,
    JwtAlgorithm::Ps384,
    JwtAlgorithm::Ps512,
    JwtAlgorithm::Es256,
    JwtAlgorithm::Es384,
    JwtAlgorithm::EdDsa,
];

/// An algorithm as it is written.
pub(super) fn algorithm_word(algorithm: JwtAlgorithm) -> &'static str {
    let index = ALGORITHMS.iter().position(|other| *other == algorithm);
    JWT_ALGORITHMS[index.expect("every algorithm is listed")]
}

pub(super) fn providers(reader: &mut Reader<'_>, nodes: &[Arc<Node>]) -> Vec<Arc<JwtProvider>> {
    let mut names = Unique::new("JWT provider");
    let read = |node: &Arc<Node>| {
        reader
            .within(|reader| provider(reader, node, &mut names))
            .map(Arc::new)
    };
    nodes.iter().filter_map(read).collect()
}

fn provider(reader: &mut Reader<'_>, node: &Node, names: &mut Unique<Name>) -> Option<JwtProvider> {
    let fields = reader.fields(node, &JWT_PROVIDER)?;
    let name = fields.name(reader, "name");
    if let Some(name) = &name {
        names.insert(reader, name.clone(), fields.span_of("name"));
        reader.enter("JWT provider", name);
    }
    let issuer = fields.parsed(reader, "issuer", filled);
    let audiences = super::chain::distinct(reader, &fields, "audiences", filled, String::clone);
    let keys = fields.node(reader, "keys").and_then(|node| keys(reader, node));
    let algorithms = algorithms(reader, &fields);
    let locations = locations(reader, &fields);
    let forward = fields.boolean(reader, "forward").unwrap_or(false);
    let payload_header = fields.parsed(reader, "payload_header", editable_name);
    let claim_headers = claim_headers(reader, &fields, payload_header.as_ref());
    let clock_skew = fields.whole_seconds(reader, "clock_skew");
    let expiration_required = fields.boolean(reader, "expiration_required").unwrap_or(false);
    Some(JwtProvider {
        name: name?,
        issuer,
        audiences,
        keys: keys?,
        algorithms,
        locations,
        forward,
        payload_header,
        claim_headers,
        clock_skew: clock_skew.unwrap_or(defaults::JWT_CLOCK_SKEW),
        expiration_required,
        origin: reader.origin(node.span),
    })
}

fn filled(text: &str) -> Result<String, Problem> {
    match text.len() {
        1..=2048 => Ok(text.to_owned()),
        _ => problem("this text has 1 to 2048 bytes"),
    }
}

fn keys(reader: &mut Reader<'_>, node: &Node) -> Option<JwksSource> {
    let fields = reader.fields(node, &JWKS)?;
    let file = fields.file(reader, "file").map(JwksSource::File);
    let inline = fields.parsed(reader, "inline", key_set).map(JwksSource::Inline);
    let url = fields.parsed(reader, "url", key_set_url);
    let roots = peers::roots_without_spiffe(reader, &fields);
    let refresh = fields.duration(reader, "refresh");
    let timeout = fields.duration(reader, "timeout");
    if fields.entry("url").is_none() {
        for name in ["ca_file", "roots", "trust_bundle", "refresh", "timeout"] {
            if fields.entry(name).is_some() {
                let message = format!("`{name}` without `url`");
                reader.fault_with_help(fields.key_span_of(name), message, "nothing is fetched; remove it");
            }
        }
    }
    let url = url.map(|url| {
        JwksSource::Url(Box::new(JwksUrl {
            url,
            roots: roots.unwrap_or(Roots::System),
            refresh: refresh.unwrap_or(defaults::JWKS_REFRESH),
            timeout: timeout.unwrap_or(defaults::JWKS_TIMEOUT),
        }))
    });
    file.or(inline).or(url)
}

/// A JWKS, of which no key is secret.
fn key_set(text: &str) -> Result<String, Problem> {
    let help = "such as `{\"keys\": [{\"kty\": \"EC\", …}]}`";
    if text.len() > JWKS_BYTES_MAX {
        return problem(format!("a key set has at most {JWKS_BYTES_MAX} bytes here"));
    }
    let Ok(set) = serde_json::from_str::<serde_json::Value>(text) else {
        return problem_with_help("expected a JSON Web Key Set: this is not JSON", help);
    };
    let Some(keys) = set["keys"].as_array() else {
        return problem_with_help("expected a JSON Web Key Set: it has no `keys`", help);
    };
    if keys
        .iter()
        .any(|key| key.get("d").is_some() || key.get("k").is_some())
    {
        return problem_with_help(
            "there is a secret key in this set",
            "tokens are verified by public keys alone: leave `d` and `k` out",
        );
    }
    Ok(text.to_owned())
}

fn key_set_url(text: &str) -> Result<String, Problem> {
    let shown = scalar::shortened(text);
    let help = "such as `https://issuer.example/keys`";
    let rest = text.strip_prefix("https://").or(text.strip_prefix("http://"));
    let Some(rest) = rest else {
        return problem_with_help(
            format!("`{shown}` begins with neither `https://` nor `http://`"),
            help,
        );
    };
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    let is_visible = text.bytes().all(|byte| byte.is_ascii_graphic()) && !text.contains('#');
    match scalar::authority(authority).is_ok() && is_visible && text.len() <= 2048 {
        true => Ok(text.to_owned()),
        false => problem_with_help(format!("`{shown}` is not a URL"), help),
    }
}

fn algorithms(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Vec<JwtAlgorithm> {
    if fields.entry("algorithms").is_none() {
        return defaults::JWT_ALGORITHMS.to_vec();
    }
    let words: Vec<(&str, JwtAlgorithm)> = JWT_ALGORITHMS.into_iter().zip(ALGORITHMS).collect();
    let mut seen = Unique::new("algorithm");
    let mut algorithms = Vec::new();
    for node in fields.list(reader, "algorithms") {
        if let Some(algorithm) = reader.choose(node, &words) {
            seen.insert(reader, algorithm_word(algorithm), node.span);
            algorithms.push(algorithm);
        }
    }
    algorithms
}

fn locations(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Vec<TokenLocation> {
    if fields.entry("locations").is_none() {
        return vec![TokenLocation::Header {
            name: HeaderName("authorization".into()),
            prefix: BEARER.to_owned(),
        }];
    }
    let nodes = fields.list(reader, "locations");
    refuse_many(reader, fields, "locations", nodes.len());
    let read = |node: &Arc<Node>| location(reader, node);
    nodes.iter().take(LIST_MAX).filter_map(read).collect()
}

const BEARER: &str = "Bearer ";

fn location(reader: &mut Reader<'_>, node: &Node) -> Option<TokenLocation> {
    let fields = reader.fields(node, &TOKEN_LOCATION)?;
    let header = fields.parsed(reader, "header", scalar::header_name);
    let prefix = fields.parsed(reader, "prefix", |text| {
        match text.len() <= 64 && text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
            true => Ok(text.to_owned()),
            false => problem("a prefix has at most 64 characters of ASCII"),
        }
    });
    if fields.entry("prefix").is_some() && fields.entry("header").is_none() {
        let message = "`prefix` without `header`";
        reader.fault_with_help(fields.key_span_of("prefix"), message, "remove it");
    }
    let header = header.map(|name| {
        let usual = if name.as_str() == "authorization" {
            BEARER
        } else {
            ""
        };
        let prefix = prefix.unwrap_or_else(|| usual.to_owned());
        TokenLocation::Header { name, prefix }
    });
    let query = fields.parsed(reader, "query", filled).map(TokenLocation::Query);
    let cookie = fields.parsed(reader, "cookie", |text| match scalar::is_token(text) {
        true => Ok(TokenLocation::Cookie(text.to_owned())),
        false => problem(format!(
            "`{}` is not the name of a cookie",
            scalar::shortened(text)
        )),
    });
    header.or(query).or(cookie)
}

fn claim_headers(
    reader: &mut Reader<'_>,
    fields: &Fields<'_>,
    payload: Option<&HeaderName>,
) -> Vec<ClaimHeader> {
    let nodes = fields.list(reader, "claim_headers");
    refuse_many(reader, fields, "claim_headers", nodes.len());
    let mut seen = Unique::new("use of the header");
    if let Some(payload) = payload {
        seen.insert(
            reader,
            payload.as_str().to_owned(),
            fields.span_of("payload_header"),
        );
    }
    let mut headers = Vec::new();
    for node in nodes.iter().take(LIST_MAX) {
        let Some(fields) = reader.fields(node, &CLAIM_HEADER) else {
            continue;
        };
        let header = fields.parsed(reader, "header", editable_name);
        let path = fields
            .node(reader, "claim")
            .and_then(|node| claim_path(reader, node));
        if let (Some(header), Some(path)) = (header, path) {
            seen.insert(reader, header.as_str().to_owned(), fields.span_of("header"));
            headers.push(ClaimHeader { header, path });
        }
    }
    headers
}

fn refuse_many(reader: &mut Reader<'_>, fields: &Fields<'_>, name: &str, count: usize) {
    if count > LIST_MAX {
        let message = format!("`{name}` has {count} items; at most {LIST_MAX} are allowed");
        reader.fault(fields.span_of(name), message);
    }
}

/// The field `jwt` of a filter chain's `http` or of a route: `Some(None)` for `off`, nothing if it is not given.
pub(super) fn requirement(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Option<Option<JwtRequirement>> {
    let node = fields.node(reader, "jwt")?;
    if is_off(node) {
        return Some(None);
    }
    if scalar_of(node).is_some() {
        reader.mismatch(node, "`off` or a map (jwt requirement)");
        return None;
    }
    required(reader, node, 0).map(Some)
}

fn required(reader: &mut Reader<'_>, node: &Node, depth: usize) -> Option<JwtRequirement> {
    if depth >= DEPTH_MAX {
        let message = format!("more than {DEPTH_MAX} requirements inside each other");
        reader.fault(node.span, message);
        return None;
    }
    let fields = reader.fields(node, &JWT_REQUIREMENT)?;
    let provider = reader
        .reference(&fields, "provider", Part::JwtProvider)
        .map(JwtRequirement::Provider);
    let several = |reader: &mut Reader<'_>, name| {
        let nodes = fields.list(reader, name);
        refuse_many(reader, &fields, name, nodes.len());
        let mut several = Vec::new();
        for node in nodes.iter().take(LIST_MAX) {
            several.extend(required(reader, node, depth + 1));
        }
        (!several.is_empty()).then_some(several)
    };
    let any_of = several(reader, "any_of").map(JwtRequirement::AnyOf);
    let all_of = several(reader, "all_of").map(JwtRequirement::AllOf);
    let mut word = |name, requirement| {
        let value = fields.boolean(reader, name)?;
        if !value {
            let message = format!("`{name}: false` requires nothing");
            reader.fault_with_help(fields.span_of(name), message, "remove it");
        }
        Some(requirement)
    };
    let missing = word("allow_missing", JwtRequirement::AllowMissing);
    let failed = word("allow_missing_or_failed", JwtRequirement::AllowMissingOrFailed);
    provider.or(any_of).or(all_of).or(missing).or(failed)
}
