//! What a rate limit takes of a request: one bucket for all, and one for each of many clients.

use super::Call;
use anyhow::{Context, Result, ensure};
use outrigger_config::model::RateLimitCounting;
use outrigger_config::{Environment, Source, load};
use outrigger_traffic::rate_limit::{Decision, DescriptorFacts, LocalLimit, decide};
use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

/// Clients of which each turn takes one.
const CLIENTS: u32 = 5_000;

/// A decision by one limit that always has a token.
pub(super) fn count(is_keyed: bool) -> Result<Call> {
    let descriptors = if is_keyed { "[[remote_address]]" } else { "[]" };
    let text = format!(
        "rate_limits: [{{ name: it, descriptors: {descriptors}, local: {{ limit: {{ requests: 4000000000, per: 1ms }} }} }}]"
    );
    let source = Source {
        name: "limits.yaml".to_owned(),
        text,
    };
    let loaded = load(&source, &Environment::empty()).map_err(|faults| anyhow::anyhow!("{faults}"))?;
    let config = loaded.config.rate_limits().first().context("the limit")?;
    let RateLimitCounting::Local(local) = config.counting() else {
        anyhow::bail!("the limit is counted here");
    };
    let limit = LocalLimit::new(config, local, None, Duration::ZERO);
    let mut turn = 0;
    let mut call = move || {
        turn += 1;
        let facts = DescriptorFacts {
            remote: Some(IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0000 + turn % CLIENTS))),
            identity: None,
            request: None,
            route: None,
        };
        let now = Duration::from_micros(turn.into());
        let decision = decide(&[(&limit, false)], black_box(&facts), now);
        matches!(decision, Decision::Allowed(_))
    };
    // All clients are known before anything is measured.
    for _ in 0..CLIENTS {
        ensure!(call(), "a request is refused");
    }
    Ok(Box::new(move || {
        black_box(call());
    }))
}
