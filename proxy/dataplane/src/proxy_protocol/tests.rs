//! Both versions, byte by byte; and the receiver over a socket.

use super::*;
use proptest::prelude::*;

fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn relayed(source: &str, destination: &str) -> Header {
    Header {
        addresses: Some((at(source), at(destination))),
        tlvs: Vec::new(),
    }
}

/// A version 2 header with this command, family and body.
fn binary(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(body.len()).unwrap().to_be_bytes();
    [version2::SIGNATURE, &[command, family], &length, body].concat()
}

const V4: [u8; 12] = [10, 0, 0, 1, 10, 0, 0, 2, 0x30, 0x39, 0x01, 0xbb];

#[test]
fn lines_that_are_headers() {
    for (line, header) in [
        (
            "PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\n",
            relayed("192.0.2.1:56324", "198.51.100.7:443"),
        ),
        (
            "PROXY TCP6 2001:db8::1 ::1 1 65535\r\n",
            relayed("[2001:db8::1]:1", "[::1]:65535"),
        ),
        (
            "PROXY TCP4 1.2.3.4 5.6.7.8 0 0\r\n",
            relayed("1.2.3.4:0", "5.6.7.8:0"),
        ),
        ("PROXY UNKNOWN\r\n", Header::default()),
        (
            "PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n",
            Header::default(),
        ),
    ] {
        let bytes = line.len();
        assert_eq!(
            decode(line.as_bytes()),
            Decoded::Header {
                bytes,
                header: header.clone()
            },
            "{line:?}"
        );
        let followed = [line.as_bytes(), b"GET / HTTP/1.1\r\n"].concat();
        assert_eq!(decode(&followed), Decoded::Header { bytes, header }, "{line:?}");
        for cut in 0..bytes {
            assert_eq!(
                decode(&line.as_bytes()[..cut]),
                Decoded::Partial,
                "{line:?} cut at {cut}"
            );
        }
    }
}

#[test]
fn lines_that_are_none() {
    let long = format!("PROXY TCP4 1.2.3.4 5.6.7.8 1 2{}\r\n", " ".repeat(80));
    for line in [
        "PROXY \r\n",
        "PROXY TCP5 1.2.3.4 5.6.7.8 1 2\r\n",
        "PROXY tcp4 1.2.3.4 5.6.7.8 1 2\r\n",
        "PROXY TCP4 1.2.3.4 5.6.7.8 1 2\n",
        "PROXY TCP4 1.2.3.4 5.6.7.8 1\r\n",
        "PROXY TCP4 1.2.3.4 5.6.7.8 1 2 3\r\n",
        "PROXY TCP4 1.2.3.4 5.6.7.8 1 2 \r\n",
        "PROXY TCP4  1.2.3.4 5.6.7.8 1 2\r\n",
        "PROXY TCP4 1.2.3.4 5.6.7.8 01 2\r\n",
        "PROXY TCP4 1.2.3.4 5.6.7.8 +1 2\r\n",
        "PROXY TCP4 1.2.3.4 5.6.7.8 1 65536\r\n",
        "PROXY TCP4 1.2.3.4 5.6.7.256 1 2\r\n",
        "PROXY TCP4 01.2.3.4 5.6.7.8 1 2\r\n",
        "PROXY TCP4 ::1 ::1 1 2\r\n",
        "PROXY TCP6 1.2.3.4 5.6.7.8 1 2\r\n",
        "PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n",
        "PROXY TCP4 1.2.3.4\t5.6.7.8 1 2\r\n",
        "PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\r\n",
        long.as_str(),
    ] {
        let decoded = decode(line.as_bytes());
        assert!(matches!(decoded, Decoded::Malformed(_)), "{line:?}: {decoded:?}");
    }
    for other in [
        "GET / HTTP/1.1\r\n",
        "PROPFIND / HTTP/1.1\r\n",
        "proxy TCP4",
        "\r\n\r\nGET",
        "\x16\x03",
    ] {
        assert_eq!(decode(other.as_bytes()), Decoded::Absent, "{other:?}");
    }
    for beginning in ["", "P", "PROXY", "\r", "\r\n\r\n\0\r\nQUI"] {
        assert_eq!(decode(beginning.as_bytes()), Decoded::Partial, "{beginning:?}");
    }
}

