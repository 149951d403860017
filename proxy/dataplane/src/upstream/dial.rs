//! Addresses in, a TCP connection out. Where there are several addresses, they race (RFC 8305, happy eyeballs).
//!
//! Whoever calls sets the time that all of it may take, by dropping it.

use crate::upstream::socket::{self, LocalEnd};
use crate::worker::Worker;
use outrigger_config::model::defaults::HAPPY_EYEBALLS_DELAY;
use smallvec::SmallVec;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::task::Poll;
use tokio::net::TcpStream;

/// Addresses that one connection tries at most. A name may have a thousand, and if none answers, one request must not
/// become as many SYNs.
pub(crate) const ADDRESSES_TRIED_MAX: usize = 10;

/// The addresses in the order in which they are tried.
type Order = SmallVec<[SocketAddr; ADDRESSES_TRIED_MAX]>;

/// Connects to one of the addresses, from `source` if it is given, all as good as each other: chance says which of a family is first. The error is that of the attempt that failed last. Cancel safe: what is under way is given up.
pub(crate) async fn dial(
    addresses: &[SocketAddr],
    source: Option<IpAddr>,
    worker: &Worker,
) -> io::Result<(TcpStream, LocalEnd)> {
    match addresses {
        [address] => socket::connect(*address, source, worker).await,
        several => {
            let order = order(several, worker.random());
            // Boxed: rare, and larger than all the rest of a connection's making.
            Box::pin(race(order, |address| socket::connect(address, source, worker))).await
        }
    }
}

/// The families in turn, IPv6 first (RFC 8305 section 4). Within a family the addresses go round from a random one, so
/// that connections spread over a name's addresses as they do where a resolver rotates its answers.
fn order(addresses: &[SocketAddr], random: u64) -> Order {
    let family = |is_ipv6: bool| {
        let mut family: SmallVec<[SocketAddr; 16]> = addresses
            .iter()
            .copied()
            .filter(|address| address.is_ipv6() == is_ipv6)
            .collect();
        if !family.is_empty() {
            let first = random % family.len() as u64;
            family.rotate_left(first as usize);
        }
        family.into_iter()
    };
    let (mut ipv6, mut ipv4) = (family(true), family(false));
    let mut order = Order::new();
    while order.len() < ADDRESSES_TRIED_MAX {
        let before = order.len();
        order.extend(ipv6.next());
        order.extend(ipv4.next());
        if order.len() == before {
            break;
        }
    }
    order.truncate(ADDRESSES_TRIED_MAX);
    order
}

