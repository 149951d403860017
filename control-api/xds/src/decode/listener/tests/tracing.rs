//! What connection managers of others say of tracing.

use super::*;
use envoy_types::pb::envoy::config::core::v3::{
    GrpcService, grpc_service::EnvoyGrpc, grpc_service::TargetSpecifier,
};
use envoy_types::pb::envoy::config::trace::v3::tracing::{Http as Provider, http::ConfigType};
use envoy_types::pb::envoy::config::trace::v3::{OpenTelemetryConfig, ZipkinConfig};
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::http_connection_manager::Tracing;
use envoy_types::pb::envoy::r#type::tracing::v3::{CustomTag, custom_tag};
use envoy_types::pb::envoy::r#type::v3::Percent;
use outrigger_config::model::{HeaderValue, HeaderValuePart};

fn provider<T: prost::Message + Name>(config: &T) -> Option<Provider> {
    Some(Provider {
        name: "tracer".to_owned(),
        config_type: Some(ConfigType::TypedConfig(any(config))),
    })
}

fn open_telemetry() -> Option<Provider> {
    provider(&OpenTelemetryConfig {
        grpc_service: Some(GrpcService {
            target_specifier: Some(TargetSpecifier::EnvoyGrpc(EnvoyGrpc {
                cluster_name: "otel".to_owned(),
                ..EnvoyGrpc::default()
            })),
            ..GrpcService::default()
        }),
        service_name: "shop".to_owned(),
        ..OpenTelemetryConfig::default()
    })
}

fn traced(tracing: Tracing) -> Listener {
    let manager = HttpConnectionManager {
        tracing: Some(tracing),
        ..manager(Vec::new())
    };
    listener(vec![chain(&manager)])
}

fn tag(name: &str, value: custom_tag::Type) -> CustomTag {
    CustomTag {
        tag: name.to_owned(),
        r#type: Some(value),
    }
}

#[test]
fn shares_tags_and_the_provider_are_understood() {
    let literal = custom_tag::Type::Literal(custom_tag::Literal {
        value: "100% a".to_owned(),
    });
    let header = custom_tag::Type::RequestHeader(custom_tag::Header {
        name: "X-Tenant".to_owned(),
        default_value: String::new(),
    });
    let parts = understood(&traced(Tracing {
        random_sampling: Some(Percent { value: 0.25 }),
        client_sampling: Some(Percent { value: 1.0 }),
        overall_sampling: Some(Percent { value: 100.0 }),
        custom_tags: vec![tag("a", literal), tag("tenant", header)],
        provider: open_telemetry(),
        operation: "checkout".to_owned(),
        ..Tracing::default()
    }));
    let http = parts.listeners[0].filter_chains()[0].mode().http().unwrap();
    let tracing = http.tracing().as_deref().unwrap();
    assert_eq!(tracing.collector().as_str(), "otel");
    assert_eq!(tracing.sampling().fraction().parts_per_million(), 2_500);
    assert_eq!(tracing.attributes()["a"], HeaderValue::Text("100% a".to_owned()));
    let HeaderValue::Parts(parts) = &tracing.attributes()["tenant"] else {
        panic!("{tracing:?}")
    };
    assert!(matches!(&parts[..], [HeaderValuePart::RequestHeader(name)] if name.as_str() == "x-tenant"));
    assert_eq!(
        tracing.span_name(),
        &Some(HeaderValue::Text("checkout".to_owned()))
    );
    let plain = understood(&traced(Tracing {
        provider: open_telemetry(),
        ..Tracing::default()
    }));
    let http = plain.listeners[0].filter_chains()[0].mode().http().unwrap();
    let tracing = http.tracing().as_deref().unwrap();
    assert_eq!(tracing.sampling().fraction().parts_per_million(), 1_000_000);
}

#[test]
fn a_tag_stands_once() {
    let literal = |value: &str| {
        tag(
            "a",
            custom_tag::Type::Literal(custom_tag::Literal {
                value: value.to_owned(),
            }),
        )
    };
    let faults = read(&traced(Tracing {
        custom_tags: vec![literal("b"), literal("c")],
        provider: open_telemetry(),
        ..Tracing::default()
    }))
    .expect_err("two tags of one key");
    let tags = format!("{HTTP}.tracing.custom_tags");
    let [fault] = &faults[..] else {
        panic!("{faults:#?}")
    };
    assert_eq!(fault.path, format!("{tags}[1].literal.value"));
    assert_eq!(fault.message, "a second attribute `a`");
    let help = format!("the first stands at {tags}[0].literal.value");
    assert_eq!(fault.help, Some(help));
}

#[test]
fn what_spans_cannot_be_is_refused() {
    let with = |change: fn(&mut Tracing)| {
        let mut tracing = Tracing {
            provider: open_telemetry(),
            ..Tracing::default()
        };
        change(&mut tracing);
        traced(tracing)
    };
    type Row = (&'static str, fn(&mut Tracing));
    let rows: [Row; 6] = [
        ("provider", |tracing| tracing.provider = None),
        ("provider.typed_config", |tracing| {
            tracing.provider = provider(&ZipkinConfig::default());
        }),
        ("provider.typed_config", |tracing| {
            tracing.provider = provider(&OpenTelemetryConfig::default());
        }),
        ("overall_sampling", |tracing| {
            tracing.overall_sampling = Some(Percent { value: 99.0 });
        }),
        ("custom_tags[0]", |tracing| {
            tracing.custom_tags = vec![tag(
                "a",
                custom_tag::Type::Environment(custom_tag::Environment::default()),
            )];
        }),
        ("verbose", |tracing| tracing.verbose = true),
    ];
    for (field, change) in rows {
        let path = match field {
            // What is missing is missing in what holds it.
            "provider" => format!("{HTTP}.tracing"),
            field => format!("{HTTP}.tracing.{field}"),
        };
        let faults = read(&with(change)).expect_err(field);
        assert!(
            faults.iter().any(|fault| fault.path == path),
            "{field}: {faults:#?}"
        );
    }
}
