//! Real ClientHellos, cut and split everywhere, and changed everywhere.

use super::*;
use proptest::prelude::*;
use std::sync::Arc;

/// The first bytes of a TLS client that wants this name and offers these protocols.
fn client_hello_of(name: &str, offers: &[&str]) -> Vec<u8> {
    let mut config = rustls::ClientConfig::builder()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    config.alpn_protocols = offers.iter().map(|offer| offer.as_bytes().to_vec()).collect();
    let name = rustls::pki_types::ServerName::try_from(name.to_owned()).unwrap();
    let mut client = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
    let mut bytes = Vec::new();
    client.write_tls(&mut bytes).unwrap();
    bytes
}

/// The same handshake message in records of this many bytes.
fn in_records_of(bytes: &[u8], size: usize) -> Vec<u8> {
    let message = &bytes[5..];
    let record = |part: &[u8]| {
        let length = u16::try_from(part.len()).unwrap().to_be_bytes();
        [&bytes[..3], &length, part].concat()
    };
    message.chunks(size).flat_map(record).collect()
}

fn expected() -> Parsed {
    Parsed::Hello(ClientHello {
        server_name: Some("shop.example".to_owned()),
        application_protocols: vec![b"h2".to_vec(), b"http/1.1".to_vec()],
    })
}

#[test]
fn a_hello_is_read_once_it_is_whole_however_it_is_cut_into_records() {
    let whole = client_hello_of("Shop.Example", &["h2", "http/1.1"]);
    for size in [1, 3, 64, 500, 16_384] {
        let bytes = in_records_of(&whole, size);
        for end in 0..bytes.len() {
            assert_eq!(
                parse(&bytes[..end]),
                Parsed::Partial,
                "records of {size}, cut at {end}"
            );
        }
        assert_eq!(parse(&bytes), expected(), "records of {size}");
        assert_eq!(parse(&[&bytes, b"early data".as_slice()].concat()), expected());
    }
}

#[test]
fn names_and_offers_may_be_missing() {
    let nothing = Parsed::Hello(ClientHello::default());
    assert_eq!(parse(&client_hello_of("127.0.0.1", &[])), nothing);
    // SSL 3.0's successor without extensions: version, random, no session, one suite, no compression.
    let body = [&[3, 1][..], &[7; 32], &[0, 0, 2, 0, 0x2f, 1, 0]].concat();
    let message = [&[1, 0, 0, body.len() as u8][..], &body].concat();
    let record = [&[22, 3, 1, 0, message.len() as u8][..], &message].concat();
    assert_eq!(parse(&record), nothing);
}

#[test]
fn other_first_bytes_are_told_at_once() {
    for bytes in [
        b"GET / HTTP/1.1\r\n".as_slice(),
        b"\x16\x02",
        b"\x16\x03\x01\x00\x05\x02",
        b"\x17\x03\x03",
        b"\0",
    ] {
        assert_eq!(parse(bytes), Parsed::Absent, "{bytes:?}");
    }
    for bytes in [
        b"\x16\x03\x01\x00\x00\x01".as_slice(),
        b"\x16\x03\x01\x7f\xff\x01",
        // A message of 16 MiB, and one without a body.
        b"\x16\x03\x01\x00\x10\x01\xff\xff\xff",
        b"\x16\x03\x01\x00\x04\x01\0\0\0",
        // A ClientHello that goes on in a record of another kind.
        b"\x16\x03\x01\x00\x04\x01\0\0\x40\x17\x03\x01\x00\x04",
    ] {
        assert_eq!(parse(bytes), Parsed::Malformed, "{bytes:?}");
    }
}

#[test]
fn a_long_hello_has_an_end() {
    let mut long = vec![22, 3, 1, 0x40, 0, 1, 0, 0xff, 0xff];
    long.resize(5 + (1 << 14), 0);
    while long.len() < BYTES_MAX {
        long.extend([22, 3, 1, 0x40, 0]);
        long.resize(long.len() + (1 << 14), 0);
    }
    assert_eq!(parse(&long), Parsed::Malformed);
}

proptest! {
    #[test]
    fn a_decision_outlives_more_bytes_and_nothing_panics(
        at in any::<prop::sample::Index>(),
        with in any::<u8>(),
        size in 1usize..600,
    ) {
        let mut bytes = in_records_of(&client_hello_of("shop.example", &["h2"]), size);
        let at = at.index(bytes.len());
        bytes[at] = with;
        let mut decided = None;
        for end in 0..=bytes.len() {
            let parsed = parse(&bytes[..end]);
            match &decided {
                Some(before) => prop_assert_eq!(before, &parsed),
                None if parsed != Parsed::Partial => decided = Some(parsed),
                None => {}
            }
        }
    }
}
