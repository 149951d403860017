//! TLS to endpoints.

use super::samples::{
    address, ads, any, apart, cluster_as_written, fault, faults, file, socket, take, text, written,
};
use envoy_types::pb::envoy::config::cluster::v3::Cluster;
use envoy_types::pb::envoy::config::core::v3::TypedExtensionConfig;
use envoy_types::pb::envoy::config::listener::v3::{Filter, FilterChain, Listener, filter::ConfigType};
use envoy_types::pb::envoy::extensions::filters::network::tcp_proxy::v3::{
    TcpProxy, tcp_proxy::ClusterSpecifier,
};
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3 as tls;
use envoy_types::pb::envoy::r#type::matcher::v3::{StringMatcher, string_matcher::MatchPattern};
use envoy_types::pb::google::protobuf::BoolValue;
use outrigger_xds::decode::Decoded;
use serde_json::json;
use tls::common_tls_context::{CombinedCertificateValidationContext, ValidationContextType};
use tls::spiffe_cert_validator_config::TrustDomain;
use tls::subject_alt_name_matcher::SanType;

const CHAIN: &str = "-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----\n";
const AT: &str = "transport_socket.typed_config.common_tls_context";

fn name(kind: SanType, pattern: MatchPattern) -> tls::SubjectAltNameMatcher {
    tls::SubjectAltNameMatcher {
        san_type: kind as i32,
        matcher: Some(StringMatcher {
            match_pattern: Some(pattern),
            ..StringMatcher::default()
        }),
        ..tls::SubjectAltNameMatcher::default()
    }
}

fn uri(exact: &str) -> tls::SubjectAltNameMatcher {
    name(SanType::Uri, MatchPattern::Exact(exact.to_owned()))
}

fn below(prefix: &str) -> tls::SubjectAltNameMatcher {
    name(SanType::Uri, MatchPattern::Prefix(prefix.to_owned()))
}

fn context(names: Vec<tls::SubjectAltNameMatcher>) -> tls::CertificateValidationContext {
    tls::CertificateValidationContext {
        trusted_ca: file("ca.pem"),
        match_typed_subject_alt_names: names,
        ..tls::CertificateValidationContext::default()
    }
}

fn common(validation: ValidationContextType) -> tls::CommonTlsContext {
    tls::CommonTlsContext {
        validation_context_type: Some(validation),
        ..tls::CommonTlsContext::default()
    }
}

fn with(sni: &str, common: tls::CommonTlsContext) -> Cluster {
    Cluster {
        transport_socket: socket(&tls::UpstreamTlsContext {
            common_tls_context: Some(common),
            sni: sni.to_owned(),
            ..tls::UpstreamTlsContext::default()
        }),
        ..apart()
    }
}

fn validated(sni: &str, names: Vec<tls::SubjectAltNameMatcher>) -> Cluster {
    with(
        sni,
        common(ValidationContextType::ValidationContext(context(names))),
    )
}

#[test]
fn names_of_the_server() {
    let dns = |text: &str| name(SanType::Dns, MatchPattern::Exact(text.to_owned()));
    let named = cluster_as_written(&validated("a.example", vec![dns("a.example")]))["tls"].clone();
    assert_eq!(
        (&named["server_name"], &named["peers"]),
        (&json!("a.example"), &json!(null))
    );
    assert_eq!(named["ca_file"], "ca.pem");
    let other = cluster_as_written(&validated("a.example", vec![dns("b.example")]))["tls"].clone();
    assert_eq!(other["peers"], json!([{"dns": "b.example"}]));
    let address = name(SanType::IpAddress, MatchPattern::Exact("192.0.2.1".to_owned()));
    let address = cluster_as_written(&validated("", vec![address]))["tls"].clone();
    assert_eq!(address["server_name"], "192.0.2.1");
}

#[test]
fn ids_of_the_server() {
    let id = "spiffe://example.org/ns/a";
    let peers = |names| cluster_as_written(&validated("", names))["tls"]["peers"].clone();
    assert_eq!(peers(vec![uri(id)]), json!([{"spiffe_id": id}]));
    assert_eq!(
        peers(vec![uri(id), below(&format!("{id}/"))]),
        json!([{"spiffe_prefix": id}])
    );
    assert_eq!(
        peers(vec![below("spiffe://example.org/")]),
        json!([{"trust_domain": "example.org"}])
    );
    // What Envoy would take for less than ours would is not taken at all.
    for names in [vec![below(&format!("{id}/"))], vec![below(id)]] {
        let (path, _) = fault("c", &validated("", names));
        assert!(path.contains("match_typed_subject_alt_names[0]"), "{path}");
    }
    let regex = name(SanType::Uri, MatchPattern::Contains("a".to_owned()));
    assert!(fault("c", &validated("", vec![regex])).0.ends_with("[0].matcher"));
}

