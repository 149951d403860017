//! The rules' texts, whole: whoever changes one sees here what is installed.

use super::*;
use clap::Parser;

#[derive(Parser)]
struct Flags {
    #[command(flatten)]
    apply: ApplyArguments,
}

fn plan(flags: &str) -> Plan {
    let words = std::iter::once("apply").chain(flags.split_whitespace());
    Plan::of(&Flags::try_parse_from(words).unwrap().apply).unwrap()
}

fn bad(flags: &str) -> String {
    let words = std::iter::once("apply").chain(flags.split_whitespace());
    match Flags::try_parse_from(words) {
        Ok(flags) => Plan::of(&flags.apply).unwrap_err().to_string(),
        Err(error) => error.to_string(),
    }
}

const EVERYTHING: &str = "--uid 1337 --gid 1337,1400 --mark 0x1f --inbound-ports 80,8000-8099,443 \
     --exclude-inbound-ports 8080,9901 --exclude-outbound-ports 3306,5432 \
     --exclude-outbound-addresses 10.0.0.0/8,169.254.169.254,fd00::/8";

#[test]
fn nftables_takes_everything_but_the_proxy_and_loopback() {
    assert_eq!(
        written(&plan("--uid 1337"), Backend::Nft),
        "# nft -f -
add table inet outrigger
delete table inet outrigger
table inet outrigger {
    chain inbound {
        type nat hook prerouting priority dstnat; policy accept;
        iifname \"lo\" return
        fib daddr type != local return
        tcp dport 15006 return
        tcp flags & (fin | syn | rst | ack) == syn redirect to :15006
    }
    chain outbound {
        type nat hook output priority -100; policy accept;
        meta skuid 1337 return
        oifname \"lo\" return
        tcp flags & (fin | syn | rst | ack) == syn redirect to :15001
    }
}
"
    );
}

#[test]
fn nftables_with_every_flag() {
    assert_eq!(
        written(&plan(EVERYTHING), Backend::Nft),
        "# nft -f -
add table inet outrigger
delete table inet outrigger
table inet outrigger {
    chain inbound {
        type nat hook prerouting priority dstnat; policy accept;
        iifname \"lo\" return
        fib daddr type != local return
        tcp dport { 8080, 9901, 15006 } return
        tcp dport { 80, 443, 8000-8099 } tcp flags & (fin | syn | rst | ack) == syn redirect to :15006
    }
    chain outbound {
        type nat hook output priority -100; policy accept;
        meta skuid 1337 return
        meta skgid { 1337, 1400 } return
        meta mark 0x1f return
        oifname \"lo\" return
        ip daddr { 10.0.0.0/8, 169.254.169.254/32 } return
        ip6 daddr fd00::/8 return
        tcp dport { 3306, 5432 } return
        tcp flags & (fin | syn | rst | ack) == syn redirect to :15001
    }
}
"
    );
}

#[test]
fn nftables_by_tproxy() {
    assert_eq!(
        written(
            &plan("--direction inbound --mode tproxy --inbound-port 16000"),
            Backend::Nft
        ),
        "# ip -4 rule add fwmark 0x539 lookup 133 protocol 79
# ip -4 route add local default dev lo table 133 protocol 79
# ip -6 rule add fwmark 0x539 lookup 133 protocol 79
# ip -6 route add local default dev lo table 133 protocol 79
# nft -f -
add table inet outrigger
delete table inet outrigger
table inet outrigger {
    chain inbound {
        type filter hook prerouting priority mangle; policy accept;
        iifname \"lo\" return
        fib daddr type != local return
        tcp dport 16000 return
        tcp flags & (fin | syn | rst | ack) != syn ct direction reply return
        meta l4proto tcp tproxy to :16000 accept
        tcp flags & (fin | syn | rst | ack) == syn reject with tcp reset
    }
    chain answers {
        type route hook output priority mangle; policy accept;
        meta l4proto tcp ct direction original fib saddr type != local ct mark set 0x539
        meta l4proto tcp ct direction reply ct mark 0x539 meta mark set 0x539
    }
}
"
    );
}