#[test]
fn binary_headers() {
    let v6 = [[0xfd; 16].as_slice(), &[0xfe; 16], &[0, 1, 0, 2]].concat();
    let fd = "fdfd:fdfd:fdfd:fdfd:fdfd:fdfd:fdfd:fdfd";
    let fe = fd.replace("fd", "fe");
    for (bytes, header) in [
        (binary(0x21, 0x11, &V4), relayed("10.0.0.1:12345", "10.0.0.2:443")),
        (
            binary(0x21, 0x21, &v6),
            relayed(&format!("[{fd}]:1"), &format!("[{fe}]:2")),
        ),
        // The sender's own connection, whatever it says of it.
        (binary(0x20, 0x00, &[]), Header::default()),
        (binary(0x20, 0x11, &V4), Header::default()),
        (binary(0x20, 0x11, &[]), Header::default()),
        // Not TCP over IP.
        (binary(0x21, 0x00, &[]), Header::default()),
        (binary(0x21, 0x12, &V4), Header::default()),
        (binary(0x21, 0x31, &[0; 216]), Header::default()),
    ] {
        let length = bytes.len();
        let whole = Decoded::Header {
            bytes: length,
            header,
        };
        assert_eq!(decode(&bytes), whole, "{bytes:?}");
        for cut in 0..length {
            assert_eq!(decode(&bytes[..cut]), Decoded::Partial, "{bytes:?} cut at {cut}");
        }
        assert_eq!(decode(&[bytes, b"more".to_vec()].concat()), whole);
    }
}

#[test]
fn binary_headers_that_are_wrong() {
    let field = |kind: u8, value: &[u8]| [&[kind, 0, value.len() as u8], value].concat();
    for bytes in [
        binary(0x11, 0x11, &V4),
        binary(0x22, 0x11, &V4),
        binary(0x21, 0x41, &V4),
        binary(0x21, 0x13, &V4),
        binary(0x21, 0x11, &V4[..11]),
        binary(0x21, 0x21, &V4),
        binary(0x21, 0x11, &[V4.as_slice(), &[1]].concat()),
        binary(0x21, 0x11, &[V4.as_slice(), &[1, 0, 2, 9]].concat()),
        binary(0x21, 0x11, &[V4.as_slice(), &field(3, &[0; 4])].concat()),
        binary(0x21, 0x11, &[V4.as_slice(), &field(3, &[0; 3])].concat()),
        binary(0x21, 0x11, &[0; HEADER_BYTES_MAX]),
    ] {
        assert!(matches!(decode(&bytes), Decoded::Malformed(_)), "{bytes:?}");
    }
}

#[test]
fn fields_are_kept_and_checksums_verified() {
    // Check value of CRC-32C (RFC 3720 appendix B.4: 32 bytes of zeros).
    assert_eq!(version2::crc32c(&[0; 32]), 0x8a91_36aa);
    let fields: &[u8] = &[0xe0, 0, 2, b'h', b'i', 4, 0, 1, 0, 3, 0, 4, 0, 0, 0, 0];
    let mut bytes = binary(0x21, 0x11, &[V4.as_slice(), fields].concat());
    let sum = version2::crc32c(&bytes).to_be_bytes();
    let at = bytes.len() - 4;
    bytes[at..].copy_from_slice(&sum);
    let Decoded::Header { header, .. } = decode(&bytes) else {
        panic!("{:?}", decode(&bytes));
    };
    let tlv = Tlv {
        kind: 0xe0,
        value: Bytes::from_static(b"hi"),
    };
    assert_eq!(header.tlvs, [tlv]);
    bytes[20] ^= 1;
    assert!(matches!(decode(&bytes), Decoded::Malformed(_)));
}

