//! What every request goes through before it is matched: a normal path, no hop-by-hop fields, and nothing said by an
//! untrusted client that only proxies may say.

use super::hints::{self, Hints};
use super::{RequestContext, client_certificate, drop_expectation};
use crate::reply::LocalReply;
use outrigger_config::model::ProxyHeader;
use outrigger_http1::{Fields, KnownName, RequestHead, TargetForm, strip_hop_by_hop};

/// Header name prefixes that only this proxy and its kind may set.
const RESERVED_PREFIXES: [&[u8]; 2] = [b"x-envoy-", b"x-outrigger-"];

/// Sanitizes the head in place; `hops` trusted proxies stand in front. What a believed peer hints at is taken out of it.
/// Gives back the target as it was sent, if it is another now.
pub(super) fn sanitize(
    context: &RequestContext<'_>,
    head: &mut RequestHead,
    hops: u32,
    hints: &mut Option<Box<Hints>>,
) -> Result<Option<Box<str>>, LocalReply> {
    let options = &context.chain().http().options;
    let mut sent = None;
    if !matches!(head.target_form(), TargetForm::Asterisk | TargetForm::Authority) {
        sent = normalize_path(head, options)?;
    }
    strip_hop_by_hop(&mut head.fields);
    // Answered here (RFC 9110 section 10.1.1), never passed on.
    drop_expectation(head);
    forwarded(context, head, hops > 0, hints);
    client_certificate::forward(
        context.ends(),
        options.forward_client_certificate(),
        &mut head.fields,
    );
    proxy_header(&mut head.fields, KnownName::Via, options.via_header());
    Ok(sent)
}

fn normalize_path(
    head: &mut RequestHead,
    options: &outrigger_config::model::HttpOptions,
) -> Result<Option<Box<str>>, LocalReply> {
    let normal = outrigger_traffic::path::normalize(
        head.path_and_query(),
        options.escaped_slashes(),
        options.repeated_slashes(),
    )
    .map_err(|fault| LocalReply::BadPath {
        reason: fault.reason(),
    })?;
    if !normal.is_rewritten() {
        return Ok(None);
    }
    let target = normal.into_path_and_query();
    let sent = head.path_and_query().into();
    head.set_path_and_query(&target);
    Ok(Some(sent))
}

/// The headers that tell the upstream of the client. From an untrusted client they are replaced; from a trusted proxy
/// `x-forwarded-for` grows and the others stay. The scheme is what a trusted proxy says, or else what the connection is.
fn forwarded(
    context: &RequestContext<'_>,
    head: &mut RequestHead,
    trusted: bool,
    hints: &mut Option<Box<Hints>>,
) {
    let told = if trusted {
        outrigger_traffic::forwarded::scheme(head.fields.get_all(KnownName::XForwardedProto))
    } else {
        None
    };
    let scheme = told.unwrap_or(if context.ends().tls.is_some() {
        "https"
    } else {
        "http"
    });
    head.set_scheme(scheme);
    // Taken out for a moment, so that the authority can be read while they are written.
    let mut fields = std::mem::take(&mut head.fields);
    forwarded_fields(context, &mut fields, head.authority(), scheme, trusted, hints);
    head.fields = fields;
}

fn forwarded_fields(
    context: &RequestContext<'_>,
    fields: &mut Fields,
    authority: &str,
    scheme: &str,
    trusted: bool,
    hints: &mut Option<Box<Hints>>,
) {
    let ends = context.ends();
    if trusted {
        if fields.iter().any(|field| hints::is_hint(field.name)) {
            *hints = Hints::read(context, fields);
            fields.retain(|field| !hints::is_hint(field.name));
        }
        let mut xff = Vec::new();
        for value in fields.get_all(KnownName::XForwardedFor) {
            xff.extend_from_slice(value);
            xff.extend_from_slice(b", ");
        }
        xff.extend_from_slice(ends.remote_ip.as_bytes());
        fields.set_known(KnownName::XForwardedFor, &xff);
        // What is no scheme is replaced: the upstream must not read another out of it than was read here.
        fields.set_known(KnownName::XForwardedProto, scheme.as_bytes());
        if !fields.contains(KnownName::XForwardedHost) {
            fields.push_known(KnownName::XForwardedHost, authority.as_bytes());
        }
        if fields.contains(KnownName::XRequestId) {
            return;
        }
    } else {
        let reserved = |name: &[u8]| {
            // All of ours begin so, and few others do.
            name.first() == Some(&b'x')
                && (RESERVED_PREFIXES.iter().any(|prefix| name.starts_with(prefix)) || is_disguised(name))
        };
        if fields.iter().any(|field| reserved(field.name)) {
            *hints = Hints::read(context, fields);
            fields.retain(|field| !reserved(field.name));
        }
        fields.set_known(KnownName::XForwardedFor, ends.remote_ip.as_bytes());
        fields.set_known(KnownName::XForwardedProto, scheme.as_bytes());
        fields.set_known(KnownName::XForwardedHost, authority.as_bytes());
    }
    fields.set_known(
        KnownName::XRequestId,
        &request_id(context.worker().random(), context.worker().random()),
    );
}

