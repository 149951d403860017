//! What proxies in front say of a client, and how much of it is believed: the trust is in who is at the other end of the
//! connection, never in what a header says of itself.

use ipnet::IpNet;
use smallvec::SmallVec;
use std::net::IpAddr;

/// How many proxies in front are trusted for a request from `peer`: `hops` (Envoy's `xff_num_trusted_hops`) if the peer
/// is one of them, which every peer is if no prefixes are named, else none. `peer` is canonical: never an IPv4 address
/// mapped into IPv6.
pub fn trusted_hops(hops: u32, trusted: &[IpNet], peer: IpAddr) -> u32 {
    if hops == 0 || trusted.is_empty() || trusted.iter().any(|prefix| prefix.contains(&peer)) {
        hops
    } else {
        0
    }
}

/// The client, as told by the fields of `x-forwarded-for` through this many trusted proxies: the last entry but
/// `hops - 1`, since each proxy appends the address that it saw. None if there are fewer, or if that one is no address:
/// then the client is who is at the other end.
pub fn client<'f>(fields: impl Iterator<Item = &'f [u8]>, hops: u32) -> Option<IpAddr> {
    let mut back = usize::try_from(hops).ok()?.checked_sub(1)?;
    let fields: SmallVec<[&[u8]; 4]> = fields.collect();
    for field in fields.iter().rev() {
        for entry in field.rsplit(|byte| *byte == b',') {
            if back == 0 {
                let entry = std::str::from_utf8(entry.trim_ascii()).ok()?;
                return entry.parse::<IpAddr>().ok().map(|address| address.to_canonical());
            }
            back -= 1;
        }
    }
    None
}

/// The scheme of the client's request, as told by the fields of a trusted `x-forwarded-proto`: none unless it is one
/// field that says `http` or `https`, in any case.
pub fn scheme<'f>(mut fields: impl Iterator<Item = &'f [u8]>) -> Option<&'static str> {
    let (field, None) = (fields.next()?, fields.next()) else {
        return None;
    };
    ["https", "http"]
        .into_iter()
        .find(|scheme| field.eq_ignore_ascii_case(scheme.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    type Fields<'f> = &'f [&'f [u8]];

    #[test]
    fn trust_is_in_the_peer() {
        let load_balancers: [IpNet; 2] = ["10.1.0.0/16".parse().unwrap(), "fd00::/8".parse().unwrap()];
        for (peer, hops) in [("10.1.2.3", 2), ("fd00::1", 2), ("10.2.0.1", 0), ("::1", 0)] {
            assert_eq!(
                trusted_hops(2, &load_balancers, peer.parse().unwrap()),
                hops,
                "{peer}"
            );
            assert_eq!(
                trusted_hops(0, &load_balancers, peer.parse().unwrap()),
                0,
                "{peer}"
            );
            assert_eq!(trusted_hops(2, &[], peer.parse().unwrap()), 2, "{peer}");
        }
    }

    #[test]
    fn the_client_is_as_many_entries_back_as_proxies_are_trusted() {
        let two: &[&[u8]] = &[b"6.6.6.6, 1.1.1.1", b"2.2.2.2"];
        let table: &[(Fields<'_>, u32, Option<&str>)] = &[
            (two, 0, None),
            (two, 1, Some("2.2.2.2")),
            (two, 2, Some("1.1.1.1")),
            (two, 3, Some("6.6.6.6")),
            (two, 4, None),
            (&[], 1, None),
            (&[b""], 1, None),
            (&[b"1.1.1.1,"], 1, None),
            (&[b"1.1.1.1, unknown"], 1, None),
            (&[b"1.1.1.1, unknown"], 2, Some("1.1.1.1")),
            (&[b"1.1.1.1:80"], 1, None),
            (&[b" ::1 "], 1, Some("::1")),
            (&[b"::ffff:1.2.3.4"], 1, Some("1.2.3.4")),
            (&[b"\xff"], 1, None),
            (&[b"\xff, 1.1.1.1"], 1, Some("1.1.1.1")),
        ];
        for (fields, hops, expected) in table {
            let found = client(fields.iter().copied(), *hops).map(|address| address.to_string());
            assert_eq!(found.as_deref(), *expected, "{fields:?} {hops}");
        }
    }

    #[test]
    fn only_one_clear_scheme_is_believed() {
        let table: &[(Fields<'_>, Option<&str>)] = &[
            (&[b"https"], Some("https")),
            (&[b"HTTP"], Some("http")),
            (&[b"https", b"http"], None),
            (&[b"https, http"], None),
            (&[b"httpss"], None),
            (&[b"wss"], None),
            (&[b""], None),
            (&[], None),
        ];
        for (fields, expected) in table {
            assert_eq!(scheme(fields.iter().copied()), *expected, "{fields:?}");
        }
    }
}
