//! What an edge gateway does for browsers: HTTPS, compression, pages of its own.

use super::model;
use ipnet::IpNet;
use std::path::PathBuf;
use std::time::Duration;

model! {
    /// Plain HTTP requests are redirected to HTTPS.
    pub struct HttpsRedirect {
        /// The port of the HTTPS URL; none: 443, which is not written.
        copy port: Option<u16>,
        /// 301, 302, 303, 307 or 308: [`super::defaults::HTTPS_REDIRECT_STATUS`].
        copy status: u16,
    }
}

model! {
    /// `strict-transport-security` on answers over HTTPS (RFC 6797).
    pub struct Hsts {
        /// How long a browser asks by HTTPS only: [`super::defaults::HSTS_MAX_AGE`]; zero tells it to forget.
        copy max_age: Duration,
        /// Subdomains too.
        copy include_subdomains: bool,
        /// May stand in the lists that browsers are built with; needs subdomains and a year.
        copy preload: bool,
    }
}

model! {
    /// Compression of responses by negotiation (RFC 9110 section 12.5.3).
    pub struct Compression {
        /// Codings, those preferred first among those that a client likes equally; never empty.
        by_ref algorithms: Vec<CompressionAlgorithm>,
        /// Media types that are compressed, lower case, without parameters; `text/*` takes all of a type. Never empty:
        /// [`super::defaults::COMPRESSION_CONTENT_TYPES`].
        by_ref content_types: Vec<String>,
        /// Responses whose length is known to be less are left alone: [`super::defaults::COMPRESSION_BYTES_MIN`].
        copy bytes_min: u64,
    }
}

/// A content coding, with its level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CompressionAlgorithm {
    /// `gzip` at this level, 1 to 9: [`super::defaults::GZIP_LEVEL`].
    Gzip(u32),
    /// `br` at this quality, 0 to 11: [`super::defaults::BROTLI_QUALITY`].
    Brotli(u32),
    /// `zstd` at this level, 1 to 19: [`super::defaults::ZSTD_LEVEL`].
    Zstd(u32),
}

model! {
    /// Every request is answered by a page, but for those from some addresses.
    pub struct Maintenance {
        /// What is answered: 503 if no status is given.
        by_ref page: Page,
        /// `retry-after` of the answer; none: not sent.
        copy retry_after: Option<Duration>,
        /// Clients that are served as ever.
        by_ref allow: Vec<IpNet>,
    }
}

model! {
    /// A page of one's own in place of the local replies with these statuses; gRPC requests are answered as ever.
    pub struct ErrorPage {
        /// 400 to 599; none stands in two pages of a virtual host. Never empty.
        by_ref statuses: Vec<u16>,
        /// What is answered; its status is that of the reply unless it has its own.
        by_ref page: Page,
    }
}

model! {
    /// A page of one's own.
    pub struct Page {
        /// 200 to 599; none: that of the reply it stands for.
        copy status: Option<u16>,
        /// What is sent.
        by_ref body: PageBody,
        /// Its media type: `text/html; charset=utf-8` if not given.
        by_ref content_type: String,
    }
}

/// What a page holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PageBody {
    /// This text, at most [`super::defaults::PAGE_BYTES_MAX`].
    Inline(String),
    /// The contents of this file when the configuration is put in force, at most [`super::defaults::PAGE_BYTES_MAX`].
    File(PathBuf),
}
