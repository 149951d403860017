//! Compression: one filter for each coding.

use super::super::{Refusals, matching, type_url, unpack};
use crate::support::{Message, message};
use envoy_types::pb::envoy::config::core::v3::{RuntimeFeatureFlag, TypedExtensionConfig};
use envoy_types::pb::envoy::extensions::compression::{
    brotli::compressor::v3::Brotli, gzip::compressor::v3::Gzip, zstd::compressor::v3::Zstd,
};
use envoy_types::pb::envoy::extensions::filters::http::compressor::v3::{
    Compressor, CompressorPerRoute,
    compressor::{CommonDirectionConfig, ResponseDirectionConfig},
    compressor_per_route::Override,
};
use envoy_types::pb::envoy::r#type::matcher::v3::{StringMatcher, string_matcher::MatchPattern};
use outrigger_config::document::{Map, Path, Value};

pub(super) const MESSAGES: &[&Message] = &[
    &COMPRESSOR,
    &RESPONSE,
    &COMMON,
    &PER_ROUTE,
    &GZIP,
    &BROTLI,
    &ZSTD,
    &FEATURE_FLAG,
];

message! {
    pub(super) COMPRESSOR, refuse_compressor: Compressor
        as "envoy.extensions.filters.http.compressor.v3.Compressor" {
        used: content_length, content_type, compressor_library, response_direction_config;
        refused: disable_on_etag_header, remove_accept_encoding_header, runtime_enabled, request_direction_config;
        ignored: choose_first = "among codings that a client likes equally the first filter's is taken";
    }
}
message! {
    pub(super) RESPONSE, refuse_response: ResponseDirectionConfig
        as "envoy.extensions.filters.http.compressor.v3.Compressor.ResponseDirectionConfig" {
        used: common_config;
        refused: disable_on_etag_header, remove_accept_encoding_header, uncompressible_response_codes,
            status_header_enabled;
        ignored: weaken_etag_on_compress = "entity tags of what was compressed are always weakened";
    }
}
message! {
    pub(super) COMMON, refuse_common: CommonDirectionConfig
        as "envoy.extensions.filters.http.compressor.v3.Compressor.CommonDirectionConfig" {
        used: enabled, min_content_length, content_type, content_type_matcher;
        refused: ;
        ignored: ;
    }
}
message! {
    pub(super) PER_ROUTE, refuse_per_route: CompressorPerRoute
        as "envoy.extensions.filters.http.compressor.v3.CompressorPerRoute" {
        used: r#override;
        refused: ;
        ignored: ;
    }
}
message! {
    pub(super) GZIP, refuse_gzip: Gzip as "envoy.extensions.compression.gzip.compressor.v3.Gzip" {
        used: compression_level;
        refused: compression_strategy;
        ignored: memory_level = "memory is bounded otherwise", window_bits = "memory is bounded otherwise",
            chunk_size = "memory is bounded otherwise";
    }
}
message! {
    pub(super) BROTLI, refuse_brotli: Brotli as "envoy.extensions.compression.brotli.compressor.v3.Brotli" {
        used: quality;
        refused: encoder_mode, disable_literal_context_modeling;
        ignored: window_bits = "memory is bounded otherwise", input_block_bits = "memory is bounded otherwise",
            chunk_size = "memory is bounded otherwise";
    }
}
message! {
    pub(super) ZSTD, refuse_zstd: Zstd as "envoy.extensions.compression.zstd.compressor.v3.Zstd" {
        used: compression_level;
        refused: enable_checksum, strategy, dictionary;
        ignored: chunk_size = "memory is bounded otherwise";
    }
}
message! {
    pub(in crate::decode) FEATURE_FLAG, refuse_feature_flag: RuntimeFeatureFlag
        as "envoy.config.core.v3.RuntimeFeatureFlag" {
        used: default_value;
        refused: ;
        ignored: runtime_key = "there is no runtime beside the resources: the default value holds";
    }
}

/// What a flag says without a runtime.
pub(crate) fn is_enabled(refusals: &mut Refusals, path: &Path, flag: &RuntimeFeatureFlag) -> bool {
    refuse_feature_flag(refusals, path, flag);
    flag.default_value.is_none_or(|enabled| enabled.value)
}

/// The compressors of a chain: they are one setting here.
#[derive(Debug, Default)]
pub(super) struct Compressors {
    found: Vec<(Path, Compressor)>,
}

impl Compressors {
    pub(super) fn add(&mut self, refusals: &mut Refusals, path: &Path, filter: Compressor) {
        refuse_compressor(refusals, path, &filter);
        self.found.push((path.clone(), filter));
    }

