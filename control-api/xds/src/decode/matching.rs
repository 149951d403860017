//! How texts, headers and addresses are compared, wherever a message asks that.

use super::Refusals;
use crate::support::{Message, message};
use envoy_types::pb::envoy::config::core::v3::{Address, CidrRange, SocketAddress, address, socket_address};
use envoy_types::pb::envoy::config::route::v3::{HeaderMatcher, header_matcher::HeaderMatchSpecifier};
use envoy_types::pb::envoy::r#type::matcher::v3::{
    RegexMatcher, StringMatcher, string_matcher::MatchPattern,
};
use outrigger_config::document::{Map, Path, Value};

/// What is read here.
pub(crate) const MESSAGES: &[&Message] = &[
    &STRING_MATCHER,
    &HEADER_MATCHER,
    &REGEX_MATCHER,
    &CIDR_RANGE,
    &SOCKET_ADDRESS,
];

message! {
    pub(super) STRING_MATCHER, refuse_string_matcher: StringMatcher as "envoy.type.matcher.v3.StringMatcher" {
        used: ignore_case, match_pattern;
        refused: ;
        ignored: ;
    }
}
message! {
    pub(super) REGEX_MATCHER, refuse_regex_matcher: RegexMatcher as "envoy.type.matcher.v3.RegexMatcher" {
        used: regex;
        refused: ;
        ignored: engine_type = "RE2 is the only one that there is; the syntax here is almost the same";
    }
}
message! {
    pub(super) HEADER_MATCHER, refuse_header_matcher: HeaderMatcher as "envoy.config.route.v3.HeaderMatcher" {
        used: name, invert_match, treat_missing_header_as_empty, header_match_specifier;
        refused: ;
        ignored: ;
    }
}
message! {
    pub(super) CIDR_RANGE, refuse_cidr_range: CidrRange as "envoy.config.core.v3.CidrRange" {
        used: address_prefix, prefix_len;
        refused: ;
        ignored: ;
    }
}
message! {
    pub(super) SOCKET_ADDRESS, refuse_socket_address: SocketAddress as "envoy.config.core.v3.SocketAddress" {
        used: protocol, address, port_specifier;
        refused: resolver_name, network_namespace_filepath;
        ignored: ipv4_compat = "an address says itself of which family it is";
    }
}

/// How a text is compared: the field of the document (`exact`, `prefix`, …) and its value.
pub(crate) fn text(
    refusals: &mut Refusals,
    path: &Path,
    matcher: &StringMatcher,
) -> Option<(&'static str, Value)> {
    refuse_string_matcher(refusals, path, matcher);
    let Some(pattern) = &matcher.match_pattern else {
        refusals.fault(path, "it does not say how the text is compared");
        return None;
    };
    let (field, place, text) = match pattern {
        MatchPattern::Exact(text) => ("exact", path.field("exact"), text.clone()),
        MatchPattern::Prefix(text) => ("prefix", path.field("prefix"), text.clone()),
        MatchPattern::Suffix(text) => ("suffix", path.field("suffix"), text.clone()),
        MatchPattern::Contains(text) => ("contains", path.field("contains"), text.clone()),
        MatchPattern::SafeRegex(regex) => {
            let path = path.field("safe_regex");
            return Some(("regex", regex_text(refusals, &path, regex)));
        }
        MatchPattern::Custom(_) => {
            refusals.unsupported(&path.field("custom"), "a matcher of another kind");
            return None;
        }
    };
    if !matcher.ignore_case {
        return Some((field, Value::text(&place, text)));
    }
    Some(("regex", Value::text(&place, as_regex(field, &text, true))))
}

/// What `exact`, `prefix`, `suffix` or `contains` says of a text, as a regular expression that matches the whole.
pub(crate) fn as_regex(field: &str, text: &str, ignore_case: bool) -> String {
    let escaped = escape(text);
    let flags = if ignore_case { "(?is)" } else { "(?s)" };
    match field {
        "exact" => format!("{flags}{escaped}"),
        "prefix" => format!("{flags}{escaped}.*"),
        "suffix" => format!("{flags}.*{escaped}"),
        _ => format!("{flags}.*{escaped}.*"),
    }
}

/// A regular expression.
pub(crate) fn regex_text(refusals: &mut Refusals, path: &Path, regex: &RegexMatcher) -> Value {
    refuse_regex_matcher(refusals, path, regex);
    Value::text(&path.field("regex"), regex.regex.as_str())
}

/// A text as a regular expression that matches it alone.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_ascii_punctuation() && character != '_' && character != '/' {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped
}

/// A text that is compared otherwise than as a whole is a map; a whole text stands by itself.
pub(crate) fn text_or_map(refusals: &mut Refusals, path: &Path, matcher: &StringMatcher) -> Option<Value> {
    let (field, value) = text(refusals, path, matcher)?;
    Some(match field {
        "exact" => value,
        _ => Map::new(path).with(field, value).into(),
    })
}

/// A condition on a header, as routes have it. Pseudo-headers are as other names: the caller asks for those first.
pub(crate) fn header(refusals: &mut Refusals, path: &Path, matcher: &HeaderMatcher) -> Option<Value> {
    let (field, value, inverted) = header_value(refusals, path, matcher)?;
    let name = Value::text(&path.field("name"), matcher.name.as_str());
    let mut map = Map::new(path).with("name", name).with(field, value);
    if inverted {
        map.put("invert", Value::plain(&path.field("invert_match"), true));
    }
    Some(map.into())
}

