//! What nodes report by themselves: how endpoints stand as they see them, and which authorities they believe
//! ([`outrigger_xds::node_report`]). One unary call; who may be which node is [`Access`]'s to say, as for its stream.

use crate::access::{Access, Action, Caller, NodeClaim};
use crate::fleet::{Fleet, REPORT_INTERVAL, ReportRefused};
use outrigger_xds::node_report::{NodeReport, NodeReportAnswer, REPORT, REPORT_BYTES_MAX, SERVICE, Unusable};
use prometheus::{IntCounterVec, Opts, Registry};
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Instant, SystemTime};
use tonic::body::Body;
use tonic::codegen::http;
use tonic::server::{Grpc, NamedService};
use tonic::{Request, Response, Status};
use tower::Service;

/// Takes reports.
#[derive(Clone)]
pub struct NodeReports {
    fleet: Arc<Fleet>,
    access: Arc<Access>,
    /// By outcome.
    reports: IntCounterVec,
}

impl NodeReports {
    /// The service for these nodes.
    ///
    /// # Errors
    /// If the registry has its metric already.
    pub fn new(
        fleet: Arc<Fleet>,
        access: Arc<Access>,
        registry: &Registry,
    ) -> Result<NodeReports, prometheus::Error> {
        let opts = Opts::new(
            "outrigger_control_node_reports_total",
            "Reports of nodes, by what became of them.",
        );
        let reports = IntCounterVec::new(opts, &["outcome"])?;
        registry.register(Box::new(reports.clone()))?;
        Ok(NodeReports {
            fleet,
            access,
            reports,
        })
    }

    fn take(&self, caller: &Caller, report: NodeReport) -> Result<NodeReportAnswer, Status> {
        let claim = NodeClaim {
            node: report.node.clone(),
            service: report.service.clone(),
        };
        self.access.may(caller, &Action::Subscribe(&claim))?;
        let register = self.fleet.register();
        let taken = register.report(&claim, caller.principal(), report, Instant::now());
        let begin_again = match taken {
            Ok(()) => false,
            Err(ReportRefused::NotConnected | ReportRefused::Unusable(Unusable::OutOfOrder { .. })) => true,
            Err(refused @ ReportRefused::TooSoon) => {
                return Err(Status::resource_exhausted(refused.to_string()));
            }
            Err(refused @ ReportRefused::Unusable(Unusable::Faulty(_))) => {
                tracing::warn!(node = claim.node, reason = %refused, "a node's report cannot be used");
                return Err(Status::invalid_argument(refused.to_string()));
            }
        };
        Ok(NodeReportAnswer {
            begin_again,
            interval_millis: u64::try_from(REPORT_INTERVAL.as_millis()).unwrap_or(u64::MAX),
        })
    }

    async fn answer(
        self,
        caller: Caller,
        request: Request<NodeReport>,
    ) -> Result<Response<NodeReportAnswer>, Status> {
        let answer = self.take(&caller, request.into_inner());
        let outcome = match &answer {
            Ok(answer) if answer.begin_again => "begin_again",
            Ok(_) => "taken",
            Err(_) => "refused",
        };
        self.reports.with_label_values(&[outcome]).inc();
        answer.map(Response::new)
    }
}

impl NamedService for NodeReports {
    const NAME: &'static str = SERVICE;
}

type Answer<T> = Pin<Box<dyn Future<Output = T> + Send>>;

impl Service<http::Request<Body>> for NodeReports {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Answer<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let service = self.clone();
        Box::pin(async move {
            if request.uri().path() != REPORT {
                return Ok(Status::unimplemented("no such method").into_http());
            }
            // Nothing is read of whom nobody knows.
            let access = &service.access;
            let caller = access.identify(request.extensions(), request.headers(), SystemTime::now());
            let known = caller.and_then(|caller| access.known(&caller).map(|()| caller));
            let caller = match known {
                Ok(caller) => caller,
                Err(denied) => {
                    service.reports.with_label_values(&["refused"]).inc();
                    return Ok(Status::from(denied).into_http());
                }
            };
            let codec = tonic_prost::ProstCodec::<NodeReportAnswer, NodeReport>::default();
            let mut grpc = Grpc::new(codec).max_decoding_message_size(REPORT_BYTES_MAX);
            let answer = tower::service_fn(move |request| service.clone().answer(caller.clone(), request));
            Ok(grpc.unary(answer, request).await)
        })
    }
}
