//! TLS of both sides as contexts of Envoy's.

use super::{Remainder, value};
use crate::decode::SPIFFE_SECRET;
use envoy_types::pb::envoy::config::core::v3 as core;
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3 as tls;
use envoy_types::pb::envoy::r#type::matcher::v3::{StringMatcher, string_matcher::MatchPattern};
use outrigger_config::model::{
    CertificateFiles, CertificateSource, DownstreamTls, PeerMatch, PeerValidation, Roots, ServerNameMatch,
    SpiffeMatch, TlsVersions, UpstreamTls,
};
use std::net::IpAddr;
use tls::common_tls_context::{CombinedCertificateValidationContext, ValidationContextType};
use tls::subject_alt_name_matcher::SanType;
use tls::tls_parameters::TlsProtocol;

/// The socket by its name and message.
pub(crate) fn socket<T: prost::Message + prost::Name>(name: &str, message: &T) -> core::TransportSocket {
    core::TransportSocket {
        name: name.to_owned(),
        config_type: Some(core::transport_socket::ConfigType::TypedConfig(value::any(
            message,
        ))),
    }
}

/// The context of a filter chain, in whose remainder `tls` is the part. `believed` are the trust bundles that speak for a
/// trust domain. Permissive TLS, the time for a handshake and
/// post-quantum key exchange are left in it.
pub(crate) fn downstream(
    tls: &DownstreamTls,
    believed: &[String],
    remainder: &mut Remainder,
) -> tls::DownstreamTlsContext {
    let (parameters, certificates, secrets) = ours(tls.versions(), tls.certificates());
    if !certificates.is_empty() || !secrets.is_empty() {
        remainder.said("tls.certificates");
    }
    if !tls.application_protocols().is_empty() {
        remainder.said("tls.application_protocols");
    }
    let client = tls.client().as_ref().map(|client| {
        remainder.said("tls.client.certificate");
        said_validation(remainder, "tls.client", client.validation());
        let names = names(client.validation().peers());
        if !names.is_empty() {
            remainder.said("tls.client.peers");
        }
        validation(client.validation().roots(), names, believed, remainder)
    });
    said_spoken(remainder);
    remainder.unless("tls.mode", "strict");
    remainder.unless("tls.handshake_timeout", "10s");
    use tls::downstream_tls_context::SessionTicketKeysType::DisableStatelessSessionResumption;
    tls::DownstreamTlsContext {
        common_tls_context: Some(tls::CommonTlsContext {
            tls_params: Some(parameters),
            tls_certificates: certificates,
            tls_certificate_sds_secret_configs: secrets,
            alpn_protocols: tls.application_protocols().clone(),
            validation_context_type: client,
            ..tls::CommonTlsContext::default()
        }),
        require_client_certificate: tls
            .client()
            .as_ref()
            .map(|client| value::boolean(client.required())),
        session_ticket_keys_type: (!tls.session_resumption())
            .then_some(DisableStatelessSessionResumption(true)),
        disable_stateful_session_resumption: !tls.session_resumption(),
        ..tls::DownstreamTlsContext::default()
    }
}

/// The context of a cluster, in whose remainder `tls` is the part. `alpn` is offered, unless Envoy does by itself.
pub(crate) fn upstream(
    tls: &UpstreamTls,
    alpn: &[&str],
    believed: &[String],
    remainder: &mut Remainder,
) -> tls::UpstreamTlsContext {
    let source = tls.certificate().clone();
    let (parameters, certificates, secrets) = ours(tls.versions(), source.as_slice());
    remainder.said("tls.certificate");
    said_validation(remainder, "tls", tls.validation());
    let server_name = tls.server_name().as_deref();
    let address = server_name.filter(|name| name.parse::<IpAddr>().is_ok());
    let sni = server_name.filter(|_| address.is_none());
    let mut names = names(tls.validation().peers());
    match (tls.validation().peers().as_slice(), server_name) {
        ([], Some(name)) => {
            // Envoy asks for a name in the certificate only if it is told to.
            let kind = if address.is_some() {
                SanType::IpAddress
            } else {
                SanType::Dns
            };
            names.push(matcher(kind, MatchPattern::Exact(name.to_owned())));
            remainder.said("tls.server_name");
        }
        // Read back, this would be the server's name alone, which means the same.
        ([PeerMatch::Dns(ServerNameMatch::Exact(name))], _)
            if sni.is_some_and(|sni| sni.eq_ignore_ascii_case(name)) =>
        {
            remainder.said("tls.server_name");
        }
        _ => {
            if address.is_none() {
                remainder.said("tls.server_name");
            }
            remainder.said("tls.peers");
        }
    }
    said_spoken(remainder);
    tls::UpstreamTlsContext {
        common_tls_context: Some(tls::CommonTlsContext {
            tls_params: Some(parameters),
            tls_certificates: certificates,
            tls_certificate_sds_secret_configs: secrets,
            alpn_protocols: alpn.iter().map(|name| (*name).to_owned()).collect(),
            validation_context_type: Some(validation(tls.validation().roots(), names, believed, remainder)),
            ..tls::CommonTlsContext::default()
        }),
        sni: sni.unwrap_or_default().to_owned(),
        max_session_keys: (!tls.session_resumption()).then(|| value::number(0)),
        ..tls::UpstreamTlsContext::default()
    }
}

