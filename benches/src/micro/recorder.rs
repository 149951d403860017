//! What the flight recorder takes of a plain request.

use super::Call;
use anyhow::{Context, Result};
use outrigger_telemetry::recorder::{Kind, Note, Protocol, Recorder, RecorderSettings};
use outrigger_telemetry::{AttemptOutcome, AttemptStory, ResponseFlags};
use std::hint::black_box;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// A request that was answered at once by its first endpoint, in rings of the default size.
pub(super) fn record() -> Result<Call> {
    let recorder = Recorder::new(1);
    let settings = RecorderSettings {
        memory_bytes: 8 * 1024 * 1024,
        slow: Duration::from_secs(1),
    };
    let mut writer = recorder.open(0, Some(settings)).context("it is on")?;
    // After the recorder has looked at the wall clock, as every request ends after that, and soon enough that it does not
    // look again for its age.
    let ended = Instant::now() + Duration::from_secs(5);
    let attempt = AttemptStory {
        number: 1,
        endpoint: SocketAddr::from(([127, 0, 0, 1], 8080)),
        started: Duration::from_micros(12),
        answered: Some(Duration::from_micros(310)),
        ended: Duration::from_micros(330),
        outcome: AttemptOutcome::Answered(200),
    };
    let mut call = move || {
        writer.record(black_box(&Note {
            kind: Kind::Request,
            ended,
            duration: Duration::from_micros(330),
            status: 200,
            flags: ResponseFlags::NONE,
            attempts: 1,
            protocol: Protocol::Http11,
            generation: 1,
            chain: 0,
            virtual_host: Some(0),
            route: Some(0),
            cluster: Some(0),
            connection: 17,
            bytes_received: 0,
            bytes_sent: 1024,
            last_attempt: Some(&attempt),
            peer: SocketAddr::from(([127, 0, 0, 1], 40000)),
            request_ended: true,
            trace_id: None,
            method: "GET",
            path: "/service-00007/v1/items",
            authority: "shop.example:8080",
            request_id: b"8f1c2f1e-6a52-4f0e-9a57-0d8f0a0c1b2d",
            details: "via_upstream",
            peer_id: "",
            story: None,
            grpc_status: None,
        }));
    };
    // All segments of the ring are there before anything is measured.
    (0..30_000).for_each(|_| call());
    Ok(Box::new(call))
}
