//! The matcher that anybody would write: every domain, every route, one after the other, straight from the model. It
//! shares no code with the crate.

use outrigger_config::model::{
    Domain, PathMatch, RouteConfiguration, RouteMatch, SpiffeMatch, StringMatch, TemplateSegment, VirtualHost,
};
use outrigger_traffic::{Found, RequestView};

/// What the compiled table must find.
pub(crate) fn find(configuration: &RouteConfiguration, request: &impl RequestView) -> Found {
    let host = request.host().to_lowercase();
    let hosts = configuration.virtual_hosts().iter().enumerate();
    let ranked = hosts.filter_map(|(index, virtual_host)| Some((rank(virtual_host, &host)?, index)));
    let Some((_, virtual_host)) = ranked.max() else {
        return Found::NoVirtualHost;
    };
    let routes = configuration.virtual_hosts()[virtual_host].routes();
    match routes.iter().position(|route| matches(route.matches(), request)) {
        Some(route) => Found::Route { virtual_host, route },
        None => Found::NoRoute { virtual_host },
    }
}

/// The best of a virtual host's domains that take the host: its kind, then its length.
fn rank(virtual_host: &VirtualHost, host: &str) -> Option<(u32, usize)> {
    let ranks = virtual_host.domains().iter().filter_map(|domain| match domain {
        Domain::Exact(name) => (name == host).then_some((3, 0)),
        Domain::Suffix(suffix) => {
            (host != suffix && host.ends_with(suffix.as_str())).then_some((2, suffix.len()))
        }
        Domain::Prefix(prefix) => {
            (host != prefix && host.starts_with(prefix.as_str())).then_some((1, prefix.len()))
        }
        Domain::Any => Some((0, 0)),
    });
    ranks.max()
}

fn matches(wanted: &RouteMatch, request: &impl RequestView) -> bool {
    let header = |name: &str| {
        let mut joined = Vec::new();
        request.header(name, &mut joined).map(<[u8]>::to_vec)
    };
    let parameter = |name: &str| {
        let pairs = request.query()?.split('&').filter(|pair| !pair.is_empty());
        let mut pairs = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        pairs
            .find(|(key, _)| decoded(key) == name.as_bytes())
            .map(|(_, value)| decoded(value))
    };
    let is_connect = request.method() == "CONNECT";
    wanted.connect() == is_connect
        && (is_connect || path_matches(wanted.path(), request.path()))
        && (wanted.methods().is_empty() || wanted.methods().contains(&request.method().to_owned()))
        && (!wanted.grpc()
            || header("content-type").is_some_and(|value| value.starts_with(b"application/grpc")))
        && (wanted.source_identities().is_empty()
            || wanted
                .source_identities()
                .iter()
                .any(|wanted| identity_matches(wanted, request)))
        && wanted.headers().iter().all(|condition| {
            condition.invert() ^ value_matches(condition.value(), header(condition.name().as_str()))
        })
        && wanted.query().iter().all(|condition| {
            condition.invert() ^ value_matches(condition.value(), parameter(condition.name()))
        })
}

fn identity_matches(wanted: &SpiffeMatch, request: &impl RequestView) -> bool {
    let Some(id) = request.source_identity() else {
        return false;
    };
    let (id, domain) = (id.as_str(), id.trust_domain());
    match wanted {
        SpiffeMatch::Exact(exact) => exact.as_str() == id,
        SpiffeMatch::Prefix(prefix) => id == prefix.as_str() || id.starts_with(&format!("{prefix}/")),
        SpiffeMatch::TrustDomain(wanted) => wanted.as_str() == domain,
    }
}

fn path_matches(wanted: &PathMatch, path: &str) -> bool {
    match wanted {
        PathMatch::Exact(exact) => exact == path,
        PathMatch::Prefix(prefix) if prefix == "/" => true,
        PathMatch::Prefix(prefix) if prefix.ends_with('/') => path.starts_with(prefix.as_str()),
        PathMatch::Prefix(prefix) => path == prefix || path.starts_with(&format!("{prefix}/")),
        PathMatch::StringPrefix(prefix) => path.starts_with(prefix.as_str()),
        PathMatch::Template(template) => {
            let came: Vec<&str> = path.split('/').collect();
            let segments = template.segments();
            came[0].is_empty()
                && came.len() == segments.len() + 1
                && segments
                    .iter()
                    .zip(&came[1..])
                    .all(|(segment, came)| match segment {
                        TemplateSegment::Literal(literal) => literal == came,
                        TemplateSegment::Variable(_) => !came.is_empty(),
                    })
        }
        PathMatch::Regex(pattern) => {
            // The whole path, whatever the model's own anchoring does.
            let whole =
                regex::Regex::new(&format!(r"\A(?:{})\z", pattern.source())).expect("it compiled before");
            whole.is_match(path)
        }
    }
}

fn value_matches(wanted: &StringMatch, value: Option<Vec<u8>>) -> bool {
    let Some(value) = value else { return false };
    match wanted {
        StringMatch::Exact(text) => value == text.as_bytes(),
        StringMatch::Prefix(text) => value.starts_with(text.as_bytes()),
        StringMatch::Suffix(text) => value.ends_with(text.as_bytes()),
        StringMatch::Contains(text) => {
            text.is_empty() || value.windows(text.len()).any(|window| window == text.as_bytes())
        }
        StringMatch::Regex(pattern) => match String::from_utf8(value) {
            Ok(value) => pattern.anchored().is_match(&value),
            Err(_) => false,
        },
        StringMatch::Present => true,
    }
}

fn decoded(text: &str) -> Vec<u8> {
    let (bytes, mut decoded, mut at) = (text.as_bytes(), Vec::new(), 0);
    while at < bytes.len() {
        let escape = bytes
            .get(at + 1..at + 3)
            .filter(|digits| digits.iter().all(u8::is_ascii_hexdigit));
        match escape {
            Some(digits) if bytes[at] == b'%' => {
                let digits = std::str::from_utf8(digits).expect("ASCII digits");
                decoded.push(u8::from_str_radix(digits, 16).expect("two digits"));
                at += 3;
            }
            _ => {
                decoded.push(bytes[at]);
                at += 1;
            }
        }
    }
    decoded
}
