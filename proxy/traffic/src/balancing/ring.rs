//! A hash ring (ketama), built as Envoy's: an endpoint's points are the xxHash64 of `IP:PORT_0`, `IP:PORT_1` and so on, as many
//! as its share of the ring; a key belongs to the first point at or after its hash.
//!
//! The ring grows until the endpoint of the least share has a whole number of points and there are `size_min` of them
//! together, but not above `size_max`. So the same endpoints have the same ring in every proxy, Envoy included, whatever
//! their order.

use super::hashing::Weighted;
use std::fmt::Write as _;
use xxhash_rust::xxh64::xxh64;

/// Points in the order of their hashes.
#[derive(Debug, PartialEq)]
pub(super) struct Ring(Box<[Point]>);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Point {
    hash: u64,
    owner: u32,
}

impl Ring {
    /// The ring of endpoints with these keys and shares, which sum to 1.
    pub(super) fn new(endpoints: &[Weighted<'_>], size_min: u32, size_max: u32) -> Ring {
        let least = endpoints
            .iter()
            .map(|endpoint| endpoint.share)
            .fold(1.0, f64::min);
        let scale = ((least * f64::from(size_min)).ceil() / least).min(f64::from(size_max));
        let mut points = Vec::with_capacity(scale.ceil() as usize);
        // Shares of the ring need not be whole: what is due runs ahead of what there is.
        let mut due = 0.0;
        let mut name = String::new();
        for endpoint in endpoints {
            due += scale * endpoint.share;
            let mut number = 0u32;
            // The sum of shares may be off by what floating-point numbers are.
            while (points.len() as f64) < due - 1e-6 {
                name.clear();
                // Writing to a string does not fail.
                let _ = write!(name, "{}_{number}", endpoint.key);
                points.push(Point {
                    hash: xxh64(name.as_bytes(), 0),
                    owner: endpoint.place,
                });
                number += 1;
            }
        }
        points.sort_unstable();
        Ring(points.into())
    }

    /// The owner of the `step`th point from a key's on, round the ring; none if there is no point.
    pub(super) fn owner(&self, hash: u64, step: usize) -> Option<usize> {
        let first = self.0.partition_point(|point| point.hash < hash);
        let point = self.0.get((first + step).checked_rem(self.0.len())?)?;
        Some(point.owner as usize)
    }

    /// How many points there are.
    pub(super) fn size(&self) -> usize {
        self.0.len()
    }
}
