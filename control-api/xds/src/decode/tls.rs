//! TLS of both sides: contexts become the document's `tls`.
//!
//! What a context carries itself (certificates, authorities) becomes identities and trust bundles of the resource, named
//! after it; what it refers to by SDS is referred to by name.

mod certificates;
mod messages;
mod peers;
mod validation;

pub(crate) use certificates::{Credentials, certificate};
pub(crate) use messages::MESSAGES;
pub(crate) use validation::{Authorities, authorities, authority_source};

use super::Refusals;
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3 as tls;
use messages::{refuse_common, refuse_downstream, refuse_parameters, refuse_upstream};
use outrigger_config::document::{Map, Path, Value};
use peers::Peer;
use tls::common_tls_context::ValidationContextType;
use tls::tls_parameters::TlsProtocol;
use validation::Validation;

/// The secret by which Envoy is told of all trust domains; for us it says `roots: spiffe`.
pub(crate) const SPIFFE_SECRET: &str = "outrigger.spiffe";

/// Suites of TLS 1.2 that are spoken here, by OpenSSL's names. A policy that lists suites has to allow all of them.
const CIPHER_SUITES: [&str; 6] = [
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-CHACHA20-POLY1305",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-RSA-CHACHA20-POLY1305",
];
/// Groups of key exchange that are spoken here, by OpenSSL's names.
const CURVES: [&str; 4] = ["X25519MLKEM768", "X25519", "P-256", "P-384"];

/// Whose TLS it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Downstream,
    Upstream,
}

/// The `tls` of a filter chain.
pub(crate) fn downstream(
    refusals: &mut Refusals,
    path: &Path,
    context: &tls::DownstreamTlsContext,
    credentials: &mut Credentials,
) -> Map {
    refuse_downstream(refusals, path, context);
    let mut map = Map::new(path);
    let at = path.field("common_tls_context");
    let none = tls::CommonTlsContext::default();
    let common = context.common_tls_context.as_ref().unwrap_or(&none);
    put_common(refusals, &at, common, credentials, Side::Downstream, &mut map);
    if !common.alpn_protocols.is_empty() {
        map.put("application_protocols", alpn(&at, common));
    }
    let required = context
        .require_client_certificate
        .is_some_and(|required| required.value);
    if required || common.validation_context_type.is_some() {
        let word = if required { "required" } else { "optional" };
        let at_required = path.field("require_client_certificate");
        let mut client = Map::new(&at).with("certificate", Value::plain(&at_required, word));
        let validation = validation::validation(refusals, &at, common, credentials);
        if let Some(Validation { roots, peers }) = validation {
            put_roots(roots, &mut client);
            put_peers(refusals, &at, &peers, &mut client);
        }
        map.put("client", client.into());
    }
    use tls::downstream_tls_context::SessionTicketKeysType;
    match &context.session_ticket_keys_type {
        None | Some(SessionTicketKeysType::DisableStatelessSessionResumption(false)) => {}
        Some(SessionTicketKeysType::DisableStatelessSessionResumption(true)) => {
            let at = path.field("disable_stateless_session_resumption");
            map.put("session_resumption", Value::plain(&at, false));
        }
        Some(SessionTicketKeysType::SessionTicketKeys(_)) => {
            let what = "keys of session tickets, which are made and changed here,";
            refusals.unsupported(&path.field("session_ticket_keys"), what);
        }
        Some(SessionTicketKeysType::SessionTicketKeysSdsSecretConfig(_)) => {
            let what = "keys of session tickets, which are made and changed here,";
            refusals.unsupported(&path.field("session_ticket_keys_sds_secret_config"), what);
        }
    }
    if context.ocsp_staple_policy != 0 {
        let what = "a policy other than LENIENT_STAPLING";
        refusals.unsupported(&path.field("ocsp_staple_policy"), what);
    }
    map
}

/// The `tls` of a cluster. `offered` are the ALPN names that its protocol offers here.
pub(crate) fn upstream(
    refusals: &mut Refusals,
    path: &Path,
    context: &tls::UpstreamTlsContext,
    offered: &[&str],
    credentials: &mut Credentials,
) -> Map {
    refuse_upstream(refusals, path, context);
    let mut map = Map::new(path);
    let at = path.field("common_tls_context");
    let none = tls::CommonTlsContext::default();
    let common = context.common_tls_context.as_ref().unwrap_or(&none);
    put_common(refusals, &at, common, credentials, Side::Upstream, &mut map);
    let mut listed = common.alpn_protocols.iter().map(String::as_str);
    if !common.alpn_protocols.is_empty() && !listed.by_ref().eq(offered.iter().copied()) {
        let message = format!("the cluster's protocol offers {offered:?}, and nothing else can be");
        refusals.fault(&at.field("alpn_protocols"), message);
    }
    if let Some(Validation { roots, peers }) = validation::validation(refusals, &at, common, credentials) {
        put_roots(roots, &mut map);
        put_server(refusals, &at, path, &context.sni, &peers, &mut map);
    } else {
        let message = "the server's certificate has to be validated";
        refusals.fault_with_help(&at, message, "give it a `validation_context`, or a combined one");
    }
    if context
        .max_session_keys
        .as_ref()
        .is_some_and(|keys| keys.value == 0)
    {
        let at = path.field("max_session_keys");
        map.put("session_resumption", Value::plain(&at, false));
    }
    map
}

