//! A connection, and what is said on it.

use super::super::finding::Finding;
use super::super::target::Target;
use outrigger_config::model::{TcpHealthCheck, defaults};
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

pub(super) async fn ask(
    target: &Target,
    check: &TcpHealthCheck,
    addresses: &[SocketAddr],
) -> Result<(), Finding> {
    let mut stream = target.connect(addresses).await?.stream;
    if !check.send().is_empty() {
        stream
            .write_all(check.send())
            .await
            .map_err(|_| Finding::Closed)?;
        stream.flush().await.map_err(|_| Finding::Closed)?;
    }
    if check.receive().is_empty() {
        return Ok(());
    }
    let mut answer = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        let read = stream.read(&mut chunk).await.map_err(|_| Finding::Closed)?;
        answer.extend_from_slice(&chunk[..read]);
        if holds_in_order(&answer, check.receive()) {
            return Ok(());
        }
        if read == 0 {
            return Err(Finding::Closed);
        }
        if answer.len() >= defaults::HEALTH_CHECK_ANSWER_BYTES_MAX {
            return Err(Finding::NotFound);
        }
    }
}

/// True if all pieces are there one behind the other, whatever stands between.
fn holds_in_order(mut answer: &[u8], pieces: &[Vec<u8>]) -> bool {
    pieces.iter().all(|piece| {
        let found = piece.is_empty().then_some(0).or_else(|| {
            let mut windows = answer.windows(piece.len());
            windows.position(|window| window == piece)
        });
        match found {
            Some(place) => {
                answer = &answer[place + piece.len()..];
                true
            }
            None => false,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_found_in_their_order() {
        let holds = |answer: &str, pieces: &[&str]| {
            let pieces: Vec<Vec<u8>> = pieces.iter().map(|piece| piece.as_bytes().to_vec()).collect();
            holds_in_order(answer.as_bytes(), &pieces)
        };
        assert!(holds("+PONG\r\n", &["+PONG"]));
        assert!(holds("a then b", &["a", "b"]));
        assert!(!holds("b then a", &["a", "b"]));
        // A piece is not found twice in one place.
        assert!(!holds("aba", &["ab", "ba"]));
        assert!(holds("", &[""]));
        assert!(!holds("", &["x"]));
    }
}
