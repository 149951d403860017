//! The compiled table against the naive matcher, on tables and requests of all kinds.

use crate::naive;
use crate::tables::{Choices, request, routes, yaml};
use outrigger_traffic::{Found, RouteTable};
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn compiled_and_naive_find_the_same(
        table in prop::collection::vec(any::<u8>(), 0..160),
        requests in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..24), 40),
    ) {
        let configuration = routes(&yaml(&mut Choices(&table)));
        let compiled = RouteTable::compile(&configuration);
        for choices in requests {
            let request = request(&mut Choices(&choices));
            let wanted = naive::find(&configuration, &request);
            prop_assert_eq!(compiled.find(&request), wanted, "{:?}", &request);
            check_explanation(&compiled, &configuration, &request, wanted)?;
        }
    }
}

/// The explanation names what was found, and refuses exactly the routes that stand before it.
fn check_explanation(
    compiled: &RouteTable,
    configuration: &outrigger_config::model::RouteConfiguration,
    request: &crate::tables::Request,
    wanted: Found,
) -> Result<(), TestCaseError> {
    let explanation = compiled.explain(request);
    prop_assert_eq!(explanation.found, wanted);
    let text = explanation.to_string();
    let (virtual_host, before) = match wanted {
        Found::NoVirtualHost => {
            prop_assert!(explanation.virtual_host.is_none() && explanation.refused.is_empty());
            prop_assert!(text.starts_with("no virtual host takes"));
            return Ok(());
        }
        Found::NoRoute { virtual_host } => (
            virtual_host,
            configuration.virtual_hosts()[virtual_host].routes().len(),
        ),
        Found::Route { virtual_host, route } => (virtual_host, route),
    };
    prop_assert_eq!(
        explanation.virtual_host.map(|taken| taken.index),
        Some(virtual_host)
    );
    prop_assert_eq!(explanation.route.is_some(), matches!(wanted, Found::Route { .. }));
    let refused: Vec<usize> = explanation.refused.iter().map(|route| route.index).collect();
    prop_assert_eq!(refused, (0..before).collect::<Vec<_>>());
    prop_assert_eq!(explanation.refused_more, 0);
    Ok(())
}
