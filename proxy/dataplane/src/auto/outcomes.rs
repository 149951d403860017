//! What destinations turned out to speak: whether it is worth connecting to them before the client has spoken.
//!
//! Only ever a hint: what bytes are is told by the bytes.

use outrigger_config::model::Name;
use std::cell::RefCell;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::time::Instant;

/// How long an outcome counts: a service that changes its protocol behind one address is restarted for it.
const MEMORY: Duration = Duration::from_secs(300);

/// Destinations of each half of the memory, at most.
const DESTINATIONS_MAX: usize = 2048;

/// What connections to a destination turned out to speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// HTTP, and perhaps TCP too.
    Http,
    Tcp,
}

/// A cluster that TCP goes to, and where connections to it were meant for.
type Key = (Name, SocketAddr);

/// A worker's memory, in two halves: when the newer one is full, the older one is forgotten as a whole. So it is bounded,
/// and keeps what is asked for often, without an order to be kept.
#[derive(Debug, Default)]
pub(crate) struct Outcomes {
    halves: RefCell<Halves>,
}

#[derive(Debug, Default)]
struct Halves {
    newer: HashMap<Key, (Outcome, Instant), foldhash::fast::RandomState>,
    older: HashMap<Key, (Outcome, Instant), foldhash::fast::RandomState>,
}

impl Outcomes {
    /// What this destination turned out to speak, unless that is too long ago.
    pub(crate) fn recall(&self, cluster: &Name, destination: SocketAddr, now: Instant) -> Option<Outcome> {
        let halves = self.halves.borrow();
        let key = (cluster.clone(), destination);
        let (outcome, at) = halves.newer.get(&key).or_else(|| halves.older.get(&key))?;
        (now.duration_since(*at) < MEMORY).then_some(*outcome)
    }

    /// Remembers it from now on. HTTP that still counts stays beside TCP: its clients must not be talked over.
    pub(crate) fn remember(&self, cluster: &Name, destination: SocketAddr, outcome: Outcome, now: Instant) {
        if outcome == Outcome::Tcp && self.recall(cluster, destination, now) == Some(Outcome::Http) {
            return;
        }
        let halves = &mut *self.halves.borrow_mut();
        if halves.newer.len() >= DESTINATIONS_MAX {
            halves.older = std::mem::take(&mut halves.newer);
        }
        halves
            .newer
            .insert((cluster.clone(), destination), (outcome, now));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use outrigger_config::{Environment, Source, load};

    fn name(text: &str) -> Name {
        let yaml =
            format!("listeners: []\nroute_configurations: []\nclusters: [{{ name: {text}, endpoints: [] }}]");
        let source = Source {
            name: "test".to_owned(),
            text: yaml,
        };
        let loaded = load(&source, &Environment::empty()).unwrap();
        loaded.config.clusters()[0].name().clone()
    }

    fn at(port: u16) -> SocketAddr {
        SocketAddr::from(([10, 0, 0, 1], port))
    }

    #[test]
    fn an_outcome_is_kept_for_a_while_for_its_cluster_and_destination() {
        let (outcomes, start) = (Outcomes::default(), Instant::now());
        let (one, other) = (name("one"), name("other"));
        assert_eq!(outcomes.recall(&one, at(1), start), None);
        outcomes.remember(&one, at(1), Outcome::Http, start);
        assert_eq!(outcomes.recall(&one, at(1), start), Some(Outcome::Http));
        assert_eq!(outcomes.recall(&one, at(2), start), None);
        assert_eq!(outcomes.recall(&other, at(1), start), None);
        let late = start + MEMORY - Duration::from_nanos(1);
        assert_eq!(outcomes.recall(&one, at(1), late), Some(Outcome::Http));
        assert_eq!(outcomes.recall(&one, at(1), start + MEMORY), None);
        // Both at one destination.
        for outcome in [Outcome::Tcp, Outcome::Http, Outcome::Tcp] {
            outcomes.remember(&one, at(1), outcome, start);
            assert_eq!(outcomes.recall(&one, at(1), start), Some(Outcome::Http));
        }
        outcomes.remember(&one, at(1), Outcome::Tcp, start + MEMORY);
        assert_eq!(outcomes.recall(&one, at(1), start + MEMORY), Some(Outcome::Tcp));
    }

    #[test]
    fn it_is_bounded_and_forgets_the_oldest_first() {
        let (outcomes, now) = (Outcomes::default(), Instant::now());
        let cluster = name("one");
        for port in 0..=u16::MAX {
            outcomes.remember(&cluster, at(port), Outcome::Tcp, now);
        }
        let halves = outcomes.halves.borrow();
        assert!(halves.newer.len() + halves.older.len() <= 2 * DESTINATIONS_MAX);
        drop(halves);
        assert_eq!(outcomes.recall(&cluster, at(0), now), None);
        let recent = u16::MAX - DESTINATIONS_MAX as u16 + 1;
        assert_eq!(outcomes.recall(&cluster, at(recent), now), Some(Outcome::Tcp));
    }
}
