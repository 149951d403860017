use super::*;
use std::fs;
use std::sync::mpsc::{Receiver, Sender, channel};

/// Long enough that only a fault reaches it.
const BOUND: Duration = Duration::from_secs(60);

/// A sink that takes a batch only when it is let, and shows what it took.
struct Gate {
    entered: Sender<()>,
    let_in: Receiver<()>,
    taken: Arc<Mutex<Vec<u8>>>,
}

impl Write for Gate {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _ = self.entered.send(());
        // A closed gate stays shut; an abandoned one stands open.
        let _ = self.let_in.recv();
        self.taken.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Gated {
    writer: AccessLogWriter,
    metrics: Arc<Metrics>,
    entered: Receiver<()>,
    let_in: Sender<()>,
    taken: Arc<Mutex<Vec<u8>>>,
}

fn gated() -> Gated {
    let metrics = Metrics::new(1, &[]);
    let (entered_sender, entered) = channel();
    let (let_in, let_in_receiver) = channel();
    let taken = Arc::new(Mutex::new(Vec::new()));
    let gate = Gate {
        entered: entered_sender,
        let_in: let_in_receiver,
        taken: Arc::clone(&taken),
    };
    let writer = AccessLogWriter::start(Box::new(gate), Arc::clone(&metrics)).unwrap();
    Gated {
        writer,
        metrics,
        entered,
        let_in,
        taken,
    }
}

fn counts(metrics: &Metrics) -> (u64, u64) {
    let process = metrics.process();
    (
        process.access_log_lines_written.value(),
        process.access_log_lines_dropped.value(),
    )
}

#[test]
fn a_stalled_sink_costs_lines_and_they_are_counted() {
    let gated = gated();
    assert!(gated.writer.try_write(b"first\n"));
    gated.entered.recv_timeout(BOUND).unwrap();
    // The writer now stands in the gate, with the first line; the lanes fill behind it, one after the other.
    let line = [b'x'; 1_024];
    let kept = (0..5_000).filter(|_| gated.writer.try_write(&line)).count();
    assert_eq!(kept, LANES * LANE_BYTES_MAX / line.len());
    assert_eq!(counts(&gated.metrics), (0, 5_000 - kept as u64));
    assert!(
        !gated.writer.close(Duration::from_millis(1)),
        "a stalled sink does not hold up the end"
    );
    drop(gated.let_in);
    assert!(gated.writer.close(BOUND));
    assert_eq!(gated.taken.lock().len(), b"first\n".len() + kept * line.len());
    assert_eq!(counts(&gated.metrics), (1 + kept as u64, 5_000 - kept as u64));
}

#[test]
fn lines_of_one_thread_are_batched_and_keep_their_order() {
    let gated = gated();
    assert!(gated.writer.try_write(b"0\n"));
    gated.entered.recv_timeout(BOUND).unwrap();
    let mut expected = String::from("0\n");
    for number in 1..1_000 {
        let line = format!("{number}\n");
        assert!(gated.writer.try_write(line.as_bytes()));
        expected.push_str(&line);
    }
    gated.let_in.send(()).unwrap();
    gated.entered.recv_timeout(BOUND).unwrap();
    gated.let_in.send(()).unwrap();
    // Two writes were let in, for a thousand lines; a third would not return.
    assert!(gated.writer.close(BOUND));
    assert_eq!(String::from_utf8(gated.taken.lock().clone()).unwrap(), expected);
}

#[test]
fn a_sleeping_writer_is_woken_by_every_first_line() {
    let gated = gated();
    for _ in 0..20 {
        let deadline = Instant::now() + BOUND;
        while !gated.writer.shared.asleep.load(SeqCst) {
            assert!(
                Instant::now() < deadline,
                "the writer goes to sleep when there is nothing"
            );
            thread::yield_now();
        }
        assert!(gated.writer.try_write(b"line\n"));
        gated
            .entered
            .recv_timeout(BOUND)
            .expect("the line reaches the sink without another");
        gated.let_in.send(()).unwrap();
    }
}

#[test]
fn every_line_of_many_threads_arrives_whole() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("access.log");
    let metrics = Metrics::new(1, &[]);
    let sinks = AccessLogSinks::new(Arc::clone(&metrics));
    let writer = sinks.open(&Sink::File(path.clone())).unwrap();
    thread::scope(|scope| {
        for name in 0..12 {
            let writer = &writer;
            scope.spawn(move || {
                for number in 0..1_000 {
                    writer.try_write(format!("{name} {number} end\n").as_bytes());
                }
            });
        }
    });
    assert!(sinks.close(BOUND));
    let text = fs::read_to_string(path).unwrap();
    let mut lines: Vec<&str> = text.lines().collect();
    assert!(
        lines
            .iter()
            .all(|line| line.split(' ').count() == 3 && line.ends_with(" end"))
    );
    let (written, dropped) = counts(&metrics);
    assert_eq!((lines.len() as u64, written + dropped), (written, 12_000));
    lines.sort_unstable();
    lines.dedup();
    assert_eq!(lines.len() as u64, written, "no line twice");
}

