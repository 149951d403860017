use std::net::TcpListener;

use super::*;

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc";

/// Serves connections one after another, each in a thread that answers with what `answer` makes.
fn serve(answer: fn(u64) -> &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        while let Ok((mut socket, _)) = listener.accept() {
            std::thread::spawn(move || {
                let mut buffer = [0; 1024];
                let mut count = 0;
                while socket.read(&mut buffer).is_ok_and(|length| length > 0) {
                    if socket.write_all(answer(count)).is_err() {
                        return;
                    }
                    count += 1;
                }
            });
        }
    });
    address
}

fn load(address: SocketAddr) -> OpenLoop {
    OpenLoop {
        address,
        path: "/1k".to_owned(),
        rate: 1000,
        duration: Duration::from_millis(50),
        connections: 4,
    }
}

#[test]
fn every_scheduled_request_is_sent_and_answered() {
    let latencies = load(serve(|_| ANSWER)).run().unwrap();
    assert_eq!((latencies.succeeded, latencies.failed), (50, 0));
    assert!(latencies.p50 > 0.0 && latencies.p50 <= latencies.p99 && latencies.p99 <= latencies.max);
}

#[test]
fn errors_of_status_and_framing_are_failures() {
    let refused: fn(u64) -> &'static [u8] = |count| match count {
        0 => ANSWER,
        _ => b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n",
    };
    let latencies = load(serve(refused)).run().unwrap();
    assert_eq!((latencies.succeeded, latencies.failed), (0, 50));
    let unframed: fn(u64) -> &'static [u8] = |count| {
        if count == 0 {
            ANSWER
        } else {
            b"HTTP/1.1 200 OK\r\n\r\n"
        }
    };
    let latencies = load(serve(unframed)).run().unwrap();
    assert_eq!(
        (latencies.succeeded, latencies.failed),
        (0, 50),
        "what was never sent has failed too"
    );
}

#[test]
fn an_answer_is_found_however_it_is_split() {
    for split in 0..=ANSWER.len() {
        let mut answer = Answer::default();
        let (first, second) = ANSWER.split_at(split);
        if split < ANSWER.len() {
            assert_eq!(answer.take(first), Progress::Partial, "split at {split}");
            assert_eq!(
                answer.take(second),
                Progress::Whole { success: true },
                "split at {split}"
            );
        }
        assert_eq!(
            answer.take(ANSWER),
            Progress::Whole { success: true },
            "a second answer"
        );
    }
    let mut answer = Answer::default();
    assert_eq!(
        answer.take(b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nab"),
        Progress::Broken
    );
}
