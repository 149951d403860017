//! Endpoints on a line, each as long as its weight.

use smallvec::SmallVec;

/// Another 64 bits from these, independent enough for a second draw (the finalizer of SplitMix64).
pub(super) fn mix(random: u64) -> u64 {
    let mut mixed = random.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// A number below `bound` from 64 uniform bits; 0 if the bound is 0. The bias is at most `bound` / 2^64.
pub(super) fn below(random: u64, bound: u64) -> u64 {
    // The high half of the product is below `bound`, so it fits.
    ((u128::from(random) * u128::from(bound)) >> 64) as u64
}

/// Weights, divided by their greatest common divisor.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Weights {
    /// So many endpoints of weight 1.
    Equal(usize),
    /// Where each endpoint ends on the line.
    Ends(Box<[u64]>),
}

impl Weights {
    /// Takes weights as they were configured; 0 counts as 1.
    pub(super) fn new(weights: impl Iterator<Item = u64> + Clone) -> Weights {
        let weights = weights.map(|weight| weight.max(1));
        let divisor = weights.clone().fold(0, greatest_common_divisor).max(1);
        if weights.clone().all(|weight| weight == divisor) {
            return Weights::Equal(weights.count());
        }
        let ends = weights.scan(0, |end, weight| {
            *end += weight / divisor;
            Some(*end)
        });
        Weights::Ends(ends.collect())
    }

    /// How many endpoints there are.
    pub(super) fn count(&self) -> usize {
        match self {
            Weights::Equal(count) => *count,
            Weights::Ends(ends) => ends.len(),
        }
    }

    /// The length of the line.
    pub(super) fn total(&self) -> u64 {
        match self {
            Weights::Equal(count) => *count as u64,
            Weights::Ends(ends) => ends.last().copied().unwrap_or(0),
        }
    }

    /// Where an endpoint begins on the line.
    fn start(&self, endpoint: usize) -> u64 {
        match self {
            Weights::Equal(_) => endpoint as u64,
            Weights::Ends(ends) => endpoint.checked_sub(1).map_or(0, |before| ends[before]),
        }
    }

    /// An endpoint's weight.
    pub(super) fn weight(&self, endpoint: usize) -> u64 {
        match self {
            Weights::Equal(_) => 1,
            Weights::Ends(ends) => ends[endpoint] - self.start(endpoint),
        }
    }

    /// The endpoint at a point of the line, which lies below its length.
    pub(super) fn at(&self, point: u64) -> usize {
        match self {
            Weights::Equal(_) => point as usize,
            Weights::Ends(ends) => ends.partition_point(|&end| end <= point),
        }
    }

    /// One endpoint by weight, outside `excluded`; none if nothing is left. The excluded pieces are cut out of the
    /// line, so that the others keep their proportions exactly.
    pub(super) fn draw_outside(&self, random: u64, excluded: &[usize]) -> Option<usize> {
        let mut cut: SmallVec<[usize; 8]> = excluded
            .iter()
            .copied()
            .filter(|&endpoint| endpoint < self.count())
            .collect();
        cut.sort_unstable();
        cut.dedup();
        let left = self.total() - cut.iter().map(|&endpoint| self.weight(endpoint)).sum::<u64>();
        if left == 0 {
            return None;
        }
        let mut point = below(random, left);
        for &endpoint in &cut {
            if point < self.start(endpoint) {
                break;
            }
            point += self.weight(endpoint);
        }
        Some(self.at(point))
    }
}

/// The greatest common divisor; that of 0 and a number is the number.
fn greatest_common_divisor(left: u64, right: u64) -> u64 {
    let (mut left, mut right) = (left, right);
    while right != 0 {
        (left, right) = (right, left % right);
    }
    left
}
