//! The rules as nftables has them: one table of the family `inet`, for IPv4 and IPv6 alike, replaced as a whole.

use super::plan::{Inbound, Mode, Outbound, Plan, PortRange};
use std::fmt::{Display, Write};

/// The table: all that is in it is ours, and nothing of ours is elsewhere.
pub(super) const TABLE: &str = "inet outrigger";

/// What opens a connection. The rules take nothing else: a connection that was open before them stays as it is, though
/// the kernel may begin to track it with any of its packets.
const OPENING: &str = "tcp flags & (fin | syn | rst | ack) == syn";

/// All else of a connection.
const NOT_OPENING: &str = "tcp flags & (fin | syn | rst | ack) != syn";

/// What `nft -f -` is given to install the plan in place of what is there, in one transaction.
pub(super) fn apply(plan: &Plan) -> String {
    let mut text = remove();
    let _ = writeln!(text, "table {TABLE} {{");
    if let Some(inbound) = &plan.inbound {
        text.push_str(&self::inbound(inbound));
    }
    if let Some(outbound) = &plan.outbound {
        text.push_str(&self::outbound(outbound));
    }
    if let Some(inbound) = plan.transparent() {
        text.push_str(&answers(inbound.route_mark));
    }
    text.push_str("}\n");
    text
}

/// What `nft -f -` is given to remove the table, whether it is there or not.
pub(super) fn remove() -> String {
    format!("add table {TABLE}\ndelete table {TABLE}\n")
}

fn inbound(inbound: &Inbound) -> String {
    let hook = match inbound.mode {
        Mode::Redirect => "type nat hook prerouting priority dstnat; policy accept;",
        Mode::Tproxy => "type filter hook prerouting priority mangle; policy accept;",
    };
    let mut rules = vec![
        // What the application says to itself, and what the proxy says to it.
        "iifname \"lo\" return".to_owned(),
        // What is only passed on here.
        "fib daddr type != local return".to_owned(),
        format!("tcp dport {} return", ports(&inbound.exclude_ports)),
    ];
    let wanted = match inbound.ports.as_slice() {
        [] => String::new(),
        wanted => format!("tcp dport {} ", ports(wanted)),
    };
    match inbound.mode {
        Mode::Redirect => rules.push(format!("{wanted}{OPENING} redirect to :{}", inbound.to)),
        Mode::Tproxy => {
            // Answers to what is forwarded from here under an address of ours: no socket here is theirs.
            rules.push(format!("{NOT_OPENING} ct direction reply return"));
            // What is of a connection finds its socket. The last of a handshake may find none but the listener's.
            let all = if wanted.is_empty() {
                "meta l4proto tcp "
            } else {
                &wanted
            };
            rules.push(format!("{all}tproxy to :{} accept", inbound.to));
            // Nobody listens there: nothing of the application's may answer instead.
            rules.push(format!("{wanted}{OPENING} reject with tcp reset"));
        }
    }
    chain("inbound", hook, &rules)
}

fn outbound(outbound: &Outbound) -> String {
    let mut rules = Vec::new();
    if !outbound.uids.is_empty() {
        rules.push(format!("meta skuid {} return", set(&outbound.uids)));
    }
    if !outbound.gids.is_empty() {
        rules.push(format!("meta skgid {} return", set(&outbound.gids)));
    }
    if let Some(mark) = outbound.mark {
        rules.push(format!("meta mark {mark:#x} return"));
    }
    rules.push("oifname \"lo\" return".to_owned());
    let v4: Vec<_> = outbound
        .exclude_addresses
        .iter()
        .filter(|prefix| prefix.addr().is_ipv4())
        .collect();
    let v6: Vec<_> = outbound
        .exclude_addresses
        .iter()
        .filter(|prefix| prefix.addr().is_ipv6())
        .collect();
    if !v4.is_empty() {
        rules.push(format!("ip daddr {} return", set(&v4)));
    }
    if !v6.is_empty() {
        rules.push(format!("ip6 daddr {} return", set(&v6)));
    }
    if !outbound.exclude_ports.is_empty() {
        rules.push(format!("tcp dport {} return", ports(&outbound.exclude_ports)));
    }
    rules.push(format!("{OPENING} redirect to :{}", outbound.to));
    chain(
        "outbound",
        "type nat hook output priority -100; policy accept;",
        &rules,
    )
}

/// Where the proxy speaks to the application with a client's address, the answers must not leave for the client: they
/// are marked, and a route leads what is marked back.
fn answers(route_mark: u32) -> String {
    chain(
        "answers",
        "type route hook output priority mangle; policy accept;",
        &[
            format!(
                "meta l4proto tcp ct direction original fib saddr type != local ct mark set {route_mark:#x}"
            ),
            format!(
                "meta l4proto tcp ct direction reply ct mark {route_mark:#x} meta mark set {route_mark:#x}"
            ),
        ],
    )
}

fn chain(name: &str, hook: &str, rules: &[String]) -> String {
    let mut text = format!("    chain {name} {{\n        {hook}\n");
    for rule in rules {
        let _ = writeln!(text, "        {rule}");
    }
    text.push_str("    }\n");
    text
}

fn ports(ranges: &[PortRange]) -> String {
    let ranges: Vec<String> = ranges.iter().map(|range| range.with('-')).collect();
    set(&ranges)
}

/// One value as it is, several as a set.
fn set(values: &[impl Display]) -> String {
    match values {
        [one] => one.to_string(),
        several => {
            let several: Vec<String> = several.iter().map(ToString::to_string).collect();
            format!("{{ {} }}", several.join(", "))
        }
    }
}
