//! `x-forwarded-client-cert`: what upstreams are told of a client's certificate, in Envoy's format.
//!
//! Elements are separated by commas, one of each proxy; an element's pairs by semicolons. What could end a value is
//! quoted, and what could end a quotation is escaped, so that a certificate cannot add pairs or elements.

use crate::connection::Ends;
use crate::tls::KnownPeer;
use outrigger_config::model::{
    ClientCertificateDetail as Detail, ForwardClientCertificate, ForwardClientCertificateMode as Mode,
};
use outrigger_http1::{Fields, KnownName};

/// Takes the header off, lets it pass, or writes it.
#[inline]
pub(super) fn forward(ends: &Ends, policy: &ForwardClientCertificate, fields: &mut Fields) {
    match (policy.mode(), &ends.identity) {
        (Mode::AlwaysForwardOnly, _) | (Mode::ForwardOnly, Some(_)) => {}
        // Nobody has proved who they are: nobody's word is passed on.
        (Mode::Sanitize, _) | (_, None) => fields.remove_known(KnownName::XForwardedClientCert),
        (Mode::AppendForward | Mode::SanitizeSet, Some(peer)) => {
            write(peer, ends.local.as_deref(), policy, fields);
        }
    }
}

#[cold]
fn write(peer: &KnownPeer, ours: Option<&KnownPeer>, policy: &ForwardClientCertificate, fields: &mut Fields) {
    let mut value = Vec::new();
    if policy.mode() == Mode::AppendForward {
        for element in fields.get_all(KnownName::XForwardedClientCert) {
            value.extend_from_slice(element);
            value.push(b',');
        }
    }
    value.extend_from_slice(element(peer, ours, policy.details()).as_bytes());
    fields.set_known(KnownName::XForwardedClientCert, &value);
}

/// What this proxy says of a client.
fn element(peer: &KnownPeer, ours: Option<&KnownPeer>, details: &[Detail]) -> String {
    let mut text = String::new();
    for name in ours.iter().flat_map(|ours| &ours.uri_names) {
        pair("By", &value(name), &mut text);
    }
    pair("Hash", peer.fingerprint(), &mut text);
    for detail in details {
        match detail {
            Detail::Certificate => pair("Cert", &quoted(peer.encoded_leaf()), &mut text),
            Detail::Chain => pair("Chain", &quoted(peer.encoded_chain()), &mut text),
            // There even if it is empty.
            Detail::Subject => pair("Subject", &quoted(&peer.subject), &mut text),
            Detail::Uri if peer.uri_names.is_empty() => pair("URI", "", &mut text),
            Detail::Uri => peer
                .uri_names
                .iter()
                .for_each(|name| pair("URI", &value(name), &mut text)),
            Detail::Dns => peer
                .dns_names
                .iter()
                .for_each(|name| pair("DNS", &value(name), &mut text)),
        }
    }
    text
}

fn pair(key: &str, value: &str, text: &mut String) {
    if !text.is_empty() {
        text.push(';');
    }
    text.push_str(key);
    text.push('=');
    text.push_str(value);
}

/// A name as a value: quoted if it holds what separates. What no URI or DNS name may hold is percent-encoded, so that it
/// can neither end the quotation nor the field.
fn value(name: &str) -> String {
    let mut text = String::with_capacity(name.len());
    for byte in name.bytes() {
        match byte {
            b'"' | b'\\' => text.push_str(&format!("%{byte:02X}")),
            0x21..=0x7e => text.push(char::from(byte)),
            _ => text.push_str(&format!("%{byte:02X}")),
        }
    }
    if text.contains([',', ';', '=']) {
        text = format!("\"{text}\"");
    }
    text
}

/// A text in quotes. A subject by RFC 2253 has its quotes and backslashes escaped already, and holds nothing but visible
/// ASCII and spaces; encoded PEM has none.
fn quoted(text: &str) -> String {
    format!("\"{text}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_add_anything() {
        for (name, expected) in [
            ("spiffe://example.org/ns/a/sa/b", "spiffe://example.org/ns/a/sa/b"),
            ("http://a/?b=c", "\"http://a/?b=c\""),
            ("a;URI=spiffe://b/c", "\"a;URI=spiffe://b/c\""),
            ("a\",Hash=1", "\"a%22,Hash=1\""),
            ("a\\", "a%5C"),
            ("a\r\nb", "a%0D%0Ab"),
            ("a b", "a%20b"),
            ("\u{e4}", "%C3%A4"),
        ] {
            assert_eq!(value(name), expected, "{name}");
        }
    }
}
