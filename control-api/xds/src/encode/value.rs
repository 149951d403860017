//! Small values as the wire has them.

use envoy_types::pb::envoy::config::core::v3::{
    self as core, config_source::ConfigSourceSpecifier, data_source::Specifier,
};
use envoy_types::pb::google::protobuf::{self, Any};
use prost::{Message, Name};
use std::path::Path;
use std::time::Duration;

/// A duration, exactly. The model's have fewer than 2^63 seconds.
pub(crate) fn duration(duration: Duration) -> protobuf::Duration {
    protobuf::Duration {
        seconds: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        nanos: i32::try_from(duration.subsec_nanos()).unwrap_or_default(),
    }
}

/// A wrapped number.
pub(crate) fn number(value: u32) -> protobuf::UInt32Value {
    protobuf::UInt32Value { value }
}

/// A wrapped truth value.
pub(crate) fn boolean(value: bool) -> protobuf::BoolValue {
    protobuf::BoolValue { value }
}

/// A message with its type.
pub(crate) fn any<T: Message + Name>(message: &T) -> Any {
    Any {
        type_url: crate::decode::type_url::<T>(),
        value: message.encode_to_vec(),
    }
}

/// An extension of Envoy's, by its name and its message.
pub(crate) fn extension<T: Message + Name>(name: &str, message: &T) -> core::TypedExtensionConfig {
    core::TypedExtensionConfig {
        name: name.to_owned(),
        typed_config: Some(any(message)),
    }
}

/// The source of everything that is referred to: the stream that this resource came by.
pub(crate) fn config_source() -> core::ConfigSource {
    core::ConfigSource {
        resource_api_version: core::ApiVersion::V3 as i32,
        config_source_specifier: Some(ConfigSourceSpecifier::Ads(core::AggregatedConfigSource {})),
        ..core::ConfigSource::default()
    }
}

/// A file, read where the resource is used.
pub(crate) fn file(path: &Path) -> core::DataSource {
    data(Specifier::Filename(path.display().to_string()))
}

/// A text.
pub(crate) fn text(text: &str) -> core::DataSource {
    data(Specifier::InlineString(text.to_owned()))
}

/// Bytes.
pub(crate) fn bytes(bytes: &[u8]) -> core::DataSource {
    data(Specifier::InlineBytes(bytes.to_vec()))
}

fn data(specifier: Specifier) -> core::DataSource {
    core::DataSource {
        specifier: Some(specifier),
        ..core::DataSource::default()
    }
}
