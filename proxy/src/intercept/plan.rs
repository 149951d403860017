//! What is to be intercepted: flags, checked and in order.

use clap::{Args, ValueEnum};
use ipnet::IpNet;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// Where a sidecar listens for connections from outside: Istio's number, which others' manifests know.
pub(super) const INBOUND_PORT: u16 = 15006;
/// Where a sidecar listens for connections to the outside: Istio's number.
pub(super) const OUTBOUND_PORT: u16 = 15001;
/// Mark of packets that a route leads back to the proxy, with [`Mode::Tproxy`]: Istio's.
const ROUTE_MARK: &str = "0x539";
/// The routing table of that route: Istio's.
const ROUTE_TABLE: u32 = 133;

/// What `outrigger intercept apply` is told.
#[derive(Debug, Clone, Args)]
pub(crate) struct ApplyArguments {
    /// Which connections are taken.
    #[arg(long, value_enum, default_value_t = Direction::Both)]
    direction: Direction,
    /// Where the proxy listens for connections from outside.
    #[arg(long, value_name = "PORT", default_value_t = INBOUND_PORT, value_parser = clap::value_parser!(u16).range(1..))]
    inbound_port: u16,
    /// Where the proxy listens for connections to the outside.
    #[arg(long, value_name = "PORT", default_value_t = OUTBOUND_PORT, value_parser = clap::value_parser!(u16).range(1..))]
    outbound_port: u16,
    /// Take connections from outside to these ports only, as in `80,8000-8099`; all if not given.
    #[arg(long, value_name = "PORTS", value_delimiter = ',')]
    inbound_ports: Vec<PortRange>,
    /// Let connections from outside to these ports pass.
    #[arg(long, value_name = "PORTS", value_delimiter = ',')]
    exclude_inbound_ports: Vec<PortRange>,
    /// Let connections to the outside to these ports pass.
    #[arg(long, value_name = "PORTS", value_delimiter = ',')]
    exclude_outbound_ports: Vec<PortRange>,
    /// Let connections to these addresses pass, IPv4 or IPv6, as in `10.0.0.0/8,fd00::/8`.
    #[arg(long, value_name = "PREFIXES", value_delimiter = ',', value_parser = prefix)]
    exclude_outbound_addresses: Vec<IpNet>,
    /// The users that the proxy runs as: what they send passes.
    #[arg(long, value_name = "UIDS", value_delimiter = ',')]
    uid: Vec<u32>,
    /// The groups that the proxy runs as: what they send passes.
    #[arg(long, value_name = "GIDS", value_delimiter = ',')]
    gid: Vec<u32>,
    /// The mark of the proxy's sockets (`runtime.socket_mark`): what carries it passes.
    #[arg(long, value_name = "MARK", value_parser = mark)]
    mark: Option<u32>,
    /// How connections from outside are led to the proxy. With `tproxy` the proxy may keep their source addresses
    /// towards the application; it needs the capability CAP_NET_ADMIN then.
    #[arg(long, value_enum, default_value_t = Mode::Redirect)]
    mode: Mode,
    /// With `--mode tproxy`: the mark by which answers of the application find the proxy.
    #[arg(long, value_name = "MARK", default_value = ROUTE_MARK, value_parser = mark)]
    route_mark: u32,
    /// With `--mode tproxy`: the routing table by which they do.
    #[arg(long, value_name = "TABLE", default_value_t = ROUTE_TABLE, value_parser = clap::value_parser!(u32).range(1..253))]
    route_table: u32,
    /// What the rules are written with.
    #[arg(long, value_enum, default_value_t = Backend::Auto)]
    pub(super) backend: Backend,
    /// Print what would be installed, and install nothing.
    #[arg(long)]
    pub(super) dry_run: bool,
}

/// Which connections are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Direction {
    /// Those from outside and those to the outside.
    Both,
    /// Those from outside only.
    Inbound,
    /// Those to the outside only.
    Outbound,
}

/// How connections from outside are led to the proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mode {
    /// By rewriting their destination; the listener has `interception: redirect`.
    Redirect,
    /// As they are; the listener has `interception: tproxy`.
    Tproxy,
}

/// What rules are written with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Backend {
    /// nftables where it works, else iptables.
    Auto,
    /// nftables, by the program `nft`.
    Nft,
    /// iptables and ip6tables, of either kind.
    Iptables,
}

/// A port, or the ports from one to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct PortRange {
    first: u16,
    last: u16,
}

impl PortRange {
    fn one(port: u16) -> PortRange {
        PortRange {
            first: port,
            last: port,
        }
    }

    /// The range with this character between its ends.
    pub(super) fn with(self, between: char) -> String {
        if self.first == self.last {
            self.first.to_string()
        } else {
            format!("{}{between}{}", self.first, self.last)
        }
    }
}

impl FromStr for PortRange {
    type Err = String;

    fn from_str(text: &str) -> Result<PortRange, String> {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let port = |text: &str| match text.trim().parse::<u16>() {
            Ok(port) if port > 0 => Ok(port),
            _ => Err(format!("`{}` is no port: 1 to 65535", text.trim())),
        };
        let (first, last) = (port(first)?, port(last)?);
        if first > last {
            return Err(format!("{first} comes after {last}"));
        }
        Ok(PortRange { first, last })
    }
}

/// A prefix, or an address as a prefix of its own.
fn prefix(text: &str) -> Result<IpNet, String> {
    let text = text.trim();
    text.parse::<IpNet>()
        .or_else(|_| text.parse::<IpAddr>().map(IpNet::from))
        .map(|prefix| prefix.trunc())
        .map_err(|_| format!("`{text}` is no address and no prefix"))
}

