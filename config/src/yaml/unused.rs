//! Warns of parts that nothing refers to.

use super::reader::{Part, Reader};
use crate::model::{MeshConfig, Name, Origin};
use crate::receipt::Code;

pub(super) fn warn(reader: &mut Reader<'_>, config: &MeshConfig) {
    let routes = config.route_configurations.iter();
    warn_of(
        reader,
        Part::RouteConfiguration,
        routes.map(|part| (&part.name, &part.origin)),
    );
    let clusters = config.clusters.iter();
    warn_of(
        reader,
        Part::Cluster,
        clusters.map(|part| (&part.name, &part.origin)),
    );
    // What is pushed may refer to the identities and trust bundles that are declared here.
    let is_local = config.control.is_none();
    let identities = config.identities.iter().filter(|_| is_local);
    warn_of(
        reader,
        Part::Identity,
        identities.map(|part| (&part.name, &part.origin)),
    );
    let policies = config.authorization_policies.iter();
    warn_of(
        reader,
        Part::AuthorizationPolicy,
        policies.map(|part| (&part.name, &part.origin)),
    );
    let providers = config.jwt_providers.iter();
    warn_of(
        reader,
        Part::JwtProvider,
        providers.map(|part| (&part.name, &part.origin)),
    );
    let limits = config.rate_limits.iter();
    warn_of(
        reader,
        Part::RateLimit,
        limits.map(|part| (&part.name, &part.origin)),
    );
    let collectors = config.telemetry.collectors.iter().filter(|_| is_local);
    warn_of(
        reader,
        Part::Collector,
        collectors.map(|part| (&part.name, &part.origin)),
    );
    let by_trust_domain = reader.declarations.is_by_trust_domain();
    let bundles = config.trust_bundles.iter().filter(|_| is_local);
    warn_of(
        reader,
        Part::TrustBundle,
        bundles
            .filter(|bundle| !(by_trust_domain && bundle.trust_domain.is_some()))
            .map(|part| (&part.name, &part.origin)),
    );
}

fn warn_of<'a>(reader: &mut Reader<'_>, part: Part, declared: impl Iterator<Item = (&'a Name, &'a Origin)>) {
    let what = part.what();
    let (who, help) = match part {
        Part::RouteConfiguration => (
            "no filter chain uses",
            "name it in a filter chain's `http`, or remove it",
        ),
        Part::Cluster => ("nothing uses", "forward to it, or remove it"),
        Part::Identity => ("nothing uses", "name it in a `tls`, or remove it"),
        Part::AuthorizationPolicy => (
            "nothing uses",
            "name it in the `authorization` of a filter chain or a route, or remove it",
        ),
        Part::JwtProvider => ("nothing uses", "require it by `jwt`, or remove it"),
        Part::RateLimit => (
            "nothing uses",
            "name it in the `rate_limits` of a filter chain, a virtual host or a route, or remove it",
        ),
        Part::Collector => (
            "nothing is sent to",
            "name it where something is told, or remove it",
        ),
        Part::TrustBundle => (
            "nothing uses",
            "name it in a `tls`, believe by `roots: spiffe`, or remove it",
        ),
    };
    for (name, origin) in declared {
        if reader.declarations.is_unused(part, name) {
            let message = format!("{who} the {what} `{name}`");
            reader.warn_of(Code::PartUnused, (what, name), origin, message, help);
        }
    }
}
