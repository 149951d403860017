//! Signing keys: from one root to the next, shared, kept, and somebody else's.

use super::*;

#[tokio::test]
async fn a_rollover_leaves_nobody_in_the_dark() {
    let (world, own) = (world().await, id("a"));
    let make = |now| {
        world
            .authority
            .make_identity(&own, (&[], &[]), None, "a test", now)
    };
    let mut watched = world.authority.watch_bundle();
    let before = world.authority.bundle();
    let by_old = make(world.now).await.unwrap();
    world
        .roll(Step::Prepare, Evidence::Time, world.now)
        .await
        .unwrap();
    assert_eq!(*world.authority.bundle(), *before, "nobody knows of it");
    assert!(!watched.has_changed().unwrap());
    let both = world
        .roll(Step::Distribute, Evidence::Time, world.now)
        .await
        .unwrap();
    assert!(watched.has_changed().unwrap());
    watched.mark_unchanged();
    assert_eq!((both.roots().len(), &both.roots()[0]), (2, &before.roots()[0]));
    assert_eq!(both.pem().matches("BEGIN CERTIFICATE").count(), 2);
    // What is issued meanwhile is believed by those who have not heard of it.
    assert!(believed(&before, &make(world.now).await.unwrap(), world.now));
    let early = world.roll(Step::Sign, Evidence::Time, world.now + HOUR).await;
    assert!(matches!(
        early,
        Err(AuthorityError::Rollover(RolloverRefusal::TooEarly { .. }))
    ));
    let signed = world
        .roll(Step::Sign, Evidence::Acknowledged, world.now)
        .await
        .unwrap();
    assert_eq!(signed.roots().len(), 2);
    let by_new = make(world.now).await.unwrap();
    assert!(!believed(&before, &by_new, world.now));
    for bundle in [&both, &signed] {
        assert!(believed(bundle, &by_new, world.now) && believed(bundle, &by_old, world.now));
    }
    // Who has a certificate by the old key renews it.
    let shown = peer(&by_old.certificate);
    world.ask(&id("a"), None, Some(&shown)).await.unwrap();
    let late = world.now + DAY + BACKDATE;
    let retired = world.roll(Step::Retire, Evidence::Time, late).await.unwrap();
    assert_eq!(retired.roots(), &both.roots()[1..]);
    assert!(!believed(&retired, &by_old, world.now));
    let steps: Vec<Step> = (world.log.events.lock().iter())
        .filter_map(|event| match &event.happening {
            Happening::Rollover { step, by, .. } if by == "ann" => Some(*step),
            _ => None,
        })
        .collect();
    assert_eq!(steps, [Step::Prepare, Step::Distribute, Step::Sign, Step::Retire]);
}

#[tokio::test]
async fn servers_that_share_keys_are_one_authority() {
    let keys = Arc::new(SharedKeys::default());
    let (one, other) = tokio::join!(
        world_with(KeySource::Kept(keys.clone()), None),
        world_with(KeySource::Kept(keys.clone()), None)
    );
    assert_eq!(one.authority.bundle(), other.authority.bundle());
    one.roll(Step::Prepare, Evidence::Time, one.now).await.unwrap();
    // The other sees the step before it takes the next.
    other
        .roll(Step::Distribute, Evidence::Time, one.now)
        .await
        .unwrap();
    assert_eq!(one.authority.bundle().roots().len(), 1);
    one.authority.refresh(one.now).await.unwrap();
    assert_eq!(one.authority.bundle(), other.authority.bundle());
    one.roll(Step::Cancel, Evidence::Time, one.now).await.unwrap();
    other.authority.refresh(one.now).await.unwrap();
    assert_eq!(other.authority.bundle().roots().len(), 1);
    keys.0.lock().0 = Some(b"{}".to_vec());
    keys.0.lock().1 += 1;
    let broken = other.authority.refresh(one.now).await;
    assert!(matches!(broken, Err(AuthorityError::Unreadable)));
    assert_eq!(other.authority.bundle().roots().len(), 1);
}

#[tokio::test]
async fn keys_outlive_the_server() {
    let directory = tempfile::tempdir().unwrap();
    let store = || KeySource::Kept(Arc::new(KeyFile::new(directory.path().join("authority.json"))));
    let first = world_with(store(), None).await.authority.bundle();
    assert_eq!(world_with(store(), None).await.authority.bundle(), first);
}

#[tokio::test]
async fn a_key_of_somebody_elses_is_used_and_not_rolled_over() {
    let now = SystemTime::now();
    let mesh = "mesh".parse().unwrap();
    let (signer, next) = (
        signer::generate(&mesh, now).unwrap(),
        signer::generate(&mesh, now).unwrap(),
    );
    let key = KeySource::Given {
        signer,
        further_roots: next.chain,
    };
    let world = world_with(key, None).await;
    assert_eq!(world.authority.bundle().roots().len(), 2);
    world
        .ask(&id("vm/one"), Some("fixed-secret"), None)
        .await
        .unwrap();
    let rolled = world.roll(Step::Prepare, Evidence::Time, now).await;
    assert!(matches!(rolled, Err(AuthorityError::Given)));
}