/// A packet mark, decimal or as `0x539`; not 0, which every packet has.
fn mark(text: &str) -> Result<u32, String> {
    let parsed = match text.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16),
        None => text.parse(),
    };
    match parsed {
        Ok(0) => Err("0 is no mark: every packet has it".to_owned()),
        Ok(mark) => Ok(mark),
        Err(error) => Err(error.to_string()),
    }
}

/// What is intercepted, whatever the rules are written with. Ranges and prefixes are in order and do not touch.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) inbound: Option<Inbound>,
    pub(super) outbound: Option<Outbound>,
}

/// Connections from outside.
#[derive(Debug, Clone)]
pub(super) struct Inbound {
    /// Where the proxy listens.
    pub(super) to: u16,
    pub(super) mode: Mode,
    /// Ports that are taken; empty: all.
    pub(super) ports: Vec<PortRange>,
    /// Ports that are let be, the proxy's own among them.
    pub(super) exclude_ports: Vec<PortRange>,
    pub(super) route_mark: u32,
    pub(super) route_table: u32,
}

/// Connections to the outside.
#[derive(Debug, Clone)]
pub(super) struct Outbound {
    /// Where the proxy listens.
    pub(super) to: u16,
    pub(super) uids: Vec<u32>,
    pub(super) gids: Vec<u32>,
    pub(super) mark: Option<u32>,
    pub(super) exclude_ports: Vec<PortRange>,
    pub(super) exclude_addresses: Vec<IpNet>,
}

/// Why flags make no plan.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct BadFlags(&'static str);

impl fmt::Display for BadFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl Plan {
    /// The plan of these flags.
    pub(super) fn of(flags: &ApplyArguments) -> Result<Plan, BadFlags> {
        let inbound = flags.direction != Direction::Outbound;
        let outbound = flags.direction != Direction::Inbound;
        if outbound && flags.uid.is_empty() && flags.gid.is_empty() && flags.mark.is_none() {
            return Err(BadFlags(
                "what the proxy sends must pass: say by --uid, --gid or --mark what that is",
            ));
        }
        if inbound && outbound && flags.inbound_port == flags.outbound_port {
            return Err(BadFlags(
                "--inbound-port and --outbound-port are the same: the proxy could not tell which is which",
            ));
        }
        if inbound && flags.mode == Mode::Tproxy && flags.mark == Some(flags.route_mark) {
            return Err(BadFlags(
                "--mark and --route-mark are the same: what the proxy sends would come back to it",
            ));
        }
        let inbound = inbound.then(|| {
            let own = PortRange::one(flags.inbound_port);
            let excluded = flags.exclude_inbound_ports.iter().copied();
            Inbound {
                to: flags.inbound_port,
                mode: flags.mode,
                ports: merged(flags.inbound_ports.iter().copied()),
                exclude_ports: merged(excluded.chain([own])),
                route_mark: flags.route_mark,
                route_table: flags.route_table,
            }
        });
        let outbound = outbound.then(|| Outbound {
            to: flags.outbound_port,
            uids: sorted(&flags.uid),
            gids: sorted(&flags.gid),
            mark: flags.mark,
            exclude_ports: merged(flags.exclude_outbound_ports.iter().copied()),
            exclude_addresses: IpNet::aggregate(&flags.exclude_outbound_addresses),
        });
        Ok(Plan { inbound, outbound })
    }

    /// The inbound side, if it goes by TPROXY.
    pub(super) fn transparent(&self) -> Option<&Inbound> {
        self.inbound
            .as_ref()
            .filter(|inbound| inbound.mode == Mode::Tproxy)
    }
}

/// Ranges in order, those that touch made one: sets of nftables take no others.
fn merged(ranges: impl Iterator<Item = PortRange>) -> Vec<PortRange> {
    let mut ranges: Vec<PortRange> = ranges.collect();
    ranges.sort_unstable();
    let mut merged: Vec<PortRange> = Vec::new();
    for range in ranges {
        match merged.last_mut() {
            Some(before) if u32::from(range.first) <= u32::from(before.last) + 1 => {
                before.last = before.last.max(range.last);
            }
            _ => merged.push(range),
        }
    }
    merged
}

fn sorted(numbers: &[u32]) -> Vec<u32> {
    let mut numbers = numbers.to_vec();
    numbers.sort_unstable();
    numbers.dedup();
    numbers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_that_touch_become_one() {
        let ranges = ["8090-8100", "80", "81-82", "8000-8095", "443"].map(|text| text.parse().unwrap());
        let texts: Vec<String> = merged(ranges.into_iter())
            .iter()
            .map(|range| range.with('-'))
            .collect();
        assert_eq!(texts, ["80-82", "443", "8000-8100"]);
    }

    #[test]
    fn what_is_no_port_mark_or_prefix_is_refused() {
        for bad in ["0", "65536", "a", "9-8", "1-", ""] {
            assert!(bad.parse::<PortRange>().is_err(), "{bad:?}");
        }
        for bad in ["0", "0x", "-1", "4294967296", "red"] {
            assert!(mark(bad).is_err(), "{bad:?}");
        }
        for bad in ["10.0.0.0/33", "10.0.0", "::1/129", "example.com"] {
            assert!(prefix(bad).is_err(), "{bad:?}");
        }
        assert_eq!(mark("0x539"), Ok(1337));
        assert_eq!(prefix("10.1.2.3/8").unwrap().to_string(), "10.0.0.0/8");
        assert_eq!(prefix("fd00::1").unwrap().to_string(), "fd00::1/128");
    }
}
