//! What requests and responses come to.

use crate::cell::labelled::Label;

labels! {
    /// A response's status by its first digit.
    pub enum CodeClass = "code_class" {
        /// No status was ever sent or received: one side went away first.
        None = "none",
        /// 100 to 199.
        Informational = "1xx",
        /// 200 to 299.
        Success = "2xx" from_zero,
        /// 300 to 399.
        Redirection = "3xx" from_zero,
        /// 400 to 499.
        ClientError = "4xx" from_zero,
        /// 500 and above.
        ServerError = "5xx" from_zero,
    }

    /// What the proxy answered in place of a route, or of a local reply, because a virtual host's edge policy says so.
    pub enum EdgeAnswerKind = "answer" {
        /// A redirect to HTTPS.
        HttpsRedirect = "https_redirect",
        /// A refusal of what cannot be redirected to HTTPS.
        HttpsRequired = "https_required",
        /// The maintenance page.
        Maintenance = "maintenance",
        /// A page in place of a local reply.
        ErrorPage = "error_page",
    }

    /// The coding that a response was compressed by.
    pub enum Coding = "coding" {
        /// gzip.
        Gzip = "gzip",
        /// Brotli.
        Brotli = "br",
        /// Zstandard.
        Zstd = "zstd",
    }

    /// Why a response was not compressed on a filter chain that compresses.
    pub enum NotCompressed = "reason" {
        /// Its route turns compression off.
        Route = "route",
        /// Its status, or that of its request's method, is of no kind that is compressed; or it has no body.
        Status = "status",
        /// It is a part of something (206, or a content-range).
        Range = "range",
        /// It has a content coding already.
        ContentEncoding = "content_encoding",
        /// Its media type is not listed.
        ContentType = "content_type",
        /// It says that it must not be changed.
        NoTransform = "no_transform",
        /// It says its own digest.
        Digest = "digest",
        /// It is too short.
        TooShort = "too_short",
        /// The client speaks HTTP/1.0.
        Http10 = "http_1_0",
        /// The client accepts no coding that is configured, or likes none of them better.
        NotAccepted = "not_accepted",
        /// The worker has as many encoders as it may.
        Memory = "memory",
    }

    /// What became of a response that is longer than its route allows.
    pub enum TooLongResponse = "result" {
        /// It announced its length: 502 was sent instead.
        Refused = "refused",
        /// Its length showed while it streamed: it was cut.
        Cut = "cut",
    }

    /// Whether a cross-origin request's origin is allowed.
    pub enum CorsOrigin = "origin" {
        /// It is.
        Valid = "valid",
        /// It is not.
        Invalid = "invalid",
    }

    /// What became of a session cookie.
    pub enum SessionCookieUse = "result" {
        /// The endpoint that it names is there: the request went to it.
        Kept = "kept",
        /// There was none that could be read.
        New = "new",
        /// The endpoint that it names is not there any more: the request went to another.
        Moved = "moved",
        /// The same, and the route sends such requests nowhere else: 503.
        Refused = "refused",
    }

    /// Why a copy of a request was dropped.
    pub enum MirrorDrop = "reason" {
        /// The worker had as many copies under way as it may.
        Limit = "limit",
        /// The request's body is longer than what is copied.
        BodyTooLong = "body_too_long",
        /// As many bytes as may be are kept.
        Memory = "memory",
        /// The mirror's cluster has as many requests as it may.
        Overflow = "overflow",
        /// The request ended before its body did.
        Incomplete = "incomplete",
        /// The mirror's cluster has no endpoint.
        NoEndpoint = "no_endpoint",
        /// No connection to the mirror could be made.
        Connect = "connect",
        /// The mirror broke off before the end of its answer.
        Failed = "failed",
        /// The mirror took too long.
        Timeout = "timeout",
        /// The mirror's answer is longer than what is read to be thrown away.
        AnswerTooLong = "answer_too_long",
        /// The process ended.
        Drain = "drain",
    }
}

impl CodeClass {
    /// The class of a status; 0 is [`CodeClass::None`], and what is no class of HTTP counts as 5xx, as RFC 9110
    /// section 15 reads it.
    #[inline]
    pub const fn of(status: u16) -> CodeClass {
        match status / 100 {
            0 => CodeClass::None,
            1 => CodeClass::Informational,
            2 => CodeClass::Success,
            3 => CodeClass::Redirection,
            4 => CodeClass::ClientError,
            _ => CodeClass::ServerError,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_has_the_class_of_its_first_digit() {
        let table = [
            (0, "none"),
            (100, "1xx"),
            (204, "2xx"),
            (399, "3xx"),
            (404, "4xx"),
            (503, "5xx"),
            (999, "5xx"),
        ];
        for (status, class) in table {
            assert_eq!(CodeClass::of(status).as_str(), class, "{status}");
        }
    }
}
