//! Meshes after other meshes: what comes of them is what comes of the same documents alone, and what it takes follows the
//! change.

use super::*;
use crate::MeshWork;
use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

mod random;

/// Documents by name.
type Texts = BTreeMap<String, String>;

fn texts(all: &[(&str, &str)]) -> Texts {
    let owned = |(name, text): &(&str, &str)| ((*name).to_owned(), (*text).to_owned());
    all.iter().map(owned).collect()
}

/// Loads documents after a mesh, or alone; faults are told as people read them, with every place.
fn load(before: Option<&Mesh>, texts: &Texts) -> Result<(Mesh, String), String> {
    let mesh = match before {
        None => {
            let sources: Vec<_> = texts.iter().map(|(name, text)| source(name, text)).collect();
            load_mesh(&sources, &Environment::empty())
        }
        Some(_) => {
            let texts = texts
                .iter()
                .map(|(name, text)| (name.as_str(), Arc::from(text.as_str())));
            load_mesh_after(before, texts, &Environment::empty())
        }
    };
    let told = |faults: Diagnostics| format!("{faults}\n{faults:?}");
    let mesh = mesh.map_err(told)?;
    let warnings = mesh.validate(SystemTime::UNIX_EPOCH).map_err(told)?;
    Ok((mesh, format!("{warnings:?}")))
}

#[track_caller]
fn loaded(before: Option<&Mesh>, texts: &Texts) -> Mesh {
    load(before, texts).unwrap_or_else(|faults| panic!("{faults}")).0
}

/// Loads documents after a mesh; the mesh, and what that took.
#[track_caller]
fn following(before: &Mesh, texts: &Texts) -> (Mesh, MeshWork) {
    let done = before.work();
    let mesh = loaded(Some(before), texts);
    let all = mesh.work();
    let work = MeshWork {
        meshes_read: all.meshes_read - done.meshes_read,
        documents_read: all.documents_read - done.documents_read,
        services_made: all.services_made - done.services_made,
        views_made: all.views_made - done.views_made,
        clusters_read: all.clusters_read - done.clusters_read,
        route_configurations_read: all.route_configurations_read - done.route_configurations_read,
    };
    (mesh, work)
}

/// Everything that nodes are told, with the place of every part.
fn told(mesh: &Mesh) -> BTreeMap<String, String> {
    let view = |role: NodeRole| (format!("{role:?}"), format!("{:?}", view(mesh, &role)));
    mesh.roles().map(view).collect()
}

const EDGE: &str = "\
gateways:
- name: edge/public
  listeners: [{name: l, address: 127.0.0.1:2}]
  virtual_hosts:
  - {name: web, domains: [web.example], service: shop/web}
  - {name: catalog, domains: [catalog.example], routes: [{match: {prefix: /}, forward: {service: shop/catalog}}]}
";
const SHOP: &str = "\
services:
- {name: shop/web, ports: [{port: 80}], endpoints: [{address: 10.0.0.1:80}], uses: [shop/catalog]}
- {name: shop/catalog, ports: [{port: 80}], endpoints: [{address: 10.0.0.2:80}]}
- {name: shop/apart, ports: [{port: 80}], endpoints: [{address: 10.0.0.3:80}], uses: [shop/web]}
";
const OTHERS: &str = "\
services:
- {name: other/one, ports: [{port: 80}], endpoints: [{address: 10.0.1.1:80}], uses: [other/two]}
- {name: other/two, ports: [{port: 80}], endpoints: [{address: 10.0.1.2:80}], uses: [other/one]}
";

fn gateway() -> NodeRole {
    NodeRole::Gateway {
        name: "edge/public".into(),
    }
}

fn client(service: &str) -> NodeRole {
    NodeRole::Client {
        service: service.into(),
    }
}

#[test]
fn one_endpoint_s_change_is_one_document_and_what_depends_on_it() {
    let mut documents = texts(&[("edge", EDGE), ("others", OTHERS), ("shop", SHOP)]);
    let first = loaded(None, &documents);
    let all = MeshWork {
        meshes_read: 1,
        documents_read: 3,
        services_made: 5,
        // The gateway's, and that of each service's clients.
        views_made: 6,
        ..first.work()
    };
    assert_eq!(first.work(), all);
    first.view(&gateway()).unwrap();

    documents.insert("shop".into(), SHOP.replace("10.0.0.2:80", "10.0.0.9:80"));
    let (next, work) = following(&first, &documents);
    let change = MeshWork {
        meshes_read: 1,
        documents_read: 1,
        // The catalog; the gateway, its own clients and those of who calls it: the shop window, as nobody's routes lead on.
        services_made: 1,
        views_made: 3,
        // In each of these but of its own clients, who call nobody, that is one; the gateway has its other one.
        clusters_read: 3,
        // The gateway's are as they were; not those of clients that nobody asked for.
        route_configurations_read: 2,
    };
    assert_eq!(work, change);
    // For who asked before it is made already.
    let made = next.work();
    next.view(&gateway()).unwrap();
    assert_eq!(next.work(), made);
}

#[test]
fn who_asked_shares_what_did_not_change() {
    let mut documents = texts(&[("edge", EDGE), ("shop", SHOP)]);
    let first = loaded(None, &documents);
    let before = [gateway(), client("shop/web"), client("shop/apart")].map(|role| view(&first, &role));
    documents.insert("shop".into(), SHOP.replace("10.0.0.2:80", "10.0.0.9:80"));
    let next = loaded(Some(&first), &documents);
    let after = [gateway(), client("shop/web"), client("shop/apart")].map(|role| view(&next, &role));
    let parts = |view: &View, at: usize| Arc::clone(&view.config.clusters[at]);
    assert_eq!(before[0].config.clusters[1].name.as_str(), "web.shop:80");
    assert!(Arc::ptr_eq(&parts(&before[0], 1), &parts(&after[0], 1)));
    assert!(!Arc::ptr_eq(&parts(&before[0], 0), &parts(&after[0], 0)));
    let routes = |view: &View| Arc::clone(&view.config.route_configurations[0]);
    assert!(Arc::ptr_eq(&routes(&before[0]), &routes(&after[0])));
    assert!(
        Arc::ptr_eq(&before[2], &after[2]),
        "it depends on nothing that changed"
    );
    // Callers of one service have one cluster of it between them.
    assert!(Arc::ptr_eq(&parts(&after[0], 0), &parts(&after[1], 0)));
}