#[test]
fn who_is_not_validated_is_refused() {
    let (path, _) = fault("c", &with("a.example", tls::CommonTlsContext::default()));
    assert_eq!(path, AT);
    let untrusted = tls::CertificateValidationContext {
        trust_chain_verification: 1,
        ..context(vec![uri("spiffe://example.org/a")])
    };
    let message = with("", common(ValidationContextType::ValidationContext(untrusted)));
    assert_eq!(
        fault("c", &message).0,
        format!("{AT}.validation_context.trust_chain_verification")
    );
    // Somebody's certificate of the authority would do.
    let paths: Vec<_> = faults("c", &validated("", vec![]))
        .into_iter()
        .map(|(path, _)| path)
        .collect();
    assert_eq!(paths, ["transport_socket.typed_config"]);
}

#[test]
fn secrets_by_name() {
    let sds = |name: &str| tls::SdsSecretConfig {
        name: name.to_owned(),
        sds_config: Some(ads()),
    };
    let combined = CombinedCertificateValidationContext {
        default_validation_context: Some(tls::CertificateValidationContext {
            match_typed_subject_alt_names: vec![uri("spiffe://example.org/a")],
            ..tls::CertificateValidationContext::default()
        }),
        validation_context_sds_secret_config: Some(sds("mesh")),
        ..CombinedCertificateValidationContext::default()
    };
    let mut common = common(ValidationContextType::CombinedValidationContext(combined));
    common.tls_certificate_sds_secret_configs = vec![sds("own")];
    let tls = cluster_as_written(&with("", common.clone()))["tls"].clone();
    assert_eq!(
        (&tls["trust_bundle"], &tls["certificate"]),
        (&json!("mesh"), &json!({"identity": "own"}))
    );
    common.tls_certificate_sds_secret_configs.push(sds("own"));
    assert_eq!(
        fault("c", &with("", common)).1,
        "more than one certificate of a client is not implemented"
    );
}

#[test]
fn what_is_carried_becomes_parts_of_the_cluster() {
    let mut context = context(vec![uri("spiffe://example.org/a")]);
    context.trusted_ca = text(CHAIN);
    let message = with("", common(ValidationContextType::ValidationContext(context)));
    let Ok(Decoded::Cluster(decoded)) = take("c", &message) else {
        panic!()
    };
    let whole = written(&decoded.parts);
    assert_eq!(whole["clusters"][0]["tls"]["trust_bundle"], "c/authorities");
    assert_eq!(
        whole["trust_bundles"][1],
        json!({"name": "c/authorities", "inline": CHAIN})
    );
}

fn by_spiffe(names: Vec<tls::SubjectAltNameMatcher>) -> Cluster {
    let config = tls::SpiffeCertValidatorConfig {
        trust_domains: vec![TrustDomain {
            name: "example.org".to_owned(),
            trust_bundle: text(CHAIN),
            ..TrustDomain::default()
        }],
        ..tls::SpiffeCertValidatorConfig::default()
    };
    let context = tls::CertificateValidationContext {
        match_typed_subject_alt_names: names,
        custom_validator_config: Some(TypedExtensionConfig {
            name: "any name".to_owned(),
            typed_config: Some(any(&config)),
        }),
        ..tls::CertificateValidationContext::default()
    };
    with("", common(ValidationContextType::ValidationContext(context)))
}

#[test]
fn a_validator_by_spiffe_keeps_to_its_domains() {
    let Ok(Decoded::Cluster(decoded)) = take("c", &by_spiffe(vec![])) else {
        panic!()
    };
    let whole = written(&decoded.parts);
    let tls = &whole["clusters"][0]["tls"];
    assert_eq!(
        (&tls["roots"], &tls["peers"]),
        (&json!("spiffe"), &json!([{"trust_domain": "example.org"}]))
    );
    assert_eq!(whole["trust_bundles"][1]["name"], "spiffe/example.org");
    let (_, said) = fault("c", &by_spiffe(vec![uri("spiffe://other.example/a")]));
    assert_eq!(said, "nobody is believed for the trust domain `other.example`");
}