#[test]
fn iptables_has_the_same_rules_for_each_family() {
    let text = written(&plan(EVERYTHING), Backend::Iptables);
    let (v4, v6) = text.split_once("# ip6tables-restore --noflush\n").unwrap();
    assert_eq!(
        v4,
        "# iptables-restore --noflush
*nat
:OUTRIGGER_INBOUND - [0:0]
-A OUTRIGGER_INBOUND -i lo -j RETURN
-A OUTRIGGER_INBOUND -m addrtype ! --dst-type LOCAL -j RETURN
-A OUTRIGGER_INBOUND -p tcp --dport 8080 -j RETURN
-A OUTRIGGER_INBOUND -p tcp --dport 9901 -j RETURN
-A OUTRIGGER_INBOUND -p tcp --dport 15006 -j RETURN
-A OUTRIGGER_INBOUND -p tcp --syn --dport 80 -j REDIRECT --to-ports 15006
-A OUTRIGGER_INBOUND -p tcp --syn --dport 443 -j REDIRECT --to-ports 15006
-A OUTRIGGER_INBOUND -p tcp --syn --dport 8000:8099 -j REDIRECT --to-ports 15006
:OUTRIGGER_OUTBOUND - [0:0]
-A OUTRIGGER_OUTBOUND -m owner --uid-owner 1337 -j RETURN
-A OUTRIGGER_OUTBOUND -m owner --gid-owner 1337 -j RETURN
-A OUTRIGGER_OUTBOUND -m owner --gid-owner 1400 -j RETURN
-A OUTRIGGER_OUTBOUND -m mark --mark 0x1f -j RETURN
-A OUTRIGGER_OUTBOUND -o lo -j RETURN
-A OUTRIGGER_OUTBOUND -d 10.0.0.0/8 -j RETURN
-A OUTRIGGER_OUTBOUND -d 169.254.169.254/32 -j RETURN
-A OUTRIGGER_OUTBOUND -p tcp --dport 3306 -j RETURN
-A OUTRIGGER_OUTBOUND -p tcp --dport 5432 -j RETURN
-A OUTRIGGER_OUTBOUND -p tcp --syn -j REDIRECT --to-ports 15001
-A PREROUTING -p tcp -j OUTRIGGER_INBOUND
-A OUTPUT -p tcp -j OUTRIGGER_OUTBOUND
COMMIT
"
    );
    assert_eq!(
        v6,
        v4.replace("# iptables-restore --noflush\n", "")
            .replace("-d 10.0.0.0/8", "-d fd00::/8")
            .replace("-A OUTRIGGER_OUTBOUND -d 169.254.169.254/32 -j RETURN\n", "")
    );
}

#[test]
fn iptables_by_tproxy_has_its_rules_in_mangle() {
    let text = written(&plan("--direction inbound --mode tproxy"), Backend::Iptables);
    let (_, v6) = text.split_once("# ip6tables-restore --noflush\n").unwrap();
    assert_eq!(
        v6,
        "*mangle
:OUTRIGGER_INBOUND - [0:0]
-A OUTRIGGER_INBOUND -i lo -j RETURN
-A OUTRIGGER_INBOUND -m addrtype ! --dst-type LOCAL -j RETURN
-A OUTRIGGER_INBOUND -p tcp --dport 15006 -j RETURN
-A OUTRIGGER_INBOUND -p tcp ! --syn -m conntrack --ctdir REPLY -j RETURN
-A OUTRIGGER_INBOUND -p tcp ! --syn -m socket -j RETURN
-A OUTRIGGER_INBOUND -p tcp -j TPROXY --on-port 15006
:OUTRIGGER_ANSWERS - [0:0]
-A OUTRIGGER_ANSWERS -m conntrack --ctdir ORIGINAL -m addrtype ! --src-type LOCAL -j CONNMARK --set-mark 0x539
-A OUTRIGGER_ANSWERS -m conntrack --ctdir REPLY -m connmark --mark 0x539 -j MARK --set-mark 0x539
-A PREROUTING -p tcp -j OUTRIGGER_INBOUND
-A OUTPUT -p tcp -j OUTRIGGER_ANSWERS
COMMIT
"
    );
}

#[test]
fn iptables_removes_its_own_and_nothing_else() {
    let listing = "-P PREROUTING ACCEPT
-P OUTPUT ACCEPT
-N MINE
-N OUTRIGGER_INBOUND
-N OUTRIGGER_OUTBOUND
-A PREROUTING -j MINE
-A PREROUTING -p tcp -j OUTRIGGER_INBOUND
-A OUTPUT -p tcp -j OUTRIGGER_OUTBOUND
-A MINE -p tcp -j RETURN
-A OUTRIGGER_INBOUND -p tcp -j REDIRECT --to-ports 15006
-A OUTRIGGER_OUTBOUND -o lo -j RETURN
";
    assert_eq!(
        iptables::remove("nat", listing).unwrap(),
        "*nat
-D PREROUTING -p tcp -j OUTRIGGER_INBOUND
-D OUTPUT -p tcp -j OUTRIGGER_OUTBOUND
-F OUTRIGGER_INBOUND
-F OUTRIGGER_OUTBOUND
-X OUTRIGGER_INBOUND
-X OUTRIGGER_OUTBOUND
COMMIT
"
    );
    assert_eq!(iptables::remove("nat", "-P OUTPUT ACCEPT\n-N MINE\n"), None);
}

#[test]
fn flags_that_would_make_a_circle_are_refused() {
    for (flags, wanted) in [
        ("", "what the proxy sends must pass"),
        ("--direction outbound", "what the proxy sends must pass"),
        ("--uid 1 --inbound-port 15001", "are the same"),
        (
            "--mark 1337 --mode tproxy",
            "--mark and --route-mark are the same",
        ),
        ("--uid 1 --inbound-port 0", "--inbound-port"),
        ("--uid 1 --exclude-outbound-ports 80-70", "80 comes after 70"),
        (
            "--uid 1 --exclude-outbound-addresses 10.0.0.0/40",
            "no address and no prefix",
        ),
        ("--uid root", "--uid"),
        ("--mark 0", "every packet has it"),
    ] {
        let error = bad(flags);
        assert!(error.contains(wanted), "{flags}: {error}");
    }
    plan("--direction inbound");
}
