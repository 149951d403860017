//! Bytes and numbers into a line, so that no value can end its field or its line.
//!
//! Text lines hold printable ASCII only: everything else, a quote and a backslash are escaped (`\x0a`, `\"`, `\\`).
//! JSON strings keep valid UTF-8; what is not becomes U+FFFD. Printable ASCII without quote and backslash is the same in
//! both: `line` copies it, and only values with anything else come to the slow functions here.

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

/// Whether a value came here only because it was too long for what was left.
fn is_clean(value: &[u8]) -> bool {
    let (blocks, rest) = value.as_chunks();
    let mut dirt = Dirt::default();
    blocks.iter().for_each(|block| dirt.look_at(block));
    dirt.is_none()
        && rest
            .iter()
            .all(|byte| matches!(byte, b' '..=b'~') && *byte != b'"' && *byte != b'\\')
}

fn hex(digit: u8) -> u8 {
    b"0123456789abcdef"[usize::from(digit)]
}

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGH_BITS: u64 = ONES * 0x80;

/// Not 0 just when some byte of `word` is a control byte, a quote, a backslash, or above 0x7e. Such a byte, and no other
/// below 0x80, gets its high bit from the subtraction; `byte ^ c` is below 1 just when `byte` is `c`. A borrow can mark
/// the neighbour of a byte, but only if that byte is marked itself.
#[inline(always)]
pub(super) fn dirt_of_word(word: [u8; 8]) -> u64 {
    let word = u64::from_le_bytes(word);
    let below = |word: u64, bound: u64| word.wrapping_sub(ONES * bound);
    let equals = |byte: u8| below(word ^ (ONES * u64::from(byte)), 1);
    (word | below(word, 0x20) | equals(b'"') | equals(b'\\') | equals(0x7f)) & HIGH_BITS
}

/// Whether any byte of some blocks is such a byte: 16 bytes at a time, in a loop
/// that the compiler makes a few vector instructions of.
#[derive(Default)]
pub(super) struct Dirt([u8; 16]);

impl Dirt {
    #[inline(always)]
    pub(super) fn look_at(&mut self, block: &[u8; 16]) {
        for (dirt, byte) in self.0.iter_mut().zip(block) {
            // As a signed number, a byte from 0x80 on is below 0x20 too.
            let is_dirty = ((*byte as i8) < 0x20) | (*byte == b'"') | (*byte == b'\\') | (*byte == 0x7f);
            *dirt |= u8::from(is_dirty);
        }
    }

    #[inline(always)]
    pub(super) fn is_none(&self) -> bool {
        u128::from_ne_bytes(self.0) == 0
    }
}

static DIGIT_PAIRS: [u8; 200] = {
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
#[inline(always)]
pub(super) fn digit_pair(number: u32) -> [u8; 2] {
    let at = number as usize * 2;
    [DIGIT_PAIRS[at], DIGIT_PAIRS[at + 1]]
}

/// The four digits of a number below 10,000.
#[inline(always)]
pub(super) fn decimal_quad(number: u32) -> [u8; 4] {
    let ([a, b], [c, d]) = (digit_pair(number / 100), digit_pair(number % 100));
    [a, b, c, d]
}

/// Each octet in decimal with a dot behind it, first digit lowest, and how many bytes that is.
pub(super) static OCTETS: [(u32, u32); 256] = {
    let mut table = [(0, 0); 256];
    let mut octet: u32 = 0;
    while octet < 256 {
        let (mut text, mut bytes, mut left) = (b'.' as u32, 1, octet);
        loop {
            text = (text << 8) | (b'0' as u32 + left % 10);
            bytes += 1;
            left /= 10;
            if left == 0 {
                break;
            }
        }
        table[octet as usize] = (text, bytes);
        octet += 1;
    }
    table
};

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
}
