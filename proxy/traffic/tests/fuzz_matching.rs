//! Fuzzing of route matching and path normalization on a stable toolchain: a deterministic loop that mutates what it
//! has, and checks every result against the naive matcher. It runs a fixed number of rounds, or for
//! `OUTRIGGER_FUZZ_SECONDS` if that is set; a failure prints the bytes that made it.

#[path = "matching/naive.rs"]
mod naive;
#[path = "matching/tables.rs"]
mod tables;

use outrigger_config::model::{EscapedSlashes, RepeatedSlashes};
use outrigger_traffic::{RouteTable, path};
use std::time::{Duration, Instant};

const ROUNDS: u32 = 300;
const REQUESTS_PER_TABLE: u32 = 100;
const CORPUS_MAX: usize = 256;

const ESCAPED: [EscapedSlashes; 3] = [
    EscapedSlashes::Keep,
    EscapedSlashes::Unescape,
    EscapedSlashes::Refuse,
];
const REPEATED: [RepeatedSlashes; 3] = [
    RepeatedSlashes::Keep,
    RepeatedSlashes::Merge,
    RepeatedSlashes::Refuse,
];

/// Byte strings that are mutated, each a child of an earlier one.
struct Corpus {
    random: fastrand::Rng,
    inputs: Vec<Vec<u8>>,
    /// Pieces that mutation inserts.
    words: &'static [&'static [u8]],
}

impl Corpus {
    fn new(seed: u64, first: &[&[u8]], words: &'static [&'static [u8]]) -> Corpus {
        let inputs = first.iter().map(|input| input.to_vec()).collect();
        Corpus {
            random: fastrand::Rng::with_seed(seed),
            inputs,
            words,
        }
    }

    fn next(&mut self) -> Vec<u8> {
        let mut input = self.inputs[self.random.usize(..self.inputs.len())].clone();
        for _ in 0..self.random.usize(1..6) {
            self.mutate(&mut input);
        }
        input.truncate(400);
        let place = self.random.usize(..CORPUS_MAX);
        match self.inputs.get_mut(place) {
            Some(old) => old.clone_from(&input),
            None => self.inputs.push(input.clone()),
        }
        input
    }

    fn mutate(&mut self, input: &mut Vec<u8>) {
        let at = self.random.usize(..=input.len());
        match self.random.u8(..5) {
            0 => input.insert(at, self.random.u8(..)),
            1 if at < input.len() => drop(input.remove(at)),
            2 if at < input.len() => input[at] = self.random.u8(..),
            3 => {
                let other = &self.inputs[self.random.usize(..self.inputs.len())];
                let piece = self.random.usize(..=other.len());
                input.splice(at.., other[piece..].iter().copied());
            }
            _ => {
                let word = self.words[self.random.usize(..self.words.len())];
                input.splice(at..at, word.iter().copied());
            }
        }
    }
}

/// Runs rounds until there were enough, or the time that the environment gives is over.
fn rounds(mut round: impl FnMut()) {
    let seconds = std::env::var("OUTRIGGER_FUZZ_SECONDS").ok();
    match seconds.map(|text| {
        text.parse()
            .expect("OUTRIGGER_FUZZ_SECONDS is a number of seconds")
    }) {
        Some(seconds) => {
            let end = Instant::now() + Duration::from_secs(seconds);
            while Instant::now() < end {
                round();
            }
        }
        None => (0..ROUNDS).for_each(|_| round()),
    }
}

#[test]
fn compiled_tables_find_what_the_naive_matcher_finds() {
    const WORDS: &[&[u8]] = &[&[0; 8], &[1; 3], &[3, 0, 0, 0], &[9, 2, 4]];
    let mut tables = Corpus::new(
        1,
        &[
            &[0; 40],
            &[7; 80],
            b"0123456789abcdefghijklmnopqrstuvwxyz0123456789",
        ],
        WORDS,
    );
    let mut requests = Corpus::new(2, &[&[], &[1; 12]], WORDS);
    let mut routed = 0u64;
    rounds(|| {
        let choices = tables.next();
        let configuration = tables::routes(&tables::yaml(&mut tables::Choices(&choices)));
        let compiled = RouteTable::compile(&configuration);
        for _ in 0..REQUESTS_PER_TABLE {
            let bytes = requests.next();
            let request = tables::request(&mut tables::Choices(&bytes));
            let found = compiled.find(&request);
            assert_eq!(
                found,
                naive::find(&configuration, &request),
                "{choices:?} {request:?}"
            );
            assert_eq!(compiled.explain(&request).found, found, "{choices:?} {request:?}");
            routed += u64::from(matches!(found, outrigger_traffic::Found::Route { .. }));
        }
    });
    assert!(
        routed > 1_000,
        "only {routed} requests met a route: the alphabets do not collide"
    );
}

#[test]
fn normalizing_never_panics_never_climbs_and_is_idempotent() {
    const WORDS: &[&[u8]] = &[
        b"/",
        b"//",
        b"/./",
        b"/../",
        b"%2e",
        b"%2E%2e",
        b"%2f",
        b"%5C",
        b"%00",
        b"%",
        b"%25",
        b"?",
        b"#",
        b"..",
        b".",
        b"\\",
        b"%c3%a9",
        "é".as_bytes(),
        b"%41",
        b"*",
        b" ",
    ];
    let first: [&[u8]; 4] = [b"/", b"/a/b?c=d", b"/a/../b//c/./d", b"/%2e%2E%2fa"];
    let mut targets = Corpus::new(3, &first, WORDS);
    let mut accepted = 0u64;
    rounds(|| {
        for _ in 0..REQUESTS_PER_TABLE {
            let bytes = targets.next();
            let target = String::from_utf8_lossy(&bytes);
            for (escaped, repeated) in ESCAPED
                .into_iter()
                .flat_map(|escaped| REPEATED.map(|kind| (escaped, kind)))
            {
                let Ok(once) = path::normalize(&target, escaped, repeated) else {
                    continue;
                };
                accepted += 1;
                let climbs = once
                    .path()
                    .split('/')
                    .any(|segment| segment == "." || segment == "..");
                assert!(
                    !climbs && (once.path().starts_with('/') || once.path() == "*"),
                    "{target:?}: {once:?}"
                );
                assert_eq!(
                    once.query(),
                    target.split_once('?').map(|(_, query)| query),
                    "{target:?}"
                );
                let twice = path::normalize(once.path_and_query(), escaped, repeated);
                let twice = twice.unwrap_or_else(|fault| panic!("{target:?}: {once:?} is refused: {fault}"));
                assert_eq!(twice.path_and_query(), once.path_and_query(), "{target:?}");
                assert!(!twice.is_rewritten(), "{target:?}");
            }
        }
    });
    assert!(
        accepted > 1_000,
        "only {accepted} targets were legal: the mutations are too wild"
    );
}
