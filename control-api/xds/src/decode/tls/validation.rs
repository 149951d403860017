//! Who is believed, and whom a certificate must name.

use super::messages::{refuse_combined, refuse_context, refuse_spiffe, refuse_spiffe_domain};
use super::peers::{self, Peer};
use super::{Credentials, SPIFFE_SECRET, certificates, kind_of};
use crate::decode::source::{self, Data};
use crate::decode::{NAMESPACE, Refusals, unpack, value};
use envoy_types::pb::envoy::config::core::v3::TypedExtensionConfig;
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3 as tls;
use envoy_types::pb::google::protobuf::Struct;
use outrigger_config::document::{Map, Path, Value};
use tls::common_tls_context::ValidationContextType;

const SPIFFE_URL: &str =
    "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.SPIFFECertValidatorConfig";
const STRUCT_URL: &str = "type.googleapis.com/google.protobuf.Struct";

/// What a context says of its peers.
pub(super) struct Validation {
    /// Who is believed: the document's field and its value.
    pub(super) roots: Option<(&'static str, Value)>,
    /// Whom the certificate must name.
    pub(super) peers: Vec<(Path, Peer)>,
}

/// Authorities, as a validation context or a secret has them.
pub(crate) enum Authorities {
    /// A file, or PEM.
    Data(Path, Data),
    /// Those of the operating system.
    System(Path),
    /// By SPIFFE: domains with their authorities.
    Spiffe(Path, Vec<(String, Path, Data)>),
    /// Words of the document.
    Ours(Map),
}

/// What a context says of its peers; none: nothing, or nothing that can be understood, which was refused.
pub(super) fn validation(
    refusals: &mut Refusals,
    path: &Path,
    common: &tls::CommonTlsContext,
    credentials: &mut Credentials,
) -> Option<Validation> {
    let kind = common.validation_context_type.as_ref()?;
    let at = path.field(kind_of(kind));
    match kind {
        ValidationContextType::ValidationContext(context) => inline(refusals, &at, context, credentials),
        ValidationContextType::ValidationContextSdsSecretConfig(sds) => {
            let name = certificates::sds(refusals, &at, sds);
            Some(Validation {
                roots: Some(by_name(name)),
                peers: Vec::new(),
            })
        }
        ValidationContextType::CombinedValidationContext(combined) => {
            refuse_combined(refusals, &at, combined);
            let mut peers = Vec::new();
            if let Some(context) = &combined.default_validation_context {
                let at = at.field("default_validation_context");
                refuse_context(refusals, &at, context);
                let beside = "authorities beside those of a secret";
                let has = context.trusted_ca.is_some()
                    || context.system_root_certs.is_some()
                    || context.custom_validator_config.is_some();
                if has {
                    refusals.unsupported(&at, beside);
                }
                refuse_untrusted(refusals, &at, context);
                peers = peers::read(refusals, &at, &context.match_typed_subject_alt_names);
            }
            let Some(sds) = &combined.validation_context_sds_secret_config else {
                refusals.fault(
                    &at.field("validation_context_sds_secret_config"),
                    "this field is missing",
                );
                return None;
            };
            let name = certificates::sds(refusals, &at.field("validation_context_sds_secret_config"), sds);
            Some(Validation {
                roots: Some(by_name(name)),
                peers,
            })
        }
        ValidationContextType::ValidationContextCertificateProvider(_)
        | ValidationContextType::ValidationContextCertificateProviderInstance(_) => {
            refusals.unsupported(&at, "a certificate provider");
            None
        }
    }
}

fn by_name(name: Value) -> (&'static str, Value) {
    match name.as_scalar() {
        Some(SPIFFE_SECRET) => ("roots", Value::plain(name.path(), "spiffe")),
        _ => ("trust_bundle", name),
    }
}

fn inline(
    refusals: &mut Refusals,
    path: &Path,
    context: &tls::CertificateValidationContext,
    credentials: &mut Credentials,
) -> Option<Validation> {
    let authorities = authorities(refusals, path, context)?;
    let mut peers = peers::read(refusals, path, &context.match_typed_subject_alt_names);
    let roots = match authorities {
        Authorities::Data(at, Data::File(file)) => ("ca_file", Value::text(&at, file)),
        Authorities::Data(at, data) => {
            let text = data.text(refusals, &at)?;
            ("trust_bundle", credentials.trust_bundle(&at, text))
        }
        Authorities::System(at) => ("roots", Value::plain(&at, "system")),
        Authorities::Spiffe(at, domains) => {
            within(refusals, &at, &domains, &mut peers);
            for (domain, at, data) in domains {
                let source = authority_source(refusals, &at, data)?;
                credentials.trust_domain(&at, &domain, source);
            }
            ("roots", Value::plain(&at, "spiffe"))
        }
        Authorities::Ours(map) => {
            let message = "this can be said of a secret only";
            refusals.fault(Value::from(map).path(), message);
            return None;
        }
    };
    Some(Validation {
        roots: Some(roots),
        peers,
    })
}

/// The field of a trust bundle that says where it is from.
pub(crate) fn authority_source(
    refusals: &mut Refusals,
    path: &Path,
    data: Data,
) -> Option<(&'static str, Value)> {
    match data {
        Data::File(file) => Some(("file", Value::text(path, file))),
        data => Some(("inline", Value::text(path, data.text(refusals, path)?))),
    }
}

/// All trust bundles are believed by SPIFFE here, also those of other resources: peers are kept to the domains that this
/// one lists.
fn within(
    refusals: &mut Refusals,
    path: &Path,
    domains: &[(String, Path, Data)],
    peers: &mut Vec<(Path, Peer)>,
) {
    if peers.is_empty() {
        let all = domains
            .iter()
            .map(|(domain, at, _)| (at.clone(), Peer::TrustDomain(domain.clone())));
        peers.extend(all);
        return;
    }
    for (at, peer) in peers.iter() {
        let listed = |name: &str| domains.iter().any(|(domain, ..)| domain == name);
        match peer.trust_domain() {
            Some(domain) if !listed(domain) => {
                let message = format!("nobody is believed for the trust domain `{domain}`");
                refusals.fault(at, message);
            }
            Some(_) => {}
            None if domains.len() == 1 => {}
            None => {
                let what = "a name of no trust domain, where several are believed,";
                refusals.unsupported(path, what);
            }
        }
    }
}

/// Who is believed by a context. Exactly one kind of authorities can be given.
pub(crate) fn authorities(
    refusals: &mut Refusals,
    path: &Path,
    context: &tls::CertificateValidationContext,
) -> Option<Authorities> {
    refuse_context(refusals, path, context);
    refuse_untrusted(refusals, path, context);
    let mut found = Vec::new();
    if let Some(source) = &context.trusted_ca {
        let at = path.field("trusted_ca");
        found.extend(source::data(refusals, &at, source).map(|data| Authorities::Data(at, data)));
    }
    if let Some(tls::certificate_validation_context::SystemRootCerts {}) = &context.system_root_certs {
        found.push(Authorities::System(path.field("system_root_certs")));
    }
    if let Some(config) = &context.custom_validator_config {
        found.extend(custom(refusals, &path.field("custom_validator_config"), config));
    }
    if found.len() > 1 {
        refusals.unsupported(path, "more than one kind of authorities");
    }
    if found.is_empty() {
        let help = "give `trusted_ca`, `system_root_certs` or a SPIFFE validator";
        refusals.fault_with_help(
            path,
            "nobody is believed: certificates have to be validated",
            help,
        );
    }
    found.pop()
}

fn refuse_untrusted(refusals: &mut Refusals, path: &Path, context: &tls::CertificateValidationContext) {
    if context.trust_chain_verification != 0 {
        let at = path.field("trust_chain_verification");
        refusals.unsupported(&at, "accepting certificates of whoever");
    }
}

fn custom(refusals: &mut Refusals, path: &Path, config: &TypedExtensionConfig) -> Option<Authorities> {
    let TypedExtensionConfig { name, typed_config } = config;
    let at = path.field("typed_config");
    let Some(any) = typed_config else {
        refusals.fault(&at, "this field is missing");
        return None;
    };
    match any.type_url.as_str() {
        SPIFFE_URL => {
            let message: tls::SpiffeCertValidatorConfig = unpack(refusals, &at, any, SPIFFE_URL)?;
            Some(spiffe(refusals, &at, &message))
        }
        STRUCT_URL if name == NAMESPACE => {
            let settings: Struct = unpack(refusals, &at, any, STRUCT_URL)?;
            Some(Authorities::Ours(value::struct_map(&at, &settings)))
        }
        other => {
            refusals.unsupported(&at, format!("the validator {other}"));
            None
        }
    }
}

fn spiffe(refusals: &mut Refusals, path: &Path, message: &tls::SpiffeCertValidatorConfig) -> Authorities {
    refuse_spiffe(refusals, path, message);
    let mut domains = Vec::new();
    let at = path.field("trust_domains");
    if message.trust_domains.is_empty() {
        refusals.fault(&at, "nobody is believed");
    }
    for (index, domain) in message.trust_domains.iter().enumerate() {
        let at = at.index(index);
        refuse_spiffe_domain(refusals, &at, domain);
        let bundle = at.field("trust_bundle");
        match &domain.trust_bundle {
            Some(source) => {
                let data = source::data(refusals, &bundle, source);
                domains.extend(data.map(|data| (domain.name.clone(), bundle, data)));
            }
            None => refusals.fault(&bundle, "this field is missing"),
        }
    }
    Authorities::Spiffe(path.clone(), domains)
}
