use super::*;
use std::sync::atomic::AtomicBool;

impl Word for loom::sync::atomic::AtomicU64 {
    fn zero() -> Self {
        loom::sync::atomic::AtomicU64::new(0)
    }

    fn load(&self, ordering: Ordering) -> u64 {
        self.load(ordering)
    }

    fn store(&self, value: u64, ordering: Ordering) {
        self.store(value, ordering);
    }

    fn fence(ordering: Ordering) {
        loom::sync::atomic::fence(ordering);
    }
}

fn read<W: Word>(ring: &Ring<W>) -> Vec<(u64, Vec<u64>)> {
    let copied = ring.read();
    let records = copied.records();
    records.map(|(number, words)| (number, words.to_vec())).collect()
}

#[test]
fn the_newest_stand_first_and_the_oldest_go() {
    let (ring, mut writer) = Ring::<AtomicU64>::new(10);
    assert_eq!(read(&ring), []);
    writer.write(&mut [1, 2, 0], 7);
    writer.write(&mut [3, 0], 8);
    assert_eq!(read(&ring), [(8, vec![3]), (7, vec![1, 2])]);
    writer.write(&mut [4, 5, 6, 0], 9);
    writer.write(&mut [7, 0], 10);
    // Eleven words were written: the first record's first is gone, and with it the record.
    assert_eq!(read(&ring), [(10, vec![7]), (9, vec![4, 5, 6]), (8, vec![3])]);
}

#[test]
fn records_of_every_length_come_back_from_rings_of_every_length() {
    for length in (8..40).chain([SEGMENT_WORDS - 1, SEGMENT_WORDS + 3, 2 * SEGMENT_WORDS]) {
        let (ring, mut writer) = Ring::<AtomicU64>::new(length);
        for number in 0..(length as u64 * 2).max(200) {
            let words = (number % 7) as usize;
            let mut record: Vec<u64> = vec![number; words];
            record.push(0);
            writer.write(&mut record, number);
            if length > 40 && number % 97 != 0 {
                continue;
            }
            let found = read(&ring);
            assert_eq!(found[0], (number, vec![number; words]), "length {length}");
            let newest_first: Vec<u64> = found.iter().map(|(number, _)| *number).collect();
            let expected: Vec<u64> = (0..found.len() as u64).map(|back| number - back).collect();
            assert_eq!(newest_first, expected);
        }
    }
}

#[test]
fn what_is_longer_than_the_ring_is_left_out() {
    let (ring, mut writer) = Ring::<AtomicU64>::new(4);
    writer.write(&mut [1, 0], 1);
    writer.write(&mut [0; 5], 2);
    writer.write(&mut [], 3);
    assert_eq!(read(&ring), [(1, vec![1])]);
}

/// All words of a record are the same number: one that is mixed of two shows.
#[test]
fn a_reader_beside_the_writer_never_sees_half_a_record() {
    let (ring, mut writer) = Ring::<AtomicU64>::new(257);
    let stop = AtomicBool::new(false);
    let mut seen = 0usize;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut number = 1u64;
            while !stop.load(Ordering::Relaxed) {
                let words = 1 + (number * 7 % 60) as usize;
                let mut record = vec![number; words];
                record.push(0);
                writer.write(&mut record, number);
                number += 1;
            }
        });
        let mut newest = 0;
        while seen < 20_000 {
            let copied = ring.read();
            let mut before: Option<u64> = None;
            for (number, words) in copied.records() {
                assert!(words.iter().all(|word| *word == number), "{number}: {words:?}");
                assert_eq!(words.len(), 1 + (number * 7 % 60) as usize);
                assert!(before.is_none_or(|before| before == number + 1));
                newest = newest.max(number);
                before = Some(number);
                seen += 1;
            }
            std::hint::spin_loop();
        }
        stop.store(true, Ordering::Relaxed);
        assert!(newest > 0);
    });
}

/// Every interleaving, and every stale read that the memory model allows.
#[test]
fn no_interleaving_shows_half_a_record() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(|| {
        let (ring, mut writer) = Ring::<loom::sync::atomic::AtomicU64>::new(4);
        writer.write(&mut [1, 0], 1);
        let writing = loom::thread::spawn(move || {
            writer.write(&mut [2, 0], 2);
            writer.write(&mut [3, 3, 0], 3);
        });
        for (number, words) in read(&ring) {
            assert!(words.iter().all(|word| *word == number), "{number}: {words:?}");
        }
        writing.join().unwrap();
        assert_eq!(read(&ring), [(3, vec![3, 3])]);
    });
}