/// To Envoy a header that is missing meets no condition on its value, the opposite of one neither; here it meets the
/// opposite.
pub(crate) fn needs_presence(matcher: &HeaderMatcher) -> bool {
    let is_presence = matches!(
        matcher.header_match_specifier,
        None | Some(HeaderMatchSpecifier::PresentMatch(_))
    );
    matcher.invert_match && !matcher.treat_missing_header_as_empty && !is_presence
}

/// Conditions on a header, all of which hold where Envoy's does.
pub(crate) fn header_conditions(refusals: &mut Refusals, path: &Path, matcher: &HeaderMatcher) -> Vec<Value> {
    let mut conditions: Vec<Value> = header(refusals, path, matcher).into_iter().collect();
    if needs_presence(matcher) {
        let name = Value::text(&path.field("name"), matcher.name.as_str());
        let present = Value::plain(&path.field("invert_match"), true);
        conditions.push(Map::new(path).with("name", name).with("present", present).into());
    }
    conditions
}

/// How a header's value is compared, and whether the opposite is meant.
pub(crate) fn header_value(
    refusals: &mut Refusals,
    path: &Path,
    matcher: &HeaderMatcher,
) -> Option<(&'static str, Value, bool)> {
    refuse_header_matcher(refusals, path, matcher);
    let mut inverted = matcher.invert_match;
    let present = |at: &Path| ("present", Value::plain(at, true));
    #[allow(deprecated, reason = "older control planes still say it like this")]
    let (field, value) = match &matcher.header_match_specifier {
        None => present(path),
        Some(HeaderMatchSpecifier::PresentMatch(there)) => {
            inverted ^= !there;
            present(&path.field("present_match"))
        }
        Some(HeaderMatchSpecifier::StringMatch(matcher)) => {
            text(refusals, &path.field("string_match"), matcher)?
        }
        Some(HeaderMatchSpecifier::ExactMatch(text)) => ("exact", plain_text(path, "exact_match", text)),
        Some(HeaderMatchSpecifier::PrefixMatch(text)) => ("prefix", plain_text(path, "prefix_match", text)),
        Some(HeaderMatchSpecifier::SuffixMatch(text)) => ("suffix", plain_text(path, "suffix_match", text)),
        Some(HeaderMatchSpecifier::ContainsMatch(text)) => {
            ("contains", plain_text(path, "contains_match", text))
        }
        Some(HeaderMatchSpecifier::SafeRegexMatch(regex)) => {
            let value = regex_text(refusals, &path.field("safe_regex_match"), regex);
            ("regex", value)
        }
        Some(HeaderMatchSpecifier::RangeMatch(_)) => {
            refusals.unsupported(&path.field("range_match"), "comparing a header as a number");
            return None;
        }
    };
    // A text that is not empty is never found in an empty one: a header that is missing is then like one that is empty.
    let like_missing =
        matches!(field, "exact" | "prefix" | "suffix" | "contains") && value.as_scalar() != Some("");
    if matcher.treat_missing_header_as_empty && !like_missing {
        let what = "taking a missing header for an empty one, where that makes a difference,";
        refusals.unsupported(&path.field("treat_missing_header_as_empty"), what);
    }
    Some((field, value, inverted))
}

fn plain_text(path: &Path, field: &'static str, text: &str) -> Value {
    Value::text(&path.field(field), text)
}

/// A prefix of addresses, `10.0.0.0/8`.
pub(crate) fn prefix(refusals: &mut Refusals, path: &Path, range: &CidrRange) -> Value {
    refuse_cidr_range(refusals, path, range);
    let CidrRange {
        address_prefix,
        prefix_len,
    } = range;
    let length = prefix_len.as_ref().map_or(0, |length| length.value);
    Value::text(path, format!("{address_prefix}/{length}"))
}

/// A list of prefixes; none if there are none.
pub(crate) fn prefixes(refusals: &mut Refusals, path: &Path, ranges: &[CidrRange]) -> Option<Value> {
    if ranges.is_empty() {
        return None;
    }
    let mut values = Vec::with_capacity(ranges.len());
    for (index, range) in ranges.iter().enumerate() {
        values.push(prefix(refusals, &path.index(index), range));
    }
    Some(Value::list(path, values))
}

/// An address with its port, `127.0.0.1:80`.
pub(crate) fn socket_address(refusals: &mut Refusals, path: &Path, address: &Address) -> Option<Value> {
    let socket = match &address.address {
        Some(address::Address::SocketAddress(socket)) => socket,
        Some(address::Address::Pipe(_)) => {
            refusals.unsupported(&path.field("pipe"), "a Unix socket");
            return None;
        }
        Some(address::Address::EnvoyInternalAddress(_)) => {
            refusals.unsupported(&path.field("envoy_internal_address"), "an internal address");
            return None;
        }
        None => {
            refusals.fault(path, "an address is missing");
            return None;
        }
    };
    let path = path.field("socket_address");
    refuse_socket_address(refusals, &path, socket);
    if socket.protocol != 0 {
        refusals.unsupported(&path.field("protocol"), "a protocol other than TCP");
    }
    let port = match &socket.port_specifier {
        Some(socket_address::PortSpecifier::PortValue(port)) => *port,
        Some(socket_address::PortSpecifier::NamedPort(_)) => {
            refusals.unsupported(&path.field("named_port"), "a port by name");
            return None;
        }
        None => {
            refusals.fault(&path, "a port is missing");
            return None;
        }
    };
    if u16::try_from(port).is_err() {
        let message = format!("a port is at most 65535, and this is {port}");
        refusals.fault(&path.field("port_value"), message);
        return None;
    }
    let address = &socket.address;
    Some(Value::text(
        &path,
        match address.contains(':') {
            true => format!("[{address}]:{port}"),
            false => format!("{address}:{port}"),
        },
    ))
}
