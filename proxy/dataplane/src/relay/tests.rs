//! Relays between real sockets: both ends see what they would have seen without one.

use super::*;
use outrigger_telemetry::Metrics;
use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// What one end does, in turn.
#[derive(Debug, Clone)]
enum Act {
    Write(usize),
    /// Lets the others go on.
    Yield(u8),
}

/// How one end ends.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Finish {
    /// It ends its side and reads to the end of the other.
    HalfClose,
    /// It reads to the end of the other side, and only then ends its own.
    AfterTheOther,
    /// It throws its connection away.
    Reset,
}

#[derive(Debug, Clone)]
struct Script {
    acts: Vec<Act>,
    finish: Finish,
    /// Bytes that one of its reads takes.
    read_bytes: usize,
    /// Bytes that the relay is given as read before, of those that the end writes first.
    first_bytes: usize,
}

impl Script {
    fn bytes(&self) -> Vec<u8> {
        let count = self.acts.iter().map(|act| match act {
            Act::Write(count) => *count,
            Act::Yield(_) => 0,
        });
        (0..count.sum::<usize>())
            .map(|place| (place * 7 + place / 251) as u8)
            .collect()
    }
}

/// What one end saw.
#[derive(Debug)]
struct Seen {
    bytes: Vec<u8>,
    /// The other side ended in order, as far as reading tells.
    ended: bool,
    /// Writing failed. The kernel tells of a reset once: reading may then see an end.
    write_failed: bool,
}

async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap());
    let (near, accepted) = tokio::join!(near, listener.accept());
    (near.unwrap(), accepted.unwrap().0)
}

/// Plays one end of a connection.
async fn play(stream: TcpStream, script: &Script) -> Seen {
    let (mut read, mut write) = stream.into_split();
    let bytes = script.bytes();
    let mut seen = Seen {
        bytes: Vec::new(),
        ended: false,
        write_failed: false,
    };
    let mut write_failed = false;
    let reading = async {
        let mut buffer = vec![0; script.read_bytes];
        loop {
            match read.read(&mut buffer).await {
                Ok(0) => break seen.ended = true,
                Ok(count) => seen.bytes.extend_from_slice(&buffer[..count]),
                Err(_) => break,
            }
        }
        read
    };
    let writing = async {
        let mut rest = &bytes[..];
        for act in &script.acts {
            match act {
                Act::Write(count) => {
                    let (now, later) = rest.split_at(*count);
                    rest = later;
                    if write.write_all(now).await.is_err() {
                        write_failed = true;
                        break;
                    }
                }
                Act::Yield(times) => {
                    for _ in 0..*times {
                        tokio::task::yield_now().await;
                    }
                }
            }
        }
        if script.finish == Finish::HalfClose {
            write_failed |= write.shutdown().await.is_err();
        }
        write
    };
    match script.finish {
        Finish::HalfClose => {
            tokio::join!(reading, writing);
        }
        Finish::AfterTheOther => {
            let (_read, mut write) = tokio::join!(reading, writing);
            let _ = write.shutdown().await;
        }
        Finish::Reset => {
            tokio::pin!(reading);
            let write = tokio::select! {
                write = writing => write,
                // It ends whatever it hears meanwhile.
                _ = async { (&mut reading).await; std::future::pending::<()>().await } => unreachable!(),
            };
            socket2::SockRef::from(write.as_ref())
                .set_linger(Some(Duration::ZERO))
                .unwrap();
            // Dropped, it would end its side in order first.
            write.forget();
        }
    }
    seen.write_failed = write_failed;
    seen
}

/// Plays both scripts with a relay between the two ends.
fn relayed(down: &Script, up: &Script, splice_after_bytes: u64) -> (Seen, Seen, Relayed) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let metrics = Metrics::new(1, &[]);
        let (listener, cluster) = (metrics.listener("l"), metrics.cluster("c"));
        let memory = RelayMemory::new(1);
        let terms = Terms {
            memory: &memory,
            listener: listener.worker(0),
            cluster: cluster.worker(0),
            idle_timeout: Some(Duration::from_secs(20)),
            deadline: None,
            control: None,
            judge: None,
            splice_after_bytes,
        };
        let (client, mut downstream) = pair().await;
        let (server, mut upstream) = pair().await;
        let both = async {
            let first = FirstBytes {
                from_downstream: read_first(&mut downstream, down.first_bytes).await,
                from_upstream: read_first(&mut upstream, up.first_bytes).await,
            };
            relay(Stream::Plain(downstream), Stream::Plain(upstream), first, &terms).await
        };
        let (at_client, at_server, relayed) = tokio::join!(play(client, down), play(server, up), both);
        assert_eq!(listener.worker(0).bytes_received.value(), relayed.bytes_up);
        assert_eq!(listener.worker(0).bytes_sent.value(), relayed.bytes_down);
        (at_client, at_server, relayed)
    })
}

