//! Clusters and their endpoints: slots by name, endpoints' state kept while their connections are as good.

use super::*;
use crate::outlier::OutlierPolicy;
use crate::places::PlaceQueues;
use crate::snapshot::LimitGauges;
use balancing::Surroundings;
use outrigger_config::model::{Discovery, DnsDiscovery};
use outrigger_identity::{Basis, Belief};
use outrigger_traffic::HealthMark;
use outrigger_traffic::adaptive::{AdaptiveLimit, AdaptiveSettings};
use outrigger_traffic::breakers::ClusterBreakers;
use outrigger_traffic::retry::RetryBudget;
use std::collections::HashSet;
use std::sync::OnceLock;
use std::sync::atomic::AtomicU32;

/// The slots of clusters by their names.
pub(super) fn slots(clusters: &[Option<Arc<ClusterPolicy>>]) -> HashMap<&Name, ClusterSlot> {
    // Made at its size: a table that grows hashes each name several times over.
    let mut slots = HashMap::with_capacity_and_hasher(clusters.len(), Default::default());
    for (index, cluster) in clusters.iter().enumerate() {
        if let Some(cluster) = cluster {
            slots.insert(cluster.config.name(), ClusterSlot(index as u32));
        }
    }
    slots
}

impl Compiler {
    pub(super) fn clusters(
        &self,
        config: &MeshConfig,
        discovered: &Discovered,
        material: &Material,
        previous: Option<&Snapshot>,
        faults: &mut Vec<CompileFault>,
    ) -> Vec<Option<Arc<ClusterPolicy>>> {
        let old = slots(previous.map_or(&[], |previous| &previous.clusters));
        let mut slots: Vec<Option<Arc<ClusterPolicy>>> =
            vec![None; previous.map_or(0, |previous| previous.clusters.len())];
        let mut fresh = Vec::new();
        let wanted = balancing::wanted_subsets(config);
        for cluster in config.clusters() {
            let index = old.get(cluster.name()).map(|slot| slot.0 as usize);
            let before = index.and_then(|index| previous?.clusters[index].as_ref());
            match self.cluster(
                cluster,
                discovered.get(cluster.name()),
                wanted.get(cluster.name()),
                material,
                before,
            ) {
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
        self.settle_zones(&mut slots, config.runtime().locality().as_ref());
        slots
    }

    /// The clusters with what was discovered for some of them; none if that is what is there.
    pub(super) fn clusters_with(
        &self,
        previous: &Snapshot,
        changed: &Discovered,
    ) -> Option<Vec<Option<Arc<ClusterPolicy>>>> {
        let mut any = false;
        let next = |before: &Option<Arc<ClusterPolicy>>| {
            let before = before.as_ref()?;
            let set = changed.get(before.config.name());
            if set.is_none() || before.discovered.is_none() || before.discovered.as_ref() == set {
                return Some(Arc::clone(before));
            }
            any = true;
            let tls = before.tls.clone();
            let next = self.assemble(
                &before.config,
                tls,
                set.cloned(),
                Surroundings::of(before),
                Some(before),
            );
            Some(kept(before, next))
        };
        let mut clusters: Vec<_> = previous.clusters.iter().map(next).collect();
        self.settle_zones(&mut clusters, previous.config.runtime().locality().as_ref());
        any.then_some(clusters)
    }

    /// The clusters with balancers over the present health of those that are named; none if none of them is there.
    pub(super) fn clusters_rebalanced(
        &self,
        previous: &Snapshot,
        changed: &HashSet<Name>,
    ) -> Option<Vec<Option<Arc<ClusterPolicy>>>> {
        let mut any = false;
        let next = |before: &Option<Arc<ClusterPolicy>>| {
            let before = before.as_ref()?;
            if !changed.contains(before.config.name()) {
                return Some(Arc::clone(before));
            }
            any = true;
            Some(self.again(before, Surroundings::of(before)))
        };
        let mut clusters: Vec<_> = previous.clusters.iter().map(next).collect();
        self.settle_zones(&mut clusters, previous.config.runtime().locality().as_ref());
        any.then_some(clusters)
    }

    /// The cluster with another balancer, and nothing else that is other.
    pub(super) fn again(
        &self,
        before: &Arc<ClusterPolicy>,
        surroundings: Surroundings,
    ) -> Arc<ClusterPolicy> {
        let (tls, discovered) = (before.tls.clone(), before.discovered.clone());
        kept(
            before,
            self.assemble(&before.config, tls, discovered, surroundings, Some(before)),
        )
    }

    /// The clusters with other material: those are new whose TLS is made of what changed, with endpoints of their own, so
    /// that connections of before are not used again.
    pub(super) fn clusters_of(
        &self,
        previous: &Snapshot,
        material: &Material,
        faults: &mut Vec<CompileFault>,
    ) -> Vec<Option<Arc<ClusterPolicy>>> {
        let mut next = |before: &Option<Arc<ClusterPolicy>>| {
            let before = before.as_ref()?;
            match self.upstream_tls(&before.config, material, before.tls.as_ref()) {
                Ok(tls) if same_identity(before.tls.as_ref(), tls.as_ref()) => Some(Arc::clone(before)),
                Ok(tls) => {
                    let (discovered, around) = (before.discovered.clone(), Surroundings::of(before));
                    let next = self.assemble(&before.config, tls, discovered, around, Some(before));
                    Some(kept(before, next))
                }
                Err(fault) => {
                    faults.push(fault);
                    None
                }
            }
        };
        previous.clusters.iter().map(&mut next).collect()
    }

    fn cluster(
        &self,
        config: &Arc<model::Cluster>,
        discovered: Option<&EndpointSet>,
        wanted: Option<&WantedSubsets>,
        material: &Material,
        before: Option<&Arc<ClusterPolicy>>,
    ) -> Result<Arc<ClusterPolicy>, CompileFault> {
        let tls = self.upstream_tls(config, material, before.and_then(|before| before.tls.as_ref()))?;
        let discovered = config.discovery().dns().map(|_| {
            let kept = before.filter(|before| before.config.discovery() == config.discovery());
            discovered
                .or(kept.and_then(|before| before.discovered.as_ref()))
                .cloned()
                .unwrap_or_default()
        });
        let surroundings = Surroundings {
            wanted_subsets: wanted.cloned().unwrap_or_default(),
            zones: before.and_then(|before| before.zones.clone()),
        };
        if let Some(before) = before
            && Arc::ptr_eq(&before.config, config)
            && before.wanted_subsets == surroundings.wanted_subsets
            && before.discovered == discovered
            && same_identity(before.tls.as_ref(), tls.as_ref())
        {
            return Ok(Arc::clone(before));
        }
        Ok(self.assemble(config, tls, discovered, surroundings, before))
    }

    fn assemble(
        &self,
        config: &Arc<model::Cluster>,
        tls: Option<UpstreamTlsPolicy>,
        discovered: Option<EndpointSet>,
        surroundings: Surroundings,
        before: Option<&Arc<ClusterPolicy>>,
    ) -> Arc<ClusterPolicy> {
        let known = before.filter(|before| {
            same_identity(before.tls.as_ref(), tls.as_ref())
                && same_connection_settings(&before.config, config)
        });
        let found = discovered.as_deref().unwrap_or_default();
        let listed = config.endpoints().as_slice();
        let (endpoints, said) = match config.discovery() {
            Discovery::Static => (self.endpoints(config, listed, known, before), listed),
            Discovery::StrictDns(_) => (self.endpoints(config, found, known, before), found),
            Discovery::LogicalDns(dns) => (self.logical_endpoint(config, dns, found, known, before), found),
            Discovery::OriginalDestination(_) => (Vec::new(), listed),
        };
        let previous = before.map(|before| &before.balancer);
        let balancer = self.balancer(config, &endpoints, said, &surroundings, previous);
        let destinations = match config.discovery() {
            Discovery::OriginalDestination(settings) => {
                let known = known.and_then(|before| before.destinations.as_ref());
                Some(DestinationsPolicy {
                    settings: settings.clone(),
                    key: known.map_or_else(|| self.fresh_id(), |known| known.key),
                })
            }
            _ => None,
        };
        let shared = match before {
            Some(before) => Arc::clone(&before.shared),
            None => Arc::new(ClusterShared {
                breakers: ClusterBreakers::new(config.circuit_breakers()),
                places: PlaceQueues::default(),
                requests_begun: AtomicU32::new(0),
                retry_budget: RetryBudget::new(),
                since: Instant::now(),
                endpoint_ids: Arc::clone(&self.next_endpoint_id),
            }),
        };
        let outlier = config
            .outlier_detection()
            .as_ref()
            .map(|wanted| Box::new(OutlierPolicy::new(wanted, endpoints.len(), &self.health.alarms)));
        let limits = config.circuit_breakers().endpoint();
        let adaptive = config.adaptive_concurrency().as_ref().map(|model| {
            let settings = AdaptiveSettings::from(model);
            let known = before.and_then(|before| before.adaptive.as_ref());
            match known.filter(|known| known.settings() == settings) {
                Some(known) => Arc::clone(known),
                None => Arc::new(AdaptiveLimit::new(settings, shared.since.elapsed())),
            }
        });
        Arc::new(ClusterPolicy {
            endpoint_limits: (limits != Default::default()).then_some(limits),
            adaptive,
            limit_gauges: LimitGauges::new(config, &self.metrics),
            config: Arc::clone(config),
            outlier,
            discovered,
            endpoints,
            balancer,
            wanted_subsets: surroundings.wanted_subsets,
            zones: surroundings.zones,
            destinations,
            sessions: OnceLock::new(),
            tls,
            shared,
            metrics: self.metrics.cluster(config.name().as_str()),
        })
    }

    /// A state for each endpoint: the one that `known` has for the address, or a new one. A new one has the load and the
    /// health of the one that `before` has.
    fn endpoints(
        &self,
        config: &model::Cluster,
        members: &[model::Endpoint],
        known: Option<&Arc<ClusterPolicy>>,
        before: Option<&Arc<ClusterPolicy>>,
    ) -> Vec<Arc<EndpointState>> {
        let kin: HashMap<SocketAddr, &Arc<EndpointState>> = before
            .iter()
            .flat_map(|before| before.endpoints.iter())
            .filter(|endpoint| endpoint.alternatives.is_empty())
            .map(|endpoint| (endpoint.address, endpoint))
            .collect();
        let state = |address: SocketAddr| match (kin.get(&address), known) {
            (Some(state), Some(_)) => Arc::clone(state),
            (kin, _) => Arc::new(EndpointState {
                id: self.fresh_id(),
                address,
                address_text: address.to_string(),
                alternatives: Box::default(),
                load: kin.map_or_else(Arc::default, |kin| Arc::clone(&kin.load)),
                health: match kin {
                    Some(kin) => Arc::clone(&kin.health),
                    None => self.first_health(config, address, before.is_none()),
                },
                source: None,
                preface: None,
                session_key: OnceLock::new(),
            }),
        };
        members.iter().map(|member| state(member.address())).collect()
    }

    /// The one endpoint of all addresses; none if there are none. It stays the same, with its pools and its load,
    /// while addresses change.
    fn logical_endpoint(
        &self,
        config: &model::Cluster,
        dns: &DnsDiscovery,
        found: &[model::Endpoint],
        known: Option<&Arc<ClusterPolicy>>,
        before: Option<&Arc<ClusterPolicy>>,
    ) -> Vec<Arc<EndpointState>> {
        let Some(first) = found.first() else {
            return Vec::new();
        };
        let same = |policy: Option<&Arc<ClusterPolicy>>| {
            let policy = policy.filter(|policy| same_logical_names(policy.config.discovery(), dns))?;
            policy.endpoints.first().cloned()
        };
        let (same, kin) = (same(known), same(before));
        let state = EndpointState {
            id: same.map_or_else(|| self.fresh_id(), |same| same.id),
            address: first.address(),
            address_text: dns
                .names()
                .first()
                .map_or_else(String::new, |name| name.host().clone()),
            alternatives: found.iter().map(model::Endpoint::address).collect(),
            load: kin
                .as_ref()
                .map_or_else(Arc::default, |kin| Arc::clone(&kin.load)),
            health: kin.as_ref().map_or_else(
                || self.first_health(config, first.address(), before.is_none()),
                |kin| Arc::clone(&kin.health),
            ),
            source: None,
            preface: None,
            session_key: OnceLock::new(),
        };
        vec![Arc::new(state)]
    }

    /// The health of an endpoint that was not there before; `all_along`: with its cluster, so that none is new among others.
    fn first_health(
        &self,
        config: &model::Cluster,
        address: SocketAddr,
        all_along: bool,
    ) -> Arc<EndpointHealth> {
        let ahead = self.health.newcomers.lock();
        if let Some(health) = ahead.get(config.name()).and_then(|ahead| ahead.get(&address)) {
            return Arc::clone(health);
        }
        let health = match all_along {
            true => EndpointHealth::new(),
            false => EndpointHealth::newcomer(),
        };
        if config.health_check().is_some() {
            health.mark(HealthMark::FailedCheck);
            health.mark(HealthMark::Unchecked);
        }
        Arc::new(health)
    }

    fn fresh_id(&self) -> u64 {
        self.next_endpoint_id.fetch_add(1, Ordering::Relaxed)
    }

    fn upstream_tls(
        &self,
        config: &model::Cluster,
        material: &Material,
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
        let basis = Basis::of_upstream(tls, material);
        if let Some(before) = before.filter(|before| before.settings == settings && before.basis == basis) {
            return Ok(Some(before.clone()));
        }
        let identity = Arc::new(identity::upstream(tls, alpn, material).map_err(fault)?);
        let mut plain_config = (*identity.config).clone();
        plain_config.alpn_protocols.clear();
        let belief = match before {
            Some(before) if before.settings.0 == *tls && before.basis.believes_as(&basis) => {
                before.belief.clone()
            }
            _ => Belief::of_upstream(tls, material).map(Arc::new),
        };
        Ok(Some(UpstreamTlsPolicy {
            identity,
            plain_config: Arc::new(plain_config),
            settings,
            basis,
            belief,
        }))
    }
}

/// What follows a cluster, with the table of sessions if that had one: made here, so that no request has to wait for it.
fn kept(before: &ClusterPolicy, next: Arc<ClusterPolicy>) -> Arc<ClusterPolicy> {
    if before.sessions.get().is_some() {
        next.sessions();
    }
    next
}

/// True if connections that one authenticates are as good as those that the other does.
fn same_identity(old: Option<&UpstreamTlsPolicy>, new: Option<&UpstreamTlsPolicy>) -> bool {
    match (old, new) {
        (None, None) => true,
        (Some(old), Some(new)) => Arc::ptr_eq(&old.identity, &new.identity),
        _ => false,
    }
}

/// True if both are logical DNS of the same names: then the endpoint is the same.
fn same_logical_names(old: &Discovery, new: &DnsDiscovery) -> bool {
    matches!(old, Discovery::LogicalDns(old) if old.names() == new.names())
}

/// True if connections made by one configuration are as good as connections made by the other.
fn same_connection_settings(old: &model::Cluster, new: &model::Cluster) -> bool {
    old.protocol() == new.protocol()
        && old.proxy_protocol() == new.proxy_protocol()
        && old.tls() == new.tls()
        && old.http2() == new.http2()
        && old.tcp_keepalive() == new.tcp_keepalive()
        && old.tcp_user_timeout() == new.tcp_user_timeout()
        && old.response_headers_bytes_max() == new.response_headers_bytes_max()
        && old.response_headers_count_max() == new.response_headers_count_max()
}
