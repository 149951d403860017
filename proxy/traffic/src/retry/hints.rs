//! What a believed peer asks of retries and timeouts in a request's headers: Envoy's names and meaning, and two of our own by
//! which proxies in a row keep only one of them retrying.

use outrigger_config::model::RetryConditions;
use std::time::Duration;

/// Retries that a peer can ask for at most: a number of its own is bounded here, since no policy of this proxy does.
pub const HINTED_RETRIES_MAX: u32 = 10;
/// Statuses, and names of headers, that a peer can name, each.
const NAMES_MAX: usize = 32;

/// Every header that is a hint of retries or timeouts, in lower case.
pub const HINT_HEADERS: [&str; 10] = [
    "x-envoy-retry-on",
    "x-envoy-retry-grpc-on",
    "x-envoy-max-retries",
    "x-envoy-retriable-status-codes",
    "x-envoy-retriable-header-names",
    HINTED_TIMEOUT,
    HINTED_PER_TRY_TIMEOUT,
    EXPECTED_TIMEOUT,
    RETRY_NUMBER,
    RETRY_BUDGET,
];

/// Milliseconds that the request may take in place of its route's timeout (Envoy's name); 0: as many as it likes.
pub const HINTED_TIMEOUT: &str = "x-envoy-upstream-rq-timeout-ms";
/// Milliseconds that each attempt may take in place of those of its route's retry policy (Envoy's name).
pub const HINTED_PER_TRY_TIMEOUT: &str = "x-envoy-upstream-rq-per-try-timeout-ms";
/// Milliseconds that are left for the request (Envoy's name); 0: none.
pub const EXPECTED_TIMEOUT: &str = "x-envoy-expected-rq-timeout-ms";
/// The attempt repeats another, and is this manyth to do so.
pub const RETRY_NUMBER: &str = "x-outrigger-retry";
/// What is left for retries behind the peer, in percent of requests; 0: whoever is behind it stands down.
pub const RETRY_BUDGET: &str = "x-outrigger-retry-budget";
/// Requests are not repeated more often than each once.
const BUDGET_PERCENT_MAX: u32 = 100;
/// A number of retries that a peer can tell.
const RETRY_NUMBER_MAX: u32 = 1000;

/// What the hints of one request say. What cannot be read, or is not known, says nothing, as in Envoy.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RetryHints {
    pub(super) conditions: RetryConditions,
    pub(super) retries_max: Option<u32>,
    pub(super) statuses: Vec<u16>,
    pub(super) header_names: Vec<Box<str>>,
    pub(super) per_try_timeout: Option<Duration>,
    timeout: Option<Option<Duration>>,
    time_left: Option<Duration>,
    retry_number: u32,
    budget_percent: Option<u32>,
}

impl RetryHints {
    /// Notes a field if it is a hint.
    pub fn note(&mut self, name: &[u8], value: &[u8]) {
        let Some(hint) = HINT_HEADERS.iter().position(|hint| hint.as_bytes() == name) else {
            return;
        };
        let Ok(value) = std::str::from_utf8(value) else {
            return;
        };
        let members = || {
            value
                .split(',')
                .map(str::trim)
                .filter(|member| !member.is_empty())
        };
        match hint {
            0 | 1 => {
                for condition in members().filter_map(RetryConditions::named) {
                    self.conditions = self.conditions.and(condition);
                }
            }
            2 => {
                let retries = value.trim().parse::<u32>().ok();
                self.retries_max = retries
                    .map(|retries| retries.min(HINTED_RETRIES_MAX))
                    .or(self.retries_max);
            }
            3 => {
                let statuses = members().filter_map(|member| member.parse::<u16>().ok());
                let room = NAMES_MAX.saturating_sub(self.statuses.len());
                self.statuses.extend(statuses.take(room));
            }
            4 => {
                let names = members().map(|member| member.to_ascii_lowercase().into_boxed_str());
                let room = NAMES_MAX.saturating_sub(self.header_names.len());
                self.header_names.extend(names.take(room));
            }
            5 => {
                // 0 turns the timeout off.
                let timeout = milliseconds(value).map(|timeout| (!timeout.is_zero()).then_some(timeout));
                self.timeout = timeout.or(self.timeout);
            }
            6 => {
                let timeout = milliseconds(value).filter(|timeout| !timeout.is_zero());
                self.per_try_timeout = timeout.or(self.per_try_timeout);
            }
            7 => self.time_left = least(milliseconds(value), self.time_left),
            8 => {
                let number = value.trim().parse::<u32>().unwrap_or(0);
                self.retry_number = self.retry_number.max(number.min(RETRY_NUMBER_MAX));
            }
            _ => {
                let percent = value.trim().parse::<u32>().ok();
                let percent = percent.map(|percent| percent.min(BUDGET_PERCENT_MAX));
                self.budget_percent = least(percent, self.budget_percent);
            }
        }
    }

    /// How long the request may still take, if the peer says.
    pub fn time_left(&self) -> Option<Duration> {
        self.time_left
    }

    /// How often the request was repeated before it came here.
    pub fn retry_number(&self) -> u32 {
        self.retry_number
    }

