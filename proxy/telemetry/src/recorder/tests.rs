use super::*;
use crate::ResponseFlags;
use crate::story::{AttemptOutcome, AttemptStory, Event, EventKind, Story};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};

const SETTINGS: RecorderSettings = RecorderSettings {
    memory_bytes: 8 << 20,
    slow: Duration::from_secs(1),
};

const ATTEMPT: AttemptStory = AttemptStory {
    number: 1,
    endpoint: SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 1), 8080)),
    started: Duration::from_micros(9),
    answered: Some(Duration::from_micros(1400)),
    ended: Duration::from_micros(1500),
    outcome: AttemptOutcome::Answered(200),
};

fn note(ended: Instant) -> Note<'static> {
    Note {
        kind: Kind::Request,
        ended,
        duration: Duration::from_micros(1500),
        status: 200,
        flags: ResponseFlags::NONE,
        attempts: 1,
        protocol: Protocol::Http11,
        generation: 3,
        chain: 2,
        virtual_host: Some(0),
        route: Some(1),
        cluster: Some(4),
        connection: 77,
        bytes_received: 5,
        bytes_sent: 1024,
        last_attempt: Some(&ATTEMPT),
        peer: SocketAddr::from(([127, 0, 0, 1], 40000)),
        request_ended: true,
        trace_id: None,
        method: "GET",
        path: "/orders/17",
        authority: "shop.example:8080",
        request_id: b"01234567-89ab-4def-bedc-ba9876543210",
        details: "via_upstream",
        peer_id: "",
        story: None,
        grpc_status: None,
    }
}

fn story() -> Story {
    let mut story = Story::default();
    story.end_attempt(AttemptStory {
        number: 1,
        endpoint: SocketAddr::from(([10, 0, 0, 2], 8080)),
        started: Duration::from_micros(5),
        answered: None,
        ended: Duration::from_micros(700),
        outcome: AttemptOutcome::Failed("connection_refused"),
    });
    story.note(Event {
        at: Duration::from_micros(701),
        kind: EventKind::Retry,
        subject: "".into(),
        detail: "connect_failed",
        value: 0,
    });
    story
}

fn one(recorder: &Recorder) -> Recorded {
    let mut found = recorder.read(10, |_| true);
    assert_eq!(found.len(), 1);
    found.remove(0)
}

#[test]
fn a_plain_request_comes_back_whole() {
    let recorder = Recorder::new(1);
    let mut writer = recorder.open(0, Some(SETTINGS)).unwrap();
    let (before, ended) = (SystemTime::now(), Instant::now());
    writer.record(&note(ended));
    let told = one(&recorder);
    assert_eq!((told.worker, told.number, told.kind), (0, 1, Kind::Request));
    assert_eq!((told.status, told.attempts, told.generation), (200, 1, 3));
    assert_eq!(
        (told.chain, told.virtual_host, told.route, told.cluster),
        (2, Some(0), Some(1), Some(4))
    );
    assert_eq!(
        (told.connection, told.bytes_received, told.bytes_sent),
        (77, 5, 1024)
    );
    assert_eq!(
        told.told_attempts,
        [RecordedAttempt {
            number: 1,
            endpoint: Some(ATTEMPT.endpoint),
            started: ATTEMPT.started,
            answered: ATTEMPT.answered,
            ended: ATTEMPT.ended,
            outcome: RecordedOutcome::Answered(200),
        }]
    );
    assert_eq!(told.peer, Some(note(ended).peer));
    assert!(told.request_ended);
    assert_eq!(told.duration, Duration::from_micros(1500));
    assert_eq!((told.method.as_str(), told.path.as_str()), ("GET", "/orders/17"));
    assert_eq!(told.authority, "shop.example:8080");
    assert_eq!(told.request_id, "01234567-89ab-4def-bedc-ba9876543210");
    assert_eq!(
        (told.details.as_str(), told.protocol.as_str()),
        ("via_upstream", "HTTP/1.1")
    );
    assert!(told.trace_id.is_none() && told.peer_id.is_empty() && !told.path_cut && !told.is_error());
    let off = told
        .started
        .duration_since(before)
        .unwrap_or_else(|error| error.duration());
    assert!(off < Duration::from_secs(60), "{off:?}");
}

#[test]
fn a_story_comes_back_whole() {
    let recorder = Recorder::new(2);
    let mut writer = recorder.open(1, Some(SETTINGS)).unwrap();
    let story = story();
    writer.record(&Note {
        status: 503,
        flags: ResponseFlags::UF | ResponseFlags::URX,
        trace_id: Some(0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c),
        details: "connection_refused",
        peer_id: "spiffe://mesh/orders",
        virtual_host: None,
        route: None,
        cluster: None,
        last_attempt: None,
        request_ended: false,
        story: Some(&story),
        ..note(Instant::now())
    });
    let told = one(&recorder);
    assert_eq!((told.worker, told.status, told.is_error()), (1, 503, true));
    assert_eq!(told.flags, ResponseFlags::UF | ResponseFlags::URX);
    assert_eq!(told.trace_id, Some(0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c));
    assert_eq!(
        (told.details.as_str(), told.peer_id.as_str()),
        ("connection_refused", "spiffe://mesh/orders")
    );
    assert_eq!((told.virtual_host, told.route, told.cluster), (None, None, None));
    assert!(!told.request_ended);
    assert_eq!(
        told.told_attempts,
        [RecordedAttempt {
            number: 1,
            endpoint: Some(SocketAddr::from(([10, 0, 0, 2], 8080))),
            started: Duration::from_micros(5),
            answered: None,
            ended: Duration::from_micros(700),
            outcome: RecordedOutcome::Failed("connection_refused".to_owned()),
        }]
    );
    assert_eq!(
        told.events,
        [RecordedEvent {
            at: Duration::from_micros(701),
            kind: EventKind::Retry,
            subject: String::new(),
            detail: "connect_failed".to_owned(),
            value: 0,
        }]
    );
}

