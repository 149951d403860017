use super::*;

/// Of 100 endpoints so many percent are healthy, degraded.
fn of_hundred(healthy: u32, degraded: u32) -> Population {
    Population {
        healthy,
        degraded,
        unhealthy: 100 - healthy - degraded,
    }
}

fn by_default(priorities: &[Population]) -> Vec<Share> {
    let shares = shares(priorities, 140, 50);
    let sum: u32 = shares.iter().map(|share| share.healthy + share.degraded).sum();
    assert_eq!(sum, 100, "{priorities:?}: {shares:?}");
    shares
}

fn healthy_shares(percents: &[u32]) -> Vec<u32> {
    let priorities: Vec<Population> = percents.iter().map(|&healthy| of_hundred(healthy, 0)).collect();
    by_default(&priorities)
        .iter()
        .map(|share| share.healthy)
        .collect()
}

/// Envoy, "Priority levels": the three tables.
#[test]
fn envoys_tables_of_priority_levels() {
    let rows: &[(&[u32], &[u32])] = &[
        (&[100, 100], &[100, 0]),
        (&[72, 100], &[100, 0]),
        (&[71, 100], &[99, 1]),
        (&[50, 100], &[70, 30]),
        (&[25, 100], &[35, 65]),
        (&[0, 100], &[0, 100]),
        (&[72, 72], &[100, 0]),
        (&[71, 71], &[99, 1]),
        (&[50, 50], &[70, 30]),
        (&[25, 25], &[50, 50]),
        (&[100, 100, 100], &[100, 0, 0]),
        (&[72, 72, 100], &[100, 0, 0]),
        (&[71, 71, 100], &[99, 1, 0]),
        (&[50, 50, 100], &[70, 30, 0]),
        (&[25, 100, 100], &[35, 65, 0]),
        (&[25, 25, 100], &[35, 35, 30]),
    ];
    for (healthy, wanted) in rows {
        assert_eq!(healthy_shares(healthy), *wanted, "{healthy:?}");
    }
    // The last row of the third table (36, 36, 28) is of one that is in panic nowhere: with a threshold of 50 % all three
    // are, and are as large as each other.
    let last = [25, 25, 20].map(|healthy| of_hundred(healthy, 0));
    let calm: Vec<u32> = shares(&last, 140, 1).iter().map(|share| share.healthy).collect();
    assert_eq!(
        calm,
        [37, 35, 28],
        "what rounding leaves goes to the first: 35 + 35 + 28 of 98"
    );
    assert_eq!(healthy_shares(&[25, 25, 20]), [34, 33, 33]);
}

/// Envoy, "Panic threshold": both tables. The rows for 50 % / 60 % and 25 % / 100 % of the second are left out: they
/// contradict the same page's first table and the algorithm (70 % and 35 % to the first).
#[test]
fn envoys_tables_of_panic() {
    let rows: &[([u32; 2], [u32; 2], [bool; 2])] = &[
        ([72, 100], [100, 0], [false, false]),
        ([71, 100], [99, 1], [false, false]),
        ([50, 100], [70, 30], [false, false]),
        ([25, 100], [35, 65], [false, false]),
        ([0, 100], [0, 100], [false, false]),
        ([72, 72], [100, 0], [false, false]),
        ([71, 71], [99, 1], [false, false]),
        ([25, 25], [50, 50], [true, true]),
    ];
    for (healthy, wanted, panic) in rows {
        let shares = by_default(&healthy.map(|healthy| of_hundred(healthy, 0)));
        let (found, in_panic): (Vec<u32>, Vec<bool>) =
            shares.iter().map(|share| (share.healthy, share.panic)).unzip();
        assert_eq!(
            (&found[..], &in_panic[..]),
            (&wanted[..], &panic[..]),
            "{healthy:?}"
        );
    }
    // The last row: 7 and 91 of 98 are 7 % and 92 %, and what rounding leaves goes to the first (7 % and 93 % there).
    let shares = by_default(&[of_hundred(5, 0), of_hundred(65, 0)]);
    assert_eq!(
        shares
            .iter()
            .map(|share| (share.healthy, share.panic))
            .collect::<Vec<_>>(),
        [(8, true), (92, false)]
    );
}

/// Envoy, "Degraded endpoints": the table.
#[test]
fn envoys_table_of_degraded_endpoints() {
    for (healthy, degraded, to_healthy, to_degraded) in [
        (100, 0, 100, 0),
        (71, 0, 100, 0),
        (71, 29, 99, 1),
        (25, 65, 35, 65),
        (5, 0, 100, 0),
    ] {
        let shares = by_default(&[of_hundred(healthy, degraded)]);
        assert_eq!(
            (shares[0].healthy, shares[0].degraded),
            (to_healthy, to_degraded),
            "{healthy}/{degraded}"
        );
    }
    // What Envoy's `load_balancer_impl.cc` explains in words: 3 priorities of 10/20/10 % healthy and 20/10/0 % degraded,
    // without overprovisioning.
    let priorities = [of_hundred(10, 20), of_hundred(20, 10), of_hundred(10, 0)];
    let shares = shares(&priorities, 100, 0);
    assert_eq!(
        shares.iter().map(|share| share.healthy).collect::<Vec<_>>(),
        [16, 28, 14]
    );
    assert_eq!(
        shares.iter().map(|share| share.degraded).collect::<Vec<_>>(),
        [28, 14, 0]
    );
}

#[test]
fn in_total_panic_priorities_share_by_their_size() {
    let priorities = [
        Population {
            healthy: 0,
            degraded: 0,
            unhealthy: 3,
        },
        Population {
            healthy: 0,
            degraded: 0,
            unhealthy: 0,
        },
        Population {
            healthy: 0,
            degraded: 0,
            unhealthy: 1,
        },
    ];
    let shares = by_default(&priorities);
    assert_eq!(
        shares.iter().map(|share| share.healthy).collect::<Vec<_>>(),
        [75, 0, 25]
    );
    assert!(shares[0].panic && !shares[1].panic && shares[2].panic);
}

#[test]
fn without_panic_nobody_healthy_is_nobody_at_all() {
    let shares = shares(&[of_hundred(0, 0), of_hundred(0, 0)], 140, 0);
    assert_eq!(
        shares[0],
        Share {
            healthy: 100,
            degraded: 0,
            panic: false
        }
    );
    assert_eq!(shares[1], Share::default());
    assert!(super::shares(&[], 140, 50).is_empty());
}

#[test]
fn the_threshold_itself_is_no_panic() {
    assert!(!by_default(&[of_hundred(50, 0)])[0].panic);
    assert!(by_default(&[of_hundred(49, 0)])[0].panic);
    assert!(!by_default(&[of_hundred(20, 30)])[0].panic, "degraded ones count");
}