#[test]
fn suites_have_to_hold_all_that_is_spoken() {
    let mut message = common(ValidationContextType::ValidationContext(context(vec![])));
    let parameters = |suites: &[&str], minimum: i32| tls::TlsParameters {
        tls_minimum_protocol_version: minimum,
        cipher_suites: suites.iter().map(|suite| (*suite).to_owned()).collect(),
        ..tls::TlsParameters::default()
    };
    message.tls_params = Some(parameters(&["ECDHE-RSA-AES128-GCM-SHA256"], 0));
    let (path, said) = fault("c", &with("a.example", message.clone()));
    assert_eq!(path, format!("{AT}.tls_params.cipher_suites"));
    assert!(said.contains("ECDHE-RSA-AES256-GCM-SHA384"), "{said}");
    // They are of TLS 1.2, which is not spoken then.
    message.tls_params = Some(parameters(&["ECDHE-RSA-AES128-GCM-SHA256"], 4));
    let tls = cluster_as_written(&with("a.example", message.clone()))["tls"].clone();
    assert_eq!(tls["minimum_version"], "TLSv1.3");
    message.tls_params = Some(parameters(&[], 1));
    assert_eq!(
        fault("c", &with("a.example", message)).0,
        format!("{AT}.tls_params.tls_minimum_protocol_version")
    );
}

fn listener(context: &tls::DownstreamTlsContext) -> Listener {
    let proxy = TcpProxy {
        stat_prefix: "t".to_owned(),
        cluster_specifier: Some(ClusterSpecifier::Cluster("c".to_owned())),
        ..TcpProxy::default()
    };
    Listener {
        name: "l".to_owned(),
        address: Some(address("127.0.0.1", 0)),
        filter_chains: vec![FilterChain {
            filters: vec![Filter {
                name: "any name".to_owned(),
                config_type: Some(ConfigType::TypedConfig(any(&proxy))),
            }],
            transport_socket: socket(context),
            ..FilterChain::default()
        }],
        ..Listener::default()
    }
}

fn terminating() -> tls::DownstreamTlsContext {
    let certificate = tls::TlsCertificate {
        certificate_chain: file("c.pem"),
        private_key: file("k.pem"),
        ..tls::TlsCertificate::default()
    };
    let mut common = common(ValidationContextType::ValidationContext(context(vec![below(
        "spiffe://example.org/",
    )])));
    common.tls_certificates = vec![certificate];
    common.alpn_protocols = vec!["a".to_owned()];
    tls::DownstreamTlsContext {
        common_tls_context: Some(common),
        ..tls::DownstreamTlsContext::default()
    }
}

#[test]
fn clients() {
    let chain = |context: &tls::DownstreamTlsContext| match take("l", &listener(context)) {
        Ok(Decoded::Listener(parts)) => format!("{:?}", parts.listeners[0].filter_chains()[0].tls()),
        Ok(_) => panic!("of another type"),
        Err(refusal) => panic!("{refusal}"),
    };
    let optional = chain(&terminating());
    assert!(
        optional.contains("required: false") && optional.contains("session_resumption: true"),
        "{optional}"
    );
    assert!(
        optional.contains("application_protocols: [\"a\"]") && optional.contains("example.org"),
        "{optional}"
    );
    use tls::downstream_tls_context::SessionTicketKeysType::DisableStatelessSessionResumption;
    let required = chain(&tls::DownstreamTlsContext {
        require_client_certificate: Some(BoolValue { value: true }),
        session_ticket_keys_type: Some(DisableStatelessSessionResumption(true)),
        ..terminating()
    });
    assert!(
        required.contains("required: true") && required.contains("session_resumption: false"),
        "{required}"
    );
}

#[test]
fn what_is_not_supported_of_clients() {
    let at = "filter_chains[0].transport_socket.typed_config";
    type Edit = (&'static str, fn(&mut tls::DownstreamTlsContext));
    let edits: &[Edit] = &[
        ("require_sni", |c| c.require_sni = Some(BoolValue { value: true })),
        ("session_timeout", |c| {
            c.session_timeout = Some(Default::default())
        }),
        ("prefer_client_ciphers", |c| c.prefer_client_ciphers = true),
        ("ocsp_staple_policy", |c| c.ocsp_staple_policy = 2),
        ("common_tls_context.key_log", |c| {
            c.common_tls_context.as_mut().unwrap().key_log = Some(Default::default());
        }),
        ("common_tls_context.custom_handshaker", |c| {
            c.common_tls_context.as_mut().unwrap().custom_handshaker = Some(Default::default());
        }),
    ];
    for (field, edit) in edits {
        let mut context = terminating();
        edit(&mut context);
        assert_eq!(fault("l", &listener(&context)).0, format!("{at}.{field}"));
    }
}