#[test]
fn a_sink_is_shared_while_it_is_held_and_appended_to_when_opened_again() {
    let directory = tempfile::tempdir().unwrap();
    let sink = Sink::File(directory.path().join("access.log"));
    let sinks = AccessLogSinks::new(Metrics::new(1, &[]));
    let (first, second) = (sinks.open(&sink).unwrap(), sinks.open(&sink).unwrap());
    assert!(Arc::ptr_eq(&first, &second));
    assert!(first.try_write(b"one\n"));
    assert!(first.close(BOUND));
    assert!(!second.try_write(b"late\n"), "closed");
    drop((first, second));
    let third = sinks.open(&sink).unwrap();
    assert!(third.try_write(b"two\n"));
    assert!(third.close(BOUND));
    assert_eq!(
        fs::read_to_string(directory.path().join("access.log")).unwrap(),
        "one\ntwo\n"
    );
    let missing = Sink::File(directory.path().join("no/such/directory"));
    assert_eq!(
        sinks.open(&missing).err().map(|error| error.kind()),
        Some(io::ErrorKind::NotFound)
    );
}

#[test]
fn a_dropped_writer_still_writes_what_it_has() {
    let gated = gated();
    assert!(gated.writer.try_write(b"last words\n"));
    drop(gated.writer);
    gated.entered.recv_timeout(BOUND).unwrap();
    gated.let_in.send(()).unwrap();
    // The sink is dropped at the end of the thread, and the channel with it.
    while gated.entered.recv_timeout(BOUND).is_ok() {}
    assert_eq!(*gated.taken.lock(), b"last words\n");
}

#[test]
fn a_failing_sink_loses_lines_and_counts_them() {
    struct Broken;
    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let metrics = Metrics::new(1, &[]);
    let writer = AccessLogWriter::start(Box::new(Broken), Arc::clone(&metrics)).unwrap();
    assert!(writer.try_write(b"a\n"));
    assert!(writer.close(BOUND));
    assert_eq!(counts(&metrics), (0, 1));
}

#[test]
fn a_full_disk_loses_lines_and_counts_them() {
    let metrics = Metrics::new(1, &[]);
    let sinks = AccessLogSinks::new(Arc::clone(&metrics));
    let writer = sinks.open(&Sink::File("/dev/full".into())).unwrap();
    assert!(writer.try_write(b"one\n") && writer.try_write(b"two\n"));
    assert!(writer.close(BOUND));
    assert_eq!(counts(&metrics), (0, 2));
}

