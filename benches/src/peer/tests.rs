use super::*;

fn setups(peer: Peer, directory: &Path) -> Vec<(Scenario, Setup)> {
    let certificate = Certificate::create(directory).unwrap();
    let unused = free_address().unwrap();
    let upstream = Addresses {
        http1: unused,
        http2: unused,
        echo: unused,
        banner: unused,
        collector: unused,
    };
    Scenario::value_variants()
        .iter()
        .filter(|scenario| peer.lacks(**scenario).is_none())
        .map(|scenario| {
            (
                *scenario,
                Setup::for_scenario(*scenario, peer, upstream, &certificate, directory).unwrap(),
            )
        })
        .collect()
}

/// Every configuration passes the product's own check; says so when the product is not installed.
fn check(peer: Peer, check_arguments: &[&str]) {
    let Some(program) = peer.locate() else {
        assert!(
            std::env::var_os("CI").is_none(),
            "{} must be installed in CI",
            peer.name()
        );
        eprintln!("skipped: {} is not installed", peer.name());
        return;
    };
    let directory = tempfile::tempdir().unwrap();
    for (scenario, setup) in setups(peer, directory.path()) {
        let invocation = peer.prepare(&program, &setup).unwrap();
        let output = Command::new(&invocation.program)
            .args(check_arguments)
            .args(&invocation.arguments)
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "{} for {}: {errors}",
            peer.name(),
            scenario.name()
        );
    }
}

#[test]
fn envoy_accepts_its_configurations() {
    check(Peer::Envoy, &["--mode", "validate"]);
}

#[test]
fn haproxy_accepts_its_configurations() {
    check(Peer::Haproxy, &["-c"]);
}

#[test]
fn nginx_accepts_its_configurations() {
    check(Peer::Nginx, &["-t"]);
}

#[test]
fn a_scenario_changes_what_it_names_and_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    for peer in [Peer::Outrigger, Peer::Envoy, Peer::Haproxy, Peer::Nginx] {
        let write = |setup: &Setup| {
            let mut setup = setup.clone();
            setup.listen.set_port(1);
            setup.upstream.set_port(2);
            setup.directory = directory.path().join("same");
            let invocation = peer.prepare(Path::new("program"), &setup).unwrap();
            std::fs::read_to_string(invocation.arguments.last().unwrap()).unwrap()
        };
        let texts: Vec<_> = setups(peer, directory.path())
            .iter()
            .map(|(scenario, setup)| (*scenario, write(setup)))
            .collect();
        let plain = &texts
            .iter()
            .find(|(scenario, _)| *scenario == Scenario::Http1)
            .unwrap()
            .1;
        for (scenario, text) in &texts {
            let same = match scenario {
                Scenario::Http1 | Scenario::Body64k | Scenario::Body1m | Scenario::Memory => true,
                Scenario::Latency => true,
                Scenario::Authorization | Scenario::RecorderOff => peer != Peer::Outrigger,
                Scenario::Tracing1 | Scenario::Tracing100 => peer != Peer::Outrigger,
                // HTTP/2 without TLS is recognised by its preface, so nothing need say so.
                Scenario::H2H1 => matches!(peer, Peer::Outrigger | Peer::Envoy),
                // Those that pass upgrades on by themselves.
                Scenario::WebSocket => matches!(peer, Peer::Outrigger | Peer::Haproxy),
                Scenario::H2H2 | Scenario::TlsH1 | Scenario::TlsBulk | Scenario::AccessLog => false,
                Scenario::MtlsPair | Scenario::HandshakeFull | Scenario::HandshakeResumed => false,
                Scenario::Tcp1k | Scenario::TcpBulk | Scenario::Banner => false,
            };
            assert_eq!(text == plain, same, "{} for {}", peer.name(), scenario.name());
        }
    }
}

#[test]
fn a_launcher_stands_for_the_program_behind_it() {
    let directory = tempfile::tempdir().unwrap();
    let program = directory.path().join("real-envoy");
    std::fs::write(&program, b"\x7fELF").unwrap();
    let interpreter = directory.path().join("python");
    std::fs::write(&interpreter, format!("#!/bin/sh\necho {}\n", program.display())).unwrap();
    let launcher = directory.path().join("envoy");
    std::fs::write(&launcher, format!("#!{}\n", interpreter.display())).unwrap();
    for file in [&interpreter, &launcher] {
        std::fs::set_permissions(file, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    }
    assert_eq!(envoy::behind_launcher(&launcher), Some(program.clone()));
    assert_eq!(envoy::behind_launcher(&program), Some(program));
}
