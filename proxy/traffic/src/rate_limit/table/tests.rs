use super::*;
use proptest::prelude::*;
use std::collections::HashMap;

const NOW: Duration = Duration::from_secs(1);

fn slow(burst: u32) -> [Pace; 1] {
    [Pace::new(1, Duration::from_secs(1 << 20), burst)]
}

fn takes(table: &Table, key: &[u8], now: Duration, paces: &[Pace]) -> bool {
    table.take(key, now, paces, || 0).is_ok()
}

fn key(number: u64) -> [u8; 8] {
    number.to_be_bytes()
}

#[test]
fn each_key_has_a_bucket_of_its_own() {
    let (table, paces) = (Table::new(10), slow(2));
    for name in [b"a", b"b"] {
        assert!(table.look(name, NOW, &paces).is_ok());
        assert_eq!(
            (0..5).filter(|_| takes(&table, name, NOW, &paces)).count(),
            2,
            "{name:?}"
        );
        assert!(table.look(name, NOW, &paces).is_err());
    }
    assert_eq!(table.keys(), 2);
}

#[test]
fn looking_makes_no_key() {
    let (table, paces) = (Table::new(10), slow(2));
    assert!(table.look(b"a", NOW, &paces).is_ok());
    assert_eq!(table.keys(), 0);
}

#[test]
fn a_flood_of_keys_stays_within_the_bound_and_each_that_goes_is_told() {
    for keys_max in [1, 2, 100, 255, 5_000, 4_111] {
        let (table, paces) = (Table::new(keys_max), slow(3));
        let dropped = (0..3 * keys_max as u64)
            .filter(|number| {
                let taken = table.take(&key(*number), NOW, &paces, || 0).unwrap();
                assert!(table.keys() <= keys_max);
                taken.dropped.is_some()
            })
            .count();
        assert_eq!(table.keys() + dropped, 3 * keys_max, "{keys_max}");
        let held: usize = table.shards.iter().map(|shard| shard.buckets.lock().len()).sum();
        assert_eq!(held, table.keys());
        // Hashes are not perfectly even, but no shard stays half empty.
        assert!(table.keys() > keys_max * 9 / 10, "{} of {keys_max}", table.keys());
    }
}

#[test]
fn who_is_used_least_recently_goes_first_among_equals() {
    let (table, paces) = (Table::new(3), slow(3));
    for name in [b"a", b"b", b"c"] {
        assert!(takes(&table, name, NOW, &paces));
    }
    // All have two left; `b` is the oldest once `a` has been used, but then `a` has one left.
    assert!(takes(&table, b"a", NOW, &paces));
    let taken = table.take(b"d", NOW, &paces, || 0).unwrap();
    assert_eq!(taken.dropped, Some(Dropped::Counting));
    let buckets = table.shards[0].buckets.lock();
    let mut held: Vec<&[u8]> = buckets.iter().map(|(key, _)| &**key).collect();
    held.sort_unstable();
    assert_eq!(held, [b"a", b"c", b"d"]);
}

#[test]
fn a_full_bucket_goes_before_one_that_counts_and_nothing_is_lost() {
    let (table, paces) = (Table::new(2), [Pace::new(1, Duration::from_secs(10), 2)]);
    assert!(takes(&table, b"a", NOW, &paces));
    assert!(takes(&table, b"b", NOW + Duration::from_secs(9), &paces));
    // The first one has its token back, the second does not.
    let later = NOW + Duration::from_secs(11);
    let taken = table.take(b"c", later, &paces, || 0).unwrap();
    assert_eq!(taken.dropped, Some(Dropped::Full));
    assert!(table.shards[0].buckets.lock().peek(&b"b"[..]).is_some());
}

#[test]
fn a_flood_does_not_refill_the_bucket_of_whoever_is_over_his_rate() {
    let (table, paces) = (Table::new(100), slow(5));
    assert_eq!(
        (0..9).filter(|_| takes(&table, b"greedy", NOW, &paces)).count(),
        5
    );
    for number in 0..100_000 {
        takes(&table, &key(number), NOW, &paces);
    }
    assert!(!takes(&table, b"greedy", NOW, &paces));
}

