//! Clusters and their endpoints: slots by name, endpoints' state kept while their connections are as good.

use super::*;
use outrigger_traffic::retry::RetryBudget;

impl Compiler {
    pub(super) fn clusters(
        &self,
        config: &MeshConfig,
        previous: Option<&Snapshot>,
        faults: &mut Vec<CompileFault>,
    ) -> Vec<Option<Arc<ClusterPolicy>>> {
        let old: HashMap<&Name, usize> = previous
            .iter()
            .flat_map(|previous| previous.clusters.iter().enumerate())
            .filter_map(|(index, cluster)| Some((cluster.as_ref()?.config.name(), index)))
            .collect();
        let mut slots: Vec<Option<Arc<ClusterPolicy>>> =
            vec![None; previous.map_or(0, |previous| previous.clusters.len())];
        let mut fresh = Vec::new();
        for cluster in config.clusters() {
            let index = old.get(cluster.name()).copied();
            let before = index.and_then(|index| previous?.clusters[index].as_ref());
            match self.cluster(cluster, before) {
                Ok(policy) => match index {
                    Some(index) => slots[index] = Some(policy),
                    None => fresh.push(policy),
                },
                Err(fault) => faults.push(fault),
            }
        }
        let mut free = 0;
        for policy in fresh {
            while free < slots.len()
                && (slots[free].is_some() || previous.is_some_and(|p| p.clusters[free].is_some()))
            {
                free += 1;
            }
            // A slot is taken again only once a whole snapshot was published without it: connections that still
            // serve by the snapshot before never see another cluster in its place, since they hold that snapshot.
            if free < slots.len() {
                slots[free] = Some(policy);
            } else {
                slots.push(Some(policy));
                free = slots.len();
            }
        }
        slots
    }

    fn cluster(
        &self,
        config: &Arc<model::Cluster>,
        before: Option<&Arc<ClusterPolicy>>,
    ) -> Result<Arc<ClusterPolicy>, CompileFault> {
        let tls = self.upstream_tls(config, before.and_then(|before| before.tls.as_ref()))?;
        let same_tls = before.is_some_and(|before| match (&before.tls, &tls) {
            (None, None) => true,
            (Some(old), Some(new)) => Arc::ptr_eq(&old.identity, &new.identity),
            _ => false,
        });
        if let Some(before) = before
            && Arc::ptr_eq(&before.config, config)
            && same_tls
        {
            return Ok(Arc::clone(before));
        }
        let same_connections =
            same_tls && before.is_some_and(|before| same_connection_settings(&before.config, config));
        let known: HashMap<SocketAddr, &Arc<EndpointState>> = before
            .filter(|_| same_connections)
            .iter()
            .flat_map(|before| {
                before
                    .endpoints
                    .iter()
                    .map(|endpoint| (endpoint.address, endpoint))
            })
            .collect();
        let endpoints: Vec<Arc<EndpointState>> = config
            .endpoints()
            .iter()
            .map(|endpoint| match known.get(&endpoint.address()) {
                Some(state) => Arc::clone(state),
                None => Arc::new(EndpointState {
                    id: self.fresh_id(),
                    address: endpoint.address(),
                    address_text: endpoint.address().to_string(),
                    load: Arc::new(EndpointLoad::new()),
                }),
            })
            .collect();
        let loads: Vec<(u32, Arc<EndpointLoad>)> = config
            .endpoints()
            .iter()
            .zip(&endpoints)
            .map(|(endpoint, state)| (endpoint.weight(), Arc::clone(&state.load)))
            .collect();
        let balancer = Balancer::new(
            config.load_balancing(),
            &loads,
            before.map(|before| &before.balancer),
        );
        let destinations = match config.discovery() {
            model::Discovery::OriginalDestination(settings) => {
                let known = before
                    .filter(|_| same_connections)
                    .and_then(|before| before.destinations.as_ref());
                Some(DestinationsPolicy {
                    settings: settings.clone(),
                    key: known.map_or_else(|| self.fresh_id(), |known| known.key),
                    ids: Arc::clone(&self.next_endpoint_id),
                })
            }
            _ => None,
        };
        let shared = match before {
            Some(before) => Arc::clone(&before.shared),
            None => Arc::new(ClusterShared {
                requests_active: AtomicU32::new(0),
                retry_budget: RetryBudget::new(
                    model::defaults::RETRY_BUDGET_PERCENT,
                    model::defaults::RETRY_BUDGET_MIN_CONCURRENCY,
                ),
            }),
        };
        let metrics = self.metrics.cluster(config.name().as_str());
        Ok(Arc::new(ClusterPolicy {
            config: Arc::clone(config),
            endpoints,
            balancer,
            destinations,
            tls,
            shared,
            metrics,
        }))
    }

    fn fresh_id(&self) -> u64 {
        self.next_endpoint_id.fetch_add(1, Ordering::Relaxed)
    }

    fn upstream_tls(
        &self,
        config: &model::Cluster,
        before: Option<&UpstreamTlsPolicy>,
    ) -> Result<Option<UpstreamTlsPolicy>, CompileFault> {
        let Some(tls) = config.tls() else { return Ok(None) };
        let fault = |error: identity::IdentityError| CompileFault {
            origin: config.origin().clone(),
            message: format!("cluster `{}`: {error}", config.name()),
        };
        let alpn: &[&str] = match config.protocol() {
            model::UpstreamProtocol::Http1 => &["http/1.1"],
            model::UpstreamProtocol::Http2 => &["h2"],
            model::UpstreamProtocol::Auto => &["h2", "http/1.1"],
        };
        let settings = (tls.clone(), config.protocol());
        let stamp = FileStamp::of(&identity::files_of_upstream(tls));
        if let Some(before) = before.filter(|before| before.settings == settings && before.stamp == stamp) {
            return Ok(Some(before.clone()));
        }
        let identity = Arc::new(identity::upstream(tls, alpn).map_err(fault)?);
        Ok(Some(UpstreamTlsPolicy {
            identity,
            settings,
            stamp,
        }))
    }
}

/// True if connections made by one configuration are as good as connections made by the other.
fn same_connection_settings(old: &model::Cluster, new: &model::Cluster) -> bool {
    old.protocol() == new.protocol()
        && old.tls() == new.tls()
        && old.http2() == new.http2()
        && old.tcp_keepalive() == new.tcp_keepalive()
        && old.tcp_user_timeout() == new.tcp_user_timeout()
        && old.response_headers_bytes_max() == new.response_headers_bytes_max()
        && old.response_headers_count_max() == new.response_headers_count_max()
}
