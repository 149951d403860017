use super::*;
use crate::listen::Peer;
use http::{Extensions, HeaderMap};
use std::time::{Duration, UNIX_EPOCH};

fn names(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn id(text: &str) -> SpiffeId {
    text.parse().unwrap()
}

fn claim(service: &str) -> NodeClaim {
    NodeClaim {
        node: "node-1".to_owned(),
        service: service.to_owned(),
    }
}

fn access(grants: Grants) -> Access {
    let access = Access::new(grants);
    access.set_node_rule(Arc::new(|id, claim| {
        match id.path() == format!("/{}", claim.service) {
            true => Ok(()),
            false => Err(format!("`{}` has another identity", claim.service)),
        }
    }));
    access
}

/// Every kind of caller against every kind of action: `+` may, `-` may not, `?` is not known.
#[test]
fn every_caller_may_what_the_table_says_and_nothing_else() {
    let (shop, bank, both) = (names(&["shop"]), names(&["bank"]), names(&["bank", "shop"]));
    let scopes = [
        Scope::Namespaces(shop.clone()),
        Scope::Namespaces(bank),
        Scope::Namespaces(both),
        Scope::Namespaces(BTreeSet::new()),
        Scope::Mesh,
    ];
    let (own, other) = (claim("web"), claim("db"));
    let mut actions = vec![Action::Read, Action::Administer];
    actions.extend(scopes.iter().map(Action::Write));
    actions.extend(scopes.iter().map(Action::Release));
    actions.extend([Action::Subscribe(&own), Action::Subscribe(&other)]);
    let web = Principal::Identity(id("spiffe://mesh/web"));
    let token = Principal::Token("ci".to_owned());
    let editor = Role::Editor(shop);
    let node = Role::Node(names(&["web"]));
    // Read, administer; write: shop, bank, both, no namespace, mesh; release: the same; subscribe: own, other.
    let table = [
        (Principal::Anonymous, vec![], "??", "?????", "??"),
        (
            Principal::Anonymous,
            vec![Role::Administrator],
            "??",
            "?????",
            "??",
        ),
        (
            Principal::Loopback,
            vec![Role::Administrator],
            "++",
            "+++++",
            "++",
        ),
        (web.clone(), vec![], "--", "-----", "+-"),
        (web.clone(), vec![Role::Reader], "+-", "-----", "+-"),
        (web.clone(), vec![editor.clone()], "+-", "+----", "+-"),
        (web.clone(), vec![Role::Administrator], "++", "+++++", "+-"),
        (web, vec![Role::Node(names(&["db"]))], "--", "-----", "++"),
        (token.clone(), vec![], "--", "-----", "--"),
        (token.clone(), vec![Role::Reader], "+-", "-----", "--"),
        (token.clone(), vec![editor.clone()], "+-", "+----", "--"),
        (token.clone(), vec![Role::Administrator], "++", "+++++", "--"),
        (token.clone(), vec![node.clone()], "--", "-----", "+-"),
        (token, vec![node, editor, Role::Reader], "+-", "+----", "+-"),
    ];
    let access = access(Grants::default());
    for (principal, roles, plain, scoped, subscribe) in table {
        let caller = Caller::new(principal.clone(), roles.clone(), None);
        let expected = format!("{plain}{scoped}{scoped}{subscribe}");
        let found: String = actions
            .iter()
            .map(|action| match access.may(&caller, action) {
                Ok(()) => '+',
                Err(denied) => {
                    assert!(
                        denied.reason().contains("expected") || denied.reason().contains("identity"),
                        "{denied}"
                    );
                    match denied.kind() {
                        DeniedKind::Forbidden => '-',
                        DeniedKind::Unauthenticated => '?',
                    }
                }
            })
            .collect();
        assert_eq!(found, expected, "{principal} with {roles:?}");
    }
}

#[test]
fn a_refusal_says_who_what_and_what_it_would_take() {
    let access = access(Grants::default());
    let caller = Caller::new(Principal::Token("ci".to_owned()), vec![Role::Reader], None);
    let scope = Scope::Namespaces(names(&["shop", "b\u{7}nk"]));
    let denied = access.may(&caller, &Action::Write(&scope)).unwrap_err();
    assert_eq!(
        denied.reason(),
        "token `ci` may not change namespaces `b?nk`, `shop`; expected the role `administrator`, or `editor` of every \
         namespace that it touches"
    );
    assert_eq!(denied.status(), 403);
    let caller = Caller::new(Principal::Identity(id("spiffe://mesh/web")), vec![], None);
    let denied = access.may(&caller, &Action::Subscribe(&claim("db"))).unwrap_err();
    assert_eq!(
        tonic::Status::from(denied).message(),
        "spiffe://mesh/web may not be node `node-1` of `db`: `db` has another identity"
    );
}

#[test]
fn without_a_rule_no_identity_is_a_node() {
    let access = Access::new(Grants::default());
    let caller = Caller::new(Principal::Identity(id("spiffe://mesh/web")), vec![], None);
    assert!(access.may(&caller, &Action::Subscribe(&claim("web"))).is_err());
}

fn peer(address: &str, local: &str) -> Extensions {
    let mut extensions = Extensions::new();
    extensions.insert(Arc::new(Peer {
        address: address.parse().unwrap(),
        local_address: local.parse().unwrap(),
        encrypted: false,
        identity: None,
        certificates: Vec::new(),
    }));
    extensions
}

fn headers(entries: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in entries {
        headers.append(*name, value.parse().unwrap());
    }
    headers
}

#[test]
fn tokens_are_known_by_their_digest_until_they_expire() {
    let expires = UNIX_EPOCH + Duration::from_secs(100);
    let access = access(Grants {
        tokens: vec![TokenGrant {
            name: "ci".to_owned(),
            digest: TokenDigest::of("secret"),
            expires: Some(expires),
            roles: vec![Role::Reader],
        }],
        ..Grants::default()
    });
    let nowhere = Extensions::new();
    let identify = |value: &str, now| access.identify(&nowhere, &headers(&[("authorization", value)]), now);
    let before = expires - Duration::from_nanos(1);
    for good in ["Bearer secret", "bearer secret", "BEARER  secret "] {
        let caller = identify(good, before).unwrap();
        assert_eq!(caller.principal(), &Principal::Token("ci".to_owned()));
        assert_eq!(caller.roles(), [Role::Reader]);
    }
    assert_eq!(
        identify("Bearer secret", expires).unwrap_err().reason(),
        "token `ci` has expired"
    );
    for bad in ["Bearer Secret", "Bearer ", "Bearer", "Basic secret", "secret"] {
        let denied = identify(bad, before).unwrap_err();
        assert_eq!(denied.kind(), DeniedKind::Unauthenticated, "{bad}");
        assert!(!denied.reason().contains("ecret"), "{denied}");
    }
    let twice = headers(&[
        ("authorization", "Bearer secret"),
        ("authorization", "Bearer secret"),
    ]);
    assert!(access.identify(&nowhere, &twice, before).is_err());
}

#[test]
fn the_loopback_default_is_for_programs_of_this_machine_alone() {
    let grants = |loopback| Grants {
        loopback,
        ..Grants::default()
    };
    let here = peer("127.0.0.1:4000", "127.0.0.1:80");
    let identify = |loopback, extensions: &Extensions, entries: &[(&'static str, &str)]| {
        access(grants(loopback))
            .identify(extensions, &headers(entries), UNIX_EPOCH)
            .map(|caller| caller.principal().clone())
    };
    let (loopback, nobody) = (Ok(Principal::Loopback), Ok(Principal::Anonymous));
    assert_eq!(identify(true, &here, &[]), loopback);
    assert_eq!(identify(true, &here, &[("host", "localhost:80")]), loopback);
    assert_eq!(
        identify(true, &peer("[::1]:4000", "[::1]:80"), &[("host", "[::1]:80")]),
        loopback
    );
    assert_eq!(
        identify(
            true,
            &peer("[::ffff:127.0.0.1]:4000", "[::ffff:127.0.0.1]:80"),
            &[]
        ),
        loopback
    );
    assert_eq!(identify(false, &here, &[]), nobody);
    assert_eq!(identify(true, &Extensions::new(), &[]), nobody);
    assert_eq!(
        identify(true, &peer("192.0.2.1:4000", "192.0.2.2:80"), &[]),
        nobody
    );
    assert_eq!(
        identify(true, &peer("192.0.2.2:4000", "192.0.2.2:80"), &[]),
        nobody
    );
    // A page in a browser of this machine.
    assert!(identify(true, &here, &[("host", "rebound.example")]).is_err());
    assert!(
        identify(
            true,
            &here,
            &[("host", "localhost"), ("origin", "https://evil.example")]
        )
        .is_err()
    );
    assert!(identify(true, &here, &[("host", "localhost"), ("origin", "null")]).is_err());
}
