//! Floods of HTTP/2 frames that carry nothing: PING, SETTINGS, PRIORITY, WINDOW_UPDATE, empty DATA, unknown frames.
//!
//! `h2` ends a connection for too many resets, CONTINUATION frames or empty DATA frames; the others it serves for as
//! long as they come. Here each of them is set against the frames that carry something, in either direction, as Envoy
//! does: a client that moves no messages cannot keep a worker busy. Nothing here decodes a frame's payload, and nothing
//! here closes the connection: its driver asks and does.

use tokio::time::Instant;

/// Frames without content that a client may send for each frame with content, of either side: two window updates and a
/// PING to measure the bandwidth are usual. Envoy's `max_inbound_window_update_frames_per_data_frame_sent`.
const FREE_PER_CONTENT: u32 = 10;
/// Frames without content beyond that, in a span of [`SPAN`]. Envoy's `max_outbound_control_frames`.
const EXCESS_MAX: u32 = 1000;
/// Keep-alive PINGs of an idle connection do not add up for ever.
const SPAN: std::time::Duration = std::time::Duration::from_secs(60);
/// A client's first bytes, before its first frame.
const PREFACE_BYTES: usize = 24;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const ACK: u8 = 1;

/// Weighs the frames of one downstream connection.
#[derive(Debug)]
pub(crate) struct FrameMeter {
    received: Scanner,
    sent: Scanner,
    excess: u32,
    /// When the excess began to be counted.
    since: Instant,
    flooded: bool,
}

impl FrameMeter {
    /// For a connection whose preface was not read yet.
    pub(crate) fn new(now: Instant) -> FrameMeter {
        FrameMeter {
            received: Scanner {
                skip: PREFACE_BYTES,
                ..Scanner::default()
            },
            sent: Scanner::default(),
            excess: 0,
            since: now,
            flooded: false,
        }
    }

    /// Bytes that came from the client.
    pub(crate) fn receive(&mut self, bytes: &[u8]) {
        let mut excess = self.excess;
        self.received.scan(bytes, |frame| match frame.kind {
            DATA if frame.length == 0 && frame.flags & END_STREAM == 0 => excess += 1,
            DATA | HEADERS => excess = excess.saturating_sub(FREE_PER_CONTENT),
            SETTINGS if frame.flags & ACK != 0 => {}
            CONTINUATION => {}
            _ => excess += 1,
        });
        self.excess = excess;
        if excess > EXCESS_MAX {
            let now = Instant::now();
            if now.duration_since(self.since) < SPAN {
                self.flooded = true;
            }
            self.since = now;
            self.excess = 0;
        }
    }

    /// Bytes that go to the client.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        let mut excess = self.excess;
        self.sent.scan(bytes, |frame| {
            if matches!(frame.kind, DATA | HEADERS) {
                excess = excess.saturating_sub(FREE_PER_CONTENT);
            }
        });
        self.excess = excess;
    }

    /// True once the client has flooded the connection.
    pub(crate) fn is_flooded(&self) -> bool {
        self.flooded
    }
}

/// A frame's header, RFC 9113 section 4.1.
struct FrameHead {
    length: usize,
    kind: u8,
    flags: u8,
}

/// Finds the frames' headers in bytes that come in pieces.
#[derive(Debug, Default)]
struct Scanner {
    /// Bytes of payload that are still to come.
    skip: usize,
    head: [u8; 9],
    /// Bytes of `head` that are there.
    filled: usize,
}

impl Scanner {
    fn scan(&mut self, mut bytes: &[u8], mut each: impl FnMut(FrameHead)) {
        loop {
            let skipped = self.skip.min(bytes.len());
            self.skip -= skipped;
            bytes = &bytes[skipped..];
            if bytes.is_empty() {
                return;
            }
            let taken = bytes.len().min(self.head.len() - self.filled);
            self.head[self.filled..self.filled + taken].copy_from_slice(&bytes[..taken]);
            self.filled += taken;
            bytes = &bytes[taken..];
            if self.filled < self.head.len() {
                return;
            }
            self.filled = 0;
            let [a, b, c, kind, flags, ..] = self.head;
            self.skip = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
            each(FrameHead {
                length: self.skip,
                kind,
                flags,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PING: u8 = 6;

    fn frame(kind: u8, flags: u8, length: u8) -> Vec<u8> {
        let mut frame = vec![0, 0, length, kind, flags, 0, 0, 0, 0];
        frame.resize(9 + usize::from(length), 0xff);
        frame
    }

    fn meter() -> FrameMeter {
        let mut meter = FrameMeter::new(Instant::now());
        meter.receive(&[0; PREFACE_BYTES]);
        meter
    }

    #[tokio::test]
    async fn frames_that_carry_nothing_add_up_however_they_are_split() {
        for piece in [1, 7, 1000] {
            let mut meter = meter();
            let frames: Vec<u8> = (0..EXCESS_MAX).flat_map(|_| frame(PING, 0, 8)).collect();
            frames.chunks(piece).for_each(|piece| meter.receive(piece));
            assert!(!meter.is_flooded());
            meter.receive(&frame(8, 0, 4));
            assert!(meter.is_flooded());
        }
    }

    #[tokio::test]
    async fn content_of_either_side_makes_up_for_them() {
        let mut meter = meter();
        for round in 0..10_000 {
            if round % 2 == 0 {
                meter.receive(&frame(DATA, 0, 1))
            } else {
                meter.send(&frame(HEADERS, 4, 3))
            }
            (0..FREE_PER_CONTENT).for_each(|_| meter.receive(&frame(8, 0, 4)));
        }
        assert!(!meter.is_flooded());
        for _ in 0..EXCESS_MAX * 2 {
            meter.receive(&frame(SETTINGS, ACK, 0));
            meter.send(&frame(PING, ACK, 8));
        }
        assert!(!meter.is_flooded(), "answers count neither way");
    }

    #[tokio::test(start_paused = true)]
    async fn a_long_life_is_no_flood() {
        let mut meter = meter();
        for _ in 0..EXCESS_MAX * 10 {
            tokio::time::advance(std::time::Duration::from_millis(100)).await;
            meter.receive(&frame(PING, 0, 8));
        }
        assert!(!meter.is_flooded());
    }
}
