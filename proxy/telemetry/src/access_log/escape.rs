//! Bytes and numbers into a line, so that no value can end its field or its line.
//!
//! Text lines hold printable ASCII only: everything else, a quote and a backslash are escaped (`\x0a`, `\"`, `\\`).
//! JSON strings keep valid UTF-8; what is not becomes U+FFFD.

use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// Appends `value` for a text line.
pub(super) fn push_text(value: &[u8], out: &mut Vec<u8>) {
    if is_clean(value) {
        return out.extend_from_slice(value);
    }
    for byte in value {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', *byte]),
            b' '..=b'~' => out.push(*byte),
            _ => out.extend_from_slice(&[b'\\', b'x', hex(byte >> 4), hex(byte & 15)]),
        }
    }
}

/// Appends `value` for the inside of a JSON string.
pub(super) fn push_json(value: &[u8], out: &mut Vec<u8>) {
    if is_clean(value) {
        return out.extend_from_slice(value);
    }
    for chunk in value.utf8_chunks() {
        for byte in chunk.valid().bytes() {
            match byte {
                b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
                b'\n' => out.extend_from_slice(b"\\n"),
                b'\r' => out.extend_from_slice(b"\\r"),
                b'\t' => out.extend_from_slice(b"\\t"),
                0..0x20 | 0x7f => {
                    out.extend_from_slice(&[b'\\', b'u', b'0', b'0', hex(byte >> 4), hex(byte & 15)]);
                }
                _ => out.push(byte),
            }
        }
        if !chunk.invalid().is_empty() {
            out.extend_from_slice(b"\\ufffd");
        }
    }
}

fn hex(digit: u8) -> u8 {
    b"0123456789abcdef"[usize::from(digit)]
}

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGH_BITS: u64 = ONES * 0x80;

/// Whether nothing in `value` needs an escape, eight bytes at a time: headers are most of a line, and nearly all are
/// clean. The last eight bytes may be looked at twice, which is cheaper than one by one.
fn is_clean(value: &[u8]) -> bool {
    let Some(last) = value.last_chunk::<8>() else {
        return value
            .iter()
            .all(|byte| matches!(byte, b' '..=b'~') && *byte != b'"' && *byte != b'\\');
    };
    let (words, _) = value.as_chunks::<8>();
    let dirt = words
        .iter()
        .fold(dirt_of(last), |dirt, word| dirt | dirt_of(word));
    dirt & HIGH_BITS == 0
}

/// Some high bit of the result is set just when some byte of `word` is a control byte, a quote, a backslash, or above
/// 0x7e. Such a byte, and no other below 0x80, gets its high bit from the subtraction; `byte ^ c` is below 1 just when
/// `byte` is `c`. A borrow can mark the neighbour of a byte, but only if that byte is marked itself.
fn dirt_of(word: &[u8; 8]) -> u64 {
    let word = u64::from_le_bytes(*word);
    let below = |word: u64, bound: u64| word.wrapping_sub(ONES * bound);
    let equals = |byte: u8| below(word ^ (ONES * u64::from(byte)), 1);
    word | below(word, 0x20) | equals(b'"') | equals(b'\\') | equals(0x7f)
}

const DIGIT_PAIRS: [u8; 200] = {
    let mut pairs = [0; 200];
    let mut number = 0;
    while number < 100 {
        pairs[number * 2] = b'0' + (number / 10) as u8;
        pairs[number * 2 + 1] = b'0' + (number % 10) as u8;
        number += 1;
    }
    pairs
};

/// The two digits of a number below 100.
pub(super) fn digit_pair(number: u32) -> [u8; 2] {
    let at = number as usize * 2;
    [DIGIT_PAIRS[at], DIGIT_PAIRS[at + 1]]
}

/// Appends `number` in decimal. Pieces of a fixed length, because a copy of any length is a call.
pub(super) fn push_number(number: u64, out: &mut Vec<u8>) {
    match number {
        0..10 => out.push(b'0' + number as u8),
        10..100 => out.extend_from_slice(&digit_pair(number as u32)),
        100..10_000 => {
            push_number(number / 100, out);
            out.extend_from_slice(&digit_pair((number % 100) as u32));
        }
        _ => {
            push_number(number / 10_000, out);
            let rest = (number % 10_000) as u32;
            let ([a, b], [c, d]) = (digit_pair(rest / 100), digit_pair(rest % 100));
            out.extend_from_slice(&[a, b, c, d]);
        }
    }
}