async fn read_first(stream: &mut TcpStream, count: usize) -> Bytes {
    let mut first = vec![0; count];
    let mut filled = 0;
    while filled < count {
        match stream.read(&mut first[filled..]).await {
            Ok(read) if read > 0 => filled += read,
            _ => break,
        }
    }
    first.truncate(filled);
    first.into()
}

fn script() -> impl Strategy<Value = Script> {
    let act = prop_oneof![
        3 => (1usize..600).prop_map(Act::Write),
        2 => (1usize..200_000).prop_map(Act::Write),
        2 => (1u8..20).prop_map(Act::Yield),
    ];
    let finish = prop_oneof![
        3 => Just(Finish::HalfClose),
        2 => Just(Finish::AfterTheOther),
        1 => Just(Finish::Reset),
    ];
    let first = prop_oneof![Just(0usize), 1usize..4000];
    (
        proptest::collection::vec(act, 0..8),
        finish,
        1usize..70_000,
        first,
    )
        .prop_map(|(acts, finish, read_bytes, first)| {
            let mut script = Script {
                acts,
                finish,
                read_bytes,
                first_bytes: 0,
            };
            script.first_bytes = first.min(script.bytes().len());
            script
        })
}

/// What `there` must have seen of `here`.
fn check(here: &Script, there: &Script, seen: &Seen) -> Result<(), TestCaseError> {
    let sent = here.bytes();
    prop_assert!(
        sent.starts_with(&seen.bytes),
        "other bytes arrived than were sent"
    );
    if there.finish == Finish::Reset {
        // It was gone before it could see the end.
        return Ok(());
    }
    match here.finish {
        Finish::Reset => prop_assert!(!seen.ended || seen.write_failed, "a reset looks like an end"),
        _ => {
            prop_assert!(seen.ended, "an end looks like a failure");
            prop_assert_eq!(seen.bytes.len(), sent.len());
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn both_ends_see_what_they_would_have_seen(
        down in script(),
        up in script(),
        splice_after_bytes in prop_oneof![Just(0), Just(100_000), Just(u64::MAX)],
    ) {
        // Two who each wait for the other's end wait for ever, relay or not.
        prop_assume!(down.finish != Finish::AfterTheOther || up.finish != Finish::AfterTheOther);
        let (at_client, at_server, _) = relayed(&down, &up, splice_after_bytes);
        check(&up, &down, &at_client)?;
        check(&down, &up, &at_server)?;
    }
}

fn flow(bytes: usize, finish: Finish) -> Script {
    Script {
        acts: (0..bytes / 65_536).map(|_| Act::Write(65_536)).collect(),
        finish,
        read_bytes: 65_536,
        first_bytes: 0,
    }
}

#[test]
fn a_long_flow_is_spliced_and_a_short_one_is_not() {
    for (bytes, spliced) in [(512 * 1024, false), (8 * 1024 * 1024, true)] {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let metrics = Metrics::new(1, &[]);
            let (listener, cluster) = (metrics.listener("l"), metrics.cluster("c"));
            let memory = RelayMemory::new(1);
            let terms = Terms {
                memory: &memory,
                listener: listener.worker(0),
                cluster: cluster.worker(0),
                idle_timeout: None,
                deadline: None,
                control: None,
                judge: None,
                splice_after_bytes: SPLICE_AFTER_BYTES,
            };
            let (client, downstream) = pair().await;
            let (server, upstream) = pair().await;
            let (down, up) = (flow(bytes, Finish::HalfClose), flow(0, Finish::AfterTheOther));
            let streams = (Stream::Plain(downstream), Stream::Plain(upstream));
            let both = relay(streams.0, streams.1, FirstBytes::default(), &terms);
            let (_, at_server, relayed) = tokio::join!(play(client, &down), play(server, &up), both);
            assert_eq!(at_server.bytes.len(), bytes);
            assert_eq!(relayed.bytes_up, bytes as u64);
            assert_eq!(listener.worker(0).spliced_bytes.value() > 0, spliced, "{bytes}");
        });
    }
}