fn put_common(
    refusals: &mut Refusals,
    path: &Path,
    common: &tls::CommonTlsContext,
    credentials: &mut Credentials,
    side: Side,
    map: &mut Map,
) {
    refuse_common(refusals, path, common);
    if let Some(parameters) = &common.tls_params {
        put_parameters(refusals, &path.field("tls_params"), parameters, map);
    }
    certificates::put(refusals, path, common, credentials, side, map);
}

fn put_parameters(refusals: &mut Refusals, path: &Path, parameters: &tls::TlsParameters, map: &mut Map) {
    refuse_parameters(refusals, path, parameters);
    let mut speaks_12 = true;
    for (name, field, version) in [
        (
            "minimum_version",
            "tls_minimum_protocol_version",
            parameters.tls_minimum_protocol_version,
        ),
        (
            "maximum_version",
            "tls_maximum_protocol_version",
            parameters.tls_maximum_protocol_version,
        ),
    ] {
        let at = path.field(field);
        let word = match TlsProtocol::try_from(version) {
            Ok(TlsProtocol::TlsAuto) => continue,
            Ok(TlsProtocol::TlSv10) => "TLSv1.0",
            Ok(TlsProtocol::TlSv11) => "TLSv1.1",
            Ok(TlsProtocol::TlSv12) => "TLSv1.2",
            Ok(TlsProtocol::TlSv13) => {
                speaks_12 &= name != "minimum_version";
                "TLSv1.3"
            }
            Err(_) => {
                refusals.fault(&at, format!("there is no version {version}"));
                continue;
            }
        };
        map.put(name, Value::plain(&at, word));
    }
    if speaks_12 {
        allow_all(
            refusals,
            &path.field("cipher_suites"),
            &parameters.cipher_suites,
            &CIPHER_SUITES,
        );
    }
    allow_all(
        refusals,
        &path.field("ecdh_curves"),
        &parameters.ecdh_curves,
        &CURVES,
    );
}

/// What is listed has to allow all that is spoken here: nothing of it can be left out.
fn allow_all(refusals: &mut Refusals, path: &Path, listed: &[String], spoken: &[&str]) {
    let allows = |name: &&str| {
        listed.iter().any(|item| {
            let alike = item.trim_start_matches('[').trim_end_matches(']');
            alike.split('|').any(|item| item == *name)
        })
    };
    let missing: Vec<&str> = spoken.iter().copied().filter(|name| !allows(name)).collect();
    if !listed.is_empty() && !missing.is_empty() {
        let message = format!(
            "{} is spoken here, too, and cannot be left out",
            missing.join(", ")
        );
        refusals.fault_with_help(path, message, "list it, or leave the list out");
    }
}

fn alpn(at: &Path, common: &tls::CommonTlsContext) -> Value {
    let at = at.field("alpn_protocols");
    let names = common.alpn_protocols.iter().enumerate();
    Value::list(
        &at,
        names.map(|(index, name)| Value::text(&at.index(index), name.as_str())),
    )
}

fn put_roots(roots: Option<(&'static str, Value)>, map: &mut Map) {
    if let Some((field, value)) = roots {
        map.put(field, value);
    }
}

fn put_peers(refusals: &mut Refusals, at: &Path, peers: &[(Path, Peer)], map: &mut Map) {
    if !peers.is_empty() {
        let values = peers.iter().filter_map(|(path, peer)| peer.value(refusals, path));
        map.put("peers", Value::list(at, values.collect::<Vec<_>>()));
    }
}

/// Who the server must be. One that must hold the very name that is asked for is written without `peers`.
fn put_server(
    refusals: &mut Refusals,
    at: &Path,
    path: &Path,
    sni: &str,
    peers: &[(Path, Peer)],
    map: &mut Map,
) {
    let named = match peers {
        [(_, Peer::Dns(name))] if !sni.is_empty() => name.eq_ignore_ascii_case(sni),
        [(at, Peer::Address(address))] if sni.is_empty() => {
            return map.put("server_name", Value::text(at, address.as_str()));
        }
        _ => false,
    };
    if !sni.is_empty() {
        map.put("server_name", Value::text(&path.field("sni"), sni));
    }
    if !named {
        put_peers(refusals, at, peers, map);
    }
}

/// The kind of validation, for a message.
pub(super) fn kind_of(kind: &ValidationContextType) -> &'static str {
    match kind {
        ValidationContextType::ValidationContext(_) => "validation_context",
        ValidationContextType::ValidationContextSdsSecretConfig(_) => "validation_context_sds_secret_config",
        ValidationContextType::CombinedValidationContext(_) => "combined_validation_context",
        ValidationContextType::ValidationContextCertificateProvider(_) => {
            "validation_context_certificate_provider"
        }
        ValidationContextType::ValidationContextCertificateProviderInstance(_) => {
            "validation_context_certificate_provider_instance"
        }
    }
}
