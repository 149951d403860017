//! Documents of other fronts: places, parts, putting together.

use super::parts::read_process;
use super::*;
use crate::model::MeshConfig;
use crate::{Environment, Source, load};

fn base(text: &str) -> MeshConfig {
    let source = Source {
        name: "base.yaml".into(),
        text: text.into(),
    };
    load(&source, &Environment::empty()).unwrap().config
}

fn cluster(name: &str, address: &str) -> Value {
    let path = Path::root();
    let at = path.field("load_assignment").field("endpoints").index(0);
    let endpoint = Map::new(&at).with("address", Value::text(&at.field("address"), address));
    let cluster = Map::new(&path)
        .with("name", Value::text(&path.field("name"), name))
        .with("endpoints", Value::list(&at, [endpoint.into()]));
    Map::new(&path)
        .with("clusters", Value::list(&path, [cluster.into()]))
        .into()
}

fn routes(cluster: &str) -> Value {
    let path = Path::root();
    let host = path.field("virtual_hosts").index(0);
    let route = host.field("routes").index(0);
    let matches = Map::new(&route).with("prefix", Value::text(&route.field("match").field("prefix"), "/"));
    let to = route.field("route").field("cluster");
    let forward = Map::new(&route).with("cluster", Value::text(&to, cluster));
    let route = Map::new(&route)
        .with("match", matches.into())
        .with("forward", forward.into());
    let domain = Value::text(&host.field("domains").index(0), "*");
    let host = Map::new(&host)
        .with("name", Value::text(&host.field("name"), "all"))
        .with("domains", Value::list(&host.field("domains"), [domain]))
        .with("routes", Value::list(&host.field("routes"), [route.into()]));
    let configuration = Map::new(&path)
        .with("name", Value::text(&path.field("name"), "r"))
        .with("virtual_hosts", Value::list(&path, [host.into()]));
    Map::new(&path)
        .with("route_configurations", Value::list(&path, [configuration.into()]))
        .into()
}

#[test]
fn a_path_shows_fields_keys_and_items() {
    let path = Path::root().field("a").index(3).field("b").key("k.x").field("c");
    assert_eq!(path.to_string(), "a[3].b[\"k.x\"].c");
    assert_eq!(Path::root().to_string(), "");
}

#[test]
fn a_duration_is_exact() {
    let shown = |nanoseconds| match Value::duration(&Path::root(), Duration::from_nanos(nanoseconds)).content
    {
        Content::Plain(text) => text,
        other => panic!("{other:?}"),
    };
    assert_eq!(shown(1_500_000_000), "1500ms");
    assert_eq!(shown(2_000_000_000), "2s");
    assert_eq!(shown(1_500), "1500ns");
    assert_eq!(shown(0), "0s");
}

#[test]
fn a_fault_names_the_resource_and_the_field() {
    let faults = read_parts("cluster `a`", cluster("a", "192.0.2.1")).unwrap_err();
    let fault = faults.iter().next().unwrap();
    assert_eq!(
        (fault.file(), fault.path()),
        ("cluster `a`", Some("load_assignment.endpoints[0].address"))
    );
    assert_eq!((fault.line(), faults.len()), (0, 1));
    let text = faults.to_string();
    assert!(
        text.contains("--> cluster `a`: load_assignment.endpoints[0].address"),
        "{text}"
    );
}

#[test]
fn parts_are_put_together_and_know_where_they_came_from() {
    let base = base("clusters: [{name: own}]\n");
    let one = read_parts("cluster `a`", cluster("a", "192.0.2.1:80")).unwrap();
    let two = read_parts("routes `r`", routes("a")).unwrap();
    assert_eq!(two.referred(ReferenceKind::Cluster).collect::<Vec<_>>(), ["a"]);
    let whole = assemble(&base, [&one, &two, &one]).unwrap().config;
    let names: Vec<_> = whole
        .clusters()
        .iter()
        .map(|cluster| cluster.name().as_str())
        .collect();
    assert_eq!(names, ["own", "a"]);
    assert_eq!(whole.clusters()[1].origin().to_string(), "cluster `a`");
    let route = &whole.route_configurations()[0].virtual_hosts()[0].routes()[0];
    assert_eq!(
        route.origin().to_string(),
        "routes `r`: virtual_hosts[0].routes[0]"
    );
}

