//! Compression of responses.

use super::Unique;
use super::chain::distinct;
use super::listener::settings;
use super::reader::{Fields, Reader, scalar_of};
use super::scalar::{self, Problem, problem_with_help};
use super::shapes::{COMPRESSION, COMPRESSION_ALGORITHM, COMPRESSION_LEVELS};
use super::tree::Node;
use crate::model::{Compression, CompressionAlgorithm, defaults};

/// The `compression` of a filter chain's `http`; none: off.
pub(super) fn compression(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Option<Compression> {
    let node = settings(reader, fields, "compression")?;
    let fields = reader.fields(node, &COMPRESSION)?;
    let mut algorithms = Vec::new();
    let mut seen = Unique::new("coding");
    for node in fields.list(reader, "algorithms") {
        if let Some((word, algorithm)) = algorithm(reader, node) {
            seen.insert(reader, word, node.span);
            algorithms.push(algorithm);
        }
    }
    let mut content_types = distinct(reader, &fields, "content_types", content_type, String::clone);
    if fields.entry("content_types").is_none() {
        content_types.extend(defaults::COMPRESSION_CONTENT_TYPES.map(str::to_owned));
    }
    Some(Compression {
        algorithms,
        content_types,
        bytes_min: fields
            .size(reader, "bytes_min")
            .unwrap_or(defaults::COMPRESSION_BYTES_MIN),
    })
}

/// A coding by its word, or as a map of its word to its settings.
fn algorithm(reader: &mut Reader<'_>, node: &Node) -> Option<(&'static str, CompressionAlgorithm)> {
    let gzip = ("gzip", CompressionAlgorithm::Gzip(defaults::GZIP_LEVEL));
    let brotli = ("br", CompressionAlgorithm::Brotli(defaults::BROTLI_QUALITY));
    let zstd = ("zstd", CompressionAlgorithm::Zstd(defaults::ZSTD_LEVEL));
    if scalar_of(node).is_some() {
        let words = [gzip, brotli, zstd].map(|algorithm| (algorithm.0, algorithm));
        return reader.choose(node, &words);
    }
    let fields = reader.fields(node, &COMPRESSION_ALGORITHM)?;
    let mut found = None;
    for (name, default) in [gzip, brotli, zstd] {
        let Some(node) = fields.node(reader, name) else {
            continue;
        };
        let shape = COMPRESSION_LEVELS
            .iter()
            .find(|(word, _)| *word == name)
            .map(|(_, shape)| *shape)
            .expect("every coding has a shape");
        let level = reader
            .fields(node, shape)
            .and_then(|fields| fields.integer32(reader, "level"));
        let algorithm = match (default, level) {
            (default, None) => default,
            (CompressionAlgorithm::Gzip(_), Some(level)) => CompressionAlgorithm::Gzip(level),
            (CompressionAlgorithm::Brotli(_), Some(level)) => CompressionAlgorithm::Brotli(level),
            (CompressionAlgorithm::Zstd(_), Some(level)) => CompressionAlgorithm::Zstd(level),
        };
        found = Some((name, algorithm));
    }
    found
}

/// `text/html`, or `text/*`.
fn content_type(text: &str) -> Result<String, Problem> {
    let lower = text.to_ascii_lowercase();
    let message = format!("`{}` is not a media type", scalar::shortened(text));
    if lower.contains(';') {
        return problem_with_help(message, "leave its parameters out: they make no difference");
    }
    match lower.split_once('/') {
        Some((kind, of)) if scalar::is_token(kind) && !kind.contains('*') && scalar::is_token(of) => {
            match of.contains('*') && of != "*" {
                true => problem_with_help(message, format!("write `{kind}/*`")),
                false => Ok(lower),
            }
        }
        _ => problem_with_help(message, "such as `application/json` or `text/*`"),
    }
}
