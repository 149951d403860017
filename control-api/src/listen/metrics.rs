//! Counts of connections.

use prometheus::core::Collector;
use prometheus::{IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

/// Why a connection was closed before it was served.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Refused {
    /// It could not be accepted.
    Accept,
    /// There were as many as may be.
    Limit,
    /// The TLS handshake failed.
    Handshake,
    /// The TLS handshake took too long.
    HandshakeTimeout,
    /// No request came.
    NoRequest,
}

impl Refused {
    const ALL: [Refused; 5] = [
        Refused::Accept,
        Refused::Limit,
        Refused::Handshake,
        Refused::HandshakeTimeout,
        Refused::NoRequest,
    ];

    fn label(self) -> &'static str {
        match self {
            Refused::Accept => "accept",
            Refused::Limit => "limit",
            Refused::Handshake => "handshake",
            Refused::HandshakeTimeout => "handshake_timeout",
            Refused::NoRequest => "no_request",
        }
    }
}

/// Metrics of one listener.
#[derive(Clone)]
pub struct ListenMetrics {
    open: IntGauge,
    refused: IntCounterVec,
    listener: String,
}

/// The families of all listeners.
pub struct ListenFamilies {
    open: IntGaugeVec,
    refused: IntCounterVec,
}

impl ListenFamilies {
    /// Registers the families: `outrigger_control_connections{listener}` and
    /// `outrigger_control_connections_refused_total{listener,reason}`.
    ///
    /// # Errors
    /// If they are there already.
    pub fn register(registry: &Registry) -> Result<ListenFamilies, prometheus::Error> {
        let open = Opts::new("outrigger_control_connections", "Open connections.");
        let refused = Opts::new(
            "outrigger_control_connections_refused_total",
            "Connections that were closed before they were served.",
        );
        let families = ListenFamilies {
            open: IntGaugeVec::new(open, &["listener"])?,
            refused: IntCounterVec::new(refused, &["listener", "reason"])?,
        };
        let collectors: [Box<dyn Collector>; 2] = [
            Box::new(families.open.clone()),
            Box::new(families.refused.clone()),
        ];
        for collector in collectors {
            registry.register(collector)?;
        }
        Ok(families)
    }

    /// The metrics of a listener.
    pub fn listener(&self, name: &str) -> ListenMetrics {
        for reason in Refused::ALL {
            self.refused.with_label_values(&[name, reason.label()]);
        }
        ListenMetrics {
            open: self.open.with_label_values(&[name]),
            refused: self.refused.clone(),
            listener: name.to_owned(),
        }
    }
}

impl ListenMetrics {
    /// Counts a connection for as long as what it gives is held.
    pub(crate) fn opened(&self) -> Open {
        self.open.inc();
        Open(self.open.clone())
    }

    pub(crate) fn refused(&self, reason: Refused) {
        self.refused
            .with_label_values(&[self.listener.as_str(), reason.label()])
            .inc();
    }
}

/// An open connection.
pub(crate) struct Open(IntGauge);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.dec();
    }
}
