//! Networks, found by an address in time that does not grow with their number.

use super::facts::Facts;
use ipnet::{IpNet, Ipv4Net};
use prefix_trie::joint::JointPrefixMap;
use std::net::IpAddr;

/// Which address of a connection is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum AddressKind {
    Remote,
    Direct,
    Destination,
}

impl AddressKind {
    pub(super) const ALL: [AddressKind; 3] =
        [AddressKind::Remote, AddressKind::Direct, AddressKind::Destination];

    /// The address; none: it is not known. An IPv4 address that came as an IPv6 one is an IPv4 address.
    pub(super) fn of(self, facts: &Facts<'_>) -> Option<IpAddr> {
        let address = match self {
            AddressKind::Remote => facts.remote?,
            AddressKind::Direct => facts.direct,
            AddressKind::Destination => facts.destination.ip(),
        };
        Some(address.to_canonical())
    }
}

/// The network that canonical addresses are compared with: one of IPv4-mapped addresses is an IPv4 network.
pub(super) fn comparable(net: IpNet) -> IpNet {
    let mapped = match net {
        IpNet::V6(net) if net.prefix_len() >= 96 => net.network().to_ipv4_mapped(),
        _ => None,
    };
    match mapped {
        Some(address) => {
            let length = net.prefix_len() - 96;
            Ipv4Net::new(address, length).map_or(net, IpNet::V4)
        }
        None => net.trunc(),
    }
}

/// What is known of networks, by address.
#[derive(Debug)]
pub(super) struct Networks<T>(JointPrefixMap<IpNet, T>);

impl<T> Default for Networks<T> {
    fn default() -> Networks<T> {
        Networks(JointPrefixMap::new())
    }
}

impl<T> Networks<T> {
    pub(super) fn insert(&mut self, net: IpNet, value: T) {
        self.0.insert(net, value);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Some network holds the address.
    pub(super) fn contains(&self, address: IpAddr) -> bool {
        self.0.get_spm(&IpNet::from(address)).is_some()
    }

    /// Calls `each` with what is known of every network that holds the address.
    pub(super) fn covering<'n>(&'n self, address: IpAddr, each: &mut dyn FnMut(&'n T)) {
        let host = IpNet::from(address);
        self.0.cover_values(&host).for_each(each);
    }
}

impl<T: Default> Networks<T> {
    pub(super) fn entry(&mut self, net: IpNet) -> &mut T {
        self.0.entry(net).or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mapped_networks_hold_the_addresses_that_they_map() {
        let address: IpAddr = "10.1.2.3".parse().unwrap();
        for (net, holds) in [
            ("10.0.0.0/8", true),
            ("10.1.2.3/8", true),
            ("::ffff:10.0.0.0/104", true),
            ("::ffff:11.0.0.0/104", false),
            ("::/0", false),
            ("0.0.0.0/0", true),
        ] {
            let mut networks = Networks::default();
            networks.insert(comparable(net.parse().unwrap()), ());
            assert_eq!(networks.contains(address), holds, "{net}");
        }
    }
}
