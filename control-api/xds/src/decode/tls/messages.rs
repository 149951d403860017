//! What of the messages of TLS is read.

use crate::support::{Message, message};
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3 as tls;
use tls::common_tls_context::CombinedCertificateValidationContext;
use tls::spiffe_cert_validator_config::TrustDomain;

pub(crate) const MESSAGES: &[&Message] = &[
    &DOWNSTREAM,
    &UPSTREAM,
    &COMMON,
    &PARAMETERS,
    &CERTIFICATE,
    &SDS,
    &CONTEXT,
    &COMBINED,
    &NAME_MATCHER,
    &SPIFFE,
    &SPIFFE_DOMAIN,
];

message! {
    pub(super) DOWNSTREAM, refuse_downstream: tls::DownstreamTlsContext
        as "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext" {
        used: common_tls_context, require_client_certificate, ocsp_staple_policy, session_ticket_keys_type;
        refused: require_sni, session_timeout, full_scan_certs_on_sni_mismatch, prefer_client_ciphers;
        ignored: disable_stateful_session_resumption = "sessions are resumed by tickets only";
    }
}
message! {
    pub(super) UPSTREAM, refuse_upstream: tls::UpstreamTlsContext
        as "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext" {
        used: common_tls_context, sni, max_session_keys;
        refused: auto_host_sni, auto_sni_san_validation, allow_renegotiation, enforce_rsa_key_usage;
        ignored: ;
    }
}
message! {
    pub(super) COMMON, refuse_common: tls::CommonTlsContext
        as "envoy.extensions.transport_sockets.tls.v3.CommonTlsContext" {
        used: tls_params, tls_certificates, tls_certificate_sds_secret_configs, alpn_protocols,
            validation_context_type;
        refused: tls_certificate_provider_instance, custom_tls_certificate_selector,
            tls_certificate_certificate_provider, tls_certificate_certificate_provider_instance, custom_handshaker,
            key_log;
        ignored: ;
    }
}
message! {
    pub(super) PARAMETERS, refuse_parameters: tls::TlsParameters
        as "envoy.extensions.transport_sockets.tls.v3.TlsParameters" {
        used: tls_minimum_protocol_version, tls_maximum_protocol_version, cipher_suites, ecdh_curves;
        refused: signature_algorithms, compliance_policies;
        ignored: ;
    }
}
message! {
    pub(super) CERTIFICATE, refuse_certificate: tls::TlsCertificate
        as "envoy.extensions.transport_sockets.tls.v3.TlsCertificate" {
        used: certificate_chain, private_key, ocsp_staple, private_key_provider;
        refused: pkcs12, password, signed_certificate_timestamp, tls_params;
        ignored: watched_directory = "files are watched anyway, and links to them";
    }
}
message! {
    pub(super) SDS, refuse_sds: tls::SdsSecretConfig
        as "envoy.extensions.transport_sockets.tls.v3.SdsSecretConfig" {
        used: name, sds_config;
        refused: ;
        ignored: ;
    }
}
message! {
    pub(super) CONTEXT, refuse_context: tls::CertificateValidationContext
        as "envoy.extensions.transport_sockets.tls.v3.CertificateValidationContext" {
        used: trusted_ca, system_root_certs, match_typed_subject_alt_names, custom_validator_config,
            trust_chain_verification;
        refused: ca_certificate_provider_instance, verify_certificate_spki, verify_certificate_hash,
            match_subject_alt_names, require_signed_certificate_timestamp, crl, allow_expired_certificate,
            only_verify_leaf_cert_crl, max_verify_depth, suppress_client_ca_list;
        ignored: watched_directory = "files are watched anyway, and links to them";
    }
}
message! {
    pub(super) COMBINED, refuse_combined: CombinedCertificateValidationContext
        as "envoy.extensions.transport_sockets.tls.v3.CommonTlsContext.CombinedCertificateValidationContext" {
        used: default_validation_context, validation_context_sds_secret_config;
        refused: validation_context_certificate_provider, validation_context_certificate_provider_instance;
        ignored: ;
    }
}
message! {
    pub(super) NAME_MATCHER, refuse_name_matcher: tls::SubjectAltNameMatcher
        as "envoy.extensions.transport_sockets.tls.v3.SubjectAltNameMatcher" {
        used: san_type, matcher;
        refused: oid;
        ignored: ;
    }
}
message! {
    pub(super) SPIFFE, refuse_spiffe: tls::SpiffeCertValidatorConfig
        as "envoy.extensions.transport_sockets.tls.v3.SPIFFECertValidatorConfig" {
        used: trust_domains;
        refused: trust_bundles;
        ignored: ;
    }
}
message! {
    pub(super) SPIFFE_DOMAIN, refuse_spiffe_domain: TrustDomain
        as "envoy.extensions.transport_sockets.tls.v3.SPIFFECertValidatorConfig.TrustDomain" {
        used: name, trust_bundle;
        refused: workload_trust_domain;
        ignored: ;
    }
}
