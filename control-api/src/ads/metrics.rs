//! What is counted of nodes' streams.

use outrigger_xds::resource::ResourceType;
use outrigger_xds::session::{Heard, Response};
use prometheus::core::Collector;
use prometheus::{IntCounter, IntCounterVec, IntGauge, Opts, Registry};
use tonic::Code;

/// The families; copies count together.
#[derive(Clone)]
pub struct AdsMetrics {
    streams: IntGauge,
    ended: IntCounterVec,
    pushes: IntCounterVec,
    acknowledged: IntCounterVec,
    refused: IntCounterVec,
    views_failed: IntCounter,
}

impl AdsMetrics {
    /// Registers `outrigger_control_streams`, `…_streams_ended_total{code}`, `…_pushes_total{type}`,
    /// `…_resources_acknowledged_total{type}`, `…_resources_refused_total{type}` and `…_views_failed_total`.
    ///
    /// # Errors
    /// If they are there already.
    pub fn register(registry: &Registry) -> Result<AdsMetrics, prometheus::Error> {
        let family = |name: &str, help: &str, label: &str| {
            IntCounterVec::new(Opts::new(format!("outrigger_control_{name}"), help), &[label])
        };
        let metrics = AdsMetrics {
            streams: IntGauge::new("outrigger_control_streams", "Streams of nodes that are open.")?,
            ended: family(
                "streams_ended_total",
                "Streams of nodes that ended, by gRPC status; `Ok`: the node ended it.",
                "code",
            )?,
            pushes: family("pushes_total", "Responses that were sent to nodes.", "type")?,
            acknowledged: family(
                "resources_acknowledged_total",
                "Resources that nodes took.",
                "type",
            )?,
            refused: family("resources_refused_total", "Resources that nodes refused.", "type")?,
            views_failed: IntCounter::new(
                "outrigger_control_views_failed_total",
                "Views of nodes that could not be made; the node keeps what it has, and it is tried again.",
            )?,
        };
        let collectors: [Box<dyn Collector>; 6] = [
            Box::new(metrics.streams.clone()),
            Box::new(metrics.ended.clone()),
            Box::new(metrics.pushes.clone()),
            Box::new(metrics.acknowledged.clone()),
            Box::new(metrics.refused.clone()),
            Box::new(metrics.views_failed.clone()),
        ];
        for collector in collectors {
            registry.register(collector)?;
        }
        // Zeros from the beginning: an alert on a refusal needs a rate from the first one.
        for resource_type in ResourceType::ALL {
            for family in [&metrics.pushes, &metrics.acknowledged, &metrics.refused] {
                family.with_label_values(&[resource_type.name()]);
            }
        }
        metrics.ended.with_label_values(&[&label(Code::Ok)]);
        Ok(metrics)
    }

    /// A stream is open until this is dropped.
    pub(super) fn stream(&self) -> OpenStream {
        self.streams.inc();
        OpenStream {
            metrics: self.clone(),
            code: Code::Cancelled,
        }
    }

    pub(super) fn sent(&self, response: &Response) {
        let type_url = match response {
            Response::StateOfTheWorld(response) => &response.type_url,
            Response::Delta(response) => &response.type_url,
        };
        if let Some(resource_type) = ResourceType::of_type_url(type_url) {
            self.pushes.with_label_values(&[resource_type.name()]).inc();
        }
    }

    pub(super) fn heard(&self, heard: &Heard) {
        let Some(resource_type) = heard.resource_type else {
            return;
        };
        let labels = [resource_type.name()];
        self.acknowledged
            .with_label_values(&labels)
            .inc_by(heard.acknowledged as u64);
        self.refused
            .with_label_values(&labels)
            .inc_by(heard.refused.len() as u64);
    }

    pub(super) fn view_failed(&self) {
        self.views_failed.inc();
    }
}

/// An open stream.
pub(super) struct OpenStream {
    metrics: AdsMetrics,
    code: Code,
}

impl OpenStream {
    /// It ends, and so.
    pub(super) fn ends(mut self, code: Code) {
        self.code = code;
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.metrics.streams.dec();
        let label = label(self.code);
        self.metrics.ended.with_label_values(&[&label]).inc();
    }
}

fn label(code: Code) -> String {
    format!("{code:?}")
}
