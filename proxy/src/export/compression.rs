//! Messages made shorter before they are sent.

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::Write;

/// Bytes that are compressed at once: about a millisecond's work. Then whatever else the thread has to do has its turn.
const PIECE_BYTES: usize = 128 * 1024;

/// A message by gzip, the fastest way: what spans say again and again is short then, and more work makes it little shorter. May
/// be dropped at any time.
pub(super) async fn gzip(message: &Bytes) -> Bytes {
    const INFALLIBLE: &str = "a vector takes everything";
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    for piece in message.chunks(PIECE_BYTES) {
        encoder.write_all(piece).expect(INFALLIBLE);
        tokio::task::yield_now().await;
    }
    Bytes::from(encoder.finish().expect(INFALLIBLE))
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::read::GzDecoder;
    use std::io::Read;

    #[tokio::test]
    async fn a_message_comes_back_whatever_its_length() {
        for length in [0, 1, 1_000, PIECE_BYTES, 3 * PIECE_BYTES + 7] {
            let message: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
            let compressed = gzip(&Bytes::from(message.clone())).await;
            assert!(
                length < 1_000 || compressed.len() < length / 2,
                "{}",
                compressed.len()
            );
            let mut again = Vec::new();
            GzDecoder::new(&*compressed).read_to_end(&mut again).unwrap();
            assert_eq!(again, message);
        }
    }
}