#[test]
fn long_texts_are_cut_and_a_long_story_says_what_it_leaves_out() {
    let recorder = Recorder::new(1);
    let mut writer = recorder.open(0, Some(SETTINGS)).unwrap();
    let story = long_story();
    let path = format!("/{}", "ä".repeat(100));
    writer.record(&Note {
        path: &path,
        request_id: "i".repeat(64).as_bytes(),
        story: Some(&story),
        ..note(Instant::now())
    });
    let told = one(&recorder);
    assert!(told.path_cut && told.path.starts_with("/ä") && told.path.len() <= 100);
    assert_eq!(told.request_id, "i".repeat(64), "an id is found by all of it");
    assert_eq!(told.told_attempts.len(), 33);
    assert!(told.events.iter().all(|event| event.subject == "a".repeat(96)));
    assert_eq!(told.events.len() + told.left_out as usize, 64);
    assert!(told.left_out > 0);
}

/// One that has no place in a record.
fn long_story() -> Story {
    let mut story = Story::default();
    for number in 1..=32 {
        story.end_attempt(AttemptStory {
            number,
            endpoint: SocketAddr::from(([10, 0, 0, 2], 8080)),
            started: Duration::ZERO,
            answered: None,
            ended: Duration::ZERO,
            outcome: AttemptOutcome::Cancelled,
        });
    }
    for value in 0..64 {
        story.note(Event {
            at: Duration::ZERO,
            kind: EventKind::Denied,
            subject: "a".repeat(300).into(),
            detail: "policy",
            value,
        });
    }
    story
}

#[test]
fn errors_slow_ones_and_stories_are_found_long_after_the_others() {
    let recorder = Recorder::new(1);
    let small = RecorderSettings {
        memory_bytes: 64 << 10,
        ..SETTINGS
    };
    let mut writer = recorder.open(0, Some(small)).unwrap();
    let (now, story) = (Instant::now(), story());
    let kept = [
        Note {
            status: 503,
            details: "connection_refused",
            ..note(now)
        },
        Note {
            flags: ResponseFlags::DC,
            ..note(now)
        },
        Note {
            status: 0,
            details: "",
            ..note(now)
        },
        Note {
            status: 403,
            details: "rbac_access_denied",
            ..note(now)
        },
        Note {
            duration: Duration::from_secs(1),
            ..note(now)
        },
        Note {
            story: Some(&story),
            ..note(now)
        },
    ];
    kept.iter().for_each(|note| writer.record(note));
    writer.record(&Note {
        status: 404,
        ..note(now)
    });
    (0..10_000).for_each(|_| writer.record(&note(now)));
    let mut numbers: Vec<u64> = recorder
        .read(usize::MAX, |told| told.number < 8)
        .iter()
        .map(|told| told.number)
        .collect();
    numbers.sort_unstable();
    assert_eq!(
        numbers,
        [1, 2, 3, 4, 5, 6],
        "the upstream's own 404 is a plain answer"
    );
    let all = recorder.read(usize::MAX, |_| true);
    let mut each: Vec<u64> = all.iter().map(|told| told.number).collect();
    each.sort_unstable();
    each.dedup();
    assert_eq!(each.len(), all.len(), "what is in both rings is told once");
    assert!(all.len() > 50, "{}", all.len());
}

#[test]
fn the_newest_of_all_workers_stand_first() {
    let recorder = Recorder::new(2);
    let mut writers: Vec<RecorderWriter> = (0..2)
        .filter_map(|worker| recorder.open(worker, Some(SETTINGS)))
        .collect();
    let now = Instant::now();
    for turn in 0..6u16 {
        writers[usize::from(turn % 2)].record(&Note {
            status: 200 + turn,
            duration: Duration::from_millis(u64::from(turn)),
            ..note(now + Duration::from_millis(u64::from(turn)))
        });
    }
    let statuses = |limit| -> Vec<u16> {
        recorder
            .read(limit, |told| told.status != 203)
            .iter()
            .map(|told| told.status)
            .collect()
    };
    assert_eq!(statuses(10), [205, 204, 202, 201, 200]);
    assert_eq!(statuses(2), [205, 204]);
}

