//! What share of a priority's requests each locality gets, in Envoy's two ways ("Locality weighted load balancing",
//! "Zone aware routing").

use super::weights::{below, mix};

/// What shares are counted in: Envoy's zone-aware routing takes hundredths of a percent.
const WHOLE: u64 = 10_000;

/// The weight of a locality of which so many endpoints of all can be used: whole while overprovisioning makes up for the
/// others. In hundredths of the weights of localities, since what is left may be less than one.
pub(super) fn effective_weight(weight: u32, usable: u32, all: u32, overprovisioning: u32) -> u64 {
    if all == 0 {
        return 0;
    }
    let availability = u64::from(overprovisioning) * u64::from(usable) / u64::from(all);
    u64::from(weight) * availability.min(100)
}

/// How requests are spread over zones; the first is this proxy's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ZoneSpread {
    /// All stay.
    Direct,
    /// A part stays, of 10,000; the others go where there is room left.
    Residual {
        local: u64,
        /// Where the room of each zone ends on a line.
        room_ends: Box<[u64]>,
    },
}

impl ZoneSpread {
    /// The spread for healthy ones in each zone: of those that send, and of those that serve, in the same order, the
    /// first this proxy's own.
    pub(super) fn new(senders: &[u32], servers: &[u32]) -> ZoneSpread {
        let percentages = |healthy: &[u32]| -> Vec<u64> {
            let all: u64 = healthy.iter().map(|&count| u64::from(count)).sum();
            let share = |&count: &u32| (u64::from(count) * WHOLE).checked_div(all).unwrap_or(0);
            healthy.iter().map(share).collect()
        };
        let (sent, served) = (percentages(senders), percentages(servers));
        let (own_sent, own_served) = (sent[0], served[0]);
        if own_served > 0 && own_served >= own_sent {
            return ZoneSpread::Direct;
        }
        let zones = sent.iter().zip(&served).enumerate();
        let room_ends = zones.scan(0, |end, (zone, (&sent, &served))| {
            // What this zone can take of its own it has.
            if zone > 0 {
                *end += served.saturating_sub(sent);
            }
            Some(*end)
        });
        ZoneSpread::Residual {
            local: (own_served * WHOLE).checked_div(own_sent).unwrap_or(0),
            room_ends: room_ends.collect(),
        }
    }

    /// The zone of a request, and whether there was room left for it.
    pub(super) fn zone(&self, random: u64) -> (usize, ZoneChoice) {
        match self {
            ZoneSpread::Direct => (0, ZoneChoice::Direct),
            ZoneSpread::Residual { local, room_ends } => {
                if below(random, WHOLE) < *local {
                    return (0, ZoneChoice::Sampled);
                }
                let random = mix(random);
                match room_ends.last() {
                    Some(&room) if room > 0 => {
                        let point = below(random, room);
                        (room_ends.partition_point(|&end| end <= point), ZoneChoice::Cross)
                    }
                    // Rounding left no room anywhere.
                    _ => (below(random, room_ends.len() as u64) as usize, ZoneChoice::NoRoom),
                }
            }
        }
    }
}

/// How a zone was chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ZoneChoice {
    /// This proxy's own, which takes all.
    Direct,
    /// This proxy's own, by its share.
    Sampled,
    /// Another, by the room that it has left.
    Cross,
    /// Any.
    NoRoom,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Envoy, "Locality weighted load balancing": X of weight 1, Y of weight 2 and wholly available.
    #[test]
    fn envoys_table_of_locality_weights() {
        for (healthy, to_x) in [(100, 33), (70, 33), (69, 32), (50, 26), (25, 15), (0, 0)] {
            let x = effective_weight(1, healthy, 100, 140);
            let y = effective_weight(2, 100, 100, 140);
            let percent = x as f64 * 100.0 / (x + y) as f64;
            assert!((percent - f64::from(to_x)).abs() <= 0.6, "{healthy}: {percent}");
        }
        assert_eq!(effective_weight(5, 0, 0, 140), 0);
    }

    /// The example that Envoy's `load_balancer_impl.cc` explains: senders 40/40/20 %, servers 25/50/25 %.
    #[test]
    fn envoys_example_of_residual_capacity() {
        let spread = ZoneSpread::new(&[40, 40, 20], &[25, 50, 25]);
        let wanted = ZoneSpread::Residual {
            local: 6_250,
            room_ends: [0, 1_000, 1_500].into(),
        };
        assert_eq!(spread, wanted);
        let mut seen = [0u32; 3];
        for turn in 0..30_000u64 {
            seen[spread.zone(mix(turn)).0] += 1;
        }
        // 62.5 % stay; two thirds of the others go to the second zone.
        for (seen, wanted) in seen.iter().zip([18_750, 7_500, 3_750]) {
            assert!(seen.abs_diff(wanted) < 300, "{seen} is not {wanted}");
        }
    }

    /// Envoy, "Zone aware routing": the two cases, and Envoy's `local percentage is 20% and upstream is 10%`.
    #[test]
    fn envoys_cases_of_zones() {
        assert_eq!(ZoneSpread::new(&[1, 2], &[1, 2]), ZoneSpread::Direct);
        assert_eq!(ZoneSpread::new(&[1, 3], &[2, 2]), ZoneSpread::Direct);
        assert!(matches!(
            ZoneSpread::new(&[20, 80], &[10, 90]),
            ZoneSpread::Residual { local: 5_000, .. }
        ));
        // No endpoint here: all go elsewhere.
        let none_here = ZoneSpread::new(&[1, 1], &[0, 3]);
        assert!((0..100).all(|turn| none_here.zone(mix(turn)) == (1, ZoneChoice::Cross)));
    }

    #[test]
    fn without_room_any_zone_is_taken() {
        let spread = ZoneSpread::Residual {
            local: 0,
            room_ends: [0, 0].into(),
        };
        let zones: Vec<_> = (0..100).map(|turn| spread.zone(mix(turn))).collect();
        assert!(zones.contains(&(0, ZoneChoice::NoRoom)) && zones.contains(&(1, ZoneChoice::NoRoom)));
    }
}