/// Starts an attempt, and the next one after [`HAPPY_EYEBALLS_DELAY`] or as soon as one fails. The first that succeeds
/// wins; the others are dropped.
async fn race<S, F: Future<Output = io::Result<S>>>(
    order: Order,
    mut connect: impl FnMut(SocketAddr) -> F,
) -> io::Result<S> {
    let mut left = order.into_iter();
    let mut pending = Vec::new();
    let mut error = io::Error::new(io::ErrorKind::AddrNotAvailable, "no address");
    loop {
        pending.extend(left.next().map(|address| Box::pin(connect(address))));
        if pending.is_empty() {
            return Err(error);
        }
        let mut delay = pin!(tokio::time::sleep(HAPPY_EYEBALLS_DELAY));
        let winner = std::future::poll_fn(|cx| {
            let mut failed = false;
            let mut index = 0;
            while let Some(attempt) = pending.get_mut(index) {
                match attempt.as_mut().poll(cx) {
                    Poll::Ready(Ok(stream)) => return Poll::Ready(Some(stream)),
                    Poll::Ready(Err(fault)) => {
                        drop(pending.swap_remove(index));
                        error = fault;
                        failed = true;
                    }
                    Poll::Pending => index += 1,
                }
            }
            let next_is_due = failed || (left.len() > 0 && delay.as_mut().poll(cx).is_ready());
            if next_is_due {
                Poll::Ready(None)
            } else {
                Poll::Pending
            }
        });
        if let Some(stream) = winner.await {
            return Ok(stream);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;
    use std::rc::Rc;
    use std::time::Duration;
    use tokio::time::Instant;

    fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    /// What was tried when, in milliseconds.
    type Tried = Rc<RefCell<Vec<(SocketAddr, u128)>>>;

    /// Races addresses whose port says what becomes of them: 1 is refused at once, 2 answers after 100 ms, 3 after
    /// 400 ms, 4 never does.
    async fn raced(texts: &[&str]) -> (io::Result<SocketAddr>, Vec<(SocketAddr, u128)>) {
        let tried: Tried = Rc::default();
        let started = Instant::now();
        let note = Rc::clone(&tried);
        let result = race(addresses(texts).into(), move |address| {
            note.borrow_mut().push((address, started.elapsed().as_millis()));
            async move {
                match address.port() {
                    1 => return Err(io::ErrorKind::ConnectionRefused.into()),
                    2 => tokio::time::sleep(Duration::from_millis(100)).await,
                    3 => tokio::time::sleep(Duration::from_millis(400)).await,
                    _ => std::future::pending().await,
                }
                Ok(address)
            }
        });
        let result = result.await;
        let tried = tried.borrow().clone();
        (result, tried)
    }

    #[tokio::test(start_paused = true)]
    async fn the_next_address_is_tried_after_the_delay_and_at_once_when_one_fails() {
        // Addresses, the winner, and when each was tried.
        type Row = (&'static [&'static str], Option<&'static str>, &'static [u128]);
        let table: &[Row] = &[
            (&["[::1]:2", "1.1.1.1:2"], Some("[::1]:2"), &[0]),
            (&["[::1]:1", "1.1.1.1:2"], Some("1.1.1.1:2"), &[0, 0]),
            (&["[::1]:4", "1.1.1.1:2"], Some("1.1.1.1:2"), &[0, 250]),
            // The one that began later is faster.
            (&["[::1]:3", "1.1.1.1:2"], Some("1.1.1.1:2"), &[0, 250]),
            (&["[::1]:3", "1.1.1.1:4"], Some("[::1]:3"), &[0, 250]),
            (
                &["[::1]:4", "1.1.1.1:1", "[::2]:2"],
                Some("[::2]:2"),
                &[0, 250, 250],
            ),
            (&["[::1]:1", "1.1.1.1:1", "[::2]:1"], None, &[0, 0, 0]),
            (&[], None, &[]),
        ];
        for (texts, winner, when) in table {
            let (result, tried) = raced(texts).await;
            let expected = winner.map(|text| text.parse().unwrap());
            assert_eq!(result.ok(), expected, "{texts:?}");
            let times: Vec<u128> = tried.iter().map(|(_, time)| *time).collect();
            assert_eq!(times, *when, "{texts:?}");
        }
    }

    #[test]
    fn families_take_turns_and_every_address_is_first_in_its_family_once() {
        let all = addresses(&["1.1.1.1:1", "1.1.1.2:1", "[::1]:1", "[::2]:1", "[::3]:1"]);
        let texts = |random| {
            order(&all, random)
                .iter()
                .map(SocketAddr::to_string)
                .collect::<Vec<_>>()
        };
        assert_eq!(
            texts(0),
            ["[::1]:1", "1.1.1.1:1", "[::2]:1", "1.1.1.2:1", "[::3]:1"]
        );
        assert_eq!(
            texts(1),
            ["[::2]:1", "1.1.1.2:1", "[::3]:1", "1.1.1.1:1", "[::1]:1"]
        );
        let many: Vec<SocketAddr> = (0..1000).map(|port| ([1, 1, 1, 1], port + 1).into()).collect();
        assert_eq!(order(&many, u64::MAX).len(), ADDRESSES_TRIED_MAX);
        assert!(order(&[], 7).is_empty());
    }

    #[tokio::test]
    async fn a_refused_family_gives_way_to_the_other() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let good = listener.local_addr().unwrap();
        let refused = SocketAddr::new("::1".parse().unwrap(), good.port());
        let stream = race(order(&[good, refused], 0), TcpStream::connect)
            .await
            .unwrap();
        assert_eq!(stream.peer_addr().unwrap(), good);
    }
}
