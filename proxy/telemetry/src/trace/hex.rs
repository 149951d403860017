//! Hexadecimal digits in lower case, which all formats of traces write their ids in.

/// What is no digit.
const NONE: u8 = 0xff;

/// The value of each byte as a digit in lower case.
const VALUES: [u8; 256] = {
    let mut values = [NONE; 256];
    let mut digit = 0;
    while digit < 10 {
        values[b'0' as usize + digit] = digit as u8;
        digit += 1;
    }
    while digit < 16 {
        values[b'a' as usize + digit - 10] = digit as u8;
        digit += 1;
    }
    values
};

/// The number that up to 16 digits in lower case write; None if one of them is none. The caller has looked at how many they
/// are.
pub(super) fn parse(digits: &[u8]) -> Option<u64> {
    debug_assert!(digits.len() <= 16, "a number has 64 bits");
    let (mut number, mut seen) = (0u64, 0u8);
    for digit in digits {
        let value = VALUES[usize::from(*digit)];
        seen |= value;
        number = number << 4 | u64::from(value & 0x0f);
    }
    (seen != NONE).then_some(number)
}

/// The number that 32 digits in lower case write.
pub(super) fn parse_wide(digits: &[u8; 32]) -> Option<u128> {
    let (high, low) = digits.split_at(16);
    Some(u128::from(parse(high)?) << 64 | u128::from(parse(low)?))
}

/// The 16 digits of a number.
pub(super) fn digits(number: u64) -> [u8; 16] {
    let mut text = [0; 16];
    text[..8].copy_from_slice(&half((number >> 32) as u32));
    text[8..].copy_from_slice(&half(number as u32));
    text
}

/// Eight digits, all at once: every attempt of a traced request has ids to write.
fn half(number: u32) -> [u8; 8] {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    // Each digit moves into a byte of its own.
    let mut spread = u64::from(number);
    for (shift, mask) in [
        (16, 0x0000_ffff_0000_ffff),
        (8, 0x00ff_00ff_00ff_00ff),
        (4, 0x0f * ONES),
    ] {
        spread = (spread | spread << shift) & mask;
    }
    // Ten and six are sixteen: the bit above a digit says that it is a letter.
    let letters = (spread + 6 * ONES) >> 4 & ONES;
    (spread + u64::from(b'0') * ONES + letters * u64::from(b'a' - b'9' - 1)).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_they_are_read() {
        for number in [0, 1, 0x0123_4567_89ab_cdef, 0xfedc_ba98_7654_3210, u64::MAX] {
            let text = digits(number);
            assert_eq!(
                String::from_utf8(text.to_vec()).unwrap(),
                format!("{number:016x}")
            );
            assert_eq!(parse(&text), Some(number));
        }
        assert_eq!(parse(b""), Some(0));
        assert_eq!(parse(b"0f"), Some(15));
        assert_eq!(
            parse_wide(b"0123456789abcdef00000000000000ff"),
            Some(0x0123_4567_89ab_cdef_0000_0000_0000_00ff)
        );
    }

    #[test]
    fn what_is_no_digit_in_lower_case_is_refused_wherever_it_stands() {
        for byte in 0..=u8::MAX {
            let is_digit = byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
            for at in 0..3 {
                let mut text = *b"0af";
                text[at] = byte;
                assert_eq!(parse(&text).is_some(), is_digit, "{byte:#x} at {at}");
            }
        }
    }
}
