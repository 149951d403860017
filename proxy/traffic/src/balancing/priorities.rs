//! What share of requests each priority gets: Envoy's algorithm, in whole percents.
//!
//! Sources: Envoy's documentation, "Priority levels", "Degraded endpoints" and "Panic threshold" (the tests hold its
//! tables); where documentation leaves a choice, what Envoy does: shares are rounded down, and what rounding left goes to
//! the first priority that has anything.

/// Endpoints of one priority, by how they stand. Those that drain, or wait for their first check, are not among them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Population {
    pub(super) healthy: u32,
    pub(super) degraded: u32,
    pub(super) unhealthy: u32,
}

impl Population {
    pub(super) fn all(self) -> u32 {
        self.healthy + self.degraded + self.unhealthy
    }

    /// The percentage, above 100 cut off, that so many of all are with overprovisioning.
    fn availability(self, some: u32, overprovisioning: u32) -> u32 {
        match self.all() {
            0 => 0,
            all => {
                let percent = u64::from(overprovisioning) * u64::from(some) / u64::from(all);
                percent.min(100) as u32
            }
        }
    }

    /// Fewer than the threshold can be used.
    fn is_in_panic(self, threshold: u32) -> bool {
        let usable = u64::from(self.healthy + self.degraded) * 100;
        match self.all() {
            0 => threshold > 0,
            all => usable < u64::from(all) * u64::from(threshold),
        }
    }
}

/// What one priority gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Share {
    /// Percent of requests that go to its healthy endpoints, or, in panic, to all.
    pub(super) healthy: u32,
    /// Percent that go to its degraded ones.
    pub(super) degraded: u32,
    /// Health is not looked at.
    pub(super) panic: bool,
}

/// The shares of priorities, the first first. They sum to 100 unless there are no priorities.
pub(super) fn shares(priorities: &[Population], overprovisioning: u32, panic_threshold: u32) -> Vec<Share> {
    let available = |some: fn(&Population) -> u32| -> Vec<u32> {
        let each = priorities.iter();
        each.map(|population| population.availability(some(population), overprovisioning))
            .collect()
    };
    let healthy = available(|population| population.healthy);
    let degraded = available(|population| population.degraded);
    let total = (healthy.iter().sum::<u32>() + degraded.iter().sum::<u32>()).min(100);
    let mut shares = vec![Share::default(); priorities.len()];
    let part = |available: u32| (available * 100).checked_div(total).unwrap_or(0);
    if total > 0 {
        let mut left = 100;
        for (share, available) in shares.iter_mut().zip(&healthy) {
            share.healthy = left.min(part(*available));
            left -= share.healthy;
        }
        for (share, available) in shares.iter_mut().zip(&degraded) {
            share.degraded = left.min(part(*available));
            left -= share.degraded;
        }
        if let Some(first) = healthy.iter().position(|&available| available > 0) {
            shares[first].healthy += left;
        } else if let Some(first) = degraded.iter().position(|&available| available > 0) {
            shares[first].degraded += left;
        }
    }
    if panic_threshold == 0 && total == 0 {
        // Nobody can be picked, and the first priority says so.
        shares.iter_mut().take(1).for_each(|share| share.healthy = 100);
        return shares;
    }
    if total < 100 {
        for (share, population) in shares.iter_mut().zip(priorities) {
            share.panic = population.is_in_panic(panic_threshold);
        }
        if shares.iter().all(|share| share.panic) {
            share_by_size(&mut shares, priorities);
        }
        // Where nobody is, there is nobody to panic.
        for (share, population) in shares.iter_mut().zip(priorities) {
            share.panic &= population.all() > 0;
        }
    }
    shares
}

/// All priorities are in panic: each gets what its number of endpoints is of all.
fn share_by_size(shares: &mut [Share], priorities: &[Population]) {
    let all: u64 = priorities
        .iter()
        .map(|population| u64::from(population.all()))
        .sum();
    let mut left = 100;
    for (share, population) in shares.iter_mut().zip(priorities) {
        let percent = (u64::from(population.all()) * 100).checked_div(all).unwrap_or(0) as u32;
        (share.healthy, share.degraded) = (percent, 0);
        left -= percent;
    }
    let first = priorities.iter().position(|population| population.all() > 0);
    if let Some(share) = shares.get_mut(first.unwrap_or(0)) {
        share.healthy += left;
    }
}

#[cfg(test)]
mod tests;
