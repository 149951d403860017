use super::*;
use crate::authority::Proof;
use crate::authority::rollover::{Evidence, Step};
use crate::store::embedded;

async fn stored() -> StoredAuthority {
    StoredAuthority::new(Arc::new(embedded::in_memory(10).await.unwrap()))
}

fn token(name: &str, secret: &str) -> JoinToken {
    JoinToken {
        name: name.to_owned(),
        digest: TokenDigest::of(secret),
        allows: SpiffeMatch::Prefix("spiffe://mesh/vm".parse().unwrap()),
        expires: Some(UNIX_EPOCH + Duration::from_secs(1_000)),
        reusable: false,
    }
}

#[tokio::test]
async fn keys_are_replaced_by_who_has_seen_them() {
    let stored = stored().await;
    assert!(stored.load().await.unwrap().is_none());
    let first = stored.save(b"one", None).await.unwrap();
    let kept = stored.load().await.unwrap().unwrap();
    assert_eq!((&kept.text[..], kept.version), (&b"one"[..], first));
    for stale in [None, Some(first + 7)] {
        let refused = stored.save(b"two", stale).await;
        assert!(matches!(refused, Err(KeyStoreError::Conflict)));
    }
    let second = stored.save(b"two", Some(first)).await.unwrap();
    assert!(second > first);
    assert_eq!(&stored.load().await.unwrap().unwrap().text[..], b"two");
}

#[tokio::test]
async fn tokens_are_found_used_up_and_taken_back() {
    let stored = stored().await;
    let exact = JoinToken {
        allows: SpiffeMatch::Exact("spiffe://mesh/a".parse().unwrap()),
        expires: None,
        reusable: true,
        ..token("two", "b")
    };
    for added in [token("one", "a"), exact.clone()] {
        assert!(stored.add(added.clone()).await.unwrap());
        assert_eq!(stored.find(&added.digest).await.unwrap(), Some(added));
    }
    assert!(!stored.add(token("one", "c")).await.unwrap(), "the name is taken");
    assert!(
        !stored.add(token("three", "a")).await.unwrap(),
        "the digest is taken"
    );
    assert_eq!(stored.list().await.unwrap(), [token("one", "a"), exact]);
    assert!(stored.add(token("with a blank", "d")).await.is_err());
    let (one, by) = (token("one", "a"), "spiffe://mesh/vm/a".parse().unwrap());
    let (first, second) = tokio::join!(stored.spend(&one, &by), stored.spend(&one, &by));
    assert_eq!(u8::from(first.unwrap()) + u8::from(second.unwrap()), 1);
    assert_eq!(stored.find(&one.digest).await.unwrap(), None);
    assert!(stored.add(one).await.unwrap(), "its name is free");
    assert!(stored.remove("two").await.unwrap());
    assert!(!stored.remove("two").await.unwrap());
    assert_eq!(stored.find(&TokenDigest::of("b")).await.unwrap(), None);
    assert_eq!(stored.list().await.unwrap().len(), 1);
}

#[tokio::test]
async fn every_event_is_an_entry_of_the_log() {
    let stored = stored().await;
    let id: SpiffeId = "spiffe://mesh/a".parse().unwrap();
    let by = "ann".to_owned();
    for happening in [
        Happening::Issued {
            id: id.clone(),
            serial: "01ab".to_owned(),
            not_after: UNIX_EPOCH + Duration::from_secs(60),
            proof: Proof::JoinToken("one".to_owned()),
        },
        Happening::Refused {
            id: None,
            reason: "why not".to_owned(),
        },
        Happening::Rollover {
            step: Step::Sign,
            evidence: Evidence::Nodes,
            by: by.clone(),
        },
        Happening::JoinToken {
            name: "one".to_owned(),
            made: true,
            by: by.clone(),
        },
        Happening::JoinToken {
            name: "one".to_owned(),
            made: false,
            by,
        },
    ] {
        let event = AuthorityEvent {
            at: UNIX_EPOCH,
            from: Some("192.0.2.1:1".parse().unwrap()),
            happening,
        };
        Audit::record(&stored, &event).await.unwrap();
    }
    let entries = stored.store.entries(1, 10).await.unwrap();
    let said: Vec<(&str, &str, &str)> = entries
        .iter()
        .map(|entry| (&*entry.who, &*entry.what, &*entry.subject))
        .collect();
    assert_eq!(
        said,
        [
            ("join token `one`", "certificate.issued", "spiffe://mesh/a"),
            ("192.0.2.1:1", "certificate.refused", "unknown"),
            ("ann", "signing.changed", "root"),
            ("ann", "join_token.issued", "one"),
            ("ann", "join_token.removed", "one"),
        ]
    );
    assert_eq!(entries[0].details["serial"], "01ab");
    assert_eq!(entries[0].details["not_after"], "1970-01-01T00:01:00Z");
    assert_eq!(entries[1].why, "why not");
    assert_eq!(entries[2].details["step"], "sign");
}