#[test]
fn an_end_names_who_was_first() {
    let (ends, waits) = (flow(65_536, Finish::HalfClose), flow(0, Finish::AfterTheOther));
    let (_, _, relayed_first) = relayed(&ends, &waits, u64::MAX);
    assert_eq!(
        relayed_first.end,
        RelayEnd::Closed {
            downstream_first: true
        }
    );
    let (_, _, relayed_last) = relayed(&waits, &ends, u64::MAX);
    assert_eq!(
        relayed_last.end,
        RelayEnd::Closed {
            downstream_first: false
        }
    );
}

/// A side that has ended, and one whose peer does not read, are not read: their resets must be noticed all the same.
#[test]
fn a_reset_is_noticed_on_a_side_that_is_not_read() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    for ended in [true, false] {
        runtime.block_on(async {
            let metrics = Metrics::new(1, &[]);
            let (listener, cluster) = (metrics.listener("l"), metrics.cluster("c"));
            let memory = RelayMemory::new(1);
            let terms = Terms {
                memory: &memory,
                listener: listener.worker(0),
                cluster: cluster.worker(0),
                idle_timeout: None,
                deadline: None,
                control: None,
                judge: None,
                splice_after_bytes: SPLICE_AFTER_BYTES,
            };
            let (mut client, downstream) = pair().await;
            let (mut server, upstream) = pair().await;
            let streams = (Stream::Plain(downstream), Stream::Plain(upstream));
            let both = relay(streams.0, streams.1, FirstBytes::default(), &terms);
            let playing = async {
                if ended {
                    client.shutdown().await.unwrap();
                    assert_eq!(server.read(&mut [0; 1]).await.unwrap(), 0);
                } else {
                    let flood = client.write_all(&[7; 64 * 1024 * 1024]);
                    let stuck = tokio::time::timeout(Duration::from_millis(200), flood).await;
                    assert!(stuck.is_err(), "nobody reads, and yet all was written");
                }
                socket2::SockRef::from(&client)
                    .set_linger(Some(Duration::ZERO))
                    .unwrap();
                drop(client);
                let mut rest = Vec::new();
                server.read_to_end(&mut rest).await.is_err()
            };
            let (relayed, reset) = tokio::join!(both, playing);
            assert_eq!(relayed.end, RelayEnd::DownstreamReset, "ended first: {ended}");
            // What the server had been told of an end stays an end; what it had not is a reset.
            assert!(reset || ended);
        });
    }
}

#[test]
fn limits_end_it_with_a_reset() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap();
    for (idle, deadline, expected) in [
        (Some(5), None, RelayEnd::Idle),
        (None, Some(5), RelayEnd::Deadline),
        (Some(9), Some(5), RelayEnd::Deadline),
    ] {
        runtime.block_on(async {
            let metrics = Metrics::new(1, &[]);
            let (listener, cluster) = (metrics.listener("l"), metrics.cluster("c"));
            let memory = RelayMemory::new(1);
            let terms = Terms {
                memory: &memory,
                listener: listener.worker(0),
                cluster: cluster.worker(0),
                idle_timeout: idle.map(Duration::from_secs),
                deadline: deadline.map(|seconds| Instant::now() + Duration::from_secs(seconds)),
                control: None,
                judge: None,
                splice_after_bytes: SPLICE_AFTER_BYTES,
            };
            let (mut client, downstream) = pair().await;
            let (mut server, upstream) = pair().await;
            let streams = (Stream::Plain(downstream), Stream::Plain(upstream));
            let relayed = relay(streams.0, streams.1, FirstBytes::default(), &terms).await;
            assert_eq!(relayed.end, expected);
            assert!(client.read(&mut [0; 1]).await.is_err());
            assert!(server.read(&mut [0; 1]).await.is_err());
        });
    }
}

#[test]
fn a_relay_is_small() {
    assert!(size_of::<Relay<'_>>() <= 600, "{}", size_of::<Relay<'_>>());
}
