//! Values that YAML has no type for.

use super::{EtcdSettings, ServerCertificate, StoreSettings};
use crate::access::{Role, TokenDigest};
use http::Uri;
use outrigger_config::Timestamp;
use outrigger_config::model::{SpiffeId, TrustDomain};
use serde::de::{Deserialize, Deserializer, Error};
use std::collections::BTreeSet;
use std::fmt::Display;
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

/// What all keys in etcd begin with, by default.
pub(super) const ETCD_PREFIX: &str = "/outrigger/";

/// Declares a value that is written as text.
macro_rules! written {
    ($(#[$meta:meta])* $name:ident($inner:ty), $parse:expr) => {
        $(#[$meta])*
        #[derive(Debug, Clone)]
        pub(super) struct $name(pub(super) $inner);

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<$name, D::Error> {
                let text = String::deserialize(deserializer)?;
                let parse: fn(&str) -> Result<$inner, String> = $parse;
                parse(&text).map($name).map_err(D::Error::custom)
            }
        }
    };
}

written!(
    /// A trust domain.
    Domain(TrustDomain), parse
);
written!(
    /// A SPIFFE id.
    Member(SpiffeId), parse
);
written!(
    /// A moment in RFC 3339.
    Moment(SystemTime),
    |text| parse::<Timestamp>(text).map(|timestamp| timestamp.0)
);
written!(
    /// A length of time.
    Interval(Duration), interval
);

/// The digest of a token. A text that is none may be the token itself: it is not shown.
#[derive(Debug, Clone)]
pub(super) struct Digest(pub(super) TokenDigest);

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Digest, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map(Digest).map_err(D::Error::custom)
    }
}

fn parse<T: FromStr<Err: Display>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|fault| format!("`{text}`: {fault}"))
}

/// `30s`, `5m`, `24h`, `7d`, `500ms`.
fn interval(text: &str) -> Result<Duration, String> {
    crate::interval::parse(text)
        .ok_or_else(|| format!("`{text}` is no length of time; expected one as `30s`, `5m`, `24h` or `7d`"))
}

/// A role as it is written: a word, or a map of one word.
#[derive(Debug, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum RawRole {
    Reader,
    Administrator,
    Editor(RawEditor),
    Node(RawNode),
}

#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawEditor {
    namespaces: BTreeSet<String>,
}

#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawNode {
    services: BTreeSet<String>,
}

pub(super) fn roles(raw: Vec<RawRole>) -> Result<Vec<Role>, String> {
    if raw.is_empty() {
        return Err("without a role it allows nothing; expected one or more in `roles`".to_owned());
    }
    let named = |names: BTreeSet<String>, of: &str| match names.is_empty() || names.contains("") {
        true => Err(format!("expected the names of one or more {of}")),
        false => Ok(names),
    };
    let checked = raw.into_iter().map(|role| match role {
        RawRole::Reader => Ok(Role::Reader),
        RawRole::Administrator => Ok(Role::Administrator),
        RawRole::Editor(editor) => named(editor.namespaces, "namespaces").map(Role::Editor),
        RawRole::Node(node) => named(node.services, "services").map(Role::Node),
    });
    checked.collect()
}

/// Names and addresses that the server's certificate is for.
pub(super) fn server_names(names: &[String]) -> Result<ServerCertificate, String> {
    let (mut dns_names, mut addresses) = (Vec::new(), Vec::new());
    for name in names {
        match name.parse::<IpAddr>() {
            Ok(address) => addresses.push(address),
            Err(_) => match rustls_pki_types::DnsName::try_from(name.as_str()) {
                Ok(_) => dns_names.push(name.to_ascii_lowercase()),
                Err(_) => return Err(format!("`{name}` is neither a DNS name nor an address")),
            },
        }
    }
    match names.is_empty() {
        true => Err("expected one or more names by which the server is reached".to_owned()),
        false => Ok(ServerCertificate::Authority { dns_names, addresses }),
    }
}

/// `embedded`, `embedded:FILE`, `directory:PATH`, `etcd:URL[,URL…]`.
pub(super) fn store(text: &str, embedded: PathBuf) -> Result<StoreSettings, String> {
    let (kind, rest) = text.split_once(':').unwrap_or((text, ""));
    match (kind, rest) {
        ("embedded", "") => Ok(StoreSettings::Embedded(embedded)),
        ("embedded", file) => Ok(StoreSettings::Embedded(file.into())),
        ("directory", path) if !path.is_empty() => Ok(StoreSettings::Directory(path.into())),
        ("etcd", urls) => {
            let endpoints: Vec<String> = urls.split(',').map(str::to_owned).collect();
            etcd_endpoints(&endpoints)?;
            Ok(StoreSettings::Etcd(EtcdSettings {
                endpoints,
                prefix: ETCD_PREFIX.to_owned(),
                roots_file: None,
                client: None,
                user: None,
            }))
        }
        _ => Err(format!(
            "`{text}` is no store; expected `embedded`, `embedded:FILE`, `directory:PATH` or `etcd:URL[,URL…]`"
        )),
    }
}

pub(super) fn etcd_endpoints(endpoints: &[String]) -> Result<(), String> {
    if endpoints.is_empty() {
        return Err("expected one or more of `http://HOST:PORT` and `https://HOST:PORT`".to_owned());
    }
    let is_wrong = |endpoint: &&String| {
        let uri: Option<Uri> = endpoint.parse().ok();
        uri.is_none_or(|uri| {
            !matches!(uri.scheme_str(), Some("http" | "https"))
                || uri.host().is_none()
                || !matches!(uri.path(), "" | "/")
        })
    };
    match endpoints.iter().find(is_wrong) {
        Some(wrong) => Err(format!(
            "`{wrong}`: expected `http://HOST:PORT` or `https://HOST:PORT`"
        )),
        None => Ok(()),
    }
}

/// Keys that come over a network that anybody may write to are nobody's.
pub(super) fn keys_url(url: &str) -> Result<(), String> {
    let wrong = || format!("`{url}`: expected `https://…`, or `http://…` with an address of loopback");
    let uri: Uri = url.parse().map_err(|_| wrong())?;
    let host = uri.host().ok_or_else(wrong)?;
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let is_loopback = bare.parse().is_ok_and(|address: IpAddr| address.is_loopback());
    match uri.scheme_str() {
        Some("https") => Ok(()),
        Some("http") if is_loopback => Ok(()),
        _ => Err(wrong()),
    }
}

/// What a parser's error says, without the position, which stands elsewhere.
pub(super) fn problem(error: &serde_saphyr::Error) -> String {
    let text = error.to_string();
    let first = text.lines().next().unwrap_or_default();
    first.split(" at line ").next().unwrap_or(first).to_owned()
}
