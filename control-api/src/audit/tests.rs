use super::*;

#[test]
fn texts_are_cut_at_characters() {
    let event = Event::new(Moment(0), &"ä".repeat(300), "login.refused", "").why(&"x".repeat(5_000));
    assert!(
        event.who.len() <= FIELD_BYTES_MAX && event.who.ends_with("ä…"),
        "{}",
        event.who
    );
    assert_eq!(event.why.len(), REASON_BYTES_MAX);
}

fn log() -> Vec<Entry> {
    let mut head = Head::default();
    let mut entries = Vec::new();
    for number in 0..5 {
        let event = Event::new(Moment(number), "anna", action::REVISION_APPENDED, "mesh")
            .why("a new service")
            .revisions(number, number + 1)
            .detail("hash", "abc");
        let entry = Entry::following(&head, "c1", event);
        head = entry.head();
        entries.push(entry);
    }
    entries
}

fn follow(entries: &[Entry]) -> Result<Head, VerifyError> {
    let mut chain = Chain::default();
    for entry in entries {
        chain.follow(entry)?;
    }
    Ok(chain.head())
}

#[test]
fn untouched_log_is_followed_from_anywhere() {
    let entries = log();
    assert_eq!(follow(&entries).expect("untouched"), entries[4].head());
    let mut chain = Chain::behind(entries[2].head());
    chain.follow(&entries[3]).expect("follows");
    let line = serde_json::to_string(&entries[1]).expect("fits");
    assert_eq!(serde_json::from_str::<Entry>(&line).expect("fits"), entries[1]);
}

#[test]
fn every_change_of_a_field_is_found() {
    let changes: [fn(&mut Entry); 11] = [
        |entry| entry.commit.clear(),
        |entry| entry.time = Moment(99),
        |entry| entry.who = "bert".to_owned(),
        |entry| entry.what = "x".to_owned(),
        |entry| entry.subject = "x".to_owned(),
        |entry| entry.why = String::new(),
        |entry| entry.before = None,
        |entry| entry.after = Some(99),
        |entry| entry.details.clear(),
        |entry| entry.previous = Digest::of(b"x"),
        |entry| entry.hash = Digest::of(b"x"),
    ];
    for (number, change) in changes.into_iter().enumerate() {
        let mut entries = log();
        change(&mut entries[2]);
        let error = follow(&entries).expect_err("changed");
        let VerifyError::Broken { sequence, .. } = error else {
            panic!("{error}");
        };
        assert_eq!(sequence, 3, "change {number}");
        // One who hashes anew is found at the next entry; the last change is mended by it.
        entries[2].hash = entries[2].computed_hash();
        assert_eq!(follow(&entries).is_ok(), number == 10, "change {number}");
    }
}

#[test]
fn removal_addition_and_exchange_are_found() {
    let mut entries = log();
    entries.remove(1);
    assert!(follow(&entries).is_err());
    let mut entries = log();
    entries.swap(1, 2);
    assert!(follow(&entries).is_err());
    let mut entries = log();
    entries.insert(2, entries[1].clone());
    assert!(follow(&entries).is_err());
}