#[test]
fn a_line_that_was_torn_stands_alone_and_only_lost_lines_are_counted() {
    /// Takes so many bytes, then nothing until it is let, then everything.
    struct Filling {
        room: usize,
        freed: Arc<AtomicBool>,
        taken: Arc<Mutex<Vec<u8>>>,
    }
    impl Write for Filling {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let count = match self.freed.load(SeqCst) {
                true => bytes.len(),
                false if self.room == 0 => return Err(io::ErrorKind::StorageFull.into()),
                false => bytes.len().min(self.room),
            };
            self.room = self.room.saturating_sub(count);
            self.taken.lock().extend_from_slice(&bytes[..count]);
            Ok(count)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let (freed, taken) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
    let mut output = Output::stream(Box::new(Filling {
        room: 10,
        freed: Arc::clone(&freed),
        taken: Arc::clone(&taken),
    }));
    assert_eq!(output.write_lines(b"first\nsecond\nthird\n", 3), 1);
    assert_eq!(output.write_lines(b"fourth\n", 1), 0);
    freed.store(true, SeqCst);
    assert_eq!(output.write_lines(b"fifth\n", 1), 1);
    assert_eq!(*taken.lock(), b"first\nseco\nfifth\n");
}

#[test]
fn a_stream_that_does_not_wait_is_waited_for() {
    struct Busy(u32, Arc<Mutex<Vec<u8>>>);
    impl Write for Busy {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.0 > 0 {
                self.0 -= 1;
                return Err(io::ErrorKind::WouldBlock.into());
            }
            self.1.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let taken = Arc::new(Mutex::new(Vec::new()));
    let metrics = Metrics::new(1, &[]);
    let busy = Box::new(Busy(3, Arc::clone(&taken)));
    let writer = AccessLogWriter::start(busy, Arc::clone(&metrics)).unwrap();
    assert!(writer.try_write(b"late\n"));
    assert!(writer.close(BOUND));
    assert_eq!(
        (taken.lock().as_slice(), counts(&metrics)),
        (&b"late\n"[..], (1, 0))
    );
}

#[test]
fn a_fifo_without_a_reader_holds_up_nobody() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("fifo");
    let made = std::process::Command::new("mkfifo").arg(&path).status().unwrap();
    assert!(made.success());
    let metrics = Metrics::new(1, &[]);
    let sinks = AccessLogSinks::new(Arc::clone(&metrics));
    let writer = sinks
        .open(&Sink::File(path.clone()))
        .expect("opening waits for no reader");
    // More than the pipe holds, and the lanes.
    let line = [b"x".repeat(4_095), b"\n".to_vec()].concat();
    while counts(&metrics).1 == 0 {
        writer.try_write(&line);
    }
    assert!(
        !writer.close(Duration::from_millis(1)),
        "nobody reads, and the end does not wait"
    );
    // A reader gets whole lines, from the first on.
    let mut reader = std::io::BufReader::new(fs::File::open(&path).unwrap());
    let mut first = Vec::new();
    std::io::BufRead::read_until(&mut reader, b'\n', &mut first).unwrap();
    assert_eq!(first, line);
}

#[test]
fn a_renamed_file_is_left_when_it_is_opened_anew() {
    let directory = tempfile::tempdir().unwrap();
    let [path, old] = ["access.log", "access.log.1"].map(|name| directory.path().join(name));
    let sinks = AccessLogSinks::new(Metrics::new(1, &[]));
    let writer = sinks.open(&Sink::File(path.clone())).unwrap();
    let stdout = sinks.open(&Sink::Stdout).unwrap();
    assert!(writer.try_write(b"one\n"));
    fs::rename(&path, &old).unwrap();
    assert!(writer.try_write(b"two\n"));
    let expected = Reopened {
        files: 1,
        faults: Vec::new(),
    };
    assert_eq!(sinks.reopen(BOUND), expected, "standard output is no file");
    // What was taken before is in the old file by now, and what comes after in the new one.
    assert_eq!(fs::read_to_string(&old).unwrap(), "one\ntwo\n");
    assert!(writer.try_write(b"three\n"));
    assert!(writer.close(BOUND));
    assert_eq!(fs::read_to_string(&path).unwrap(), "three\n");
    drop(stdout);
}

#[test]
fn a_removed_file_is_made_anew_and_what_cannot_be_opened_is_kept() {
    let directory = tempfile::tempdir().unwrap();
    let inner = directory.path().join("logs");
    fs::create_dir(&inner).unwrap();
    let path = inner.join("access.log");
    let sinks = AccessLogSinks::new(Metrics::new(1, &[]));
    let writer = sinks.open(&Sink::File(path.clone())).unwrap();
    assert!(writer.try_write(b"one\n"));
    fs::rename(&inner, directory.path().join("moved")).unwrap();
    let reopened = sinks.reopen(BOUND);
    assert_eq!(reopened.files, 0);
    assert_eq!(reopened.faults[0].0, path);
    assert!(reopened.faults[0].1.contains("No such file"), "{reopened:?}");
    assert!(writer.try_write(b"two\n"));
    fs::create_dir(&inner).unwrap();
    assert_eq!(sinks.reopen(BOUND).files, 1);
    fs::remove_file(&path).unwrap();
    assert_eq!(sinks.reopen(BOUND).files, 1);
    assert!(writer.try_write(b"three\n"));
    assert!(writer.close(BOUND));
    let moved = directory.path().join("moved/access.log");
    assert_eq!(fs::read_to_string(moved).unwrap(), "one\ntwo\n");
    assert_eq!(fs::read_to_string(&path).unwrap(), "three\n");
    assert!(
        sinks.reopen(BOUND).files + sinks.reopen(BOUND).faults.len() > 0,
        "a closed log says so"
    );
}
