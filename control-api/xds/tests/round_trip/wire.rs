//! A configuration over the wire: encoded, decoded, put together.

use outrigger_config::document::{EndpointSet, Parts, assemble};
use outrigger_config::model::Name;
use outrigger_config::{Environment, MeshConfig, Source, load, to_json};
use outrigger_xds::decode::{Decoded, Refusal, decode};
use outrigger_xds::encode::{Bodies, EncodeOptions, encode};
use std::collections::HashMap;
use std::sync::Arc;

/// Type URLs of the resources, by the words of [`outrigger_xds::encode::Encoded`].
const LISTENER: &str = "type.googleapis.com/envoy.config.listener.v3.Listener";
const ROUTES: &str = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration";
const CLUSTER: &str = "type.googleapis.com/envoy.config.cluster.v3.Cluster";
const ENDPOINTS: &str = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment";
const SECRET: &str = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret";
const RUNTIME: &str = "type.googleapis.com/envoy.service.runtime.v3.Runtime";

/// Reads a document.
pub(crate) fn read(text: &str, name: &str) -> MeshConfig {
    let source = Source {
        name: name.into(),
        text: text.into(),
    };
    match load(&source, &Environment::empty()) {
        Ok(loaded) => loaded.config,
        Err(faults) => panic!("{faults}\n{text}"),
    }
}

/// What is local and does not travel: the admin endpoint and the runtime.
fn local(config: &MeshConfig) -> MeshConfig {
    let mut text = format!("admin: {{address: '{}'}}\n", config.admin().address());
    let runtime = outrigger_config::to_json(config)["runtime"].clone();
    text.push_str(&format!("runtime: {runtime}\n"));
    read(&text, "local.yaml")
}

fn decoded(type_url: &str, bodies: &Bodies) -> Vec<Decoded> {
    let one = |(name, body): &(String, Vec<u8>)| match decode(type_url, name, body) {
        Ok(decoded) => decoded,
        Err(refusal) => panic!("{refusal}"),
    };
    bodies.iter().map(one).collect()
}

/// The configuration after a journey.
pub(crate) fn travelled(config: &MeshConfig, options: &EncodeOptions) -> Result<MeshConfig, Refusal> {
    let encoded = encode(config, options);
    let again = encode(config, options);
    assert!(encoded == again, "the bytes follow from the configuration alone");
    let mut parts: Vec<Parts> = Vec::new();
    let mut sets: HashMap<String, EndpointSet> = HashMap::new();
    for ((name, _), one) in encoded
        .endpoints
        .iter()
        .zip(decoded(ENDPOINTS, &encoded.endpoints))
    {
        let Decoded::Endpoints(set) = one else { panic!() };
        sets.insert(name.clone(), set);
    }
    let all = [
        (LISTENER, &encoded.listeners),
        (ROUTES, &encoded.route_configurations),
        (CLUSTER, &encoded.clusters),
        (SECRET, &encoded.secrets),
    ];
    for one in all.into_iter().flat_map(|(url, bodies)| decoded(url, bodies)) {
        match one {
            Decoded::Listener(one) | Decoded::RouteConfiguration(one) | Decoded::Secret(one) => {
                parts.push(one);
            }
            Decoded::Cluster(one) => {
                let mut of_cluster = one.parts;
                if let Some(name) = one.endpoints {
                    let set = &sets[&name];
                    for cluster in &mut of_cluster.clusters {
                        *cluster = cluster.with_endpoint_set(set).into();
                    }
                }
                parts.push(of_cluster);
            }
            Decoded::Endpoints(_) | Decoded::Runtime(_) => panic!("of another type"),
        }
    }
    let mut base = local(config);
    for one in decoded(RUNTIME, &encoded.runtime) {
        let Decoded::Runtime(process) = one else { panic!() };
        base = process.apply(&base)?;
    }
    Ok(assemble(&base, &parts)
        .unwrap_or_else(|faults| panic!("{faults}"))
        .config)
}

/// Holds that the configuration comes back the same.
pub(crate) fn hold(config: &MeshConfig, what: &str) {
    for endpoints_apart in [false, true] {
        let options = EncodeOptions {
            endpoints_apart,
            ..EncodeOptions::default()
        };
        let back = travelled(config, &options).unwrap_or_else(|refusal| panic!("{what}: {refusal}"));
        same(config, &back, what);
        let parts = (config.authorization_policies(), back.authorization_policies());
        carried(parts, |part| part.name(), what);
        carried(
            (config.jwt_providers(), back.jwt_providers()),
            |part| part.name(),
            what,
        );
        carried(
            (config.rate_limits(), back.rate_limits()),
            |part| part.name(),
            what,
        );
    }
}

/// What travels by itself is the same, in the same order.
fn same(config: &MeshConfig, back: &MeshConfig, what: &str) {
    macro_rules! parts {
        ($($part:ident),* $(,)?) => {$(
            let (here, there) = (config.$part(), back.$part());
            assert!(
                here == there,
                "{what}:\n{}:\n{}\n{}",
                stringify!($part),
                written(stringify!($part), config, back),
                difference(&format!("{here:#?}"), &format!("{there:#?}"))
            );
        )*};
    }
    parts!(
        admin,
        runtime,
        drain,
        listeners,
        route_configurations,
        clusters,
        identities,
        trust_bundles,
        revocation,
        overload,
        telemetry,
    );
}

/// Of policies that filters carry, those that something refers to arrive, each as it was.
fn carried<T: PartialEq>(
    (config, back): (&Vec<Arc<T>>, &Vec<Arc<T>>),
    name: impl Fn(&T) -> &Name,
    what: &str,
) {
    for part in back {
        let same = config.iter().any(|other| other == part);
        assert!(same, "{what}:\n`{}` came back as another", name(part));
    }
}

fn written(part: &str, config: &MeshConfig, back: &MeshConfig) -> String {
    let text = |config: &MeshConfig| serde_json::to_string_pretty(&to_json(config)[part]).unwrap();
    difference(&text(config), &text(back))
}

/// The first lines that differ.
fn difference(one: &str, other: &str) -> String {
    let (one, other): (Vec<_>, Vec<_>) = (one.lines().collect(), other.lines().collect());
    let at = one
        .iter()
        .zip(&other)
        .take_while(|(one, other)| one == other)
        .count();
    let shown = |lines: &[&str]| lines[at.saturating_sub(4)..(at + 6).min(lines.len())].join("\n");
    format!("--- before\n{}\n--- after\n{}", shown(&one), shown(&other))
}
