//! The rules as iptables has them: chains of our own in its tables, and the jumps to them, the same for both families.
//!
//! Each table is one transaction of `iptables-restore --noflush`, which leaves everything else in it alone.

use super::plan::{Inbound, Mode, Outbound, Plan};
use std::fmt::Write;

/// One address family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    V4,
    V6,
}

impl Family {
    pub(super) const BOTH: [Family; 2] = [Family::V4, Family::V6];

    /// The program that says what is there.
    pub(super) fn program(self) -> &'static str {
        match self {
            Family::V4 => "iptables",
            Family::V6 => "ip6tables",
        }
    }

    /// The program that changes it in one go.
    pub(super) fn restore(self) -> &'static str {
        match self {
            Family::V4 => "iptables-restore",
            Family::V6 => "ip6tables-restore",
        }
    }
}

/// The tables that we may have chains in.
pub(super) const TABLES: [&str; 2] = ["nat", "mangle"];

/// Our chains, each with the chain that jumps to it.
const CHAINS: [(&str, &str); 3] = [
    ("OUTRIGGER_INBOUND", "PREROUTING"),
    ("OUTRIGGER_OUTBOUND", "OUTPUT"),
    ("OUTRIGGER_ANSWERS", "OUTPUT"),
];

/// The lines of a table's `iptables -S` that are ours.
pub(super) fn ours(listing: &str) -> Vec<&str> {
    listing
        .lines()
        .filter(|line| line.split_whitespace().any(|word| word.starts_with("OUTRIGGER_")))
        .collect()
}

/// What `iptables-restore --noflush` is given to make a table what the plan says of it: none if there is nothing to
/// change. `listing` is what `iptables -S` says of the table.
pub(super) fn apply(plan: &Plan, table: &str, family: Family, listing: &str) -> Option<String> {
    let chains = chains(plan, table, family);
    let mut text = removal(listing);
    for (name, _, rules) in &chains {
        let _ = writeln!(text, ":{name} - [0:0]");
        for rule in rules {
            let _ = writeln!(text, "-A {name} {rule}");
        }
    }
    for (name, from, _) in &chains {
        let _ = writeln!(text, "-A {from} -p tcp -j {name}");
    }
    transaction(table, &text)
}

/// What `iptables-restore --noflush` is given to remove what of a table is ours; none if nothing is.
pub(super) fn remove(table: &str, listing: &str) -> Option<String> {
    transaction(table, &removal(listing))
}

fn transaction(table: &str, body: &str) -> Option<String> {
    (!body.is_empty()).then(|| format!("*{table}\n{body}COMMIT\n"))
}

fn removal(listing: &str) -> String {
    let mut text = String::new();
    let ours = ours(listing);
    for line in &ours {
        let chain = line.split_whitespace().nth(1).unwrap_or_default();
        if let Some(rule) = line.strip_prefix("-A ")
            && !chain.starts_with("OUTRIGGER_")
        {
            let _ = writeln!(text, "-D {rule}");
        }
    }
    let declared: Vec<&str> = ours.iter().filter_map(|line| line.strip_prefix("-N ")).collect();
    for name in &declared {
        let _ = writeln!(text, "-F {name}");
    }
    for name in &declared {
        let _ = writeln!(text, "-X {name}");
    }
    text
}

/// What opens a connection. The rules take nothing else: a connection that was open before them stays as it is, though
/// the kernel may begin to track it with any of its packets.
const OPENING: &str = "-p tcp --syn";

type Chain = (&'static str, &'static str, Vec<String>);

/// The chains that the plan has in a table.
fn chains(plan: &Plan, table: &str, family: Family) -> Vec<Chain> {
    let [inbound, outbound, answers] = CHAINS;
    let mut chains = Vec::new();
    if let Some(plan) = &plan.inbound
        && table == inbound_table(plan)
    {
        chains.push((inbound.0, inbound.1, inbound_rules(plan)));
    }
    if let Some(plan) = &plan.outbound
        && table == "nat"
    {
        chains.push((outbound.0, outbound.1, outbound_rules(plan, family)));
    }
    if let Some(plan) = plan.transparent()
        && table == "mangle"
    {
        let mark = plan.route_mark;
        chains.push((
            answers.0,
            answers.1,
            vec![
                format!(
                    "-m conntrack --ctdir ORIGINAL -m addrtype ! --src-type LOCAL -j CONNMARK --set-mark {mark:#x}"
                ),
                format!(
                    "-m conntrack --ctdir REPLY -m connmark --mark {mark:#x} -j MARK --set-mark {mark:#x}"
                ),
            ],
        ));
    }
    chains
}

fn inbound_table(inbound: &Inbound) -> &'static str {
    match inbound.mode {
        Mode::Redirect => "nat",
        Mode::Tproxy => "mangle",
    }
}

fn inbound_rules(inbound: &Inbound) -> Vec<String> {
    let mut rules = vec![
        "-i lo -j RETURN".to_owned(),
        "-m addrtype ! --dst-type LOCAL -j RETURN".to_owned(),
    ];
    for range in &inbound.exclude_ports {
        rules.push(format!("-p tcp --dport {} -j RETURN", range.with(':')));
    }
    let (what, target) = match inbound.mode {
        Mode::Redirect => (OPENING, format!("-j REDIRECT --to-ports {}", inbound.to)),
        Mode::Tproxy => {
            // Answers to what is forwarded from here under an address of ours: no socket here is theirs.
            rules.push("-p tcp ! --syn -m conntrack --ctdir REPLY -j RETURN".to_owned());
            // What is of a connection finds its socket. TPROXY would drop what finds one that is not transparent, and
            // what finds none while nobody listens.
            rules.push("-p tcp ! --syn -m socket -j RETURN".to_owned());
            // The last of a handshake may find no socket but the listener's.
            ("-p tcp", format!("-j TPROXY --on-port {}", inbound.to))
        }
    };
    if inbound.ports.is_empty() {
        rules.push(format!("{what} {target}"));
    }
    for range in &inbound.ports {
        rules.push(format!("{what} --dport {} {target}", range.with(':')));
    }
    rules
}

fn outbound_rules(outbound: &Outbound, family: Family) -> Vec<String> {
    let mut rules = Vec::new();
    for uid in &outbound.uids {
        rules.push(format!("-m owner --uid-owner {uid} -j RETURN"));
    }
    for gid in &outbound.gids {
        rules.push(format!("-m owner --gid-owner {gid} -j RETURN"));
    }
    if let Some(mark) = outbound.mark {
        rules.push(format!("-m mark --mark {mark:#x} -j RETURN"));
    }
    rules.push("-o lo -j RETURN".to_owned());
    for prefix in &outbound.exclude_addresses {
        if prefix.addr().is_ipv4() == (family == Family::V4) {
            rules.push(format!("-d {prefix} -j RETURN"));
        }
    }
    for range in &outbound.exclude_ports {
        rules.push(format!("-p tcp --dport {} -j RETURN", range.with(':')));
    }
    rules.push(format!("{OPENING} -j REDIRECT --to-ports {}", outbound.to));
    rules
}
