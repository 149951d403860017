//! Session cookies: keys, the table of them, and the cookies that carry them.

use crate::tables::routes;
use outrigger_config::model::RouteAction;
use outrigger_traffic::{SessionKey, SessionPolicy, SessionTable};
use proptest::prelude::*;
use std::collections::HashSet;

fn policy(cookie: &str) -> SessionPolicy {
    let configuration = routes(&format!(
        "route_configurations:\n- name: main\n  virtual_hosts:\n  - name: all\n    domains: ['*']\n    routes:\n    \
         - {{match: {{prefix: /}}, forward: {{cluster: a, session_cookie: {cookie}}}}}\n\
         clusters: [{{name: a, endpoints: [{{address: 127.0.0.1:1}}]}}]\n"
    ));
    match configuration.virtual_hosts()[0].routes()[0].action() {
        RouteAction::Forward(forward) => {
            SessionPolicy::compile(forward.session_cookie().as_ref().expect("a session cookie"))
        }
        other => panic!("{other:?} is no forward"),
    }
}

#[test]
fn keys_never_change() {
    // Written down: a release that made others would send every client elsewhere.
    let key = SessionKey::of("shop", "10.0.0.1:8080");
    assert_eq!(key.to_string(), KEY_OF_SHOP);
    assert_eq!(SessionKey::parse(KEY_OF_SHOP.as_bytes()), Some(key));
    assert_ne!(SessionKey::of("shop", "10.0.0.1:8081"), key);
    assert_ne!(SessionKey::of("cart", "10.0.0.1:8080"), key);
}

/// `printf 'shop\0%s' 10.0.0.1:8080 | sha256sum | cut -c 1-32`
const KEY_OF_SHOP: &str = "3a324d7b403bdc7ea3bfc7c258187ee0";

#[test]
fn the_first_cookie_of_the_name_that_can_be_read_counts() {
    let policy = policy("{name: stay}");
    let (one, two) = (SessionKey::of("a", "one"), SessionKey::of("a", "two"));
    for (fields, expected) in [
        (vec![], None),
        (vec![format!("stay={one}")], Some(one)),
        (vec![format!("a=b;stay={one} ; stay={two}")], Some(one)),
        (vec!["stay=no".into(), format!("x; stay={two}")], Some(two)),
        (
            vec![format!("stays={one}; sta={one}; stay{one}; Stay={one}")],
            None,
        ),
        (vec![format!("stay=\"{one}\"")], None),
        (vec![format!("stay={one}0")], None),
    ] {
        let found = policy.key_in(fields.iter().map(|field: &String| field.as_bytes()));
        assert_eq!(found, expected, "{fields:?}");
    }
}

#[test]
fn cookies_are_written_with_their_attributes() {
    let key = SessionKey::of("shop", "10.0.0.1:8080");
    for (cookie, https, attributes) in [
        ("{name: stay}", false, "; Path=/; HttpOnly"),
        ("{name: stay}", true, "; Path=/; HttpOnly; Secure"),
        (
            "{name: stay, path: /a, max_age: 1h, same_site: strict}",
            false,
            "; Path=/a; Max-Age=3600; HttpOnly; SameSite=Strict",
        ),
        (
            "{name: stay, same_site: none}",
            false,
            "; Path=/; HttpOnly; SameSite=None; Secure",
        ),
    ] {
        let set = policy(cookie).set_cookie(key, https);
        assert_eq!(set, format!("stay={KEY_OF_SHOP}{attributes}"), "{cookie}");
    }
}

proptest! {
    #[test]
    fn a_table_finds_what_a_search_finds(
        members in prop::collection::hash_set("[a-z]{1,3}", 0..40),
        asked in "[a-z]{1,3}",
    ) {
        let members: Vec<String> = members.into_iter().collect();
        let keys: Vec<SessionKey> = members.iter().map(|name| SessionKey::of("a", name)).collect();
        prop_assert_eq!(keys.iter().collect::<HashSet<_>>().len(), keys.len());
        let table = SessionTable::new(keys.iter().copied());
        let expected = members.iter().position(|name| *name == asked);
        prop_assert_eq!(table.find(SessionKey::of("a", &asked)), expected);
    }

    #[test]
    fn what_is_displayed_is_read_and_nothing_else(
        name in ".{0,8}",
        other in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        let key = SessionKey::of("a", &name);
        prop_assert_eq!(SessionKey::parse(key.to_string().as_bytes()), Some(key));
        if let Some(read) = SessionKey::parse(&other) {
            let shown = read.to_string();
            prop_assert_eq!(shown.as_bytes(), other.as_slice());
        }
    }
}
