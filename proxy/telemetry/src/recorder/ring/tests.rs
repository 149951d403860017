use super::*;
use std::sync::atomic::AtomicBool;

impl Word for loom::sync::atomic::AtomicU64 {
    fn zero() -> Self {
        loom::sync::atomic::AtomicU64::new(0)
    }

    fn zeros(count: usize) -> Box<[Self]> {
        (0..count).map(|_| Self::zero()).collect()
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

/// Writes a record of these words, and claims as much room as they need.
fn write<W: Word>(writer: &mut RingWriter<W>, words: &[u64], number: u64) -> bool {
    write_claiming(writer, words, words.len(), number)
}

fn write_claiming<W: Word>(writer: &mut RingWriter<W>, words: &[u64], words_max: usize, number: u64) -> bool {
    let Some(room) = writer.room(words_max) else {
        return false;
    };
    assert_eq!(room.len(), words_max + 1);
    room[words.len()].store(last_word(words.len(), number), Ordering::Relaxed);
    for (place, word) in room.iter().zip(words) {
        place.store(*word, Ordering::Relaxed);
    }
    writer.commit(words.len());
    true
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
    write(&mut writer, &[1, 2], 7);
    write(&mut writer, &[3], 8);
    assert_eq!(read(&ring), [(8, vec![3]), (7, vec![1, 2])]);
    write(&mut writer, &[4, 5, 6], 9);
    write(&mut writer, &[7], 10);
    // One word was passed over and eleven were written: the first record's first is gone, and with it the record.
    assert_eq!(read(&ring), [(10, vec![7]), (9, vec![4, 5, 6]), (8, vec![3])]);
}

#[test]
fn records_of_every_length_come_back_from_rings_of_every_length() {
    for length in (8..40).chain([SEGMENT_WORDS - 1, SEGMENT_WORDS + 3, 2 * SEGMENT_WORDS]) {
        let (ring, mut writer) = Ring::<AtomicU64>::new(length);
        for number in 1..(length as u64 * 2).max(200) {
            let words = (number % 7) as usize;
            let record = vec![number; words];
            // Some claim more than they need.
            let words_max = words.max((number % 3) as usize);
            assert!(write_claiming(&mut writer, &record, words_max, number));
            let last: Vec<u64> = writer
                .last()
                .iter()
                .map(|word| Word::load(word, Ordering::Relaxed))
                .collect();
            assert_eq!(last, record, "length {length}");
            if length > 40 && number % 97 != 0 {
                continue;
            }
            let found = read(&ring);
            assert_eq!(found[0], (number, record), "length {length}");
            let newest_first: Vec<u64> = found.iter().map(|(number, _)| *number).collect();
            let expected: Vec<u64> = (0..found.len() as u64).map(|back| number - back).collect();
            assert_eq!(newest_first, expected);
        }
    }
}

#[test]
fn what_is_longer_than_the_ring_is_left_out() {
    let (ring, mut writer) = Ring::<AtomicU64>::new(4);
    assert!(write(&mut writer, &[1], 1));
    assert!(!write(&mut writer, &[0; 4], 2));
    assert!(!write_claiming(&mut writer, &[1], usize::MAX - 1, 3));
    assert_eq!(read(&ring), [(1, vec![1])]);
    // A whole ring of one record.
    assert!(write(&mut writer, &[7; 3], 4));
    assert_eq!(read(&ring), [(4, vec![7; 3])]);
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
                let words_max = words + (number % 5) as usize;
                write_claiming(&mut writer, &vec![number; words], words_max, number);
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
        write(&mut writer, &[1], 1);
        let writing = loom::thread::spawn(move || {
            write(&mut writer, &[2], 2);
            write(&mut writer, &[3, 3], 3);
        });
        for (number, words) in read(&ring) {
            assert!(words.iter().all(|word| *word == number), "{number}: {words:?}");
        }
        writing.join().unwrap();
        assert_eq!(read(&ring), [(3, vec![3, 3])]);
    });
}
