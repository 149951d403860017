//! Any weather: answers, failures and delays drawn at random, and what holds whatever comes.

use super::*;
use std::collections::BTreeMap;

/// The longest that a question is under way.
const DELAY_MAX: u64 = 5;

/// Draws numbers from a seed: SplitMix64.
struct Draw(u64);

impl Draw {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn answer(&mut self, question: &Question) -> Answer {
        match (self.below(4), question.kind) {
            (0, _) => failed(),
            (1, _) => empty((self.below(2) == 0).then(|| self.below(20))),
            (_, RecordKind::Srv) => {
                let targets: Vec<String> = (0..=self.below(3))
                    .map(|_| format!("t{}", self.below(4)))
                    .collect();
                let records: Vec<(u16, u16, u16, &str)> = targets
                    .iter()
                    .map(|target| (self.below(3) as u16, self.below(3) as u16, 80, target.as_str()))
                    .collect();
                services(&records, self.below(20))
            }
            (_, RecordKind::A) => {
                let text = format!("10.0.0.{}", self.below(5));
                addresses(&[&text], self.below(20))
            }
            (_, RecordKind::Aaaa) => {
                let text = format!("fd00::{}", self.below(5));
                addresses(&[&text], self.below(20))
            }
        }
    }
}

#[test]
fn questions_are_asked_one_at_a_time_and_answers_end_whatever_comes() {
    let fields = "names: [{ host: a.example, port: 80 }, { host: s.example, srv: true }], ttl_max: 15s, stale_max: 20s";
    for seed in 0..200 {
        let mut draw = Draw(seed);
        let start = Instant::now();
        let mut now = start;
        let mut resolution = Resolution::new(settings(fields), now);
        let mut pending: BTreeMap<(Instant, u64), Question> = BTreeMap::new();
        // When each address was last in an answer.
        let mut last_seen: HashMap<IpAddr, Instant> = HashMap::new();
        let mut asked = 0;
        while now.duration_since(start).as_secs() < 600 {
            for question in resolution.poll(now) {
                // A service's target may be dropped and needed again while it is being asked for.
                let twice = pending.values().any(|other| *other == question);
                assert!(
                    !twice || question.host.starts_with('t'),
                    "seed {seed}: {question} twice"
                );
                asked += 1;
                let delay = Duration::from_millis(draw.below(DELAY_MAX * 1000));
                pending.insert((now + delay, asked), question);
            }
            for endpoint in resolution.endpoints().iter() {
                let age = now.duration_since(last_seen[&endpoint.address.ip()]);
                // TTL, the time to be stale, and what was under way meanwhile, twice for a service and its target.
                let longest = Duration::from_secs(15 + 20 + 2 * DELAY_MAX);
                assert!(age <= longest, "seed {seed}: {endpoint:?} after {age:?}");
            }
            let next_answer = pending.first_key_value().map(|((at, _), _)| *at);
            let next = resolution.wake_at().into_iter().chain(next_answer).min();
            let next = next.expect("something is always to come");
            assert!(
                next >= now && (next > now || next_answer == Some(now)),
                "seed {seed}: a busy loop"
            );
            now = next;
            if next_answer == Some(next)
                && let Some((_, question)) = pending.pop_first()
            {
                let answer = draw.answer(&question);
                if let Answer::Found {
                    records: Records::Addresses(addresses),
                    ..
                } = &answer
                {
                    last_seen.extend(addresses.iter().map(|address| (*address, now)));
                }
                resolution.answer(&question, answer, now, draw.next());
            }
        }
        assert!(resolution.is_warm(), "seed {seed}");
    }
}