/// True if a server that knows headers as variables, in which `_` and `-` are the same, would take this for a header
/// that only proxies set.
fn is_disguised(name: &[u8]) -> bool {
    if !name.contains(&b'_') {
        return false;
    }
    let plain: Vec<u8> = name
        .iter()
        .map(|byte| if *byte == b'_' { b'-' } else { *byte })
        .collect();
    let is_ours = |prefix: &[u8]| plain.starts_with(prefix);
    RESERVED_PREFIXES.iter().any(|prefix| is_ours(prefix))
        || is_ours(b"x-forwarded-")
        || plain == b"x-request-id"
}

/// A version 4 UUID from 128 random bits (RFC 9562 section 5.4).
fn request_id(high: u64, low: u64) -> [u8; 36] {
    let high = high & 0xffff_ffff_ffff_0fff | 0x4000;
    let low = low & 0x3fff_ffff_ffff_ffff | 0x8000_0000_0000_0000;
    let [first, second] = [hex_digits((high >> 32) as u32), hex_digits(high as u32)];
    let [third, fourth] = [hex_digits((low >> 32) as u32), hex_digits(low as u32)];
    let mut text = [b'-'; 36];
    text[..8].copy_from_slice(&first);
    text[9..13].copy_from_slice(&second[..4]);
    text[14..18].copy_from_slice(&second[4..]);
    text[19..23].copy_from_slice(&third[..4]);
    text[24..28].copy_from_slice(&third[4..]);
    text[28..].copy_from_slice(&fourth);
    text
}

/// The eight digits of a number in lower case, all at once: every request has an id.
fn hex_digits(number: u32) -> [u8; 8] {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    // A byte for each digit.
    let mut digits = u64::from(number);
    digits = (digits | digits << 16) & 0x0000_ffff_0000_ffff;
    digits = (digits | digits << 8) & 0x00ff_00ff_00ff_00ff;
    digits = (digits | digits << 4) & (0x0f * ONES);
    // One where it is a letter: ten and six are sixteen.
    let letters = (digits + 6 * ONES) >> 4 & ONES;
    (digits + u64::from(b'0') * ONES + letters * u64::from(b'a' - b'0' - 10)).to_be_bytes()
}

/// Applies what the configuration says of a header that names proxies.
pub(super) fn proxy_header(fields: &mut Fields, name: KnownName, policy: &ProxyHeader) {
    match policy {
        ProxyHeader::Pass => {}
        ProxyHeader::Set(value) => fields.set_known(name, value.as_bytes()),
        ProxyHeader::Append(value) => {
            let mut joined = Vec::new();
            for old in fields.get_all(name) {
                joined.extend_from_slice(old);
                joined.extend_from_slice(b", ");
            }
            joined.extend_from_slice(value.as_bytes());
            fields.set_known(name, &joined);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_ids_are_version_4_uuids() {
        let text = String::from_utf8(request_id(u64::MAX, u64::MAX).to_vec()).unwrap();
        assert_eq!(text, "ffffffff-ffff-4fff-bfff-ffffffffffff");
        let text = String::from_utf8(request_id(0, 0).to_vec()).unwrap();
        assert_eq!(text, "00000000-0000-4000-8000-000000000000");
        let text =
            String::from_utf8(request_id(0x0123_4567_89ab_cdef, 0xfedc_ba98_7654_3210).to_vec()).unwrap();
        assert_eq!(text, "01234567-89ab-4def-bedc-ba9876543210");
    }

    #[test]
    fn a_header_of_ours_in_another_spelling_is_known() {
        for (name, known) in [
            ("x_forwarded_for", true),
            ("x-forwarded_client_cert", true),
            ("x_envoy_internal", true),
            ("x_request-id", true),
            ("x-forwarded-for", false),
            ("x_forwarder", false),
            ("x_other", false),
        ] {
            assert_eq!(is_disguised(name.as_bytes()), known, "{name}");
        }
    }

    #[test]
    fn proxy_headers_pass_set_and_append() {
        let apply = |policy: &ProxyHeader| {
            let mut fields = Fields::new();
            fields.push_known(KnownName::Via, b"1.1 a");
            proxy_header(&mut fields, KnownName::Via, policy);
            String::from_utf8(fields.get(KnownName::Via).unwrap().to_vec()).unwrap()
        };
        assert_eq!(apply(&ProxyHeader::Pass), "1.1 a");
        assert_eq!(apply(&ProxyHeader::Set("b".into())), "b");
        assert_eq!(apply(&ProxyHeader::Append("1.1 b".into())), "1.1 a, 1.1 b");
    }
}
