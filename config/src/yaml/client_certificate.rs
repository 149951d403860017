//! What upstreams are told of clients' certificates.

use super::Unique;
use super::reader::{Fields, Reader};
use super::shapes::FORWARD_CLIENT_CERTIFICATE;
use crate::model::{
    ClientCertificateDetail as Detail, ForwardClientCertificate, ForwardClientCertificateMode as Mode,
};
use crate::receipt::Code;

/// Modes by their words, which are Envoy's.
pub(super) const MODES: [(&str, Mode); 5] = [
    ("sanitize", Mode::Sanitize),
    ("forward_only", Mode::ForwardOnly),
    ("append_forward", Mode::AppendForward),
    ("sanitize_set", Mode::SanitizeSet),
    ("always_forward_only", Mode::AlwaysForwardOnly),
];

/// Details by their words, in Envoy's order.
pub(super) const DETAILS: [(&str, Detail); 5] = [
    ("cert", Detail::Certificate),
    ("chain", Detail::Chain),
    ("subject", Detail::Subject),
    ("uri", Detail::Uri),
    ("dns", Detail::Dns),
];

/// The `forward_client_certificate` of a filter chain's `http`.
pub(super) fn forward_client_certificate(
    reader: &mut Reader<'_>,
    fields: &Fields<'_>,
) -> ForwardClientCertificate {
    let Some(fields) = fields
        .node(reader, "forward_client_certificate")
        .and_then(|node| reader.fields(node, &FORWARD_CLIENT_CERTIFICATE))
    else {
        return ForwardClientCertificate::default();
    };
    let mode = fields.choice(reader, "mode", &MODES).unwrap_or(Mode::Sanitize);
    let mut details = Vec::new();
    let mut seen = Unique::new("detail");
    let words = DETAILS.map(|detail| (detail.0, detail));
    for node in fields.list(reader, "details") {
        if let Some((word, detail)) = reader.choose(node, &words) {
            seen.insert(reader, word, node.span);
            details.push(detail);
        }
    }
    details.sort_by_key(|detail| DETAILS.iter().position(|(_, known)| known == detail));
    if !matches!(mode, Mode::AppendForward | Mode::SanitizeSet) && fields.entry("details").is_some() {
        reader.warn(
            Code::CertificateDetailsUnused,
            fields.key_span_of("details"),
            "`details` has no effect: in this mode nothing is told of the client's certificate",
            "write `mode: sanitize_set` or `mode: append_forward`, or remove it",
        );
    }
    ForwardClientCertificate { mode, details }
}
