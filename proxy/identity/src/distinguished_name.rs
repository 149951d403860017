//! Distinguished names in words, as RFC 2253 writes them and OpenSSL does: the last part first, and everything escaped
//! that could be taken for another part. What is printed is visible ASCII and spaces, whatever a certificate holds.

use std::fmt::Write;
use x509_parser::x509::{AttributeTypeAndValue, X509Name};

/// Names of attributes (RFC 2253 section 2.3), and those that OpenSSL has beside them.
const ATTRIBUTES: [(&str, &str); 14] = [
    ("2.5.4.3", "CN"),
    ("2.5.4.4", "SN"),
    ("2.5.4.5", "serialNumber"),
    ("2.5.4.6", "C"),
    ("2.5.4.7", "L"),
    ("2.5.4.8", "ST"),
    ("2.5.4.9", "street"),
    ("2.5.4.10", "O"),
    ("2.5.4.11", "OU"),
    ("2.5.4.12", "title"),
    ("2.5.4.42", "GN"),
    ("1.2.840.113549.1.9.1", "emailAddress"),
    ("0.9.2342.19200300.100.1.25", "DC"),
    ("0.9.2342.19200300.100.1.1", "UID"),
];

/// The name as a text.
pub(crate) fn text(name: &X509Name<'_>) -> String {
    let parts: Vec<_> = name.iter_rdn().collect();
    let mut text = String::new();
    for part in parts.into_iter().rev() {
        if !text.is_empty() {
            text.push(',');
        }
        for (place, attribute) in part.iter().enumerate() {
            if place > 0 {
                text.push('+');
            }
            push_attribute(attribute, &mut text);
        }
    }
    text
}

fn push_attribute(attribute: &AttributeTypeAndValue<'_>, text: &mut String) {
    let identifier = attribute.attr_type().to_id_string();
    let known = ATTRIBUTES.iter().find(|(known, _)| *known == identifier);
    text.push_str(known.map_or(&identifier, |(_, name)| name));
    text.push('=');
    match attribute.as_str() {
        Ok(value) => push_value(value, text),
        Err(_) => {
            text.push('#');
            for byte in attribute.as_slice() {
                push_hexadecimal(*byte, text);
            }
        }
    }
}

/// RFC 2253 section 2.4.
fn push_value(value: &str, text: &mut String) {
    let last = value.len().saturating_sub(1);
    for (place, byte) in value.bytes().enumerate() {
        let at_an_end = place == 0 || place == last;
        match byte {
            b',' | b'+' | b'"' | b'\\' | b'<' | b'>' | b';' => text.push('\\'),
            b' ' if at_an_end => text.push('\\'),
            b'#' if place == 0 => text.push('\\'),
            b' '..=b'~' => {}
            _ => {
                text.push('\\');
                push_hexadecimal(byte, text);
                continue;
            }
        }
        text.push(char::from(byte));
    }
}

fn push_hexadecimal(byte: u8, text: &mut String) {
    write!(text, "{byte:02X}").expect("a string takes everything");
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};
    use x509_parser::certificate::X509Certificate;
    use x509_parser::prelude::FromDer;

    fn subject(attributes: &[(DnType, &str)]) -> String {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name = DistinguishedName::new();
        for (kind, value) in attributes {
            params.distinguished_name.push(kind.clone(), *value);
        }
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        let (_, parsed) = X509Certificate::from_der(certificate.der()).unwrap();
        text(parsed.subject())
    }

    #[test]
    fn the_last_part_comes_first() {
        let name = subject(&[
            (DnType::CountryName, "US"),
            (DnType::OrganizationName, "Example"),
            (DnType::CommonName, "api"),
        ]);
        assert_eq!(name, "CN=api,O=Example,C=US");
        assert_eq!(subject(&[]), "");
        assert_eq!(
            subject(&[(DnType::CustomDnType(vec![1, 2, 3, 4]), "x")]),
            "1.2.3.4=x"
        );
    }

    #[test]
    fn a_value_cannot_be_taken_for_another_part() {
        for (value, expected) in [
            ("a,O=b", "CN=a\\,O=b"),
            ("a\";URI=b", "CN=a\\\"\\;URI=b"),
            ("a\\", "CN=a\\\\"),
            (" #a ", "CN=\\ #a\\ "),
            ("#a", "CN=\\#a"),
            ("a\r\nb\0", "CN=a\\0D\\0Ab\\00"),
            ("\u{e4}", "CN=\\C3\\A4"),
        ] {
            assert_eq!(subject(&[(DnType::CommonName, value)]), expected, "{value:?}");
        }
    }
}
