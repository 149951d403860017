//! What is said of a node.

use super::*;

#[test]
fn a_resource_goes_from_wanted_to_taken() {
    let mut hands = Hands::new(Variant::Delta, [resource(Secret, "a", "1")]);
    let version = Arc::clone(resource(Secret, "a", "1").version());
    assert_eq!(hands.server.status(Secret, "a", hands.now), None);
    hands.ask(Secret, &["a"]);
    hands.pass(1);
    let status = hands.status_of(Secret, "a");
    assert_eq!(
        (status.is_named, status.current, status.sent),
        (true, Some(Arc::clone(&version)), None)
    );
    assert_eq!(status.lag, Some(Duration::from_secs(1)));
    assert_eq!(hands.server.progress(), Progress::Underway);
    let told = hands.next();
    let sent_at = hands.now;
    hands.pass(2);
    let status = hands.status_of(Secret, "a");
    assert_eq!(
        (status.sent, status.acknowledged),
        (Some((Arc::clone(&version), sent_at)), None)
    );
    assert_eq!(
        status.lag,
        Some(Duration::from_secs(3)),
        "since it was to be sent"
    );
    hands.take(&told, &[]);
    let status = hands.status_of(Secret, "a");
    assert_eq!((status.acknowledged, status.lag), (Some(version), None));
    assert!(hands.server.progress().is_settled());
}

#[test]
fn a_refused_resource_lags() {
    let mut hands = Hands::new(Variant::Delta, [resource(Secret, "a", "1")]);
    hands.ask(Secret, &["a"]);
    for content in ["2", "3"] {
        let told = hands.next();
        hands.refuse(&told, &[], "no");
        hands.pass(5);
        hands.put([resource(Secret, "a", content)]);
    }
    let status = hands.status_of(Secret, "a");
    let refused = status.refused.expect("refused");
    assert_eq!(
        (status.lag, hands.now - refused.since),
        (Some(Duration::from_secs(10)), Duration::from_secs(10))
    );
    assert_eq!(
        (&*refused.reason, hands.now - refused.at),
        ("no", Duration::from_secs(5))
    );
}

#[test]
fn a_type_is_counted() {
    let mut hands = Hands::new(
        Variant::Delta,
        [resource(Secret, "a", "1"), resource(Secret, "b", "1")],
    );
    assert_eq!(hands.server.type_status(Secret, hands.now), None);
    hands.ask(Secret, &["a", "b", "absent"]);
    let told = hands.next();
    hands.refuse(&told, &[], "b is wrong");
    hands.pass(3);
    hands.put([resource(Secret, "a", "2")]);
    let status = hands.server.type_status(Secret, hands.now).expect("asked for");
    assert_eq!(
        (
            status.named,
            status.sent,
            status.acknowledged,
            status.refused,
            status.unsent
        ),
        (3, 2, 1, 1, 1)
    );
    assert_eq!(
        (status.is_wildcard, status.is_unanswered, status.leaving),
        (false, false, 0)
    );
    assert_eq!(status.lag, Some(Duration::from_secs(3)));
    let all: Vec<String> = hands
        .server
        .statuses(Secret, hands.now)
        .map(|status| status.name.to_string())
        .collect();
    assert_eq!(all, ["a", "absent", "b"]);
}

/// What is wanted by the wildcard alone is counted before it is sent.
#[test]
fn what_is_still_to_be_sent_is_listed() {
    let mut hands = Hands::new(Variant::Delta, [resource(Cluster, "a", "1")]);
    hands.ask(Cluster, &[]);
    let statuses: Vec<ResourceStatus> = hands.server.statuses(Cluster, hands.now).collect();
    assert_eq!(statuses.len(), 1);
    assert_eq!((statuses[0].is_named, statuses[0].sent.is_none()), (false, true));
    assert_eq!(
        Some(&statuses[0]),
        hands.server.status(Cluster, "a", hands.now).as_ref()
    );
}
