//! The order of round robin: a function from a position to an endpoint, so that the only state is the position.

use super::weights::Weights;
use std::sync::atomic::{AtomicU64, Ordering};

/// Steps that computing a schedule may take (its length times the number of endpoints): about a millisecond.
const SCHEDULE_STEPS_MAX: u64 = 1 << 20;
/// Entries of a schedule at most: 16 KiB.
const SCHEDULE_LENGTH_MAX: u64 = 4096;
/// Candidates for a step on either side of the golden ratio.
const STEPS_TRIED: u64 = 64;
/// 2^64 divided by the golden ratio.
const GOLDEN_RATIO: u64 = 0x9e37_79b9_7f4a_7c15;

/// Where the rotation is: shared by the workers and by successive balancers of a cluster, alone on its cache line.
#[derive(Debug, Default)]
#[repr(align(64))]
pub(super) struct Position(AtomicU64);

impl Position {
    /// Takes the next position; no position is given twice.
    pub(super) fn advance(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed)
    }
}

/// How positions become endpoints. Every kind is periodic in the sum of the weights, and gives each endpoint exactly
/// its weight's share of a period.
#[derive(Debug)]
pub(super) enum Rotation {
    /// Equal weights: in their order.
    InOrder,
    /// Small weights: by a table.
    Schedule(Box<[u32]>),
    /// Large weights: position times this, modulo the sum, is a point on the line of weights. The step is next to the
    /// golden ratio of the sum, so that points spread evenly however many were taken, and coprime to it, so
    /// that each point comes once a period.
    Steps(u64),
}

impl Rotation {
    /// The rotation for these weights.
    pub(super) fn new(weights: &Weights) -> Rotation {
        let (total, count) = (weights.total(), weights.count() as u64);
        if matches!(weights, Weights::Equal(_)) {
            Rotation::InOrder
        } else if total <= SCHEDULE_LENGTH_MAX && total * count <= SCHEDULE_STEPS_MAX {
            Rotation::Schedule(smooth_schedule(weights))
        } else {
            Rotation::Steps(golden_step(total))
        }
    }

    /// The endpoint at a position. The weights are those that the rotation was made for, and there is at least one.
    pub(super) fn at(&self, position: u64, weights: &Weights) -> usize {
        let position = position % weights.total();
        match self {
            Rotation::InOrder => position as usize,
            Rotation::Schedule(schedule) => schedule[position as usize] as usize,
            Rotation::Steps(step) => {
                let point = u128::from(position) * u128::from(*step) % u128::from(weights.total());
                weights.at(point as u64)
            }
        }
    }
}

/// nginx's smooth weighted round robin: every endpoint gains its weight each turn, the richest is taken and pays the
/// sum. After one period all are back at zero.
fn smooth_schedule(weights: &Weights) -> Box<[u32]> {
    let total = weights.total() as i64;
    let gains: Vec<i64> = (0..weights.count())
        .map(|endpoint| weights.weight(endpoint) as i64)
        .collect();
    let mut credits = vec![0i64; gains.len()];
    let mut schedule = Vec::with_capacity(weights.total() as usize);
    for _ in 0..total {
        let mut richest = 0;
        for endpoint in 0..gains.len() {
            credits[endpoint] += gains[endpoint];
            if credits[endpoint] > credits[richest] {
                richest = endpoint;
            }
        }
        credits[richest] -= total;
        schedule.push(richest as u32);
    }
    schedule.into()
}

/// The step for a period: among the coprime numbers near its golden ratio, the one whose continued fraction with the
/// period has the smallest partial quotients, since their sum bounds how unevenly points spread.
fn golden_step(total: u64) -> u64 {
    let golden = super::weights::below(GOLDEN_RATIO, total);
    let nearest = golden.saturating_sub(STEPS_TRIED)..golden.saturating_add(STEPS_TRIED).min(total);
    nearest
        .filter_map(|step| Some((quotients_sum(step, total)?, step)))
        .min()
        .map_or(1, |(_, step)| step)
}

/// The sum of the partial quotients of `step` / `total`; none if they are not coprime.
fn quotients_sum(step: u64, total: u64) -> Option<u64> {
    let (mut left, mut right, mut sum) = (total, step, 0u64);
    while right != 0 {
        sum = sum.saturating_add(left / right);
        (left, right) = (right, left % right);
    }
    (left == 1).then_some(sum)
}
