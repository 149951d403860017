//! Whether a response is compressed, and what that makes of its head (RFC 9110 sections 8.4 and 12.5.3).

use super::{Request, RequestContext, Taken};
use crate::body::BodyLength;
use crate::compression::{CompressedBody, Encoder};
use outrigger_config::model::{Compression, CompressionAlgorithm};
use outrigger_http1::{Fields, KnownName, Method, ResponseHead, Version};
use outrigger_telemetry::{Coding, NotCompressed};
use outrigger_traffic::content_coding;

/// Fields that say the digest of a body as its sender coded it: they would be wrong of another coding.
const DIGESTS: [&str; 4] = ["content-digest", "repr-digest", "digest", "content-md5"];

/// What the client of a request accepts best, read before the request's head is edited for the upstream.
#[inline]
pub(super) fn negotiate(context: &RequestContext<'_>, request: &Request<'_>) -> Option<CompressionAlgorithm> {
    let compression = context.chain().http().options.compression().as_ref()?;
    let accepted = request.head.fields.get_all(KnownName::AcceptEncoding);
    content_coding::negotiate(accepted, compression.algorithms())
}

/// Decides whether the response with this head is compressed, changes the head if it is, and gives the stage that its
/// body goes through. `length` is that of the body as it came.
pub(super) fn begin(
    context: &RequestContext<'_>,
    request: &Request<'_>,
    taken: Taken<'_>,
    head: &mut ResponseHead,
    length: BodyLength,
) -> Option<Box<CompressedBody>> {
    let compression = context.chain().http().options.compression().as_ref()?;
    let counted = &context.listener().not_compressed_responses;
    if !taken.route.compression() {
        counted[NotCompressed::Route].inc();
        return None;
    }
    if head.status == 304 {
        weaken_known(request, &mut head.fields);
    }
    if let Err(reason) = eligible(compression, request, head, length) {
        counted[reason].inc();
        return None;
    }
    vary(&mut head.fields);
    let algorithm = match request.coding {
        _ if request.head.version == Version::Http10 => Err(NotCompressed::Http10),
        None => Err(NotCompressed::NotAccepted),
        Some(algorithm) => Ok(algorithm),
    };
    let begun = algorithm.and_then(|algorithm| encode(context, request, algorithm, head, length));
    begun.unwrap_or_else(|reason| {
        counted[reason].inc();
        None
    })
}

/// Counts what came of a compressed body.
pub(super) fn end(context: &RequestContext<'_>, body: &CompressedBody) {
    let cells = context.listener();
    cells.compression_input_bytes.add(body.input_bytes());
    cells.compression_output_bytes.add(body.output_bytes());
}

/// Whether a response may be compressed for a client that accepts it.
fn eligible(
    compression: &Compression,
    request: &Request<'_>,
    head: &ResponseHead,
    length: BodyLength,
) -> Result<(), NotCompressed> {
    let fields = &head.fields;
    let is_head = request.head.method == Method::Head;
    let has_body = length != BodyLength::None || is_head;
    if head.status == 206 || fields.contains(KnownName::ContentRange) {
        return Err(NotCompressed::Range);
    }
    if !has_body || !(200..=203).contains(&head.status) || request.head.method == Method::Connect {
        return Err(NotCompressed::Status);
    }
    if fields.contains(KnownName::ContentEncoding) {
        return Err(NotCompressed::ContentEncoding);
    }
    let content_type = fields.get(KnownName::ContentType).unwrap_or_default();
    if !content_coding::is_compressed_type(compression.content_types(), content_type) {
        return Err(NotCompressed::ContentType);
    }
    if content_coding::lists(fields.get_all(KnownName::CacheControl), "no-transform") {
        return Err(NotCompressed::NoTransform);
    }
    if DIGESTS.iter().any(|name| fields.find(name).is_some()) {
        return Err(NotCompressed::Digest);
    }
    if known_length(head, length, is_head).is_some_and(|length| length < compression.bytes_min().max(1)) {
        return Err(NotCompressed::TooShort);
    }
    Ok(())
}

