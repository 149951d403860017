//! Telling the control plane, beside the stream, how endpoints stand here and which authorities are believed.
//!
//! One task for each stream, on the stream's connection. It looks at what is published when that is another than before,
//! makes one call at a time and waits between them as long as the server asks: however much changes meanwhile is one
//! report ([`outrigger_xds::node_report`]). A server that knows no reports is asked once a stream.

use super::told::Shared;
use arc_swap::ArcSwap;
use outrigger_config::model::Control;
use outrigger_dataplane::snapshot::{ClusterPolicy, EndpointState, Snapshot};
use outrigger_telemetry::ReportOutcome;
use outrigger_traffic::{HealthMark, Standing};
use outrigger_xds::node_report::{
    EndpointReport, EndpointStanding, NodeReport, NodeReportAnswer, Observed, REPORT, Reporter,
};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::Channel;
use tonic::{Code, Request, Status};

/// Until the server says otherwise. The first report waits so long, too: the stream is to be known by then.
const INTERVAL: Duration = Duration::from_secs(1);
/// What a server may ask for.
const INTERVAL_MIN: Duration = Duration::from_millis(100);
const INTERVAL_MAX: Duration = Duration::from_secs(60);
/// After a report that failed.
const RETRY_INTERVAL: Duration = Duration::from_secs(10);
/// A report at most.
const REPORT_TIMEOUT: Duration = Duration::from_secs(5);

/// Reports for as long as it is held.
pub(super) struct Reporting(JoinHandle<()>);

impl Drop for Reporting {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Begins to report; none: this process belongs to no service, so that nobody would know whose reports they are.
pub(super) fn begin(
    channel: Channel,
    authorization: Option<MetadataValue<Ascii>>,
    control: &Control,
    published: &Arc<ArcSwap<Snapshot>>,
    shared: &Arc<Shared>,
) -> Option<Reporting> {
    let task = Task {
        channel,
        authorization,
        node: control.node().clone(),
        service: control.service().clone()?,
        published: Arc::clone(published),
        shared: Arc::clone(shared),
    };
    Some(Reporting(tokio::spawn(task.run())))
}

struct Task {
    channel: Channel,
    authorization: Option<MetadataValue<Ascii>>,
    node: String,
    service: String,
    published: Arc<ArcSwap<Snapshot>>,
    shared: Arc<Shared>,
}

impl Task {
    async fn run(self) {
        let mut reporter = Reporter::default();
        let mut interval = INTERVAL;
        // What was looked at last. It is not kept from being freed, and its place is not used again meanwhile.
        let mut looked_at: Weak<Snapshot> = Weak::new();
        loop {
            sleep(interval).await;
            let snapshot = self.published.load_full();
            if Weak::as_ptr(&looked_at) == Arc::as_ptr(&snapshot) {
                continue;
            }
            let observed = observe(&snapshot);
            let looking_at = Arc::downgrade(&snapshot);
            drop(snapshot);
            let Some(report) = reporter.next((&self.node, &self.service), &observed) else {
                looked_at = looking_at;
                continue;
            };
            let outcome = match self.send(report).await {
                Ok(answer) => {
                    interval =
                        Duration::from_millis(answer.interval_millis).clamp(INTERVAL_MIN, INTERVAL_MAX);
                    if answer.begin_again {
                        reporter.begin_again();
                        ReportOutcome::BeginAgain
                    } else {
                        reporter.taken(observed);
                        looked_at = looking_at;
                        ReportOutcome::Taken
                    }
                }
                Err(status) if status.code() == Code::Unimplemented => {
                    tracing::debug!("the control plane takes no reports");
                    return self.shared.reported(ReportOutcome::Unknown);
                }
                Err(status) => {
                    let (code, reason) = (status.code(), status.message());
                    tracing::debug!(?code, reason, "a report to the control plane has failed");
                    // It may have been taken all the same.
                    reporter.begin_again();
                    interval = RETRY_INTERVAL;
                    ReportOutcome::Failed
                }
            };
            self.shared.reported(outcome);
        }
    }

    async fn send(&self, report: NodeReport) -> Result<NodeReportAnswer, Status> {
        let asking = async {
            let mut client = Grpc::new(self.channel.clone());
            let ready = client.ready().await;
            ready.map_err(|error| Status::unavailable(error.to_string()))?;
            let mut request = Request::new(report);
            if let Some(value) = &self.authorization {
                request.metadata_mut().insert("authorization", value.clone());
            }
            let codec = tonic_prost::ProstCodec::<NodeReport, NodeReportAnswer>::default();
            let path = PathAndQuery::from_static(REPORT);
            client.unary(request, path, codec).await
        };
        let answered = timeout(REPORT_TIMEOUT, asking).await;
        let late = |_| Status::deadline_exceeded(format!("no answer within {REPORT_TIMEOUT:?}"));
        answered.map_err(late)?.map(tonic::Response::into_inner)
    }
}

/// How everything stands.
fn observe(snapshot: &Snapshot) -> Observed {
    let mut observed = Observed::default();
    for cluster in snapshot.clusters() {
        let endpoints = cluster.endpoints();
        let impaired = endpoints.iter().enumerate();
        let impaired = impaired.filter_map(|(place, state)| impaired_endpoint(cluster, place, state));
        observed.add(
            cluster.config().name().as_str(),
            endpoints.len(),
            impaired.collect(),
        );
    }
    for (_, roots, trust_domain) in snapshot.material().bundles().iter() {
        for authority in roots.authorities().iter().filter(|_| trust_domain.is_some()) {
            observed.believe(&authority.fingerprint);
        }
    }
    observed
}

/// An endpoint that is other than healthy.
fn impaired_endpoint(cluster: &ClusterPolicy, place: usize, state: &EndpointState) -> Option<EndpointReport> {
    let standing = match cluster.standing(place)? {
        Standing::Healthy => return None,
        Standing::Degraded => EndpointStanding::Degraded,
        Standing::Unhealthy => EndpointStanding::Unhealthy,
        Standing::Unchecked => EndpointStanding::Unchecked,
        Standing::Draining => EndpointStanding::Draining,
    };
    Some(EndpointReport {
        address: state.address().to_string(),
        standing: standing.into(),
        failed_check: state.health().has(HealthMark::FailedCheck),
        ejected: state.health().has(HealthMark::Ejected),
    })
}
