//! The commands against a server in this process.

use super::*;
use crate::listen::{ClientCertificates, Listen, ListenFamilies, ListenLimits, ServerTls};
use crate::rest::tests::World;
use clap::Parser;
use outrigger_identity::RootSet;
use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::SystemTime;
use tokio::sync::watch;

#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    command: ClientCommand,
}

/// A listener that serves for as long as this is held.
type Serving = (watch::Sender<bool>, tokio::task::JoinSet<()>);

async fn serve(world: &World, tls: Option<Arc<ServerTls>>) -> (SocketAddr, Serving) {
    let registry = prometheus::Registry::new();
    let metrics = ListenFamilies::register(&registry).unwrap().listener("rest");
    let any = "127.0.0.1:0".parse().unwrap();
    let listen = Listen::bind(any, tls, ListenLimits::default(), metrics)
        .await
        .unwrap();
    let address = listen.local_address();
    let (drain, draining) = watch::channel(false);
    let mut serving = tokio::task::JoinSet::new();
    serving.spawn(listen.serve(world.router.clone(), draining));
    (address, (drain, serving))
}

/// A server, and files to talk to it about.
struct Place {
    url: String,
    directory: tempfile::TempDir,
    _world: World,
    _serving: Serving,
}

impl Place {
    async fn start() -> Place {
        let world = World::with_example().await;
        let (address, serving) = serve(&world, None).await;
        let url = format!("http://{address}");
        let directory = tempfile::tempdir().unwrap();
        for who in ["admin", "reader", "shop"] {
            fs::write(directory.path().join(who), format!("{who}\n")).unwrap();
        }
        Place {
            url,
            directory,
            _world: world,
            _serving: serving,
        }
    }

