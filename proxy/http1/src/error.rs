//! Why a message is refused: one variant per reason, each with a status and a name.

use thiserror::Error;

macro_rules! reasons {
    (
        $(#[$doc:meta])*
        $name:ident: shared { $($shared:ident,)* }
        $($(#[$variant_doc:meta])* $variant:ident = $status:literal, $reason:literal, $text:literal;)*
    ) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
        pub enum $name {
            $(#[doc = $text] $(#[$variant_doc])* #[error($text)] $variant,)*
        }

        impl $name {
            /// Every reason, at its [`index`](Self::index), so that counters can be registered ahead.
            pub const ALL: &'static [&'static str] = &[$($reason),*];

            /// The status of the answer to the downstream.
            pub fn status(self) -> u16 {
                match self { $(Self::$variant => $status,)* }
            }

            /// The reason as `snake_case`, for metric labels and response code details.
            pub fn reason(self) -> &'static str {
                Self::ALL[self.index()]
            }

            /// The position of the reason in [`ALL`](Self::ALL).
            pub fn index(self) -> usize {
                self as usize
            }

            /// Every variant in order, for tests that go through them.
            pub const VARIANTS: &'static [Self] = &[$(Self::$variant),*];
        }

        impl From<Fault> for $name {
            fn from(fault: Fault) -> Self {
                match fault { $(Fault::$shared => Self::$shared,)* }
            }
        }
    };
}

/// What can be wrong on either side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    BareLf,
    BareCr,
    NulByte,
    ObsoleteFolding,
    WhitespaceBeforeColon,
    MissingColon,
    InvalidFieldName,
    InvalidFieldValue,
    HeadTooLarge,
    TooManyFields,
    InvalidVersion,
    UnsupportedVersion,
    BothLengths,
    InvalidContentLength,
    RepeatedContentLength,
    RepeatedTransferEncoding,
    UnknownTransferCoding,
    TransferEncodingInHttp10,
    InvalidChunkSize,
    InvalidChunkExtension,
    ChunkExtensionsTooLarge,
    InvalidChunkEnd,
    ForbiddenTrailer,
    TrailersTooLarge,
    TooManyTrailers,
}

reasons! {
    /// Why a request is refused. The connection cannot be used any further: answer, linger, close.
    RequestError: shared {
        BareLf, BareCr, NulByte, ObsoleteFolding, WhitespaceBeforeColon, MissingColon, InvalidFieldName,
        InvalidFieldValue, HeadTooLarge, TooManyFields, InvalidVersion, UnsupportedVersion, BothLengths,
        InvalidContentLength, RepeatedContentLength, RepeatedTransferEncoding, UnknownTransferCoding,
        TransferEncodingInHttp10, InvalidChunkSize, InvalidChunkExtension, ChunkExtensionsTooLarge, InvalidChunkEnd,
        ForbiddenTrailer, TrailersTooLarge, TooManyTrailers,
    }
    InvalidRequestLine = 400, "invalid_request_line", "the request line is not method, target and version, one space apart";
    RequestLineTooLarge = 414, "request_line_too_large", "the request line alone is over the limit of a head";
    InvalidMethod = 400, "invalid_method", "the method is not a token of at most 32 bytes";
    InvalidTarget = 400, "invalid_target", "the request target is not valid for the method";
    FragmentInTarget = 400, "fragment_in_target", "the request target has a fragment";
    InvalidVersion = 400, "invalid_version", "the version is not of the form HTTP/x.y";
    UnsupportedVersion = 505, "unsupported_version", "the version is not HTTP/1.1, nor HTTP/1.0 where that is accepted";
    BareLf = 400, "bare_lf", "a line ends with LF alone";
    BareCr = 400, "bare_cr", "a CR is not followed by LF";
    NulByte = 400, "nul_byte", "there is a NUL in the head or the trailers";
    ObsoleteFolding = 400, "obsolete_folding", "a field line starts with whitespace";
    WhitespaceBeforeColon = 400, "whitespace_before_colon", "there is whitespace between a field name and its colon";
    MissingColon = 400, "missing_colon", "a field line has no colon";
    InvalidFieldName = 400, "invalid_field_name", "a field name is not a token";
    InvalidFieldValue = 400, "invalid_field_value", "there is a control character in a field value";
    HeadTooLarge = 431, "head_too_large", "the head is over its limit";
    TooManyFields = 431, "too_many_fields", "the head has more fields than the limit";
    MissingHost = 400, "missing_host", "an HTTP/1.1 request has no host field";
    RepeatedHost = 400, "repeated_host", "there is more than one host field";
    InvalidHost = 400, "invalid_host", "the host field is not a host with an optional port";
    BothLengths = 400, "both_lengths", "there are both content-length and transfer-encoding";
    InvalidContentLength = 400, "invalid_content_length", "content-length is not one number of 64 bits";
    RepeatedContentLength = 400, "repeated_content_length", "there is more than one content-length";
    RepeatedTransferEncoding = 400, "repeated_transfer_encoding", "there is more than one transfer-encoding";
    UnknownTransferCoding = 501, "unknown_transfer_coding", "the transfer coding is not chunked";
    TransferEncodingInHttp10 = 400, "transfer_encoding_in_http_10", "there is a transfer-encoding in HTTP/1.0";
    UnknownExpectation = 417, "unknown_expectation", "an expectation other than 100-continue";
    BodyOnConnect = 400, "body_on_connect", "a CONNECT request announces a body";
    InvalidChunkSize = 400, "invalid_chunk_size", "a chunk size is not 1 to 16 hexadecimal digits";
    InvalidChunkExtension = 400, "invalid_chunk_extension", "a chunk extension is malformed";
    ChunkExtensionsTooLarge = 400, "chunk_extensions_too_large", "the chunk extensions of the message are over their limit";
    InvalidChunkEnd = 400, "invalid_chunk_end", "a chunk is not followed by CRLF";
    ForbiddenTrailer = 400, "forbidden_trailer", "a trailer names framing, routing, connection or credentials";
    TrailersTooLarge = 431, "trailers_too_large", "the trailer section is over its limit";
    TooManyTrailers = 431, "too_many_trailers", "the trailer section has more fields than the limit";
}

