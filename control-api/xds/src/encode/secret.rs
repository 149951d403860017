//! Identities and trust bundles as secrets.

use super::remainder::to_struct;
use super::{Encoding, canonical, tls::certificate_files, value};
use crate::decode::{NAMESPACE, SPIFFE_SECRET};
use envoy_types::pb::envoy::config::core::v3 as core;
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3 as tls;
use outrigger_config::model::{Identity, IdentitySource, Roots, TrustBundle, TrustSource};
use serde_json::{Map, Value as Json};
use tls::private_key_provider::ConfigType;
use tls::secret::Type;
use tls::spiffe_cert_validator_config::TrustDomain;

/// All identities and trust bundles. Where some TLS believes by SPIFFE, Envoy is told of all trust domains by one secret
/// more.
pub(super) fn encode(encoding: &mut Encoding<'_>) {
    let config = encoding.config;
    for (index, identity) in config.identities().iter().enumerate() {
        let written = &encoding.document["identities"][index];
        let certificate = certificate(identity, written);
        push(
            encoding,
            identity.name().as_str(),
            Type::TlsCertificate(certificate),
        );
        let only_ours = match identity.source() {
            IdentitySource::Files(_) | IdentitySource::Inline(_) => None,
            IdentitySource::WorkloadApi(_) => Some("workload_api"),
            IdentitySource::Authority(_) => Some("authority"),
        };
        encoding.note(&format!("secret {}", identity.name()), only_ours.into_iter());
    }
    for bundle in config.trust_bundles() {
        let context = validation_context(bundle);
        push(encoding, bundle.name().as_str(), Type::ValidationContext(context));
        let only_ours = matches!(bundle.source(), TrustSource::Identity(_)).then_some("identity");
        encoding.note(&format!("secret {}", bundle.name()), only_ours.into_iter());
    }
    if believes_by_spiffe(encoding) {
        let domains = config
            .trust_bundles()
            .iter()
            .filter_map(|bundle| trust_domain(bundle));
        let context = spiffe(domains.collect());
        push(encoding, SPIFFE_SECRET, Type::ValidationContext(context));
    }
}

fn push(encoding: &mut Encoding<'_>, name: &str, secret: Type) {
    let secret = tls::Secret {
        name: name.to_owned(),
        r#type: Some(secret),
    };
    encoding
        .encoded
        .secrets
        .push((name.to_owned(), canonical::encode(&secret)));
}

fn believes_by_spiffe(encoding: &Encoding<'_>) -> bool {
    let config = encoding.config;
    let upstream = config
        .clusters()
        .iter()
        .filter_map(|cluster| cluster.tls().as_ref());
    let chains = config
        .listeners()
        .iter()
        .flat_map(|listener| listener.filter_chains());
    let clients = chains.filter_map(|chain| chain.tls().as_ref()?.client().as_ref());
    let mut validations = upstream
        .map(|tls| tls.validation())
        .chain(clients.map(|client| client.validation()));
    validations.any(|validation| *validation.roots() == Roots::Spiffe)
}

fn certificate(identity: &Identity, written: &Json) -> tls::TlsCertificate {
    let kind = match identity.source() {
        IdentitySource::Files(files) => return certificate_files(files),
        IdentitySource::Inline(inline) => {
            return tls::TlsCertificate {
                certificate_chain: Some(value::text(inline.certificate_chain())),
                private_key: Some(value::bytes(inline.private_key().expose())),
                ocsp_staple: inline.ocsp_staple().as_ref().map(|staple| value::bytes(staple)),
                ..tls::TlsCertificate::default()
            };
        }
        IdentitySource::WorkloadApi(_) => "workload_api",
        IdentitySource::Authority(_) => "authority",
    };
    // Envoy, which has no such provider, refuses the secret.
    let settings = to_struct(&Map::from_iter([(kind.to_owned(), written[kind].clone())]));
    tls::TlsCertificate {
        private_key_provider: Some(tls::PrivateKeyProvider {
            provider_name: NAMESPACE.to_owned(),
            fallback: false,
            config_type: Some(ConfigType::TypedConfig(canonical::any(&settings))),
        }),
        ..tls::TlsCertificate::default()
    }
}

/// A bundle that speaks for a trust domain is one for SPIFFE: Envoy then takes no other certificate by it.
fn validation_context(bundle: &TrustBundle) -> tls::CertificateValidationContext {
    if let TrustSource::Identity(identity) = bundle.source() {
        let mut words = Map::from_iter([("identity".to_owned(), identity.as_str().into())]);
        if let Some(domain) = bundle.trust_domain() {
            words.insert("trust_domain".to_owned(), domain.as_str().into());
        }
        let config = core::TypedExtensionConfig {
            name: NAMESPACE.to_owned(),
            typed_config: Some(canonical::any(&to_struct(&words))),
        };
        return tls::CertificateValidationContext {
            custom_validator_config: Some(config),
            ..tls::CertificateValidationContext::default()
        };
    }
    match trust_domain(bundle) {
        Some(domain) => spiffe(vec![domain]),
        None => tls::CertificateValidationContext {
            trusted_ca: authorities(bundle),
            ..tls::CertificateValidationContext::default()
        },
    }
}

fn spiffe(trust_domains: Vec<TrustDomain>) -> tls::CertificateValidationContext {
    let config = tls::SpiffeCertValidatorConfig {
        trust_domains,
        ..tls::SpiffeCertValidatorConfig::default()
    };
    tls::CertificateValidationContext {
        custom_validator_config: Some(value::extension("envoy.tls.cert_validator.spiffe", &config)),
        ..tls::CertificateValidationContext::default()
    }
}

/// The domain for which a bundle speaks, with its authorities, if they are not got elsewhere.
fn trust_domain(bundle: &TrustBundle) -> Option<TrustDomain> {
    Some(TrustDomain {
        name: bundle.trust_domain().as_ref()?.as_str().to_owned(),
        trust_bundle: Some(authorities(bundle)?),
        ..TrustDomain::default()
    })
}

fn authorities(bundle: &TrustBundle) -> Option<core::DataSource> {
    match bundle.source() {
        TrustSource::File(file) => Some(value::file(file)),
        TrustSource::Inline(text) => Some(value::text(text)),
        TrustSource::Identity(_) => None,
    }
}