#[test]
fn what_is_missing_or_twice_is_refused_where_it_stands() {
    let base = base("clusters: [{name: own}]\n");
    let routes = read_parts("routes `r`", routes("owm")).unwrap();
    let faults = assemble(&base, [&routes]).unwrap_err();
    let fault = faults.iter().next().unwrap();
    assert_eq!(fault.message(), "no cluster is named `owm`");
    assert_eq!(fault.help(), Some("did you mean `own`?"));
    assert_eq!(
        (fault.file(), fault.path()),
        ("routes `r`", Some("virtual_hosts[0].routes[0].route.cluster"))
    );

    let other = read_parts("cluster `own`", cluster("own", "192.0.2.1:80")).unwrap();
    let faults = assemble(&base, [&other]).unwrap_err();
    let fault = faults.iter().next().unwrap();
    assert_eq!(fault.message(), "a second cluster `own`, which is another");
    assert_eq!(
        (fault.file(), fault.help().unwrap()),
        ("cluster `own`", "the first is from base.yaml:1:12")
    );
}

#[test]
fn endpoints_come_apart_from_their_cluster() {
    let path = Path::root();
    let endpoint = Map::new(&path).with("address", Value::text(&path, "192.0.2.9:80"));
    let document = Map::new(&path).with("endpoints", Value::list(&path, [endpoint.into()]));
    let set = read_endpoints("endpoints `own`", document.clone().into()).unwrap();
    let base = base("clusters: [{name: own}, {name: other}]\n");
    let changed = base.clusters()[0].with_endpoint_set(&set);
    let next = base.with_clusters(&[changed.into()]);
    assert_eq!(next.clusters()[0].endpoints().len(), 1);
    assert!(std::sync::Arc::ptr_eq(&next.clusters()[1], &base.clusters()[1]));

    let wrong = document.with("connect_timeout", Value::plain(&path.field("x"), "1s"));
    let faults = read_endpoints("endpoints `own`", wrong.into()).unwrap_err();
    assert_eq!(
        faults.iter().next().unwrap().message(),
        "`connect_timeout` may not be given here"
    );
}

#[test]
fn process_wide_sections_are_put_in_the_place_of_the_bases() {
    let path = Path::root();
    let drain = Map::new(&path).with("grace", Value::duration(&path, Duration::from_secs(7)));
    let document = Map::new(&path).with("drain", drain.into());
    let config = read_process("runtime `outrigger`", document.into(), &base("{}\n")).unwrap();
    assert_eq!(config.drain().grace(), Duration::from_secs(7));
    let admin = Map::new(&path).with("admin", Map::new(&path.field("admin")).into());
    assert!(read_process("runtime `outrigger`", admin.into(), &config).is_err());
}

#[test]
fn nesting_is_bounded() {
    let path = Path::root();
    let mut value = Value::text(&path, "x");
    for _ in 0..1_000 {
        value = Value::list(&path, [value]);
    }
    assert!(read_parts("x", value).is_err());
}

#[test]
fn what_collectors_name_is_asked_for_when_all_is_there() {
    let text = |text| Value::text(&Path::root(), text);
    let map = || Map::new(&Path::root());
    let certificate = map().with("identity", text("i"));
    let tls = map()
        .with("trust_bundle", text("b"))
        .with("certificate", certificate.into());
    let collector = map()
        .with("name", text("c"))
        .with("endpoint", text("https://a:1"))
        .with("tls", tls.into());
    let section = map().with("collectors", Value::list(&Path::root(), [collector.into()]));
    let document = map().with("telemetry", section.into());
    let with = read_process("runtime `outrigger`", document.into(), &base("{}\n")).unwrap();
    assert_eq!(with.telemetry().collectors().len(), 1);
    let faults = assemble(&with, []).unwrap_err().to_string();
    assert!(faults.contains("no trust bundle is named `b`"), "{faults}");
    assert!(faults.contains("no identity is named `i`"), "{faults}");
}
