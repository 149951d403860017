//! Balancers of clusters: over what is known of their endpoints' health now, by the zones of those that send, and for the
//! subsets that somebody asks for.

use super::*;
use outrigger_config::model::{LocalityBalancing, TcpProxy};
use outrigger_traffic::{Balancer, Member, Plan, Standing, ZoneView};
use std::collections::BTreeMap;
use std::time::Duration;

/// What a cluster's balancer is made by, beside its own configuration.
#[derive(Clone, Default)]
pub(super) struct Surroundings {
    pub(super) wanted_subsets: WantedSubsets,
    pub(super) zones: Option<Arc<ZoneView>>,
}

impl Surroundings {
    /// Those that a cluster had.
    pub(super) fn of(before: &ClusterPolicy) -> Surroundings {
        Surroundings {
            wanted_subsets: Arc::clone(&before.wanted_subsets),
            zones: before.zones.clone(),
        }
    }
}

impl Compiler {
    /// A balancer of these endpoints, of which `said` is what is said.
    pub(super) fn balancer(
        &self,
        config: &model::Cluster,
        endpoints: &[Arc<EndpointState>],
        said: &[model::Endpoint],
        surroundings: &Surroundings,
        before: Option<&Balancer>,
    ) -> Balancer {
        let now = self.epoch.elapsed();
        let members: Vec<Member<'_>> = endpoints
            .iter()
            .enumerate()
            .map(|(place, state)| member(state, said.get(place), now))
            .collect();
        let plan = Plan {
            policy: config.load_balancing(),
            options: config.balancing(),
            locality_weights: config.locality_weights(),
            zones: surroundings.zones.as_deref(),
            subsets: &surroundings.wanted_subsets,
            now,
            epoch: self.epoch,
        };
        Balancer::new(&plan, &members, before)
    }

    /// Gives clusters that are balanced by zones the zones of the clusters that send to them, where those are not what they
    /// were made by. `own`: where this proxy runs.
    pub(super) fn settle_zones(
        &self,
        clusters: &mut [Option<Arc<ClusterPolicy>>],
        own: Option<&model::Locality>,
    ) {
        let settings = |cluster: &ClusterPolicy| match cluster.config.balancing().localities() {
            LocalityBalancing::ZoneAware(settings) => Some(settings.clone()),
            _ => None,
        };
        let by_zones: Vec<(usize, model::ZoneAware)> = clusters
            .iter()
            .enumerate()
            .filter_map(|(slot, cluster)| Some((slot, settings(cluster.as_ref()?)?)))
            .collect();
        for (slot, settings) in by_zones {
            let Some(cluster) = clusters[slot].clone() else {
                continue;
            };
            let local = clusters
                .iter()
                .flatten()
                .find(|local| local.config.name() == settings.local_cluster());
            let zones = own.zip(local).map(|(own, local)| Arc::new(zones(own, local)));
            if zones != cluster.zones {
                let surroundings = Surroundings {
                    zones,
                    ..Surroundings::of(&cluster)
                };
                clusters[slot] = Some(self.again(&cluster, surroundings));
            }
        }
    }
}

fn member<'a>(state: &'a EndpointState, said: Option<&'a model::Endpoint>, now: Duration) -> Member<'a> {
    // Of a logical endpoint nothing is said but its addresses.
    let said = said.filter(|_| state.alternatives.is_empty());
    let status = said.map_or(model::EndpointStatus::Healthy, model::Endpoint::status);
    let standing = state.health.standing(status);
    let usable = matches!(standing, Standing::Healthy | Standing::Degraded);
    Member {
        key: &state.address_text,
        weight: said.map_or(1, model::Endpoint::weight),
        priority: said.map_or(0, model::Endpoint::priority),
        locality: said.and_then(|said| said.locality().as_ref()),
        metadata: said.map(model::Endpoint::metadata),
        standing,
        keeps: state.health.keeps(status),
        since: state.health.note_usable(usable, now).unwrap_or(now),
        load: &state.load,
    }
}

/// Where the members of a cluster of proxies are.
fn zones(own: &model::Locality, local: &ClusterPolicy) -> ZoneView {
    let members = (0..local.endpoints.len()).map(|place| {
        let locality = local.member(place).and_then(|member| member.locality().as_ref());
        (locality, local.standing(place).unwrap_or(Standing::Unhealthy))
    });
    ZoneView::of(own, members, local.config.balancing().panic_threshold())
}

/// The subsets that routes and chains ask for, by cluster.
pub(super) fn wanted_subsets(config: &MeshConfig) -> HashMap<&Name, WantedSubsets> {
    let mut wanted: HashMap<&Name, Vec<Arc<BTreeMap<String, String>>>> = HashMap::default();
    let routes = config.route_configurations().iter();
    let forwards = routes
        .flat_map(|routes| routes.virtual_hosts())
        .flat_map(|host| host.routes())
        .filter_map(|route| match route.action() {
            RouteAction::Forward(forward) => Some(forward.clusters()),
            _ => None,
        });
    let chains = config
        .listeners()
        .iter()
        .flat_map(|listener| listener.filter_chains());
    let tcp = chains
        .filter_map(|chain| chain.mode().tcp())
        .map(TcpProxy::clusters);
    for target in forwards
        .chain(tcp)
        .flatten()
        .filter(|target| !target.subset().is_empty())
    {
        let subsets = wanted.entry(target.cluster()).or_default();
        if !subsets.iter().any(|subset| **subset == *target.subset()) {
            subsets.push(Arc::new(target.subset().clone()));
        }
    }
    wanted
        .into_iter()
        .map(|(name, subsets)| (name, subsets.into()))
        .collect()
}