    fn write(&self, name: &str, text: &str) -> String {
        let path = self.directory.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    async fn run(&self, who: &str, words: &[&str]) -> (u8, String, String) {
        let token = self.directory.path().join(who);
        let connection = ["--server", &self.url, "--token-file", token.to_str().unwrap()];
        run_words(words, &connection).await
    }
}

async fn run_words(words: &[&str], connection: &[&str]) -> (u8, String, String) {
    let all = ["outrigger-control"].iter().chain(words).chain(connection);
    let cli = Cli::try_parse_from(all).unwrap();
    let (mut out, mut problems) = (Vec::new(), Vec::new());
    let code = run(cli.command, &mut out, &mut problems).await;
    (
        code,
        String::from_utf8(out).unwrap(),
        String::from_utf8(problems).unwrap(),
    )
}

const TOOLS: &str = "services:\n  - name: shop/tools\n    ports: [{ port: 80, protocol: http }]\n    endpoints: [{ address: 127.0.0.1:9009 }]\n";

#[tokio::test]
async fn files_become_a_revision_and_go_again() {
    let place = Place::start().await;
    let tools = place.write("docs/shop/tools.yaml", TOOLS);
    place.write("docs/.hidden.yaml", "no document");
    place.write("docs/notes.txt", "neither");
    let docs = place.directory.path().join("docs");
    let docs = docs.to_str().unwrap();
    let (code, out, _) = place.run("shop", &["diff", "-f", docs]).await;
    assert_eq!(code, 1);
    assert!(out.starts_with("--- /dev/null\n+++ b/shop/tools.yaml\n"), "{out}");
    assert!(out.contains("\n+ service shop/tools\n"), "{out}");
    let (code, out, problems) = place
        .run("shop", &["apply", "-m", "more tools", "-f", docs])
        .await;
    assert_eq!((code, out.as_str()), (0, "revision 2\n+ service shop/tools\n"));
    assert!(
        problems.starts_with(
            "warning[service-unused]: nothing calls the service `shop/tools`\n --> shop/tools.yaml:2:11\n"
        ),
        "{problems}"
    );
    let (code, out, _) = place.run("shop", &["diff", "-f", docs]).await;
    assert_eq!((code, out.as_str()), (0, ""));
    let (code, out, _) = place.run("shop", &["apply", "-m", "again", "-f", docs]).await;
    assert_eq!(
        (code, out.as_str()),
        (0, "nothing to change: revision 2 is so already\n")
    );
    let (code, out, _) = place.run("reader", &["get", "shop/tools.yaml"]).await;
    assert_eq!((code, out.as_str()), (0, TOOLS));
    let (_, out, _) = place.run("reader", &["get"]).await;
    assert!(
        out.contains("catalog.yaml") && out.contains("shop/tools.yaml"),
        "{out}"
    );
    let (_, out, _) = place.run("reader", &["get", "--revision", "1"]).await;
    assert!(
        out.contains("catalog.yaml") && !out.contains("shop/tools.yaml"),
        "{out}"
    );

    let (code, out, _) = place.run("shop", &["rollback", "1", "--dry-run"]).await;
    assert!(
        code == 0 && out.contains("\n- service shop/tools\n"),
        "{code} {out}"
    );
    let (code, out, _) = place.run("shop", &["rollback", "1", "-m", "too many"]).await;
    assert_eq!((code, out.as_str()), (0, "revision 3\n- service shop/tools\n"));
    let (code, out, _) = place.run("reader", &["diff", "2", "3"]).await;
    assert!(
        code == 1 && out.contains("\n- service shop/tools\n"),
        "{code} {out}"
    );
    assert_eq!(
        place.run("reader", &["diff", "1"]).await.0,
        0,
        "the current one has the contents of the first"
    );
    let (_, out, _) = place.run("reader", &["history", "--limit", "2"]).await;
    let lines: Vec<&str> = out.lines().collect();
    assert!(
        lines.len() == 3 && lines[1].contains("rollback to 1") && lines[1].ends_with("too many"),
        "{out}"
    );
    // Only what is given, and nothing else.
    let (code, _, problems) = place
        .run("shop", &["apply", "-m", "alone", "--prune", "-f", &tools])
        .await;
    assert!(code == 1 && problems.contains("may not change"), "{problems}");
    assert_eq!(
        place
            .run("admin", &["apply", "-m", "alone", "--prune", "-f", &tools])
            .await
            .0,
        0
    );
    let (_, out, _) = place.run("reader", &["get"]).await;
    assert_eq!(out.lines().count(), 2, "{out}");
}

#[tokio::test]
async fn what_is_refused_is_told_with_its_place() {
    let place = Place::start().await;
    let wrong = place.write("tools.yaml", &TOOLS.replace("ports", "portz"));
    let (code, out, problems) = place.run("shop", &["apply", "-m", "r", "-f", &wrong]).await;
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(problems.contains("--> tools.yaml:3:5"), "{problems}");
    let right = place.write("tools.yaml", TOOLS);
    let (code, _, problems) = place
        .run("shop", &["apply", "-m", "r", "--revision", "9", "-f", &right])
        .await;
    assert!(
        code == 1 && problems.contains("the current revision is 1, not 9\nhelp: "),
        "{problems}"
    );
    let (code, _, problems) = place.run("reader", &["token", "list"]).await;
    assert!(
        code == 1 && problems.contains("expected the role `administrator`"),
        "{problems}"
    );
    let (code, _, problems) = place
        .run("reader", &["apply", "-m", "r", "-f", "/nowhere/at/all"])
        .await;
    assert!(code == 2 && problems.contains("/nowhere/at/all"), "{problems}");
    let empty = place.directory.path().join("empty");
    fs::create_dir(&empty).unwrap();
    let (code, _, problems) = place
        .run("reader", &["diff", "-f", empty.to_str().unwrap()])
        .await;
    assert!(
        code == 2 && problems.contains("there is no document"),
        "{problems}"
    );
}

#[tokio::test]
async fn a_server_that_is_not_there_or_not_to_be_trusted_is_trouble() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let (code, _, problems) = run_words(&["status"], &["--server", &format!("http://{closed}")]).await;
    assert!(code == 2 && problems.contains("cannot reach"), "{problems}");
    for wrong in ["ftp://a", "nonsense", "http://192.0.2.1:1"] {
        let file = tempfile::NamedTempFile::new().unwrap();
        let token = file.path().to_str().unwrap();
        let (code, _, problems) = run_words(&["status"], &["--server", wrong, "--token-file", token]).await;
        assert!(
            code == 2 && problems.contains(&format!("--server {wrong}: ")),
            "{problems}"
        );
    }
}

