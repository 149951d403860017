//! A Maglev table: each endpoint has a permutation of the table's entries of its own and takes, in turns, the next of it
//! that is free (Eisenbud et al., "Maglev: A Fast and Reliable Software Network Load Balancer", NSDI 2016, section 3.4).
//!
//! Permutations are made as Envoy makes them: offset and skip are the xxHash64 of `IP:PORT` with the seeds 0 and 1. An endpoint
//! of a lower weight passes turns over, so that turns are by weight. So the same endpoints have the same table in every
//! proxy, whatever their order.

use super::hashing::Weighted;
use super::weights::mix;
use xxhash_rust::xxh64::xxh64;

/// An entry that nobody has yet.
const FREE: u32 = u32::MAX;

/// Which endpoint has which entry.
#[derive(Debug, PartialEq)]
pub(super) struct Maglev(Box<[u32]>);

struct Permutation {
    owner: u32,
    share: f64,
    /// An endpoint takes its turn once the turns that are due to the heaviest, in shares, come to this.
    due: f64,
    next: u64,
    skip: u64,
}

impl Maglev {
    /// The table of endpoints with these keys and shares. `size` is a prime above their number.
    pub(super) fn new(endpoints: &[Weighted<'_>], size: u32) -> Maglev {
        let entries = u64::from(size.max(2));
        let mut table = vec![FREE; entries as usize];
        let mut permutations: Vec<Permutation> = endpoints
            .iter()
            .map(|endpoint| Permutation {
                owner: endpoint.place,
                share: endpoint.share,
                due: 0.0,
                next: xxh64(endpoint.key.as_bytes(), 0) % entries,
                skip: xxh64(endpoint.key.as_bytes(), 1) % (entries - 1) + 1,
            })
            .collect();
        let heaviest = endpoints
            .iter()
            .map(|endpoint| endpoint.share)
            .fold(0.0, f64::max);
        let (mut taken, mut turn) = (0, 0.0);
        while taken < entries && heaviest > 0.0 {
            turn += 1.0;
            for permutation in &mut permutations {
                if turn * permutation.share < permutation.due {
                    continue;
                }
                permutation.due += heaviest;
                // The skip and the prime have no common divisor: each entry comes once, so that a free one comes.
                while table[permutation.next as usize] != FREE {
                    permutation.next = (permutation.next + permutation.skip) % entries;
                }
                table[permutation.next as usize] = permutation.owner;
                taken += 1;
                if taken == entries {
                    break;
                }
            }
        }
        Maglev(table.into())
    }

    /// The owner of a key's entry, or, for a `step` above 0, of an entry that follows from key and step.
    pub(super) fn owner(&self, hash: u64, step: usize) -> Option<usize> {
        let mut hash = hash;
        if step > 0 {
            hash = mix(hash.wrapping_add(step as u64));
        }
        let owner = self.0[(hash % self.0.len() as u64) as usize];
        (owner != FREE).then_some(owner as usize)
    }
}
