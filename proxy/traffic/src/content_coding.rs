//! Negotiation of content codings: what `accept-encoding` says (RFC 9110 section 12.5.3), and which responses a
//! configuration compresses.

use outrigger_config::model::CompressionAlgorithm;

/// The largest weight, `q=1`, in thousandths.
const WEIGHT_MAX: u16 = 1000;

/// What a request's `accept-encoding` says of the codings that we know. Weights are in thousandths; 0: not accepted;
/// none: not named.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Accepted {
    gzip: Option<u16>,
    brotli: Option<u16>,
    zstd: Option<u16>,
    identity: Option<u16>,
    any: Option<u16>,
}

/// The algorithm by which a response is compressed, given the request's `accept-encoding` fields: that which the client
/// likes best, and among those that it likes equally the one that is configured first. None: the response is sent as it
/// is, which is also what a client gets that says nothing, or that accepts nothing we have.
///
/// The response as it is counts as liked no better than any coding, unless `identity` is named with a higher weight. A
/// member that breaks the grammar counts as not accepted, and of several members of one coding the first counts.
pub fn negotiate<'f>(
    fields: impl Iterator<Item = &'f [u8]>,
    algorithms: &[CompressionAlgorithm],
) -> Option<CompressionAlgorithm> {
    let accepted = Accepted::read(fields);
    let mut best: Option<(u16, CompressionAlgorithm)> = None;
    for &algorithm in algorithms {
        let weight = accepted.weight(algorithm);
        if weight > best.map_or(0, |(weight, _)| weight) {
            best = Some((weight, algorithm));
        }
    }
    let (weight, algorithm) = best?;
    (weight >= accepted.identity.unwrap_or(0)).then_some(algorithm)
}

/// The name of an algorithm's coding.
pub fn name(algorithm: CompressionAlgorithm) -> &'static str {
    match algorithm {
        CompressionAlgorithm::Gzip(_) => "gzip",
        CompressionAlgorithm::Brotli(_) => "br",
        CompressionAlgorithm::Zstd(_) => "zstd",
    }
}

/// True if responses of this `content-type` are compressed where these media types are listed, lower case, `text/*` for
/// all of a type. A stream of server-sent events is only if it is named
/// itself, and not by `text/*`: each holds an encoder for as long as it lasts. gRPC has a compression of its own.
pub fn is_compressed_type(listed: &[String], content_type: &[u8]) -> bool {
    let end = content_type.iter().position(|byte| *byte == b';');
    let media_type = content_type[..end.unwrap_or(content_type.len())].trim_ascii();
    let grpc = b"application/grpc";
    if media_type.len() >= grpc.len() && media_type[..grpc.len()].eq_ignore_ascii_case(grpc) {
        return false;
    }
    let is_event_stream = media_type.eq_ignore_ascii_case(b"text/event-stream");
    listed.iter().any(|listed| match listed.strip_suffix('*') {
        Some(range) => {
            !is_event_stream
                && media_type.len() > range.len()
                && media_type[..range.len()].eq_ignore_ascii_case(range.as_bytes())
        }
        None => media_type.eq_ignore_ascii_case(listed.as_bytes()),
    })
}

/// True if one of the fields' comma-separated members is this token, in any case.
pub fn lists<'f>(mut fields: impl Iterator<Item = &'f [u8]>, token: &str) -> bool {
    fields.any(|field| {
        field
            .split(|byte| *byte == b',')
            .any(|member| member.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
    })
}

impl Accepted {
    fn read<'f>(fields: impl Iterator<Item = &'f [u8]>) -> Accepted {
        let mut accepted = Accepted::default();
        for member in fields.flat_map(|field| field.split(|byte| *byte == b',')) {
            let mut parts = member.splitn(2, |byte| *byte == b';');
            let coding = parts.next().unwrap_or_default().trim_ascii();
            let weight = parts
                .next()
                .map_or(WEIGHT_MAX, |weight| read_weight(weight).unwrap_or(0));
            let named = |name: &[u8]| coding.eq_ignore_ascii_case(name);
            let slot = if named(b"gzip") || named(b"x-gzip") {
                &mut accepted.gzip
            } else if named(b"br") {
                &mut accepted.brotli
            } else if named(b"zstd") {
                &mut accepted.zstd
            } else if named(b"identity") {
                &mut accepted.identity
            } else if named(b"*") {
                &mut accepted.any
            } else {
                continue;
            };
            slot.get_or_insert(weight);
        }
        accepted
    }

    fn weight(&self, algorithm: CompressionAlgorithm) -> u16 {
        let named = match algorithm {
            CompressionAlgorithm::Gzip(_) => self.gzip,
            CompressionAlgorithm::Brotli(_) => self.brotli,
            CompressionAlgorithm::Zstd(_) => self.zstd,
        };
        named.or(self.any).unwrap_or(0)
    }
}

/// A weight (RFC 9110 section 12.4.2), `q=0.5`, in thousandths.
fn read_weight(parameter: &[u8]) -> Option<u16> {
    let parameter = parameter.trim_ascii();
    let (b"q=" | b"Q=", value) = parameter.split_at_checked(2)? else {
        return None;
    };
    let (whole, fraction) = value.split_first()?;
    let digits = match fraction {
        [] => fraction,
        [b'.', digits @ ..] if digits.len() <= 3 && digits.iter().all(u8::is_ascii_digit) => digits,
        _ => return None,
    };
    let padded = digits.iter().chain(std::iter::repeat(&b'0')).take(3);
    let thousandths = padded.fold(0, |sum, digit| sum * 10 + u16::from(digit - b'0'));
    match whole {
        b'0' => Some(thousandths),
        b'1' if thousandths == 0 => Some(WEIGHT_MAX),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
