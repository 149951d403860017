//! Waiting for conditions instead of for time.

use std::time::{Duration, Instant};

/// How long anything may take that should happen at once. Only a failing test waits as long.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// Between two looks at a condition.
const PAUSE: Duration = Duration::from_millis(5);

/// Waits until `condition` gives something; panics with `what` after [`DEADLINE`].
pub async fn wait_until<T>(what: &str, condition: impl AsyncFnMut() -> Option<T>) -> T {
    wait_for(DEADLINE, what, condition).await
}

/// As [`wait_until`], for what takes longer: `deadline` at most.
pub async fn wait_for<T>(deadline: Duration, what: &str, mut condition: impl AsyncFnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(value) = condition().await {
            return value;
        }
        assert!(started.elapsed() < deadline, "waited in vain: {what}");
        tokio::time::sleep(PAUSE).await;
    }
}

/// What `work` gives; panics with `what` after [`DEADLINE`].
pub async fn within<T>(what: &str, work: impl Future<Output = T>) -> T {
    match tokio::time::timeout(DEADLINE, work).await {
        Ok(value) => value,
        Err(_) => panic!("took too long: {what}"),
    }
}