#[test]
fn mixed_families_become_one() {
    let (v4, v6) = (at("1.2.3.4:1"), at("[2001:db8::1]:2"));
    let mapped = at("[::ffff:1.2.3.4]:1");
    assert_eq!(one_family(v4, v6), (mapped, v6));
    assert_eq!(one_family(mapped, v4), (v4, v4));
    assert_eq!(one_family(v6, mapped), (v6, mapped));
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(
        source: SocketAddr,
        destination: SocketAddr,
        fields in proptest::collection::vec((5u8.., proptest::collection::vec(any::<u8>(), 0..300)), 0..20),
    ) {
        let plain = |address: SocketAddr| SocketAddr::new(address.ip(), address.port());
        let (source, destination) = one_family(plain(source), plain(destination));
        let tlvs: Vec<Tlv> = fields
            .into_iter()
            .map(|(kind, value)| Tlv { kind, value: value.into() })
            .collect();
        let line = version1::encode(source, destination);
        let addresses = Some((source, destination));
        let header = Header { addresses, tlvs: Vec::new() };
        prop_assert_eq!(decode(&line), Decoded::Header { bytes: line.len(), header });
        let bytes = version2::encode(source, destination, tlvs.iter());
        prop_assert!(bytes.len() <= HEADER_BYTES_MAX);
        let Decoded::Header { bytes: length, header } = decode(&bytes) else {
            return Err(TestCaseError::fail("not read back"));
        };
        prop_assert_eq!((length, header.addresses), (bytes.len(), addresses));
        prop_assert!(header.tlvs.iter().all(|tlv| tlvs.contains(tlv)));
        let addresses_bytes = if source.is_ipv4() && destination.is_ipv4() { 12 } else { 36 };
        let fields_bytes: usize = tlvs.iter().map(|tlv| tlv.value.len() + 3).sum();
        let fits = 16 + addresses_bytes + fields_bytes <= HEADER_BYTES_MAX;
        prop_assert_eq!(fits, header.tlvs == tlvs);
    }

    #[test]
    fn a_decision_outlives_more_bytes(mut bytes in proptest::collection::vec(any::<u8>(), 0..64), kind in 0..3) {
        let signature = [b"".as_slice(), version1::SIGNATURE, version2::SIGNATURE][kind as usize];
        bytes = [signature, &bytes].concat();
        let mut decided = None;
        for end in 0..=bytes.len() {
            let decoded = decode(&bytes[..end]);
            match &decided {
                Some(before) => prop_assert_eq!(before, &decoded),
                None if decoded != Decoded::Partial => decided = Some(decoded),
                None => {}
            }
        }
    }
}

mod sockets {
    use crate::peek::{Peeked, peek_until};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap());
        let (client, accepted) = tokio::join!(client, listener.accept());
        (client.unwrap(), accepted.unwrap().0)
    }

    #[tokio::test]
    async fn bytes_that_drip_are_seen_as_they_come_and_stay() {
        let (mut client, mut server) = pair().await;
        let dripped = b"drip by drip";
        let writing = async {
            for byte in dripped {
                client.write_all(&[*byte]).await.unwrap();
                tokio::task::yield_now().await;
            }
            client
        };
        let mut buffer = [0; 64];
        let looking = peek_until(&server, &mut buffer, |bytes| {
            (bytes.len() == dripped.len()).then(|| bytes.to_vec())
        });
        let (_client, peeked) = tokio::join!(writing, looking);
        assert_eq!(peeked.unwrap(), Peeked::Decided(dripped.to_vec()));
        let mut read = [0; 12];
        server.read_exact(&mut read).await.unwrap();
        assert_eq!(&read, dripped);
    }

    #[tokio::test]
    async fn an_end_and_a_full_buffer_are_told() {
        let (mut client, server) = pair().await;
        client.write_all(b"abcd").await.unwrap();
        let full = peek_until(&server, &mut [0; 3], |_| None::<()>).await;
        assert_eq!(full.unwrap(), Peeked::Full);
        drop(client);
        let ended = peek_until(&server, &mut [0; 64], |_| None::<()>).await;
        assert_eq!(ended.unwrap(), Peeked::Ended);
    }
}