#[test]
fn what_nobody_asks_for_is_forgotten() {
    let mut documents = texts(&[("edge", EDGE), ("shop", SHOP)]);
    let first = loaded(None, &documents);
    first.view(&gateway()).unwrap();
    documents.insert("shop".into(), SHOP.replace("10.0.0.2:80", "10.0.0.9:80"));
    let second = loaded(Some(&first), &documents);
    documents.insert("shop".into(), SHOP.to_owned());
    // Nobody asked for a view of the second.
    let third = loaded(Some(&second), &documents);
    assert!(second.kept.wanted(&gateway()).is_some());
    assert!(third.kept.wanted(&gateway()).is_none());
}

#[test]
fn a_document_that_comes_or_goes_leaves_the_others_as_they_were() {
    let mut documents = texts(&[("b", SHOP), ("d", OTHERS)]);
    let mut before = loaded(None, &documents);
    for (name, text) in [("a", EDGE), ("c", "# nothing\n"), ("e", "services: []\n")] {
        documents.insert(name.into(), text.into());
        let (next, work) = following(&before, &documents);
        assert_eq!((work.documents_read, work.services_made), (1, 0), "{name}");
        assert_eq!(told(&next), told(&loaded(None, &documents)));
        before = next;
    }
    documents.remove("a");
    let (next, work) = following(&before, &documents);
    let nothing = MeshWork {
        meshes_read: 1,
        ..MeshWork::default()
    };
    assert_eq!(work, nothing);
    assert_eq!(told(&next), told(&loaded(None, &documents)));
}

#[test]
fn of_a_document_only_what_is_other_counts_as_other() {
    let first = loaded(None, &texts(&[("shop", SHOP)]));
    // The last service of a document: the others stand where they stood.
    let last = SHOP.replace("10.0.0.3:80", "10.0.0.33:80");
    let (next, work) = following(&first, &texts(&[("shop", &last)]));
    assert_eq!((work.services_made, work.views_made), (1, 1));
    // A line more before all: each has another place, which diagnostics tell.
    let (_, work) = following(&next, &texts(&[("shop", &format!("# moved\n{last}"))]));
    assert_eq!((work.services_made, work.views_made), (3, 3));
}

#[test]
fn what_has_variables_in_it_is_read_again() {
    let text = "services: [{name: shop/a, hosts: ['${HOST}'], ports: [{port: 80}], uses: [shop/a]}]\n";
    let load = |before: Option<&Mesh>, host: &str| {
        let environment = Environment::from(BTreeMap::from([("HOST".to_owned(), host.to_owned())]));
        let texts = [("a", Arc::from(text))];
        let mesh = match before {
            None => load_mesh(&[source("a", text)], &environment),
            Some(_) => load_mesh_after(before, texts, &environment),
        };
        mesh.unwrap_or_else(|faults| panic!("{faults}"))
    };
    let first = load(None, "one.example");
    let next = load(Some(&first), "two.example");
    let targets = &view(&next, &client("shop/a")).targets;
    assert!(targets.contains_key("two.example"), "{targets:?}");
}

#[test]
fn a_policy_that_comes_may_be_meant_anywhere() {
    let guarded = "\
defaults: {trust_domain: example.org}
services:
- {name: shop/a, ports: [{port: 80}], sidecar: {}, inbound: {authorization: [shop/closed]}}
";
    let closed = "authorization_policies: [{name: shop/closed, action: deny}]\n";
    let mut documents = texts(&[("a", guarded), ("p", closed)]);
    let first = loaded(None, &documents);
    documents.remove("p");
    let faults = load(Some(&first), &documents).unwrap_err();
    assert_eq!(faults, load(None, &documents).unwrap_err());
    assert!(
        faults.contains("no authorization policy is named `shop/closed`"),
        "{faults}"
    );
    // Another policy of that name is another view.
    documents.insert(
        "p".into(),
        closed.replace("deny", "allow, rules: [{methods: [GET]}]"),
    );
    let (next, work) = following(&first, &documents);
    assert_eq!((work.services_made, work.views_made), (0, 1));
    assert_eq!(told(&next), told(&loaded(None, &documents)));
}

#[test]
fn what_depends_on_the_time_is_found_when_it_comes() {
    let text = "\
services:
- name: shop/web
  ports: [{port: 80}]
  uses: [shop/web]
  routes: [{match: {prefix: /}, forward: {}, fault: {expires: 1970-01-01T00:01:00Z, delay: {duration: 1s, percent: 1}}}]
";
    let documents = texts(&[("shop", text)]);
    let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    let odd = |mesh: &Mesh, seconds| mesh.validate(at(seconds)).unwrap().len();
    let first = loaded(None, &documents);
    assert_eq!((odd(&first, 0), odd(&first, 60), odd(&first, 0)), (0, 1, 0));
    let next = loaded(Some(&first), &documents);
    let done = next.work();
    assert_eq!((odd(&next, 59), next.work()), (0, done), "nothing is other");
    assert_eq!((odd(&next, 61), odd(&next, 59)), (1, 0));
}
