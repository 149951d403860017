//! Byte classes and word-at-a-time scanning, which the parsers share. It knows bytes, not HTTP messages.

use crate::blocks;

/// Bit 6 of every byte: what tells letters from digits.
const LETTERS: u64 = (u64::MAX / 255) << 6;

/// The lower-case form of each token byte (RFC 9110, 5.6.2), and 0 for what may not stand in a token.
pub(crate) static TOKEN_LOWER: [u8; 256] = token_table();
/// Whether a byte may stand in a host name.
static HOST_NAME: [bool; 256] = host_name_table();

const fn token_table() -> [u8; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let b = byte as u8;
        if b.is_ascii_alphanumeric() || contains(b"!#$%&'*+-.^_`|~", b) {
            table[byte] = b.to_ascii_lowercase();
        }
        byte += 1;
    }
    table
}

const fn host_name_table() -> [bool; 256] {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        let b = byte as u8;
        // RFC 3986's reg-name without escapes, which are looked at apart, and without the comma, which is how some
        // programs join two `Host` fields into one.
        table[byte] = b.is_ascii_alphanumeric() || contains(b"-._~!$&'()*+;=", b);
        byte += 1;
    }
    table
}

const fn contains(set: &[u8], byte: u8) -> bool {
    let mut at = 0;
    while at < set.len() {
        if set[at] == byte {
            return true;
        }
        at += 1;
    }
    false
}

/// Whether all of `bytes` may stand in a token, and there is at least one.
pub(crate) fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|&b| TOKEN_LOWER[b as usize] != 0)
}

/// Whether all of `bytes` may stand in a field name that is already lower-case.
pub(crate) fn is_lowercase_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|&b| b != 0 && TOKEN_LOWER[b as usize] == b)
}

/// Whether all of `bytes` may stand in a field value: no control but HTAB.
pub(crate) fn is_value(bytes: &[u8]) -> bool {
    bytes.iter().all(|&b| !is_control(b) || b == b'\t')
}

/// How many bytes at the start of `bytes` may stand in a host name, escapes not looked at.
pub(crate) fn host_name_length(bytes: &[u8]) -> usize {
    bytes
        .iter()
        .position(|&b| !HOST_NAME[b as usize])
        .unwrap_or(bytes.len())
}

/// Whether all of `bytes` may stand in a request target: printable, without space and `#`.
pub(crate) fn is_target(bytes: &[u8]) -> bool {
    blocks::first_of(bytes, 0, blocks::outside_target) == bytes.len()
}

/// The index of the first control byte at or after `from`, or the length of `bytes`.
#[inline(always)]
pub(crate) fn first_control(bytes: &[u8], from: usize) -> usize {
    blocks::first_of(bytes, from, blocks::controls)
}

/// Spaces and tabs cut off both ends.
pub(crate) fn trim(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = bytes {
        bytes = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

/// The members of a comma-separated list, trimmed, the empty ones left out (RFC 9110, 5.6.1.2).
pub(crate) fn list_members(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value
        .split(|&b| b == b',')
        .map(trim)
        .filter(|member| !member.is_empty())
}

#[inline]
fn is_control(byte: u8) -> bool {
    byte < 0x20 || byte == 0x7f
}

/// `word` with its ASCII capitals in lower case. Other bytes may change too, but none into one of `a-z`, `0-9`, `-`.
#[inline]
pub(crate) fn lower_word(word: u64) -> u64 {
    word | ((word & LETTERS) >> 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_control_finds_every_control_at_every_offset() {
        for length in 0..40 {
            for at in 0..length {
                for byte in 0..=255u8 {
                    let mut bytes = vec![b'a'; length];
                    bytes[at] = byte;
                    let expected = if is_control(byte) { at } else { length };
                    assert_eq!(
                        first_control(&bytes, 0),
                        expected,
                        "byte {byte:#x} at {at} of {length}"
                    );
                }
            }
        }
    }

    #[test]
    fn first_control_finds_the_first_of_many() {
        assert_eq!(first_control(b"aaa\n !\"#aaaaaaaaa", 0), 3);
        assert_eq!(
            first_control("ü\u{20}ü\u{21}ü\u{80}ü ü".as_bytes(), 0),
            "ü ü!ü\u{80}ü ü".len()
        );
        assert_eq!(first_control(b"\naaaaaaaaaa\n", 1), 11);
        assert_eq!(first_control(b"aa\xff~\xff~\xff\xff~~\xff\x7faaaaaaaa", 0), 11);
        assert_eq!(first_control(b"aa\xff~\xff~\xff\xff~~\xff~aaaa\xff~aa", 0), 20);
    }

    #[test]
    fn targets_are_printable_without_space_and_fragment() {
        for length in [1, 15, 16, 17, 40] {
            for at in 0..length {
                for byte in 0..=255u8 {
                    let mut bytes = vec![b'/'; length];
                    bytes[at] = byte;
                    assert_eq!(
                        is_target(&bytes),
                        byte.is_ascii_graphic() && byte != b'#',
                        "{byte:#x} at {at}"
                    );
                }
            }
        }
    }

    #[test]
    fn lowering_a_word_makes_no_name_byte_out_of_another() {
        for byte in 0..=255u8 {
            let lowered = lower_word(byte as u64) as u8;
            if lowered.is_ascii_lowercase() || lowered.is_ascii_digit() || lowered == b'-' {
                assert_eq!(lowered, byte.to_ascii_lowercase());
            }
        }
    }

    #[test]
    fn list_members_skip_empty_ones() {
        let members: Vec<_> = list_members(b" a ,,\t, b\t").collect();
        assert_eq!(members, [b"a", b"b"]);
    }
}
