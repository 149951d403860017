//! The compiled sets against the naive evaluator, on policies and facts of all kinds.

use crate::facts::policies;
use crate::generated::{self, Choices};
use crate::naive;
use outrigger_traffic::authorization::{Outcome, PolicyPlace, PolicySet, decide, foresee_refusal};
use proptest::prelude::*;

fn plain(outcome: Outcome) -> naive::Outcome {
    let place = |place: PolicyPlace| (place.level, place.policy);
    (outcome.is_allowed(), outcome.policy().map(place))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn compiled_and_naive_decide_the_same(
        chain in prop::collection::vec(any::<u8>(), 0..300),
        route in prop::collection::vec(any::<u8>(), 0..100),
        facts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 40),
        has_route: bool,
    ) {
        let mut levels = vec![policies(&generated::policies(&mut Choices(&chain), "chain"))];
        if has_route {
            levels.push(policies(&generated::policies(&mut Choices(&route), "route")));
        }
        let sets: Vec<PolicySet> = levels.iter().map(|level| PolicySet::compile(level.clone())).collect();
        let sets: Vec<&PolicySet> = sets.iter().collect();
        let has_shadow = levels.iter().flatten().any(|policy| {
            policy.shadow() && policy.action() != outrigger_config::model::AuthorizationAction::Audit
        });
        for bytes in facts {
            let mut choices = Choices(&bytes);
            let mut known = generated::known(&mut choices);
            if known.request.is_some() {
                for (provider, payload) in generated::tokens(&mut choices) {
                    known = known.token(provider, payload);
                }
            }
            let decision = decide(&sets, &known.facts());
            prop_assert_eq!(plain(decision.outcome), naive::decide(&levels, &known, false, true), "{:?}", &known);
            let shadow = has_shadow.then(|| naive::decide(&levels, &known, true, true));
            prop_assert_eq!(decision.shadow.map(plain), shadow, "{:?}", &known);
            let audited: Vec<_> = decision.audited.iter().map(|place| (place.level, place.policy)).collect();
            prop_assert_eq!(audited, naive::audited(&levels, &known), "{:?}", &known);
            let settled = naive::decide(&levels, &known, false, false);
            let refusal = foresee_refusal(&sets, &known.facts()).map(plain);
            prop_assert_eq!(refusal, (!settled.0).then_some(settled), "{:?}", &known);
        }
    }
}
