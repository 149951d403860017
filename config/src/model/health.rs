//! Which endpoints serve: active checks, and what their answers to requests say.

use super::{StringMatch, defaults, model};
use std::ops::RangeInclusive;
use std::time::Duration;

/// What the configuration says of an endpoint's health.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EndpointStatus {
    /// It serves, unless checks or its answers say otherwise.
    Healthy,
    /// It gets no new work; what it has goes on.
    Draining,
    /// It is not to be used.
    Unhealthy,
    /// It serves where healthy endpoints are too few.
    Degraded,
}

model! {
    /// Asking endpoints whether they serve (Envoy's `health_checks`).
    pub struct HealthCheck {
        /// How.
        by_ref protocol: HealthCheckProtocol,
        /// One check, from its connection to its answer: [`super::defaults::HEALTH_CHECK_TIMEOUT`].
        copy timeout: Duration,
        /// From one check to the next: [`super::defaults::HEALTH_CHECK_INTERVAL`].
        copy interval: Duration,
        /// An interval is longer by a random part of this share of it, percent, so that proxies do not ask in step:
        /// [`super::defaults::HEALTH_CHECK_JITTER_PERCENT`].
        copy jitter_percent: u32,
        /// The interval while an endpoint is unhealthy; none: the same.
        copy unhealthy_interval: Option<Duration>,
        /// The interval while nothing is sent to the cluster; none: the same.
        copy no_traffic_interval: Option<Duration>,
        /// Failures in a row that make an endpoint unhealthy: [`super::defaults::HEALTH_CHECK_UNHEALTHY_THRESHOLD`]. Over
        /// HTTP an answer with a status that is not expected (and not among those that are to be tried again) counts at once.
        copy unhealthy_threshold: u32,
        /// Successes in a row that make it healthy again: [`super::defaults::HEALTH_CHECK_HEALTHY_THRESHOLD`]. The first
        /// check of an endpoint that is new decides by itself.
        copy healthy_threshold: u32,
        /// The port that is asked; none: the endpoint's.
        copy port: Option<u16>,
        /// The connection is kept for the next check.
        copy reuses_connection: bool,
    }
}

/// How an endpoint is asked.
#[derive(Debug, Clone, PartialEq)]
pub enum HealthCheckProtocol {
    /// A request, over the cluster's protocol and TLS.
    Http(HttpHealthCheck),
    /// `grpc.health.v1.Health/Check`, over the cluster's TLS.
    Grpc(GrpcHealthCheck),
    /// A connection, and what is said on it; over the cluster's TLS.
    Tcp(TcpHealthCheck),
}

model! {
    /// Asking by a request.
    pub struct HttpHealthCheck {
        /// `GET` or another method without a body.
        by_ref method: String,
        /// The path, with a query if there is one.
        by_ref path: String,
        /// The authority; none: the cluster's name.
        by_ref host: Option<String>,
        /// Headers that are sent.
        by_ref headers: Vec<(super::HeaderName, String)>,
        /// Statuses of a healthy endpoint; if none were given, 200.
        by_ref expected_statuses: Vec<RangeInclusive<u16>>,
        /// Statuses that are failures, counted to the threshold; others that are not expected make an endpoint unhealthy at
        /// once.
        by_ref retriable_statuses: Vec<RangeInclusive<u16>>,
        /// What the beginning of the body must hold; none: it is not looked at.
        by_ref expected_body: Option<StringMatch>,
    }
}

model! {
    /// Asking by gRPC's health protocol.
    pub struct GrpcHealthCheck {
        /// The service that is asked for; empty: the whole server.
        by_ref service: String,
        /// The authority; none: the cluster's name.
        by_ref authority: Option<String>,
    }
}

model! {
    /// Asking by a connection.
    pub struct TcpHealthCheck {
        /// What is sent; empty: the connection is enough.
        by_ref send: Vec<u8>,
        /// What must be found in the answer, in this order; empty: an answer is not waited for.
        by_ref receive: Vec<Vec<u8>>,
    }
}