fn said_spoken(remainder: &mut Remainder) {
    remainder.said("tls.minimum_version");
    remainder.said("tls.maximum_version");
    remainder.unless("tls.post_quantum", "preferred");
    remainder.said("tls.session_resumption");
}

fn said_validation(remainder: &mut Remainder, at: &str, validation: &PeerValidation) {
    let field = match validation.roots() {
        Roots::File(_) => "ca_file",
        Roots::System | Roots::Spiffe => "roots",
        Roots::Bundle(_) => "trust_bundle",
    };
    remainder.said(&format!("{at}.{field}"));
}

/// Versions, and certificates: those in files, and those that are known by a name. Envoy has either kind, not both: a
/// mixture stays in the remainder, and Envoy refuses what it gets.
fn ours(
    versions: TlsVersions,
    sources: &[CertificateSource],
) -> (
    tls::TlsParameters,
    Vec<tls::TlsCertificate>,
    Vec<tls::SdsSecretConfig>,
) {
    let (minimum, maximum) = match versions {
        TlsVersions::From12 => (TlsProtocol::TlSv12, TlsProtocol::TlSv13),
        TlsVersions::Only13 => (TlsProtocol::TlSv13, TlsProtocol::TlSv13),
        TlsVersions::Only12 => (TlsProtocol::TlSv12, TlsProtocol::TlSv12),
    };
    let parameters = tls::TlsParameters {
        tls_minimum_protocol_version: minimum as i32,
        tls_maximum_protocol_version: maximum as i32,
        ..tls::TlsParameters::default()
    };
    let mut certificates = Vec::new();
    let mut secrets = Vec::new();
    for source in sources {
        match source {
            CertificateSource::Files(files) => certificates.push(certificate_files(files)),
            CertificateSource::Identity(name) => secrets.push(sds(name.as_str())),
        }
    }
    if !certificates.is_empty() && !secrets.is_empty() {
        certificates.clear();
        secrets.clear();
    }
    (parameters, certificates, secrets)
}

/// A certificate in files.
pub(crate) fn certificate_files(files: &CertificateFiles) -> tls::TlsCertificate {
    tls::TlsCertificate {
        certificate_chain: Some(value::file(files.certificate_file())),
        private_key: Some(value::file(files.private_key_file())),
        ocsp_staple: files.ocsp_staple_file().as_ref().map(|file| value::file(file)),
        ..tls::TlsCertificate::default()
    }
}

fn sds(name: &str) -> tls::SdsSecretConfig {
    tls::SdsSecretConfig {
        name: name.to_owned(),
        sds_config: Some(value::config_source()),
    }
}

/// Who is believed, and whom the certificate must name.
fn validation(
    roots: &Roots,
    names: Vec<tls::SubjectAltNameMatcher>,
    believed: &[String],
    remainder: &mut Remainder,
) -> ValidationContextType {
    let mut context = tls::CertificateValidationContext {
        match_typed_subject_alt_names: names,
        ..tls::CertificateValidationContext::default()
    };
    let secret = match roots {
        Roots::File(file) => {
            context.trusted_ca = Some(value::file(file));
            return ValidationContextType::ValidationContext(context);
        }
        Roots::System => {
            context.system_root_certs = Some(tls::certificate_validation_context::SystemRootCerts {});
            return ValidationContextType::ValidationContext(context);
        }
        Roots::Bundle(name) => name.as_str(),
        Roots::Spiffe => {
            remainder.put("trust_bundles", believed.join(",").into());
            SPIFFE_SECRET
        }
    };
    ValidationContextType::CombinedValidationContext(CombinedCertificateValidationContext {
        default_validation_context: Some(context),
        validation_context_sds_secret_config: Some(sds(secret)),
        ..CombinedCertificateValidationContext::default()
    })
}

/// Names as Envoy compares them. What is below an id is one matcher, the id itself another.
fn names(peers: &[PeerMatch]) -> Vec<tls::SubjectAltNameMatcher> {
    let mut names = Vec::with_capacity(peers.len());
    let uri = |pattern| matcher(SanType::Uri, pattern);
    for peer in peers {
        match peer {
            PeerMatch::Spiffe(SpiffeMatch::Exact(id)) => names.push(uri(MatchPattern::Exact(id.to_string()))),
            PeerMatch::Spiffe(SpiffeMatch::Prefix(id)) => {
                names.push(uri(MatchPattern::Exact(id.to_string())));
                names.push(uri(MatchPattern::Prefix(format!("{id}/"))));
            }
            PeerMatch::Spiffe(SpiffeMatch::TrustDomain(domain)) => {
                names.push(uri(MatchPattern::Prefix(format!("spiffe://{domain}/"))));
            }
            PeerMatch::Dns(ServerNameMatch::Exact(name)) => {
                names.push(matcher(SanType::Dns, MatchPattern::Exact(name.clone())));
            }
            PeerMatch::Dns(ServerNameMatch::Suffix(end)) => {
                names.push(matcher(SanType::Dns, MatchPattern::Suffix(end.clone())));
            }
        }
    }
    names
}

fn matcher(kind: SanType, pattern: MatchPattern) -> tls::SubjectAltNameMatcher {
    tls::SubjectAltNameMatcher {
        san_type: kind as i32,
        matcher: Some(StringMatcher {
            ignore_case: false,
            match_pattern: Some(pattern),
        }),
        ..tls::SubjectAltNameMatcher::default()
    }
}