/// Each octet in decimal with a dot behind it.
const OCTETS: [[u8; 4]; 256] = {
    let mut table = [[b'.'; 4]; 256];
    let mut octet = 0;
    while octet < 256 {
        let (hundreds, tens, ones) = (octet / 100, octet / 10 % 10, octet % 10);
        let mut at = 0;
        if octet >= 100 {
            table[octet][at] = b'0' + hundreds as u8;
            at += 1;
        }
        if octet >= 10 {
            table[octet][at] = b'0' + tens as u8;
            at += 1;
        }
        table[octet][at] = b'0' + ones as u8;
        octet += 1;
    }
    table
};

/// Appends `address:port`.
pub(super) fn push_address(address: SocketAddr, out: &mut Vec<u8>) {
    match address {
        SocketAddr::V4(v4) => {
            push_v4(*v4.ip(), out);
            out.push(b':');
            push_number(v4.port().into(), out);
        }
        SocketAddr::V6(v6) => write!(out, "{v6}").expect("a Vec takes what is written"),
    }
}

/// Appends an address without a port.
pub(super) fn push_ip(address: IpAddr, out: &mut Vec<u8>) {
    match address {
        IpAddr::V4(v4) => push_v4(v4, out),
        IpAddr::V6(v6) => write!(out, "{v6}").expect("a Vec takes what is written"),
    }
}

fn push_v4(address: Ipv4Addr, out: &mut Vec<u8>) {
    let mut text = [0; 16];
    let mut end = 0;
    for octet in address.octets() {
        // Four bytes always, of which the next octet overwrites what is too much.
        text[end..end + 4].copy_from_slice(&OCTETS[usize::from(octet)]);
        end += 2 + usize::from(octet >= 10) + usize::from(octet >= 100);
    }
    out.extend_from_slice(&text[..end - 1]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(push: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        push(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn text_keeps_printable_ascii_only() {
        let table: [(&[u8], &str); 6] = [
            (b"/plain path~", "/plain path~"),
            (b"a\r\nb\0c", "a\\x0d\\x0ab\\x00c"),
            (b"say \"hi\" \\", "say \\\"hi\\\" \\\\"),
            (b"\x1b[31mred\x7f", "\\x1b[31mred\\x7f"),
            ("caf\u{e9} \u{2028}".as_bytes(), "caf\\xc3\\xa9 \\xe2\\x80\\xa8"),
            (b"", ""),
        ];
        for (value, expected) in table {
            assert_eq!(printed(|out| push_text(value, out)), expected);
        }
    }

    #[test]
    fn json_keeps_utf8_and_replaces_what_is_not() {
        let table: [(&[u8], &str); 6] = [
            (b"/plain path~", "/plain path~"),
            (b"a\r\n\tb\0c\x7f", "a\\r\\n\\tb\\u0000c\\u007f"),
            (b"say \"hi\" \\", "say \\\"hi\\\" \\\\"),
            ("caf\u{e9} \u{1f600}".as_bytes(), "caf\u{e9} \u{1f600}"),
            (b"long enough \xff\xfe \xc3", "long enough \\ufffd\\ufffd \\ufffd"),
            (b"", ""),
        ];
        for (value, expected) in table {
            assert_eq!(printed(|out| push_json(value, out)), expected);
        }
    }

    #[test]
    fn eight_bytes_at_a_time_agree_with_one() {
        for byte in 0..=255_u8 {
            let clean = matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\';
            for place in 0..11 {
                for filler in [b' ', b'a', b'~', b'!', b'#', b'[', b']'] {
                    let mut value = [filler; 11];
                    value[place] = byte;
                    assert_eq!(is_clean(&value), clean, "{value:?}");
                }
            }
        }
    }

    #[test]
    fn numbers_print_in_decimal() {
        let around = (0..20).flat_map(|exponent| {
            let power = 10_u64.pow(exponent);
            [power - 1, power, power + 1]
        });
        for number in around.chain([u64::MAX, 99, 100, 101, 12_345]) {
            assert_eq!(printed(|out| push_number(number, out)), number.to_string());
        }
    }

    #[test]
    fn addresses_print_as_the_standard_library_does() {
        for address in [
            "10.0.200.3:80",
            "255.255.255.255:65535",
            "[2001:db8::1]:443",
            "[::1]:0",
        ] {
            assert_eq!(
                printed(|out| push_address(address.parse().unwrap(), out)),
                address
            );
        }
        assert_eq!(printed(|out| push_ip("::1".parse().unwrap(), out)), "::1");
    }
}