#[test]
fn however_small_the_memory_each_worker_keeps_the_longest_story() {
    let workers = 64;
    let recorder = Recorder::new(workers);
    let small = RecorderSettings {
        memory_bytes: 256 << 10,
        ..SETTINGS
    };
    let writers: Vec<RecorderWriter> = (0..workers)
        .filter_map(|worker| recorder.open(worker, Some(small)))
        .collect();
    assert!(recorder.memory_bytes() <= workers * (32 << 10));
    let story = long_story();
    for mut writer in writers {
        writer.record(&Note {
            status: 503,
            story: Some(&story),
            ..note(Instant::now())
        });
        (0..1000).for_each(|_| writer.record(&note(Instant::now())));
    }
    let kept = recorder.read(usize::MAX, |told| told.status == 503);
    assert_eq!(
        kept.len(),
        workers,
        "in the errors' ring: the other has gone round"
    );
    assert!(recorder.read(usize::MAX, |told| told.status == 200).len() > workers);
}

#[test]
fn the_wall_clock_is_looked_at_again_after_a_while() {
    let recorder = Recorder::new(1);
    let mut writer = recorder.open(0, Some(SETTINGS)).unwrap();
    let now = Instant::now();
    // As if it had been set since: to now, from 1970.
    writer.clock = Clock { base: now, micros: 0 };
    let soon = now + CLOCK_AGE / 2;
    writer.record(&note(soon));
    let ended = |told: &Recorded| told.started + told.duration;
    assert_eq!(ended(&one(&recorder)), UNIX_EPOCH + CLOCK_AGE / 2, "not yet");
    // Records have whole microseconds.
    let before = SystemTime::now() - Duration::from_micros(1);
    writer.record(&note(now + CLOCK_AGE));
    let told = recorder.read(1, |told| told.number == 2).remove(0);
    assert!(ended(&told) > before, "{:?}", ended(&told));
}

#[test]
fn the_memory_is_what_was_asked_for_whatever_the_number_of_workers() {
    for workers in [1, 2, 3, 8, 64] {
        let recorder = Recorder::new(workers);
        assert!(!recorder.is_on() && recorder.memory_bytes() == 0);
        let writers: Vec<_> = (0..workers)
            .map(|worker| recorder.open(worker, Some(SETTINGS)).unwrap())
            .collect();
        let taken = recorder.memory_bytes();
        assert!(taken <= SETTINGS.memory_bytes, "{workers}: {taken}");
        assert!(taken > SETTINGS.memory_bytes - workers * 64, "{workers}: {taken}");
        assert!(recorder.is_on());
        drop(writers);
        (0..workers).for_each(|worker| assert!(recorder.open(worker, None).is_none()));
        assert!(!recorder.is_on() && recorder.memory_bytes() == 0);
    }
}

#[test]
fn a_call_of_grpc_is_an_error_by_its_status_and_is_kept_longer_only_then() {
    let recorder = Recorder::new(1);
    let small = RecorderSettings {
        memory_bytes: 64 << 10,
        ..SETTINGS
    };
    let mut writer = recorder.open(0, Some(small)).unwrap();
    let (now, call) = (Instant::now(), Story::default());
    let ended = |status: u16, details: &'static str| Note {
        story: Some(&call),
        grpc_status: Some(status),
        details,
        ..note(now)
    };
    for (status, details) in [
        (0, "via_upstream"),
        (5, "via_upstream"),
        (14, "via_upstream"),
        (7, "via_upstream"),
        (7, "rbac_access_denied"),
        (99, "via_upstream"),
    ] {
        writer.record(&ended(status, details));
    }
    let told = |wanted: &dyn Fn(&Recorded) -> bool| {
        let mut told: Vec<(u64, Option<u16>)> = recorder
            .read(usize::MAX, |told| told.number < 7 && wanted(told))
            .iter()
            .map(|told| (told.number, told.grpc_status))
            .collect();
        told.sort_unstable();
        told
    };
    let errors = [(3, Some(14)), (5, Some(7)), (6, Some(99))];
    assert_eq!(told(&|told| told.is_error()), errors);
    assert_eq!(told(&|told| told.grpc_status == Some(0)), [(1, Some(0))]);
    (0..10_000).for_each(|_| writer.record(&note(now)));
    assert_eq!(told(&|_| true), errors);
    assert_eq!(newest(&recorder).grpc_status, None, "it is no call");
}

#[test]
fn what_was_cut_off_is_an_error_though_no_status_says_so() {
    for (kind, is_error) in [
        (EventKind::RightLost, true),
        (EventKind::Drained, true),
        (EventKind::FaultDelay, false),
    ] {
        let recorder = Recorder::new(1);
        let mut writer = recorder.open(0, Some(SETTINGS)).unwrap();
        let mut story = Story::default();
        story.note(Event {
            at: Duration::ZERO,
            kind,
            subject: "".into(),
            detail: "",
            value: 0,
        });
        writer.record(&Note {
            story: Some(&story),
            ..note(Instant::now())
        });
        assert_eq!(one(&recorder).is_error(), is_error, "{kind:?}");
    }
}

/// The newest.
fn newest(recorder: &Recorder) -> Recorded {
    recorder.read(1, |_| true).remove(0)
}
