//! What the proxy tells about itself: metric handles, response flags, the access log and traces.
//!
//! [`Metrics`] resolves labels into handles once, when a configuration is compiled; afterwards a worker only adds to
//! cells of its own, and a [`Scrape`] sums them, piece by piece. [`AccessLogFormat`] turns one [`RequestRecord`]
//! into one line, and [`AccessLogWriter`] takes lines to a sink on a thread of its own.
//!
//! Nothing here can hold up a request: no cell is looked up by label, no lock is waited for, no line waits for a disk.
//! What cannot be kept is dropped and counted. This crate knows no policy and opens no socket.

pub mod access_log;
mod cell;
mod cells;
pub mod export;
mod exposition;
mod flags;
pub mod grpc_status;
mod inventory;
mod labels;
mod metrics;
mod process;
pub mod recorder;
mod reference;
mod scrape;
mod story;
pub mod trace;

pub use access_log::{
    AccessLogFormat, AccessLogSinks, AccessLogWriter, CertificateRecord, FormatError, FormatOptions,
    GrpcNames, HeaderCondition, HeaderLookup, HeaderName, JsonTemplate, LogAttributes, LogFilter,
    LogRelation, Reopened, RequestRecord, Sink, TlsRecord,
};
pub use cell::histogram::{Histogram, LatencyBuckets, Measured};
pub use cell::labelled::{
    CounterBy, CounterFromZeroBy, CountersBy, FlagCounters, Label, RareCounterBy, RefusalCounters,
    SharedCounterBy, SharedCounterFromZeroBy,
};
pub use cell::{
    Countdown, Counter, Gauge, LateGauge, SharedCounter, SharedDuration, SharedGauge, SharedRatio,
};
pub use cells::{
    AdaptiveCells, AuthorizationCells, BreakerCells, CertificateCells, ClusterCells, DirectionCells,
    DiscoveryCells, EventLoopCells, ExportCells, HealthCells, KeySetCells, ListenerCells,
    OverloadActionCells, PolicyCells, PressureCells, ProcessMetrics, RateLimitCells, RemarkCells,
    RevocationListCells, RouteCells, SourceCells, TokenCells, TrustBundleCells, WorkerCells,
};
pub use exposition::ExpositionFormat;
pub use flags::ResponseFlags;
pub use grpc_status::GrpcOutcome;
pub use inventory::LabelledCells;
pub use labels::{
    AttemptEnd, AuthorizationOutcome, CancelledAttempt, CheckOutcome, CodeClass, Coding, ConnectionClose,
    ConnectionFailure, ConnectionProtocol, ConnectionRefusal, ControlUpdate, CorsOrigin, DeadlineWait,
    DecisionCacheUse, DestinationRefusal, Detected, EdgeAnswerKind, EjectionEnd, EjectionPrevented,
    ExportDrop, ExportFailure, ExternalAuthorizationFault, ExternalAuthorizationOutcome, FaultInjected,
    FaultSkipped, HealthChange, HedgeDenied, HttpProtocol, KeySetFetch, LastGoodWrite, MirrorDrop,
    NotCompressed, Outlier, Overflow, OverloadRefusal, RateLimitFault, RateLimitKeyDrop, RateLimitOutcome,
    RenewalResult, ReportOutcome, ResolutionOutcome, RetryDenied, RetryReason, RetryWait, RightLost,
    SamplingDecision, ScrapeOutcome, SessionCookieUse, SourceFailure, SpliceFallback, StreamEnd, TailReason,
    TlsFailure, TlsHandshake, TlsVersion, TokenRefusal, TooLongResponse, TunnelEnd, UpgradeOutcome,
    UpgradeProtocol, UpstreamClose, ZoneRouting,
};
pub use metrics::{
    AdaptiveMetrics, AuthorizationMetrics, BreakerMetrics, CertificateMetrics, ClusterMetrics,
    DirectionMetrics, DiscoveryMetrics, EventLoopMetrics, ExportMetrics, HealthMetrics, KeySetMetrics,
    ListenerMetrics, Metrics, OverloadActionMetrics, PolicyMetrics, PressureMetrics, RateLimitMetrics,
    RemarkMetrics, RevocationListMetrics, RouteMetrics, SourceMetrics, TokenMetrics, TrustBundleMetrics,
    WorkerMetrics,
};
pub use process::ProcessFigures;
pub use reference::reference;
pub use scrape::Scrape;
pub use story::{AttemptOutcome, AttemptStory, Event, EventKind, Story};
