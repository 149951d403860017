//! What concerns one connection only and is not passed on (RFC 9110, 7.6.1).

use crate::fields::Fields;
use crate::known::{KnownName, KnownSet};
use crate::signals;

/// Dropped whether `connection` names them or not. `trailer` is not among them: trailers are passed on.
const ALWAYS: KnownSet = KnownSet::of(&[
    KnownName::Connection,
    KnownName::KeepAlive,
    KnownName::ProxyConnection,
    KnownName::TransferEncoding,
    KnownName::Upgrade,
]);

/// Kept though `connection` may name them. They are meant for the last recipient or for policy on the way, so that
/// naming them is a mistake or an attempt to hide from the next hop what a hop before has set.
const KEPT: KnownSet = KnownSet::of(&[
    KnownName::Host,
    KnownName::ContentLength,
    KnownName::Te,
    KnownName::Trailer,
    KnownName::Authorization,
    KnownName::CacheControl,
    KnownName::ContentEncoding,
    KnownName::ContentRange,
    KnownName::ContentType,
    KnownName::Cookie,
    KnownName::Date,
    KnownName::Expect,
    KnownName::Forwarded,
    KnownName::MaxForwards,
    KnownName::Origin,
    KnownName::SetCookie,
    KnownName::Traceparent,
    KnownName::Tracestate,
    KnownName::Via,
    KnownName::XForwardedClientCert,
    KnownName::XForwardedFor,
    KnownName::XForwardedHost,
    KnownName::XForwardedPort,
    KnownName::XForwardedProto,
    KnownName::XRealIp,
    KnownName::XRequestId,
]);

/// Drops the hop-by-hop fields and those that `connection` names, but for fields that must reach the other end.
///
/// `te` stays as `trailers` if it has that member. `upgrade` goes: whoever passes an upgrade on adds it again, with
/// its `connection`. `expect` is not hop-by-hop and stays.
pub fn strip_hop_by_hop(fields: &mut Fields) {
    if fields.present().intersects(ALWAYS) {
        fields.drop_hops(ALWAYS, KEPT);
    }
    if fields.contains(KnownName::Te) {
        if fields.get_all(KnownName::Te).any(signals::names_trailers) {
            fields.set_known(KnownName::Te, b"trailers");
        } else {
            fields.remove_known(KnownName::Te);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stripped(fields: &[(&str, &str)]) -> Vec<(String, String)> {
        let mut list = Fields::new();
        fields
            .iter()
            .for_each(|(name, value)| list.push(name.as_bytes(), value.as_bytes()));
        strip_hop_by_hop(&mut list);
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let left: Vec<_> = list
            .iter()
            .map(|field| (text(field.name), text(field.value)))
            .collect();
        for &known in KnownName::ALL {
            let is_left = left.iter().any(|(name, _)| name == known.as_str());
            assert_eq!(
                list.contains(known),
                is_left,
                "the set of known names holds {known}"
            );
        }
        left
    }

    fn owned(fields: &[(&str, &str)]) -> Vec<(String, String)> {
        fields
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_string()))
            .collect()
    }

    #[test]
    fn hop_by_hop_fields_and_named_ones_go() {
        let left = stripped(&[
            ("x-first", "1"),
            ("connection", "close, X-Secret,  x-other"),
            ("x-secret", "1"),
            ("accept", "a"),
            ("keep-alive", "timeout=5"),
            ("proxy-connection", "keep-alive"),
            ("transfer-encoding", "chunked"),
            ("connection", "Accept"),
            ("upgrade", "websocket"),
            ("x-other", "2"),
            ("trailer", "x-sum"),
            ("x-last", "2"),
        ]);
        assert_eq!(
            left,
            owned(&[("x-first", "1"), ("trailer", "x-sum"), ("x-last", "2")])
        );
    }

    #[test]
    fn fields_meant_for_the_other_end_stay_though_named() {
        let kept = [
            ("content-length", "3"),
            ("authorization", "a"),
            ("x-forwarded-for", "::1"),
            ("via", "1.1 a"),
        ];
        let named = (
            "connection",
            "content-length, Authorization, x-forwarded-for, via, host, te, trailer",
        );
        let mut fields = kept.to_vec();
        fields.insert(2, named);
        assert_eq!(stripped(&fields), owned(&kept));
    }

    #[test]
    fn te_stays_as_trailers_only() {
        assert_eq!(
            stripped(&[("te", "gzip, Trailers;q=1"), ("connection", "te")]),
            owned(&[("te", "trailers")])
        );
        assert_eq!(
            stripped(&[("te", "trailers"), ("te", "gzip")]),
            owned(&[("te", "trailers")])
        );
        assert_eq!(stripped(&[("te", "gzip")]), []);
    }
}
