//! Join tokens: what they are good for, how often, and for how long.

use super::*;

#[tokio::test]
async fn a_token_for_one_certificate_gives_one() {
    let world = world().await;
    let web = id("ns/shop/sa/web");
    let secret = world.token("once", SpiffeMatch::Exact(web.clone()), false).await;
    let other = world.ask(&id("ns/shop/sa/db"), Some(secret.expose()), None).await;
    assert!(
        matches!(other, Err(Refusal::Forbidden(_))),
        "and is not used up by that"
    );
    let certificate = world.ask(&web, Some(secret.expose()), None).await.unwrap();
    assert_eq!(certificate.id, web);
    let Happening::Issued { serial, proof, .. } = world.log.last() else {
        panic!("{:?}", world.log.last());
    };
    assert_eq!(
        (serial, proof),
        (certificate.serial, Proof::JoinToken("once".to_owned()))
    );
    let again = world.ask(&web, Some(secret.expose()), None).await;
    assert!(matches!(again, Err(Refusal::Unauthenticated(_))), "{again:?}");
    let text = format!("{:?}", world.log.events.lock());
    assert!(
        !text.contains(secret.expose()) && !text.contains("PRIVATE"),
        "{text}"
    );
    assert_eq!(world.count("certificates_total", "join_token"), 1);
    assert_eq!(world.count("refusals_total", "forbidden"), 1);
    assert_eq!(world.count("refusals_total", "unauthenticated"), 1);
}

#[tokio::test]
async fn of_those_who_use_a_token_at_once_one_is_first() {
    let world = Arc::new(world().await);
    let web = id("web");
    let secret = Arc::new(world.token("once", SpiffeMatch::Exact(web.clone()), false).await);
    let asking: Vec<_> = (0..8)
        .map(|_| {
            let (world, web, secret) = (Arc::clone(&world), web.clone(), Arc::clone(&secret));
            tokio::spawn(async move { world.ask(&web, Some(secret.expose()), None).await.is_ok() })
        })
        .collect();
    let mut given = 0;
    for asked in asking {
        given += usize::from(asked.await.unwrap());
    }
    assert_eq!(given, 1);
}

#[tokio::test]
async fn a_reusable_token_gives_what_it_is_for_until_it_expires() {
    let world = world().await;
    let secret = world.token("many", SpiffeMatch::Prefix(id("vm")), true).await;
    let token = Some(secret.expose());
    world.ask(&id("vm/one"), token, None).await.unwrap();
    world.ask(&id("vm/two"), token, None).await.unwrap();
    world
        .ask(&id("vm/three"), Some("fixed-secret"), None)
        .await
        .unwrap();
    for (id, token, now, expected) in [
        (
            id("vmx/one"),
            token,
            world.now,
            "join token `many` is not for spiffe://mesh/vmx/one",
        ),
        (
            id("vm/one"),
            Some("guess"),
            world.now,
            "the join token is not known",
        ),
        (id("vm/one"), Some(""), world.now, "the join token is not known"),
        (
            id("vm/one"),
            Some("a.b.c"),
            world.now,
            "no issuer of service-account tokens",
        ),
        (id("vm/one"), None, world.now, "nothing shows who asks"),
        (
            "spiffe://other/vm".parse().unwrap(),
            token,
            world.now,
            "expected an id below spiffe://mesh/",
        ),
        (
            "spiffe://mesh".parse().unwrap(),
            token,
            world.now,
            "expected an id below spiffe://mesh/",
        ),
        (
            id("vm/one"),
            token,
            world.now + HOUR,
            "join token `many` has expired",
        ),
        (
            id("vm/one"),
            Some("fixed-secret"),
            world.now + DAY,
            "join token `fixed` has expired",
        ),
    ] {
        let refusal = world.ask_at(&id, token, None, now).await.unwrap_err().to_string();
        assert!(refusal.contains(expected), "{refusal}");
        let Happening::Refused { id: told, reason } = world.log.last() else {
            panic!("{:?}", world.log.last());
        };
        assert_eq!((told, reason), (Some(id), refusal));
    }
    assert!(
        world
            .authority
            .remove_join_token("many", "ann", world.now)
            .await
            .unwrap()
    );
    assert!(world.ask(&id("vm/one"), token, None).await.is_err());
    assert!(
        !world
            .authority
            .remove_join_token("many", "ann", world.now)
            .await
            .unwrap()
    );
    let left = world.authority.join_tokens().await.unwrap();
    assert_eq!(left.len(), 1, "that of the settings");
}

#[tokio::test]
async fn join_tokens_have_names_of_their_own() {
    let world = world().await;
    let by = ("ann", world.now);
    let make = |name: &'static str, allows| world.authority.make_join_token(name, allows, HOUR, true, by);
    make("one", SpiffeMatch::Exact(id("a"))).await.unwrap();
    for taken in ["one", "fixed"] {
        let refused = make(taken, SpiffeMatch::Exact(id("a"))).await.unwrap_err();
        assert!(matches!(refused, AuthorityError::NameTaken(_)), "{refused}");
    }
    let foreign = SpiffeMatch::Prefix("spiffe://other/a".parse().unwrap());
    assert!(make("two", foreign).await.is_err());
    let told = world.log.events.lock().len();
    assert_eq!(told, 1, "what was not made is not told of");
    world.log.break_down();
    assert!(make("three", SpiffeMatch::Exact(id("a"))).await.is_err());
    let names: Vec<String> = (world.authority.join_tokens().await.unwrap().into_iter())
        .map(|token| token.name)
        .collect();
    assert_eq!(names, ["fixed", "one"]);
}
