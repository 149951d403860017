//! The PROXY protocol, as listeners read it and clusters are spoken to.

use super::Unique;
use super::reader::{Fields, Reader, scalar_of};
use super::scalar::{self, Problem, problem};
use super::shapes::{DOWNSTREAM_PROXY_PROTOCOL, UPSTREAM_PROXY_PROTOCOL};
use super::tree::Value;
use crate::model::{
    DownstreamProxyProtocol, PassTlvs, ProxyProtocolMode, ProxyProtocolVersion, UpstreamProxyProtocol,
    defaults,
};

const MODES: [(&str, ProxyProtocolMode); 3] = [
    ("off", ProxyProtocolMode::Off),
    ("optional", ProxyProtocolMode::Optional),
    ("required", ProxyProtocolMode::Required),
];

/// A listener's `proxy_protocol`.
pub(super) fn downstream(reader: &mut Reader<'_>, fields: &Fields<'_>) -> DownstreamProxyProtocol {
    let mut options = DownstreamProxyProtocol {
        mode: ProxyProtocolMode::Off,
        pass_tlvs: PassTlvs::None,
        timeout: defaults::PROXY_PROTOCOL_TIMEOUT,
    };
    let Some(node) = fields.node(reader, "proxy_protocol") else {
        return options;
    };
    if scalar_of(node).is_some() {
        options.mode = reader.choose(node, &MODES).unwrap_or(options.mode);
        return options;
    }
    let Some(fields) = reader.fields(node, &DOWNSTREAM_PROXY_PROTOCOL) else {
        return options;
    };
    options.mode = fields.choice(reader, "mode", &MODES).unwrap_or(options.mode);
    options.pass_tlvs = pass_tlvs(reader, &fields);
    options.timeout = fields.duration(reader, "timeout").unwrap_or(options.timeout);
    options
}

/// A cluster's `proxy_protocol`; none: off.
pub(super) fn upstream(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Option<UpstreamProxyProtocol> {
    let node = fields.node(reader, "proxy_protocol")?;
    let (v1, v2) = (ProxyProtocolVersion::V1, ProxyProtocolVersion::V2);
    if scalar_of(node).is_some() {
        let version = reader.choose(node, &[("off", None), ("v1", Some(v1)), ("v2", Some(v2))])??;
        return Some(UpstreamProxyProtocol {
            version,
            pass_tlvs: PassTlvs::None,
        });
    }
    let fields = reader.fields(node, &UPSTREAM_PROXY_PROTOCOL)?;
    let version = fields.choice(reader, "version", &[("v1", v1), ("v2", v2)]);
    let pass_tlvs = pass_tlvs(reader, &fields);
    if version == Some(v1) && pass_tlvs != PassTlvs::None {
        let message = "`pass_tlvs` with version 1, which has no such fields";
        reader.fault_with_help(
            fields.key_span_of("pass_tlvs"),
            message,
            "write `version: v2`, or remove it",
        );
    }
    Some(UpstreamProxyProtocol {
        version: version?,
        pass_tlvs,
    })
}

fn pass_tlvs(reader: &mut Reader<'_>, fields: &Fields<'_>) -> PassTlvs {
    let Some(node) = fields.node(reader, "pass_tlvs") else {
        return PassTlvs::None;
    };
    let Value::List(_) = &node.value else {
        let all = match scalar_of(node) {
            Some(_) => reader.choose(node, &[("none", false), ("all", true)]),
            None => {
                reader.mismatch(node, "`none`, `all` or a list of types");
                None
            }
        };
        return if all == Some(true) {
            PassTlvs::All
        } else {
            PassTlvs::None
        };
    };
    let mut types = Vec::new();
    let mut seen = Unique::new("type");
    for node in reader.items(node, true) {
        if let Some(value) = reader.parse(node, "a type", tlv_type) {
            seen.insert(reader, format!("0x{value:02X}"), node.span);
            types.push(value);
        }
    }
    PassTlvs::Listed(types)
}

/// `224` or `0xE0`.
fn tlv_type(text: &str) -> Result<u8, Problem> {
    let value = match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16)
            .ok()
            .filter(|_| digits.bytes().all(|byte| byte.is_ascii_hexdigit())),
        None => scalar::integer(text).ok(),
    };
    match value {
        Some(value) => u8::try_from(value).or_else(|_| problem(format!("{text} is not between 0 and 255"))),
        None => scalar::problem_with_help(
            format!("expected a type, found `{}`", scalar::shortened(text)),
            "such as `0xE0` or `224`",
        ),
    }
}
