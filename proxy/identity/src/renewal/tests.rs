//! The schedule in simulated time: two clocks, of which one is stepped.

use super::*;
use std::time::UNIX_EPOCH;

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);
const YEAR: Duration = Duration::from_secs(365 * 86_400);

/// A machine with two clocks, and an authority whose clock is right.
struct World {
    now: Moment,
    /// What time it really is.
    truth: SystemTime,
    random: u64,
}

impl World {
    fn new(random: u64) -> World {
        let wall = UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        World {
            now: Moment {
                wall,
                monotonic: Instant::now(),
            },
            truth: wall,
            random: random.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
        }
    }

    fn pass(&mut self, time: Duration) {
        self.now.wall += time;
        self.now.monotonic += time;
        self.truth += time;
    }

    fn random(&mut self) -> u64 {
        // xorshift64*
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        self.random.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn issue(&self, length: Duration) -> Validity {
        Validity {
            not_before: self.truth,
            not_after: self.truth + length,
        }
    }

    fn succeed(&mut self, renewal: &mut Renewal, length: Duration) {
        let (lifetime, random) = (self.issue(length), self.random());
        renewal.succeeded(lifetime, self.now, random);
    }

    fn fail(&mut self, renewal: &mut Renewal) {
        let random = self.random();
        renewal.failed(self.now, random);
    }

    /// Sleeps as the schedule says until it is due, and tells how long that took.
    fn until_due(&mut self, renewal: &Renewal) -> Duration {
        let began = self.now.monotonic;
        while !renewal.is_due(self.now) {
            let sleep = renewal.wake_in(self.now);
            assert!(sleep > Duration::ZERO && sleep <= CLOCK_CHECK_INTERVAL);
            self.pass(sleep);
        }
        self.now.monotonic.saturating_duration_since(began)
    }
}

#[test]
fn what_is_not_there_is_asked_for_at_once() {
    let world = World::new(1);
    assert!(Renewal::at_half().is_due(world.now));
}

#[test]
fn renewal_comes_about_half_way_from_seconds_to_years() {
    for length in [4 * SECOND, 60 * SECOND, HOUR, DAY, 90 * DAY, 10 * YEAR] {
        let mut distinct = std::collections::HashSet::new();
        for seed in 0..20 {
            let mut world = World::new(seed);
            let mut renewal = Renewal::at_half();
            world.succeed(&mut renewal, length);
            let waited = renewal.due_in(world.now);
            let share = waited.as_secs_f64() / length.as_secs_f64();
            assert!((0.45..=0.55).contains(&share), "{length:?}: {share}");
            distinct.insert(waited);
            if length <= DAY {
                assert_eq!(world.until_due(&renewal), waited);
            }
        }
        assert!(distinct.len() > 15, "no jitter at {length:?}");
    }
}

#[test]
fn a_lifetime_of_nothing_is_no_storm() {
    for length in [Duration::ZERO, Duration::from_millis(1), SECOND] {
        let mut world = World::new(3);
        let mut renewal = Renewal::at_half();
        world.succeed(&mut renewal, length);
        assert!(world.until_due(&renewal) >= RENEWAL_INTERVAL_MIN);
    }
}

#[test]
fn a_certificate_that_was_old_when_it_came_is_renewed_within_what_is_left() {
    let mut world = World::new(4);
    let mut renewal = Renewal::at_half();
    let lifetime = Validity {
        not_before: world.truth - 20 * HOUR,
        not_after: world.truth + 4 * HOUR,
    };
    renewal.succeeded(lifetime, world.now, 0);
    let waited = world.until_due(&renewal);
    assert!(waited > HOUR && waited <= 2 * HOUR, "{waited:?}");
}

#[test]
fn failures_are_retried_ever_later_and_sooner_as_the_end_nears() {
    for seed in 0..50 {
        let mut world = World::new(seed);
        let mut renewal = Renewal::at_half();
        world.succeed(&mut renewal, DAY);
        let held = renewal.held().unwrap();
        world.until_due(&renewal);
        let (mut attempts, mut in_last_minute, mut longest) = (0, 0, Duration::ZERO);
        while !held.left(world.now.wall).is_zero() {
            world.fail(&mut renewal);
            attempts += 1;
            let left = held.left(world.now.wall);
            let waited = world.until_due(&renewal);
            assert!(waited >= RETRY_DELAY_FIRST / 2, "a storm: {waited:?}");
            assert!(waited <= RETRY_DELAY_MAX, "too late: {waited:?}");
            assert!(
                waited <= (left / 16).max(RETRY_DELAY_FIRST),
                "{waited:?} of {left:?}"
            );
            longest = longest.max(waited);
            in_last_minute += usize::from(left <= 60 * SECOND);
        }
        assert_eq!(renewal.failures(), attempts);
        assert!(longest > RETRY_DELAY_MAX / 2, "{longest:?}");
        assert!((100..1_000).contains(&attempts), "{attempts}");
        assert!(in_last_minute >= 16, "{in_last_minute}");
        // And it goes on after the end, without a storm.
        for _ in 0..10 {
            world.fail(&mut renewal);
            let waited = world.until_due(&renewal);
            assert!(waited >= RETRY_DELAY_FIRST / 2 && waited <= RETRY_DELAY_MAX_WITHOUT);
        }
        world.succeed(&mut renewal, DAY);
        assert_eq!(renewal.failures(), 0);
    }
}

#[test]
fn the_first_attempts_come_quickly() {
    let mut world = World::new(5);
    let mut renewal = Renewal::at_half();
    let began = world.now.monotonic;
    for _ in 0..5 {
        world.fail(&mut renewal);
        world.until_due(&renewal);
    }
    assert!(world.now.monotonic - began < Duration::from_secs(46));
}

/// What a step of the wall clock at a random time does: never is there a storm, and always is it renewed before its end
/// by the true time.
#[test]
fn a_clock_step_in_either_direction_does_no_harm() {
    for (seed, (length, step, forward)) in (0..).zip([
        (HOUR, 30 * SECOND, true),
        (HOUR, 30 * SECOND, false),
        (HOUR, DAY, true),
        (HOUR, DAY, false),
        (DAY, 56 * YEAR, false),
        (DAY, 50 * YEAR, true),
        (30 * DAY, HOUR, true),
        (30 * DAY, HOUR, false),
    ]) {
        let mut world = World::new(seed);
        let mut renewal = Renewal::at_half();
        world.succeed(&mut renewal, length);
        let truth_end = renewal.held().unwrap().not_after;
        world.pass(length / 4);
        world.now.wall = match forward {
            true => world.now.wall + step,
            false => world.now.wall - step,
        };
        let waited = world.until_due(&renewal);
        assert!(
            world.truth < truth_end - length / 3,
            "{length:?}, {step:?}, {forward}"
        );
        if forward && step >= length {
            assert!(waited.is_zero(), "what seems expired is renewed at once");
        }
        // What comes next has dates of the true time, and is not asked for in a storm, whatever our clock says of them.
        let began = world.now.monotonic;
        for _ in 0..10 {
            world.succeed(&mut renewal, length);
            world.until_due(&renewal);
        }
        let each = (world.now.monotonic - began) / 10;
        assert!(each >= RENEWAL_INTERVAL_MIN, "{length:?}, {step:?}: {each:?}");
        assert!(each <= length.mul_f64(0.55), "{length:?}, {step:?}: {each:?}");
    }
}

#[test]
fn a_step_is_seen_within_a_minute() {
    let mut world = World::new(7);
    let mut renewal = Renewal::at_half();
    world.succeed(&mut renewal, 30 * DAY);
    let sleep = renewal.wake_in(world.now);
    assert_eq!(sleep, CLOCK_CHECK_INTERVAL);
    // The clock is set while it sleeps.
    world.now.wall += 20 * DAY;
    world.pass(sleep);
    assert!(renewal.is_due(world.now));
}

#[test]
fn a_step_hastens_a_retry() {
    let mut world = World::new(8);
    let mut renewal = Renewal::at_half();
    world.succeed(&mut renewal, 30 * DAY);
    for _ in 0..12 {
        world.until_due(&renewal);
        world.fail(&mut renewal);
    }
    assert!(renewal.due_in(world.now) > 60 * SECOND);
    world.now.wall = renewal.held().unwrap().not_after - 10 * SECOND;
    assert!(renewal.due_in(world.now) <= SECOND);
}

#[test]
fn a_machine_that_slept_catches_up_by_the_wall_clock() {
    let mut world = World::new(9);
    let mut renewal = Renewal::at_half();
    world.succeed(&mut renewal, DAY);
    // Its monotonic clock stood still.
    world.now.wall += 20 * HOUR;
    world.pass(SECOND);
    assert!(renewal.is_due(world.now));
}

#[test]
fn a_certificate_whose_time_has_not_begun_is_renewed_by_what_passes() {
    let mut world = World::new(10);
    // Our clock is a day late.
    world.now.wall -= DAY;
    let mut renewal = Renewal::at_half();
    world.succeed(&mut renewal, HOUR);
    let waited = world.until_due(&renewal);
    assert!(waited <= HOUR.mul_f64(0.55), "{waited:?}");
}

#[test]
fn what_its_source_renews_is_asked_for_late() {
    let mut world = World::new(11);
    let mut renewal = Renewal::overdue();
    world.succeed(&mut renewal, HOUR);
    let waited = world.until_due(&renewal);
    assert!(waited >= HOUR.mul_f64(0.7) && waited <= HOUR.mul_f64(0.8));
    renewal.withdrawn();
    assert!(renewal.held().is_none());
}
