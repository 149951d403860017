//! The PROXY protocol as YAML.

use super::emit::{Map, Out};
use super::{duration, word};
use crate::model::{
    DownstreamProxyProtocol, PassTlvs, ProxyProtocolMode, ProxyProtocolVersion, UpstreamProxyProtocol,
    defaults,
};

pub(super) fn downstream(options: &DownstreamProxyProtocol) -> Out {
    let mode = match options.mode {
        ProxyProtocolMode::Off => "off",
        ProxyProtocolMode::Optional => "optional",
        ProxyProtocolMode::Required => "required",
    };
    let default = options.pass_tlvs == PassTlvs::None && options.timeout == defaults::PROXY_PROTOCOL_TIMEOUT;
    if options.mode == ProxyProtocolMode::Off && default {
        return word("off");
    }
    Map::default()
        .with("mode", word(mode))
        .with("pass_tlvs", pass_tlvs(&options.pass_tlvs))
        .with("timeout", duration(options.timeout))
        .into()
}

pub(super) fn upstream(options: Option<&UpstreamProxyProtocol>) -> Out {
    match options {
        None => word("off"),
        Some(options) if options.version == ProxyProtocolVersion::V1 => word("v1"),
        Some(options) => Map::default()
            .with("version", word("v2"))
            .with("pass_tlvs", pass_tlvs(&options.pass_tlvs))
            .into(),
    }
}

fn pass_tlvs(tlvs: &PassTlvs) -> Out {
    match tlvs {
        PassTlvs::None => word("none"),
        PassTlvs::All => word("all"),
        PassTlvs::Listed(types) => Out::List(
            types
                .iter()
                .map(|value| Out::Plain(format!("0x{value:02X}")))
                .collect(),
        ),
    }
}