    /// To what the peer lowers the budget of its request's retries, in percent. Whoever says that this is a retry and nothing
    /// of a budget repeats it by itself.
    pub fn budget_percent(&self) -> Option<u32> {
        self.budget_percent.or((self.retry_number > 0).then_some(0))
    }

    /// The route's timeout as the peer wants it, if it says; `Some(None)`: no timeout.
    pub fn timeout(&self) -> Option<Option<Duration>> {
        self.timeout
    }

    /// The timeout of each attempt as the peer wants it, if it says.
    pub fn per_try_timeout(&self) -> Option<Duration> {
        self.per_try_timeout
    }

    /// True if retries, or attempts, are asked to be other than the route has them.
    pub fn changes_attempts(&self) -> bool {
        *self
            != RetryHints {
                timeout: self.timeout,
                time_left: self.time_left,
                retry_number: self.retry_number,
                budget_percent: self.budget_percent,
                ..RetryHints::default()
            }
    }
}

/// The smaller of two, of which either may be absent.
fn least<T: Ord>(a: Option<T>, b: Option<T>) -> Option<T> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

fn milliseconds(value: &str) -> Option<Duration> {
    value.trim().parse().ok().map(Duration::from_millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(fields: &[(&str, &str)]) -> RetryHints {
        let mut hints = RetryHints::default();
        for (name, value) in fields {
            hints.note(name.as_bytes(), value.as_bytes());
        }
        hints
    }

    #[test]
    fn hints_are_read() {
        let hints = read(&[
            ("x-envoy-retry-on", "5xx, reset,unheard-of"),
            ("x-envoy-retry-grpc-on", "unavailable"),
            ("x-envoy-max-retries", " 4 "),
            ("x-envoy-retriable-status-codes", "429, x, 404"),
            ("x-envoy-retriable-header-names", "X-Again,x-more"),
            ("x-envoy-upstream-rq-timeout-ms", "250"),
            ("x-envoy-upstream-rq-per-try-timeout-ms", "40"),
        ]);
        assert_eq!(
            hints.conditions.names().collect::<Vec<_>>(),
            ["5xx", "reset", "unavailable"]
        );
        assert_eq!(hints.retries_max, Some(4));
        assert_eq!(hints.statuses, [429, 404]);
        assert_eq!(
            hints.header_names.iter().map(|name| &**name).collect::<Vec<_>>(),
            ["x-again", "x-more"]
        );
        assert_eq!(hints.timeout(), Some(Some(Duration::from_millis(250))));
        assert_eq!(hints.per_try_timeout, Some(Duration::from_millis(40)));
        assert!(hints.changes_attempts());
    }

    #[test]
    fn hints_are_bounded_and_what_is_none_says_nothing() {
        let statuses = vec!["500"; 100].join(",");
        let names = vec!["x-a"; 100].join(",");
        let hints = read(&[
            ("x-envoy-max-retries", "4000000000"),
            ("x-envoy-retriable-status-codes", &statuses),
            ("x-envoy-retriable-header-names", &names),
        ]);
        assert_eq!(hints.retries_max, Some(HINTED_RETRIES_MAX));
        assert_eq!(
            (hints.statuses.len(), hints.header_names.len()),
            (NAMES_MAX, NAMES_MAX)
        );
        let nothing = read(&[
            ("x-envoy-max-retries", "-1"),
            ("x-envoy-retry-on", "what"),
            ("x-envoy-upstream-rq-timeout-ms", "soon"),
            ("x-envoy-upstream-rq-per-try-timeout-ms", "0"),
            ("x-other", "5xx"),
        ]);
        assert_eq!(nothing, RetryHints::default());
        let timeout = read(&[("x-envoy-upstream-rq-timeout-ms", "0")]);
        assert_eq!(timeout.timeout(), Some(None));
        assert!(!timeout.changes_attempts());
    }

    #[test]
    fn what_is_left_of_time_and_budget_is_the_least_that_was_said() {
        let hints = read(&[
            (EXPECTED_TIMEOUT, "70"),
            (EXPECTED_TIMEOUT, "50"),
            (EXPECTED_TIMEOUT, "x"),
            (RETRY_NUMBER, "2"),
            (RETRY_NUMBER, "1"),
            (RETRY_BUDGET, "500"),
            (RETRY_BUDGET, "12"),
        ]);
        assert_eq!(hints.time_left(), Some(Duration::from_millis(50)));
        assert_eq!((hints.retry_number(), hints.budget_percent()), (2, Some(12)));
        assert!(!hints.changes_attempts());
        assert_eq!(read(&[(RETRY_BUDGET, "500")]).budget_percent(), Some(100));
        assert_eq!(read(&[(RETRY_NUMBER, "1")]).budget_percent(), Some(0));
        assert_eq!(read(&[(RETRY_NUMBER, "0")]).budget_percent(), None);
        let none_left = read(&[(EXPECTED_TIMEOUT, "0")]);
        assert_eq!(none_left.time_left(), Some(Duration::ZERO));
    }
}
