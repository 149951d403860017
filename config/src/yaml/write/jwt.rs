//! JSON Web Tokens as YAML.

use super::emit::{Map, Out, list, text};
use super::tls::put_roots;
use super::{boolean, duration, path, word};
use crate::model::{ClaimHeader, JwksSource, JwtProvider, JwtRequirement, TokenLocation};
use crate::yaml::jwt::algorithm_word;

pub(super) fn provider(provider: &JwtProvider) -> Out {
    let mut map = Map::default().with("name", text(&provider.name));
    match &provider.issuer {
        Some(issuer) => map.put("issuer", text(issuer)),
        None => map.comment("issuer: not looked at"),
    }
    match provider.audiences.is_empty() {
        false => map.put("audiences", list(provider.audiences.iter().map(text))),
        true => map.comment("audiences: not looked at"),
    }
    map.put("keys", keys(&provider.keys));
    let algorithms = provider.algorithms.iter().map(|one| word(algorithm_word(*one)));
    map.put("algorithms", list(algorithms));
    map.put("locations", list(provider.locations.iter().map(location)));
    map.put("forward", boolean(provider.forward));
    match &provider.payload_header {
        Some(name) => map.put("payload_header", text(name.as_str())),
        None => map.comment("payload_header: not sent"),
    }
    map.with(
        "claim_headers",
        list(provider.claim_headers.iter().map(claim_header)),
    )
    .with("clock_skew", duration(provider.clock_skew))
    .with("expiration_required", boolean(provider.expiration_required))
    .into()
}

fn keys(keys: &JwksSource) -> Map {
    let mut map = Map::default();
    match keys {
        JwksSource::File(file) => map.put("file", path(file)),
        JwksSource::Inline(set) => map.put("inline", text(set)),
        JwksSource::Url(url) => {
            map.put("url", text(&url.url));
            put_roots(&mut map, &url.roots);
            map.put("refresh", duration(url.refresh));
            map.put("timeout", duration(url.timeout));
        }
    }
    map
}

fn location(location: &TokenLocation) -> Map {
    let map = Map::default();
    match location {
        TokenLocation::Header { name, prefix } => map
            .with("header", text(name.as_str()))
            .with("prefix", text(prefix)),
        TokenLocation::Query(name) => map.with("query", text(name)),
        TokenLocation::Cookie(name) => map.with("cookie", text(name)),
    }
}

fn claim_header(header: &ClaimHeader) -> Map {
    Map::default()
        .with("header", text(header.header.as_str()))
        .with("claim", list(header.path.iter().map(text)))
}

pub(super) fn requirement(requirement: &JwtRequirement) -> Map {
    let map = Map::default();
    match requirement {
        JwtRequirement::Provider(name) => map.with("provider", text(name)),
        JwtRequirement::AnyOf(any) => map.with("any_of", list(any.iter().map(self::requirement))),
        JwtRequirement::AllOf(all) => map.with("all_of", list(all.iter().map(self::requirement))),
        JwtRequirement::AllowMissing => map.with("allow_missing", boolean(true)),
        JwtRequirement::AllowMissingOrFailed => map.with("allow_missing_or_failed", boolean(true)),
    }
}
