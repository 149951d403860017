//! What is repeated of a request that is forwarded.

use super::{View, line};
use outrigger_config::model::{Forward, HedgeAfter, Hedging, Idempotence};
use outrigger_traffic::RequestView;
use outrigger_traffic::retry::{RetryRules, is_idempotent};
use std::fmt::Write;

/// Tells the retry policy in force, and what it means for this request.
pub(super) fn describe(text: &mut String, forward: &Forward, view: &View<'_>) {
    let by_method = is_idempotent(view.method());
    let Some(policy) = forward.retry() else {
        let otherwise = if by_method {
            ", or if a connection that had served before died before a byte of the answer"
        } else {
            ""
        };
        return line(
            text,
            format_args!("retries: by default, one, if the request provably never ran{otherwise}"),
        );
    };
    let conditions: Vec<&str> = policy.retry_on().names().collect();
    let mut told = format!("retries: at most {}, on ", policy.retries_max());
    told.push_str(&conditions.join(", "));
    // Writing to a string cannot fail.
    if let Some(timeout) = policy.per_try_timeout() {
        let _ = write!(told, "; {timeout:?} for each attempt");
    }
    if let Some(timeout) = policy.per_try_idle_timeout() {
        let _ = write!(told, "; {timeout:?} without movement");
    }
    let (base, max) = (policy.backoff_base(), policy.backoff_max());
    let _ = write!(told, "; backoff up to {base:?}, growing to {max:?}");
    if let Some(max) = policy.retry_after_max() {
        let _ = write!(told, ", or as long as the answer asks, up to {max:?}");
    }
    line(text, format_args!("{told}"));
    if let Some(hedging) = policy.hedging() {
        line(text, format_args!("  {}", hedged(hedging)));
    }
    let has_header = |name: &str| view.header(name, &mut Vec::new()).is_some();
    let may = RetryRules::compile(policy).may_run_twice(by_method, has_header);
    let why = match policy.idempotence() {
        _ if by_method => format!("{} is idempotent", view.method()),
        Idempotence::Declared => "the route declares it idempotent".to_owned(),
        Idempotence::ByHeader(name) if may => format!("it has `{}`", name.as_str()),
        Idempotence::ByHeader(name) => {
            let (method, name) = (view.method(), name.as_str());
            format!("{method} is not idempotent, and it has no `{name}`")
        }
        Idempotence::ByMethod => format!("{} is not idempotent", view.method()),
    };
    let what = if may {
        "it may be sent again though it may have run"
    } else {
        "it is sent again only where it provably never ran"
    };
    line(text, format_args!("  {what}: {why}"));
}

/// When a second attempt is made beside the first.
fn hedged(hedging: &Hedging) -> String {
    let after = match hedging.after() {
        HedgeAfter::Delay(delay) => format!("{delay:?}"),
        HedgeAfter::Quantile { quantile, delay_min } => {
            let percent = f64::from(quantile) / 1000.0;
            format!("what {percent} % of the route's latest requests needed, at least {delay_min:?}")
        }
        HedgeAfter::PerTryTimeout => "the time for each attempt".to_owned(),
    };
    let share = hedging.extra_load_percent();
    format!("hedged, if it may run twice, after {after}; at most {share} % of the route's requests are")
}
