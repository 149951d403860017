//! The whole server: settings become a store, an authority, a fleet, and two listeners.

use crate::access::{Access, NodeClaim};
use crate::ads::{Ads, AdsMetrics};
use crate::authority::{
    Authority, AuthorityMetrics, AuthorityService, AuthoritySurroundings, StartError, StoredAuthority,
};
use crate::fleet::{Fleet, Freshness};
use crate::listen::{Listen, ListenFamilies, ListenLimits, ServerIdentity, ServerIdentityError};
use crate::reports::NodeReports;
use crate::rollout::{Driver, DriverOptions, RolloutMetrics};
use crate::settings::{ListenSettings, Settings, StoreSettings};
use crate::store::{self, Documents, Store, StoreError};
use outrigger_config::model::SpiffeId;
use prometheus::Registry;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::SystemTime;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tonic::service::Routes;

/// Why the server does not start.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The store cannot be opened.
    #[error("the store cannot be opened: {0}")]
    Store(#[from] StoreError),
    /// The authority cannot be started.
    #[error("the authority cannot be started: {0}")]
    Authority(#[from] StartError),
    /// There is no certificate to show.
    #[error("{0}")]
    Identity(#[from] ServerIdentityError),
    /// An address cannot be had.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The data directory cannot be made.
    #[error("cannot make {}: {source}", directory.display())]
    Data {
        /// The directory.
        directory: std::path::PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Metrics were registered twice: a fault of this program.
    #[error("metrics: {0}")]
    Metrics(#[from] prometheus::Error),
}

/// What REST and the command line work with.
#[derive(Clone)]
pub struct Parts {
    /// The nodes.
    pub fleet: Arc<Fleet>,
    /// The mesh.
    pub store: Arc<dyn Store>,
    /// Who may do what.
    pub access: Arc<Access>,
    /// The authority; none: there is none.
    pub authority: Option<Arc<Authority>>,
    /// Metrics.
    pub registry: Registry,
    /// What this server calls itself among those that share its store; none: it is the only one.
    pub replica: Option<String>,
    /// Turns true when the server begins to end.
    pub drain: watch::Receiver<bool>,
}

/// A running server. Dropping it cuts everything.
pub struct Server {
    parts: Parts,
    grpc_address: SocketAddr,
    rest_address: SocketAddr,
    drain: watch::Sender<bool>,
    /// Serve connections; they end with a drain.
    serving: JoinSet<()>,
    /// Keep things going; they do not end.
    _keeping: JoinSet<()>,
}

impl Server {
    /// Starts everything. When this returns the addresses are bound, and the mesh of the store is in force.
    ///
    /// # Errors
    /// What cannot be had.
    pub async fn start(settings: Settings) -> Result<Server, ServerError> {
        let directory = &settings.data_directory;
        std::fs::create_dir_all(directory).map_err(|source| ServerError::Data {
            directory: directory.clone(),
            source,
        })?;
        let registry = Registry::new();
        let fleet = Arc::new(Fleet::new());
        let store = open_store(&settings, &fleet).await?;
        let mut keeping = JoinSet::new();
        let authority = start_authority(&settings, &store, &registry, &mut keeping).await?;
        let access = Arc::new(Access::new(settings.access.clone()));
        let of_nodes = Arc::clone(&fleet);
        access.set_node_rule(Arc::new(move |id: &SpiffeId, claim: &NodeClaim| {
            of_nodes.allows(id, claim)
        }));
        let (drain, draining) = watch::channel(false);
        let parts = Parts {
            fleet: Arc::clone(&fleet),
            store: Arc::clone(&store),
            access: Arc::clone(&access),
            authority: authority.clone(),
            registry: registry.clone(),
            replica: matches!(settings.store, StoreSettings::Etcd(_))
                .then(|| uuid::Uuid::new_v4().to_string()),
            drain: draining.clone(),
        };
        let ads = Ads::new(
            Arc::clone(&fleet),
            access,
            authority.clone(),
            draining.clone(),
            AdsMetrics::register(&registry)?,
        );
        let mut services = Routes::new(ads.service());
        let reports = NodeReports::new(Arc::clone(&fleet), Arc::clone(&parts.access), &registry)?;
        services = services.add_service(reports);
        if let Some(authority) = &authority {
            services = services.add_service(AuthorityService::new(Arc::clone(authority)));
        }
        let listeners = bind(&settings, authority, &registry, &mut keeping).await?;
        let [grpc, rest] = listeners;
        let (grpc_address, rest_address) = (grpc.local_address(), rest.local_address());
        let mut plans = fleet.plans();
        let driving = DriverOptions {
            terms: settings.release.clone(),
            replica: parts.replica.clone(),
            return_within: settings.nodes_return_within,
            metrics: Some(RolloutMetrics::register(&registry)?),
            ..DriverOptions::default()
        };
        keeping.spawn(Driver::new(fleet, Arc::clone(&store), driving).run());
        // A node that comes at once is told the mesh of now. One that comes before a revision could be loaded is turned
        // away: it is not told that there is nothing.
        let loaded = plans.wait_for(|plan| plan.freshness != Freshness::Unread);
        let _ = tokio::time::timeout(FIRST_REVISION_TIMEOUT, loaded).await;
        let mut serving = JoinSet::new();
        serving.spawn(grpc.serve(services.into_axum_router(), draining.clone()));
        serving.spawn(rest.serve(crate::rest::router(parts.clone()), draining));
        Ok(Server {
            parts,
            grpc_address,
            rest_address,
            drain,
            serving,
            _keeping: keeping,
        })
    }

    /// Where nodes are served.
    pub fn grpc_address(&self) -> SocketAddr {
        self.grpc_address
    }

    /// Where people and tools are served.
    pub fn rest_address(&self) -> SocketAddr {
        self.rest_address
    }

    /// What it works with.
    pub fn parts(&self) -> &Parts {
        &self.parts
    }

    /// Ends in order: streams are told, connections may finish.
    pub async fn end(mut self) {
        self.drain.send_replace(true);
        while self.serving.join_next().await.is_some() {}
    }
}

/// How long a start waits for the first revision to be loaded.
const FIRST_REVISION_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(30);

/// Opens the store. What lies in a directory is loaded before it is let in, and released as it was loaded.
async fn open_store(settings: &Settings, fleet: &Arc<Fleet>) -> Result<Arc<dyn Store>, StoreError> {
    let fleet = Arc::clone(fleet);
    let check = move |number, documents: &Documents| fleet.admit(number, documents);
    store::open(&settings.store, &settings.data_directory, Some(Arc::new(check))).await
}

async fn start_authority(
    settings: &Settings,
    store: &Arc<dyn Store>,
    registry: &Registry,
    keeping: &mut JoinSet<()>,
) -> Result<Option<Arc<Authority>>, ServerError> {
    let Some(own) = &settings.authority else {
        return Ok(None);
    };
    let stored = Arc::new(StoredAuthority::new(Arc::clone(store)));
    // Servers that share a store are one authority; one alone keeps its key in a file.
    let shared = matches!(settings.store, StoreSettings::Etcd(_));
    let surroundings = AuthoritySurroundings {
        key_store: shared.then(|| Arc::clone(&stored) as _),
        join_tokens: Arc::clone(&stored) as _,
        audit: stored,
        metrics: AuthorityMetrics::register(registry)?,
    };
    let domain = settings.trust_domain.clone();
    let authority = Authority::start(own, domain, surroundings, SystemTime::now()).await?;
    let authority = Arc::new(authority);
    keeping.spawn(Arc::clone(&authority).keep(own.clone()));
    Ok(Some(authority))
}

/// Binds both addresses, nodes' first.
async fn bind(
    settings: &Settings,
    authority: Option<Arc<Authority>>,
    registry: &Registry,
    keeping: &mut JoinSet<()>,
) -> Result<[Listen; 2], ServerError> {
    let families = ListenFamilies::register(registry)?;
    let identity = settings
        .tls
        .clone()
        .map(|tls| ServerIdentity::new(tls, authority, &settings.trust_domain));
    let mut secured = Vec::new();
    let mut listeners = Vec::new();
    for (name, listen) in [("grpc", &settings.grpc), ("rest", &settings.rest)] {
        let ListenSettings {
            address,
            client_certificates,
            connections_max,
        } = listen;
        let tls = match &identity {
            Some(identity) => Some(identity.tls(*client_certificates).await?),
            None => None,
        };
        secured.extend(tls.clone());
        let limits = ListenLimits {
            connections_max: *connections_max,
            ..ListenLimits::default()
        };
        let bound = Listen::bind(*address, tls, limits, families.listener(name)).await;
        let failed = |source| ServerError::Listen {
            address: *address,
            source,
        };
        listeners.push(bound.map_err(failed)?);
    }
    if let Some(identity) = identity {
        keeping.spawn(async move { identity.keep(secured).await });
    }
    let both: Result<[Listen; 2], _> = listeners.try_into();
    Ok(both.unwrap_or_else(|_| unreachable!("two were bound")))
}
