//! The compiled sets against the naive evaluator, on policies and facts of all kinds.

use crate::facts::policies;
use crate::generated::{self, Choices};
use crate::naive;
use outrigger_traffic::authorization::{
    Outcome, PastFacts, PolicyPlace, PolicySet, Truth, decide, explain, explain_past, foresee_refusal,
};
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

    #[test]
    fn what_is_told_of_a_past_request_is_true_or_not_certain(
        policies in prop::collection::vec(any::<u8>(), 0..300),
        facts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 40),
        is_client_kept: bool,
    ) {
        let policies = self::policies(&generated::policies(&mut Choices(&policies), "chain"));
        let set = PolicySet::compile(policies.clone());
        let levels = [policies.iter().map(AsRef::as_ref).collect()];
        for bytes in facts {
            let known = generated::known(&mut Choices(&bytes));
            let Some(request) = &known.request else { continue };
            let past = PastFacts {
                method: Some(&request.method),
                authority: Some(&request.authority),
                path: Some(&request.path),
                identity: Some(known.peer.as_ref().and_then(|peer| peer.id.as_ref())),
                remote: known.remote.filter(|_| is_client_kept),
                direct: Some(known.direct).filter(|_| is_client_kept),
            };
            let (told, true_then) = (explain_past(&levels, &past), explain(&[&set], &known.facts()));
            prop_assert_eq!(told.len(), true_then.len());
            for (told, true_then) in told.iter().zip(&true_then) {
                let is_right = told.truth == Truth::Unknown || told.truth == true_then.truth;
                prop_assert!(is_right, "{:?} {:?} {:?}", told, true_then, &known);
            }
        }
    }
}
