//! Where bytes and resources come from: data sources, and configuration sources.

use super::Refusals;
use crate::support::{Message, message};
use envoy_types::pb::envoy::config::core::v3::config_source::ConfigSourceSpecifier;
use envoy_types::pb::envoy::config::core::v3::{self as core, data_source::Specifier};
use outrigger_config::document::Path;

pub(crate) const MESSAGES: &[&Message] = &[&CONFIG_SOURCE, &DATA_SOURCE];

message! {
    pub(super) CONFIG_SOURCE, refuse_config_source: core::ConfigSource as "envoy.config.core.v3.ConfigSource" {
        used: resource_api_version, config_source_specifier;
        refused: authorities;
        ignored: initial_fetch_timeout = "a resource that is late is waited for as the bootstrap says";
    }
}

message! {
    pub(super) DATA_SOURCE, refuse_data_source: core::DataSource as "envoy.config.core.v3.DataSource" {
        used: specifier;
        refused: ;
        ignored: watched_directory = "files are watched anyway, and links to them";
    }
}

/// Looks at where a resource is to be asked for: by the stream that this one came by (`ads`, `self`), or by one like it
/// (`api_config_source`): there is one, that of the bootstrap. A file is refused.
pub(super) fn config_source(refusals: &mut Refusals, path: &Path, source: &core::ConfigSource) {
    refuse_config_source(refusals, path, source);
    if source.resource_api_version == core::ApiVersion::V2 as i32 {
        refusals.unsupported(&path.field("resource_api_version"), "version 2 of the API");
    }
    match &source.config_source_specifier {
        Some(ConfigSourceSpecifier::Ads(_) | ConfigSourceSpecifier::Self_(_))
        | Some(ConfigSourceSpecifier::ApiConfigSource(_)) => {}
        Some(ConfigSourceSpecifier::Path(_)) => {
            refusals.unsupported(&path.field("path"), "a resource from a file");
        }
        Some(ConfigSourceSpecifier::PathConfigSource(_)) => {
            refusals.unsupported(&path.field("path_config_source"), "a resource from a file");
        }
        None => refusals.fault(path, "it does not say where the resource is asked for"),
    }
}

/// Bytes, or the file that holds them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Data {
    File(String),
    Inline(Vec<u8>),
}

impl Data {
    /// The text, if the bytes are here; a fault if they are none. Never shown in it: it may be a key.
    pub(super) fn text(&self, refusals: &mut Refusals, path: &Path) -> Option<String> {
        match self {
            Data::File(_) => None,
            Data::Inline(bytes) => match String::from_utf8(bytes.clone()) {
                Ok(text) => Some(text),
                Err(_) => {
                    refusals.fault(path, "expected a text");
                    None
                }
            },
        }
    }
}

/// What a data source says.
pub(super) fn data(refusals: &mut Refusals, path: &Path, source: &core::DataSource) -> Option<Data> {
    refuse_data_source(refusals, path, source);
    match &source.specifier {
        Some(Specifier::Filename(file)) => Some(Data::File(file.clone())),
        Some(Specifier::InlineString(text)) => Some(Data::Inline(text.clone().into_bytes())),
        Some(Specifier::InlineBytes(bytes)) => Some(Data::Inline(bytes.clone())),
        Some(Specifier::EnvironmentVariable(_)) => {
            refusals.unsupported(&path.field("environment_variable"), "an environment variable");
            None
        }
        None => {
            refusals.fault(path, "it says neither a file nor bytes");
            None
        }
    }
}
