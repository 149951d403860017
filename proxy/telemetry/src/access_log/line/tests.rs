use super::*;

/// What a push leaves in a buffer; in every smaller one, nothing but `None`.
fn printed(push: impl Fn(&mut Line<'_>) -> Option<()>) -> String {
    let pushed = |bytes: usize| {
        let mut buffer = vec![b'?'; bytes];
        let mut line = Line::new(&mut buffer);
        push(&mut line)?;
        let used = bytes - line.bytes_left();
        Some(String::from_utf8(buffer[..used].to_vec()).unwrap())
    };
    let text = pushed(400).expect("it fits");
    assert!((0..text.len()).all(|bytes| pushed(bytes).is_none()), "{text}");
    text
}

#[test]
fn literals_of_every_length_are_whole() {
    let text = "0123456789".repeat(10);
    for length in 0..text.len() {
        let literal = Literal::new(&text.as_bytes()[..length]);
        let twice = printed(|line| {
            line.push_literal(&literal, 0)?;
            line.push_literal(&literal, 0)
        });
        assert_eq!(literal.as_bytes(), &text.as_bytes()[..length]);
        assert_eq!(twice, text[..length].repeat(2));
    }
}

#[test]
fn clean_values_of_every_length_are_copied() {
    let text = "abcdefghijklm nopqrstuvwxyz~!#[]".repeat(3);
    for length in 0..text.len() {
        let copied = printed(|line| {
            line.push_clean(&text.as_bytes()[..length])?;
            line.push_byte(b'|')
        });
        assert_eq!(copied, format!("{}|", &text[..length]));
    }
}

#[test]
fn every_byte_that_needs_an_escape_is_seen_at_every_place() {
    for length in [1, 3, 4, 7, 8, 11, 15, 16, 17, 31, 35] {
        for place in 0..length {
            for byte in 0..=255_u8 {
                let clean = matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\';
                for filler in [b' ', b'~', b'!', b'#', b'[', b']'] {
                    let mut value = [filler; 35];
                    value[place] = byte;
                    let mut buffer = [0; 40];
                    let pushed = Line::new(&mut buffer).push_clean(&value[..length]);
                    assert_eq!(pushed.is_some(), clean, "{value:?}");
                }
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
    for number in around.chain([u64::MAX, 12_345]).chain(0..10_100) {
        assert_eq!(printed(|line| line.push_number(number)), number.to_string());
    }
}

#[test]
fn addresses_print_as_the_standard_library_does() {
    for address in [
        "10.0.200.3:80",
        "255.255.255.255:65535",
        "1.22.3.4:1",
        "100.2.33.244:9999",
        "[2001:db8::1]:443",
        "[::1]:0",
    ] {
        let both = printed(|line| {
            line.push_address(&address.parse().unwrap())?;
            line.push_byte(b' ')
        });
        assert_eq!(both, format!("{address} "));
    }
    assert_eq!(printed(|line| line.push_ip("::1".parse().unwrap())), "::1");
    assert_eq!(
        printed(|line| line.push_ip("10.20.255.9".parse().unwrap())),
        "10.20.255.9"
    );
}

#[test]
fn flags_are_joined_by_commas() {
    assert_eq!(printed(|line| line.push_flags(ResponseFlags::NONE)), "-");
    let flags = ResponseFlags::URX | ResponseFlags::UF;
    assert_eq!(printed(|line| line.push_flags(flags)), "UF,URX");
}

#[test]
fn a_literal_goes_without_its_last_byte() {
    for text in ["\"key\":\"", "\"", "a key of 32 bytes with its \"quote\""] {
        let literal = Literal::new(text.as_bytes());
        let null = printed(|line| {
            line.push_literal(&literal, 1)?;
            line.push_null()
        });
        assert_eq!(null, format!("{}null", &text[..text.len() - 1]));
    }
}