/// The body's length as it came, as far as it is known; of an answer to HEAD, that of the answer to GET.
fn known_length(head: &ResponseHead, length: BodyLength, is_head: bool) -> Option<u64> {
    match length {
        BodyLength::Exact(length) => Some(length),
        _ if is_head => {
            let said = head.fields.get(KnownName::ContentLength)?;
            std::str::from_utf8(said).ok()?.parse().ok()
        }
        BodyLength::None | BodyLength::Unknown => None,
    }
}

/// Makes the head that of the compressed response. The answer to HEAD has no body, and the same head.
fn encode(
    context: &RequestContext<'_>,
    request: &Request<'_>,
    algorithm: CompressionAlgorithm,
    head: &mut ResponseHead,
    length: BodyLength,
) -> Result<Option<Box<CompressedBody>>, NotCompressed> {
    let mut body = None;
    if request.head.method != Method::Head {
        let known = match length {
            BodyLength::Exact(length) => Some(length),
            BodyLength::None | BodyLength::Unknown => None,
        };
        let permit = context
            .worker()
            .encoders
            .reserve(Encoder::memory_bytes(algorithm));
        let permit = permit.ok_or(NotCompressed::Memory)?;
        let encoder = Encoder::new(algorithm, known).map_err(|_| NotCompressed::Memory)?;
        body = Some(Box::new(CompressedBody::new(encoder, permit)));
        context.listener().compressed_responses[coding(algorithm)].inc();
    }
    let fields = &mut head.fields;
    fields.set_known(
        KnownName::ContentEncoding,
        content_coding::name(algorithm).as_bytes(),
    );
    fields.remove_known(KnownName::ContentLength);
    // Ranges of what is made as it is sent cannot be asked for.
    fields.remove_known(KnownName::AcceptRanges);
    if let Some(weak) = fields.get(KnownName::Etag).and_then(weak) {
        fields.set_known(KnownName::Etag, &weak);
    }
    Ok(body)
}

fn coding(algorithm: CompressionAlgorithm) -> Coding {
    match algorithm {
        CompressionAlgorithm::Gzip(_) => Coding::Gzip,
        CompressionAlgorithm::Brotli(_) => Coding::Brotli,
        CompressionAlgorithm::Zstd(_) => Coding::Zstd,
    }
}

/// The weak form of a strong entity tag: the compressed bytes are others, and may differ from one time to the next (RFC
/// 9110 section 8.8.3.3).
fn weak(tag: &[u8]) -> Option<Vec<u8>> {
    tag.starts_with(b"\"").then(|| [b"W/", tag].concat())
}

/// A client that asks whether its compressed response is still good has the weak form of the tag: the answer that it is
/// names the same one (RFC 9110 section 15.4.5).
fn weaken_known(request: &Request<'_>, fields: &mut Fields) {
    let Some(weak) = fields.get(KnownName::Etag).and_then(weak) else {
        return;
    };
    let Ok(text) = std::str::from_utf8(&weak) else {
        return;
    };
    let asked = request.head.fields.get_all(KnownName::IfNoneMatch);
    if request.coding.is_some() && content_coding::lists(asked, text) {
        fields.set_known(KnownName::Etag, &weak);
        vary(fields);
    }
}

/// Says that the response depends on `accept-encoding`, so that no cache gives it to a client that cannot read it.
fn vary(fields: &mut Fields) {
    let said = |token| content_coding::lists(fields.get_all(KnownName::Vary), token);
    if said("accept-encoding") || said("*") {
        return;
    }
    let mut value = Vec::new();
    for old in fields.get_all(KnownName::Vary) {
        value.extend_from_slice(old);
        value.extend_from_slice(b", ");
    }
    value.extend_from_slice(b"accept-encoding");
    fields.set_known(KnownName::Vary, &value);
}