model! {
    /// Ejection of endpoints by their answers to requests, with Envoy's names and numbers (`outlier_detection`).
    pub struct OutlierDetection {
        /// Answers 5xx in a row, failed attempts included; none: off. [`super::defaults::OUTLIER_CONSECUTIVE`].
        copy consecutive_5xx: Option<u32>,
        /// How many of those ejections are made, percent: [`super::defaults::OUTLIER_ENFORCED_ALL_PERCENT`].
        copy enforcing_consecutive_5xx: u32,
        /// Answers 502, 503, 504 in a row; none: off.
        copy consecutive_gateway_failure: Option<u32>,
        /// How many of those ejections are made, percent: 0.
        copy enforcing_consecutive_gateway_failure: u32,
        /// Failures seen here (connections, resets, timeouts) in a row, where they are told from others; none: off.
        copy consecutive_local_origin_failure: Option<u32>,
        /// How many of those ejections are made, percent: 100.
        copy enforcing_consecutive_local_origin_failure: u32,
        /// Failures seen here are counted apart from what endpoints answer.
        copy split_external_local_origin_errors: bool,
        /// From one look at statistics, and at what may come back, to the next: [`super::defaults::OUTLIER_INTERVAL`].
        copy interval: Duration,
        /// An ejection lasts this long, multiplied by the number of ejections that the endpoint has had:
        /// [`super::defaults::OUTLIER_BASE_EJECTION_TIME`].
        copy base_ejection_time: Duration,
        /// An ejection lasts at most this long: [`super::defaults::OUTLIER_MAX_EJECTION_TIME`].
        copy max_ejection_time: Duration,
        /// A random part of this is added to an ejection: zero.
        copy max_ejection_time_jitter: Duration,
        /// The share of endpoints that are ejected at once at most, percent: [`super::defaults::OUTLIER_MAX_EJECTION_PERCENT`].
        copy max_ejection_percent: u32,
        /// The first ejection is made whatever that share is, but never of the last endpoint: true.
        copy always_eject_one: bool,
        /// Statistics need this many endpoints with enough requests: [`super::defaults::OUTLIER_HOSTS_MIN`].
        copy success_rate_minimum_hosts: u32,
        /// Requests in an interval that are enough: [`super::defaults::OUTLIER_SUCCESS_RATE_VOLUME`].
        copy success_rate_request_volume: u32,
        /// Endpoints are ejected whose success rate is below the mean by this many standard deviations, in thousandths:
        /// [`super::defaults::OUTLIER_SUCCESS_RATE_STDEV_FACTOR`].
        copy success_rate_stdev_factor: u32,
        /// How many of those ejections are made, percent: 100.
        copy enforcing_success_rate: u32,
        /// As that, for failures seen here: 100.
        copy enforcing_local_origin_success_rate: u32,
        /// Endpoints are ejected of whose requests this share failed, percent:
        /// [`super::defaults::OUTLIER_FAILURE_PERCENTAGE_THRESHOLD`].
        copy failure_percentage_threshold: u32,
        /// How many of those ejections are made, percent: 0.
        copy enforcing_failure_percentage: u32,
        /// As that, for failures seen here: 0.
        copy enforcing_failure_percentage_local_origin: u32,
        /// Failure percentages need this many endpoints with enough requests: [`super::defaults::OUTLIER_HOSTS_MIN`].
        copy failure_percentage_minimum_hosts: u32,
        /// Requests in an interval that are enough: [`super::defaults::OUTLIER_FAILURE_PERCENTAGE_VOLUME`].
        copy failure_percentage_request_volume: u32,
        /// An endpoint that an active check finds healthy is ejected no more: true.
        copy successful_active_health_check_uneject_host: bool,
    }
}

impl Default for OutlierDetection {
    /// Envoy's defaults.
    fn default() -> OutlierDetection {
        OutlierDetection {
            consecutive_5xx: Some(defaults::OUTLIER_CONSECUTIVE),
            enforcing_consecutive_5xx: defaults::OUTLIER_ENFORCED_ALL_PERCENT,
            consecutive_gateway_failure: Some(defaults::OUTLIER_CONSECUTIVE),
            enforcing_consecutive_gateway_failure: 0,
            consecutive_local_origin_failure: Some(defaults::OUTLIER_CONSECUTIVE),
            enforcing_consecutive_local_origin_failure: defaults::OUTLIER_ENFORCED_ALL_PERCENT,
            split_external_local_origin_errors: false,
            interval: defaults::OUTLIER_INTERVAL,
            base_ejection_time: defaults::OUTLIER_BASE_EJECTION_TIME,
            max_ejection_time: defaults::OUTLIER_MAX_EJECTION_TIME,
            max_ejection_time_jitter: Duration::ZERO,
            max_ejection_percent: defaults::OUTLIER_MAX_EJECTION_PERCENT,
            always_eject_one: true,
            success_rate_minimum_hosts: defaults::OUTLIER_HOSTS_MIN,
            success_rate_request_volume: defaults::OUTLIER_SUCCESS_RATE_VOLUME,
            success_rate_stdev_factor: defaults::OUTLIER_SUCCESS_RATE_STDEV_FACTOR,
            enforcing_success_rate: defaults::OUTLIER_ENFORCED_ALL_PERCENT,
            enforcing_local_origin_success_rate: defaults::OUTLIER_ENFORCED_ALL_PERCENT,
            failure_percentage_threshold: defaults::OUTLIER_FAILURE_PERCENTAGE_THRESHOLD,
            enforcing_failure_percentage: 0,
            enforcing_failure_percentage_local_origin: 0,
            failure_percentage_minimum_hosts: defaults::OUTLIER_HOSTS_MIN,
            failure_percentage_request_volume: defaults::OUTLIER_FAILURE_PERCENTAGE_VOLUME,
            successful_active_health_check_uneject_host: true,
        }
    }
}