#[tokio::test]
async fn mesh_nodes_and_log_are_shown() {
    let place = Place::start().await;
    let claim = crate::access::NodeClaim {
        node: "web-1".into(),
        service: "shop/web".into(),
    };
    let fleet = &place._world.parts.fleet;
    let _here = fleet
        .register()
        .enter(
            std::sync::Arc::clone(fleet),
            &claim,
            &crate::access::Principal::Loopback,
            crate::fleet::Agent::Outrigger,
            "1\u{1b}[0m",
            None,
        )
        .unwrap();
    let (code, out, problems) = place.run("reader", &["status"]).await;
    assert_eq!((code, problems.as_str()), (0, ""));
    assert!(
        out.starts_with("revision 1\nstore: embedded\nnodes: 1 connected, 0 of them settled, 1 underway"),
        "{out}"
    );
    assert!(
        out.lines()
            .any(|line| line.starts_with("web-1  shop/web  outrigger  yes")),
        "{out}"
    );
    let (code, out, _) = place.run("reader", &["status", "web-1"]).await;
    assert!(
        code == 0 && out.contains("service: shop/web\n") && !out.contains('\u{1b}'),
        "{out}"
    );
    assert_eq!(place.run("reader", &["status", "nobody"]).await.0, 1);
    let (_, out, _) = place.run("reader", &["status", "--json"]).await;
    let told: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(told["listed"][0]["node"], "web-1");
    let (code, out, _) = place.run("reader", &["config", "web-1"]).await;
    assert!(code == 0 && out.contains("15106"), "{out}");
    let asked = ["explain", "web-1", "GET https://web.shop:15106/", "--peer-id"];
    let (code, out, _) = place
        .run(
            "reader",
            &[&asked[..], &["spiffe://example.org/ns/edge/sa/public"]].concat(),
        )
        .await;
    assert!(
        code == 0
            && out.starts_with("node web-1 of shop/web, by revision 1\nlistener `")
            && out
                .contains("\nrevision 1 is in force at 0 of 1 nodes that are to have it; 1 are connected\n")
            && out.contains("web-1  no      -         it has not answered"),
        "{out}"
    );
    let (code, _, problems) = place.run("reader", &["explain", "web-1", "GET x"]).await;
    assert!(code == 1 && problems.contains("has no scheme"), "{problems}");
    let (_, out, _) = place.run("reader", &["audit"]).await;
    assert!(
        out.contains("token `admin`  revision.appended") && out.contains("0 to 1"),
        "{out}"
    );
    let (code, out, _) = place.run("reader", &["audit", "--verify"]).await;
    assert_eq!(code, 0);
    let kept = out
        .lines()
        .last()
        .unwrap()
        .rsplit_once(": ")
        .unwrap()
        .1
        .to_owned();
    assert_eq!(
        place
            .run("reader", &["audit", "--verify", "--kept", &kept])
            .await
            .0,
        0
    );
    let other = kept
        .replace(':', ":00")
        .chars()
        .take(kept.len())
        .collect::<String>();
    let (code, out, _) = place
        .run("reader", &["audit", "--verify", "--kept", &other])
        .await;
    assert!(code == 1 && out.contains("NOT as it was written"), "{out}");
}

#[tokio::test]
async fn tokens_and_roots_are_handled() {
    let place = Place::start().await;
    let create = [
        "token",
        "create",
        "vm",
        "--spiffe-id",
        "spiffe://example.org/vm",
        "--lifetime",
        "60",
    ];
    let (code, out, _) = place.run("admin", &create).await;
    assert!(
        code == 0 && out.starts_with("ojt_") && out.lines().count() == 1,
        "{out}"
    );
    let (_, out, _) = place.run("admin", &["token", "list"]).await;
    assert!(out.contains("vm    spiffe://example.org/vm"), "{out}");
    assert_eq!(place.run("admin", &["token", "remove", "vm"]).await.0, 0);
    assert_eq!(place.run("admin", &["token", "remove", "vm"]).await.0, 1);
    let (_, out, _) = place.run("reader", &["authority", "show"]).await;
    assert!(
        out.starts_with("trust domain: example.org\nPHASE") && out.contains("signing"),
        "{out}"
    );
    assert_eq!(place.run("admin", &["authority", "roll", "sign"]).await.0, 1);
    let (code, out, _) = place.run("admin", &["authority", "roll", "prepare"]).await;
    assert!(code == 0 && out.contains("prepared"), "{out}");
}

#[tokio::test]
async fn certificates_are_shown_and_verified() {
    let world = World::with_example().await;
    let authority = world.parts.authority.clone().unwrap();
    let now = SystemTime::now();
    let make = async |id: &str, names: &[String]| {
        let id = id.parse().unwrap();
        authority
            .make_identity(&id, (names, &[]), None, "test", now)
            .await
            .unwrap()
    };
    let server = make("spiffe://example.org/control", &["localhost".to_owned()]).await;
    let ann = make("spiffe://example.org/people/ann", &[]).await;
    let roots = RootSet::new(authority.bundle().roots().to_vec()).unwrap();
    let shown = server.credential().unwrap();
    let tls = ServerTls::new(&shown, Some(&roots), ClientCertificates::Optional, None).unwrap();
    let (address, _serving) = serve(&world, Some(Arc::new(tls))).await;
    let url = format!("https://localhost:{}", address.port());
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = directory.path().join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let bundle = write("roots.pem", authority.bundle().pem());
    let (chain, key) = (
        write("ann.pem", &ann.chain_pem()),
        write("ann.key", &ann.private_key_pem()),
    );
    let believing = ["--server", &url, "--ca-file", &bundle];
    let own = ["--certificate-file", &chain, "--private-key-file", &key];
    let as_ann = [&believing[..], &own[..]].concat();
    assert_eq!(run_words(&["get"], &as_ann).await.0, 0);
    let (code, _, problems) = run_words(&["token", "list"], &as_ann).await;
    assert!(
        code == 1 && problems.contains("spiffe://example.org/people/ann may not"),
        "{problems}"
    );
    let (code, _, problems) = run_words(&["get"], &believing).await;
    assert!(code == 1 && problems.contains("nobody is known"), "{problems}");
    // Whose certificate chains to nobody who is believed is told nothing.
    let other = World::start().await.parts.authority.unwrap();
    let foreign = write("foreign.pem", other.bundle().pem());
    let (code, _, problems) = run_words(&["get"], &["--server", &url, "--ca-file", &foreign]).await;
    assert!(code == 2 && problems.contains("cannot reach"), "{problems}");
}
