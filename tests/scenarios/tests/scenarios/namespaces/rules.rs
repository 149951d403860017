//! `outrigger intercept`: what it installs, replaces and removes.

use super::mesh::{Mesh, Namespace, possible};

/// Everything that rules could be in, as the kernel's own programs tell it.
fn everything(space: &Namespace) -> String {
    [
        "nft list ruleset",
        "ip -4 rule show",
        "ip -6 rule show",
        "ip -4 route show table all",
        "ip -6 route show table all",
        "iptables-save",
        "ip6tables-save",
    ]
    .map(|line| format!("# {line}\n{}", without_counters(&space.says(line))))
    .concat()
}

/// Comments hold times.
fn without_counters(text: &str) -> String {
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| format!("{line}\n"))
        .collect()
}

/// Other people's rules, which are nobody's to touch.
fn furnish(space: &Namespace) {
    space.says("nft add table inet theirs");
    space.says("nft add chain inet theirs input { type filter hook input priority 0 ; }");
    space.says("nft add rule inet theirs input tcp dport 1 drop");
    for program in ["iptables", "ip6tables"] {
        for table in ["nat", "mangle"] {
            for chain in ["PREROUTING", "OUTPUT"] {
                space.says(&format!(
                    "{program} -w -t {table} -A {chain} -p tcp --dport 2 -j RETURN"
                ));
            }
        }
    }
    space.says("ip -4 rule add fwmark 0x539 lookup 133");
    space.says("ip -6 route add local fd99::/64 dev lo table 133");
}

#[test]
fn rules_come_and_go_without_a_trace() {
    if !possible(&[]) {
        return;
    }
    let mesh = Mesh::new();
    let space = &mesh.a.space;
    furnish(space);
    let before = everything(space);
    assert_eq!(space.intercepts("show"), "nothing is installed\n");
    let flags = [
        "--uid 0",
        "--uid 0 --mode tproxy --route-table 200 --route-mark 0x777",
        "--gid 7 --mark 9 --inbound-ports 80,90-99 --exclude-outbound-addresses 10.0.0.0/8,fd00::/8 \
         --exclude-outbound-ports 1-5,7",
        "--direction inbound",
    ];
    for backend in ["nft", "iptables"] {
        for flags in flags {
            let apply = format!("apply {flags} --backend {backend}");
            space.intercepts(&apply);
            assert_ne!(everything(space), before, "{apply}");
            let once = space.intercepts("show");
            assert_ne!(once, "nothing is installed\n", "{apply}");
            space.intercepts(&apply);
            assert_eq!(space.intercepts("show"), once, "{apply}, twice");
            space.intercepts("remove");
            assert_eq!(everything(space), before, "{apply}, removed");
            space.intercepts("remove");
            assert_eq!(everything(space), before, "{apply}, removed twice");
        }
        // Each takes the place of the one before, the other backend's among them.
        for flags in flags {
            space.intercepts(&format!("apply {flags} --backend {backend}"));
        }
    }
    space.intercepts("apply --uid 0 --backend nft");
    let shown = space.intercepts("show");
    assert!(shown.starts_with("table inet outrigger {"), "{shown}");
    assert!(
        !shown.contains("OUTRIGGER_") && !shown.contains("ip -4"),
        "{shown}"
    );
    space.intercepts("remove");
    assert_eq!(everything(space), before);
}

/// Looking for rules of iptables makes no tables either.
#[test]
fn a_bare_namespace_is_bare_again() {
    if !possible(&[]) {
        return;
    }
    let mesh = Mesh::new();
    let space = &mesh.a.space;
    assert_eq!(space.says("nft list ruleset"), "");
    space.intercepts("apply --uid 0 --mode tproxy");
    assert!(space.says("nft list ruleset").contains("table inet outrigger"));
    space.intercepts("remove");
    assert_eq!(space.says("nft list ruleset"), "");
}

#[test]
fn what_cannot_be_done_is_said() {
    if !possible(&[]) {
        return;
    }
    let mesh = Mesh::new();
    let space = &mesh.a.space;
    let usage = space.intercept("apply");
    assert_eq!(usage.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&usage.stderr).contains("--uid, --gid or --mark"));
    let planned = space.intercepts("apply --uid 0 --dry-run");
    assert!(planned.contains("table inet outrigger"), "{planned}");
    assert_eq!(space.intercepts("show"), "nothing is installed\n");
    let mut powerless = space.command("setpriv");
    let output = powerless
        .args(["--bounding-set", "-net_admin", "--inh-caps", "-net_admin"])
        .arg(outrigger_harness::process::binary())
        .args(["intercept", "apply", "--uid", "0"])
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("CAP_NET_ADMIN"), "{stderr}");
}
