//! Answers of a Workload API: which identity is taken, and what is no answer.

use super::*;
use outrigger_fixtures::grpc::Code;

#[tokio::test(flavor = "multi_thread")]
async fn the_identity_that_is_asked_for_is_taken_among_many() {
    let ours = Authority::new("ours");
    let other = "spiffe://example.org/ns/shop/sa/other";
    let place = Place::new();
    let api = WorkloadApi::start(&place.socket());
    let others = Svid::of(other, &ours.issue_svid("other", other), &ours);
    let both = Svids {
        svids: vec![others.clone(), own(&ours, "own")],
        ..Svids::default()
    };
    api.give(both.clone());
    for (more, taken) in [(String::new(), other), (format!(", spiffe_id: '{OWN}'"), OWN)] {
        let proxy = Proxy::start(document(&place.socket(), &more)).await;
        assert_eq!(told(&proxy).await["certificate"]["spiffe_id"], taken);
    }
    // One that is not among them does not come, and does once it is.
    api.give(others.alone());
    let proxy = Proxy::start(document(&place.socket(), &format!(", spiffe_id: '{OWN}'"))).await;
    assert_eq!(ready(&proxy).await.0, 503);
    let page = told(&proxy).await;
    assert_eq!(page["renewal"]["last_failure"]["reason"], "not_given", "{page:#}");
    api.give(both);
    wait_until("readiness", async || (ready(&proxy).await.0 == 200).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_cannot_be_used_changes_nothing() {
    let (ours, strangers) = (Authority::new("ours"), Authority::new("strangers"));
    let client = ours.issue_svid("client", CLIENT);
    let place = Place::new();
    let api = WorkloadApi::start(&place.socket());
    let good = own(&ours, "good");
    api.give(good.clone().alone());
    let proxy = Proxy::start(document(&place.socket(), "")).await;
    let serial = told(&proxy).await["certificate"]["serial"].clone();
    let with = |edit: &dyn Fn(&mut Svid)| {
        let mut svid = own(&ours, "edited");
        edit(&mut svid);
        svid.alone()
    };
    let expired = ours.issue_with("expired", &[], |params| {
        outrigger_fixtures::authority::expired(params);
        params
            .subject_alt_names
            .push(outrigger_fixtures::authority::uri(OWN));
    });
    let table: Vec<(Svids, &str)> = vec![
        (Svids::default(), "it holds no identity"),
        (with(&|svid| svid.x509_svid.clear()), "x509_svid is empty"),
        (with(&|svid| svid.x509_svid_key.clear()), "x509_svid_key is empty"),
        (with(&|svid| svid.bundle.clear()), "bundle is empty"),
        (with(&|svid| svid.spiffe_id.clear()), "spiffe_id"),
        (with(&|svid| svid.x509_svid.truncate(50)), "x509_svid is not DER"),
        (with(&|svid| svid.x509_svid[60] ^= 0xff), "cannot be used"),
        (with(&|svid| svid.x509_svid_key.truncate(20)), "the private key"),
        (
            with(&|svid| svid.x509_svid_key.clone_from(&good.x509_svid_key)),
            "does not fit",
        ),
        (with(&|svid| svid.spiffe_id = CLIENT.to_owned()), "is for"),
        (
            with(&|svid| svid.bundle = strangers.der()),
            "does not lead to its trust bundle",
        ),
        (Svid::of(OWN, &expired, &ours).alone(), "has expired"),
        (
            Svids {
                federated_bundles: [("spiffe://Partner".to_owned(), strangers.der())].into(),
                ..own(&ours, "edited").alone()
            },
            "federated_bundles",
        ),
        (
            Svids {
                crl: vec![vec![1, 2, 3]],
                ..own(&ours, "edited").alone()
            },
            "revocation list",
        ),
    ];
    for (count, (answer, words)) in table.into_iter().enumerate() {
        api.give(answer);
        let failed = format!("{FAILURES}{{name=\"own\",reason=\"answer\"}}");
        proxy.admin().wait_for_metric(&failed, (count + 1) as f64).await;
        let page = told(&proxy).await;
        let text = page["renewal"]["last_failure"]["text"]
            .as_str()
            .unwrap()
            .to_owned();
        assert!(text.contains(words), "{text:?} instead of {words:?}");
        assert_eq!(page["certificate"]["serial"], serial, "{words}");
    }
    assert!(serves(&proxy, &ours, &client).await);
    assert_eq!(
        proxy
            .admin()
            .metric("outrigger_identity_material_generation")
            .await,
        0.0
    );
    // What is no message breaks the stream; the next one is opened.
    api.give_garbage();
    proxy
        .admin()
        .wait_for(&format!("{FAILURES}{{name=\"own\"}}"), |count| count >= 15.0)
        .await;
    api.give(own(&ours, "later").alone());
    wait_until("the new certificate", async || {
        (told(&proxy).await["certificate"]["serial"] != serial).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_are_handled_as_the_standard_says() {
    let ours = Authority::new("ours");
    let place = Place::new();
    let api = WorkloadApi::start(&place.socket());
    // Not known yet, or not up yet: asked again.
    for (code, reason) in [
        (Code::PermissionDenied, "denied"),
        (Code::Unavailable, "unreachable"),
    ] {
        api.refuse(code);
        let proxy = Proxy::start(document(&place.socket(), "")).await;
        proxy
            .admin()
            .wait_for(&format!("{FAILURES}{{reason=\"{reason}\"}}"), |count| {
                count >= 2.0
            })
            .await;
        assert_eq!(ready(&proxy).await.0, 503);
        api.give(own(&ours, "first").alone());
        wait_until("readiness", async || (ready(&proxy).await.0 == 200).then_some(())).await;
        // What it has it keeps for the moment.
        api.refuse(code);
        proxy
            .admin()
            .wait_for(&format!("{FAILURES}{{reason=\"{reason}\"}}"), |count| {
                count >= 4.0
            })
            .await;
        assert!(told(&proxy).await["certificate"].is_object());
    }
    // A fault of the client: not asked again, but by a reload.
    api.refuse(Code::InvalidArgument);
    let calls = api.calls();
    let proxy = Proxy::start(document(&place.socket(), "")).await;
    let page = told(&proxy).await;
    assert_eq!(page["renewal"]["has_given_up"], true, "{page:#}");
    assert!(page["renewal"]["next_attempt_in_seconds"].is_null());
    // The proxies before are gone; in the five seconds of the start nobody else asked.
    assert_eq!(api.calls(), calls + 1);
    api.give(own(&ours, "second").alone());
    proxy.reload(document(&place.socket(), "")).await.unwrap();
    wait_until("readiness", async || (ready(&proxy).await.0 == 200).then_some(())).await;
    // What it has it keeps, also through a reload that is about something else and whose attempt is refused as well.
    let serial = told(&proxy).await["certificate"]["serial"].clone();
    let given_up = async || {
        wait_until("giving up", async || {
            (told(&proxy).await["renewal"]["has_given_up"] == true).then_some(())
        })
        .await;
    };
    api.refuse(Code::InvalidArgument);
    given_up().await;
    proxy.reload(document(&place.socket(), "")).await.unwrap();
    given_up().await;
    assert_eq!(told(&proxy).await["certificate"]["serial"], serial);
    assert_eq!(ready(&proxy).await.0, 200);
}