impl RequestError {
    /// True if it is found at the end of a head: that is whole then, and what is wrong is what it says.
    pub fn has_whole_head(self) -> bool {
        matches!(
            self,
            Self::MissingHost
                | Self::BothLengths
                | Self::InvalidContentLength
                | Self::RepeatedContentLength
                | Self::RepeatedTransferEncoding
                | Self::UnknownTransferCoding
                | Self::TransferEncodingInHttp10
                | Self::UnknownExpectation
                | Self::BodyOnConnect
        )
    }
}

reasons! {
    /// Why an answer is refused. The upstream's connection cannot be used any further.
    ResponseError: shared {
        BareLf, BareCr, NulByte, ObsoleteFolding, WhitespaceBeforeColon, MissingColon, InvalidFieldName,
        InvalidFieldValue, HeadTooLarge, TooManyFields, InvalidVersion, UnsupportedVersion, BothLengths,
        InvalidContentLength, RepeatedContentLength, RepeatedTransferEncoding, UnknownTransferCoding,
        TransferEncodingInHttp10, InvalidChunkSize, InvalidChunkExtension, ChunkExtensionsTooLarge, InvalidChunkEnd,
        ForbiddenTrailer, TrailersTooLarge, TooManyTrailers,
    }
    InvalidStatusLine = 502, "invalid_status_line", "the status line is not version, status and reason, one space apart";
    InvalidStatus = 502, "invalid_status", "the status is not three digits from 100 up";
    InvalidVersion = 502, "invalid_version", "the version is not of the form HTTP/x.y";
    UnsupportedVersion = 502, "unsupported_version", "the version is neither HTTP/1.1 nor HTTP/1.0";
    BareLf = 502, "bare_lf", "a line ends with LF alone";
    BareCr = 502, "bare_cr", "a CR is not followed by LF";
    NulByte = 502, "nul_byte", "there is a NUL in the head or the trailers";
    ObsoleteFolding = 502, "obsolete_folding", "a field line starts with whitespace";
    WhitespaceBeforeColon = 502, "whitespace_before_colon", "there is whitespace between a field name and its colon";
    MissingColon = 502, "missing_colon", "a field line has no colon";
    InvalidFieldName = 502, "invalid_field_name", "a field name is not a token";
    InvalidFieldValue = 502, "invalid_field_value", "there is a control character in a field value";
    HeadTooLarge = 502, "head_too_large", "the head is over its limit";
    TooManyFields = 502, "too_many_fields", "the head has more fields than the limit";
    TooManyInformational = 502, "too_many_informational", "there are more interim answers than the limit";
    BothLengths = 502, "both_lengths", "there are both content-length and transfer-encoding";
    InvalidContentLength = 502, "invalid_content_length", "content-length is not one number of 64 bits";
    RepeatedContentLength = 502, "repeated_content_length", "there is more than one content-length";
    RepeatedTransferEncoding = 502, "repeated_transfer_encoding", "there is more than one transfer-encoding";
    UnknownTransferCoding = 502, "unknown_transfer_coding", "the transfer coding is not chunked";
    TransferEncodingInHttp10 = 502, "transfer_encoding_in_http_10", "there is a transfer-encoding in HTTP/1.0";
    InvalidUpgrade = 502, "invalid_upgrade", "a 101 answer does not name the protocol that it switches to";
    BodyOnBodiless = 502, "body_on_bodiless", "a 1xx or 204 answer announces a body";
    InvalidChunkSize = 502, "invalid_chunk_size", "a chunk size is not 1 to 16 hexadecimal digits";
    InvalidChunkExtension = 502, "invalid_chunk_extension", "a chunk extension is malformed";
    ChunkExtensionsTooLarge = 502, "chunk_extensions_too_large", "the chunk extensions of the message are over their limit";
    InvalidChunkEnd = 502, "invalid_chunk_end", "a chunk is not followed by CRLF";
    ForbiddenTrailer = 502, "forbidden_trailer", "a trailer names framing, routing, connection or credentials";
    TrailersTooLarge = 502, "trailers_too_large", "the trailer section is over its limit";
    TooManyTrailers = 502, "too_many_trailers", "the trailer section has more fields than the limit";
    UnexpectedBytes = 502, "unexpected_bytes", "bytes came that no request asked for";
    Truncated = 502, "truncated", "the connection closed before the answer was whole";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_distinct_names_at_their_index() {
        for all in [RequestError::ALL, ResponseError::ALL] {
            let distinct: std::collections::BTreeSet<_> = all.iter().collect();
            assert_eq!(distinct.len(), all.len());
            assert!(all.iter().all(|name| {
                name.bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
            }));
        }
        for (index, error) in RequestError::VARIANTS.iter().enumerate() {
            assert_eq!((error.index(), error.reason()), (index, RequestError::ALL[index]));
            assert!((400..600).contains(&error.status()));
        }
        for (index, error) in ResponseError::VARIANTS.iter().enumerate() {
            assert_eq!(
                (error.index(), error.reason(), error.status()),
                (index, ResponseError::ALL[index], 502)
            );
        }
    }
}