    /// The setting; none without compressors.
    pub(super) fn into_value(self, refusals: &mut Refusals, path: &Path) -> Option<Value> {
        let mut algorithms = Vec::new();
        let mut settings: Option<Settings> = None;
        for (path, filter) in &self.found {
            let Some(own) = Settings::of(refusals, path, filter) else {
                continue;
            };
            algorithms.extend(algorithm(refusals, path, filter.compressor_library.as_ref()));
            match &settings {
                None => settings = Some(own),
                Some(first) if first.same(&own) => {}
                Some(_) => {
                    let message =
                        "other types or lengths than those of the compressor before are not implemented";
                    refusals.fault(path, message);
                }
            }
        }
        let settings = settings?;
        let mut map = Map::new(path).with("algorithms", Value::list(path, algorithms));
        let place = settings.path;
        if let Some(types) = settings.content_types {
            let types = types.into_iter().map(|one| Value::text(&place, one));
            map.put("content_types", Value::list(&place, types));
        }
        // Envoy's 30 bytes hardly pay; ours hold where nothing is said.
        map.put_some(
            "bytes_min",
            settings.bytes_min.map(|least| Value::plain(&place, least)),
        );
        Some(map.into())
    }
}

struct Settings {
    path: Path,
    content_types: Option<Vec<String>>,
    bytes_min: Option<u32>,
}

impl Settings {
    /// None if it is turned off.
    fn of(refusals: &mut Refusals, path: &Path, filter: &Compressor) -> Option<Settings> {
        #[allow(deprecated, reason = "older control planes still say it like this")]
        let (mut length, mut types) = (filter.content_length, filter.content_type.clone());
        let mut place = path.clone();
        if let Some(response) = &filter.response_direction_config {
            let path = path.field("response_direction_config");
            refuse_response(refusals, &path, response);
            if let Some(common) = &response.common_config {
                place = path.field("common_config");
                refuse_common(refusals, &place, common);
                if let Some(flag) = &common.enabled
                    && !is_enabled(refusals, &place.field("enabled"), flag)
                {
                    return None;
                }
                length = common.min_content_length.or(length);
                #[allow(deprecated, reason = "it is what nearly everybody says")]
                types.extend(common.content_type.iter().cloned());
                for (index, matcher) in common.content_type_matcher.iter().enumerate() {
                    let path = place.field("content_type_matcher").index(index);
                    types.extend(content_type(refusals, &path, matcher));
                }
            }
        }
        Some(Settings {
            path: place,
            content_types: (!types.is_empty()).then_some(types),
            bytes_min: length.map(|length| length.value),
        })
    }

    fn same(&self, other: &Settings) -> bool {
        self.content_types == other.content_types && self.bytes_min == other.bytes_min
    }
}

fn content_type(refusals: &mut Refusals, path: &Path, matcher: &StringMatcher) -> Option<String> {
    matching::text(refusals, path, matcher)?;
    match &matcher.match_pattern {
        Some(MatchPattern::Exact(exact)) => Some(exact.clone()),
        Some(MatchPattern::Prefix(prefix)) if prefix.ends_with('/') => Some(format!("{prefix}*")),
        _ => {
            refusals.unsupported(path, "a media type that is neither exact nor `type/`");
            None
        }
    }
}

fn algorithm(refusals: &mut Refusals, path: &Path, library: Option<&TypedExtensionConfig>) -> Option<Value> {
    let path = path.field("compressor_library").field("typed_config");
    let Some(any) = library.and_then(|library| library.typed_config.as_ref()) else {
        refusals.fault(&path, "it is missing");
        return None;
    };
    let url = any.type_url.as_str();
    let (coding, level) = if url == type_url::<Gzip>() {
        let gzip: Gzip = unpack(refusals, &path, any, url)?;
        refuse_gzip(refusals, &path, &gzip);
        let level = u32::try_from(gzip.compression_level)
            .ok()
            .filter(|level| *level > 0);
        (
            "gzip",
            level.map(|level| Value::plain(&path.field("compression_level"), level)),
        )
    } else if url == type_url::<Brotli>() {
        let brotli: Brotli = unpack(refusals, &path, any, url)?;
        refuse_brotli(refusals, &path, &brotli);
        let level = brotli.quality;
        (
            "br",
            level.map(|level| Value::plain(&path.field("quality"), level.value)),
        )
    } else if url == type_url::<Zstd>() {
        let zstd: Zstd = unpack(refusals, &path, any, url)?;
        refuse_zstd(refusals, &path, &zstd);
        let level = zstd.compression_level;
        (
            "zstd",
            level.map(|level| Value::plain(&path.field("compression_level"), level.value)),
        )
    } else {
        refusals.unsupported(&path, format_args!("the compressor {url}"));
        return None;
    };
    let mut settings = Map::new(&path);
    settings.put_some("level", level);
    Some(Map::new(&path).with(coding, settings.into()).into())
}

/// Whether a route's answers are compressed; none if nothing is said.
pub(super) fn route(refusals: &mut Refusals, path: &Path, config: &CompressorPerRoute) -> Option<Value> {
    refuse_per_route(refusals, path, config);
    match &config.r#override {
        Some(Override::Disabled(true)) => Some(Value::plain(&path.field("disabled"), "off")),
        Some(Override::Overrides(_)) => {
            refusals.unsupported(&path.field("overrides"), "compressing otherwise on one route");
            None
        }
        Some(Override::Disabled(false)) | None => None,
    }
}