#[test]
fn a_token_goes_back_only_to_whom_it_was_taken_from_and_only_at_once() {
    let (table, paces) = (Table::new(10), slow(2));
    let first = table.take(b"a", NOW, &paces, || 0).unwrap();
    assert!(!table.give_back(b"b", first.token));
    assert!(table.give_back(b"a", first.token));
    let second = table.take(b"a", NOW, &paces, || 0).unwrap();
    assert!(takes(&table, b"a", NOW, &paces));
    assert!(!table.give_back(b"a", second.token), "another was taken since");
}

#[test]
fn what_was_taken_goes_along_to_a_table_of_another_size() {
    let (table, from, to) = (Table::new(10), slow(5), slow(4));
    for number in 0..10 {
        for _ in 0..3 {
            takes(&table, &key(number), NOW, &from);
        }
    }
    let small = table.carried(4, NOW, &from, &to, |_| 0);
    assert_eq!(small.keys(), 4);
    for number in 6..10 {
        let left = (0..9).filter(|_| takes(&small, &key(number), NOW, &to)).count();
        assert_eq!(left, 1, "{number}: used last, it stays, three of four taken");
    }
    // Their order went along: the one that is used least recently is the first that goes.
    let again = table.carried(10, NOW, &from, &to, |_| 0);
    let order = |table: &Table| {
        let buckets = table.shards[0].buckets.lock();
        buckets.iter().map(|(key, _)| key.clone()).collect::<Vec<_>>()
    };
    assert_eq!(order(&again), order(&table));
}

#[test]
fn nobody_waits_while_a_table_is_made_of_another() {
    let (table, paces) = (Table::new(10_000), slow(4));
    for number in 0..10_000 {
        takes(&table, &key(number), NOW, &paces);
    }
    let carried = table.carried(10_000, NOW, &paces, &paces, |key| {
        assert!(table.shard(key).buckets.try_lock().is_some());
        0
    });
    assert!(carried.keys() > 9_000);
}

#[test]
fn no_shard_is_large_and_together_they_are_the_table() {
    for keys_max in [1, 4_095, 4_096, 32_768, 32_769, 50_000, 1_000_003] {
        let table = Table::new(keys_max);
        let sizes = table.shards.iter().map(|shard| shard.keys_max);
        assert_eq!(sizes.clone().sum::<usize>(), keys_max);
        assert!(sizes.max().unwrap() <= 4_095, "{keys_max}");
        if keys_max >= 4_096 {
            let sizes = table.shards.iter().map(|shard| shard.keys_max);
            assert!(sizes.clone().min().unwrap() >= SHARD_KEYS_MIN);
            assert!(sizes.max().unwrap() <= SHARD_KEYS_MAX);
        }
    }
}

#[test]
fn many_threads_take_exactly_what_there_is_of_each_key() {
    let (table, paces) = (Table::new(8_192), slow(50));
    let sums: Vec<usize> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    (0..4_000u64)
                        .filter(|step| takes(&table, &key(step % 40), NOW, &paces))
                        .count()
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(sums.iter().sum::<usize>(), 40 * 50);
}

proptest! {
    /// While all keys fit, the table is a bucket for each key and nothing else.
    #[test]
    fn a_table_with_room_is_a_map_of_buckets(
        steps in prop::collection::vec((0u64..20, 0u64..400), 1..400),
        burst in 1u32..6,
    ) {
        let paces = [Pace::new(3, Duration::from_secs(1), burst)];
        let (table, mut naive) = (Table::new(20), HashMap::new());
        let mut now = NOW;
        for (number, milliseconds) in steps {
            now += Duration::from_millis(milliseconds);
            let bucket = naive.entry(number).or_insert_with(crate::TokenBucket::new);
            let expected = bucket.take(now, &paces[0]).map(|token| token.left);
            let taken = table.take(&key(number), now, &paces, || 0);
            let got = taken.map(|taken| taken.token.left).map_err(|(_, wait)| wait);
            prop_assert_eq!(got, expected);
        }
        prop_assert_eq!(table.keys(), naive.len());
    }
}
