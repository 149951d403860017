//! What one node is to have: its resources by type and name, shared by pointer between versions and between nodes.
//!
//! A view never changes. The next one is made from it in work proportional to the change, and the difference of two is
//! found by comparing pointers: names are kept in buckets, and a bucket in which nothing changed stays one allocation.

use std::collections::BTreeMap;
use std::sync::Arc;

use xxhash_rust::xxh64::xxh64;

use crate::resource::{Resource, ResourceType};

/// How many resources a bucket holds on average when a set is built: a change copies one bucket and the list of them.
const BUCKET_RESOURCES: usize = 32;

/// The most buckets of a set; beyond it the buckets grow.
const BUCKETS_MAX: usize = 4_096;

type Bucket = Arc<BTreeMap<Arc<str>, Resource>>;

/// All that a node is to have, at one revision.
#[derive(Clone, Debug, Default)]
pub struct View {
    revision: u64,
    sets: [ResourceSet; ResourceType::ALL.len()],
}

/// What differs between a view and the next one.
#[derive(Clone, Debug)]
pub enum Change {
    /// A resource that is new, or has a new version.
    Put(Resource),
    /// A resource that is no more.
    Remove(ResourceType, Arc<str>),
}

impl View {
    /// A view of these resources; of two with one type and name the later stays.
    #[must_use]
    pub fn new(revision: u64, resources: impl IntoIterator<Item = Resource>) -> Self {
        Self::default().next(revision, resources.into_iter().map(Change::Put))
    }

    /// The view after these changes; everything else is shared with this one.
    #[must_use]
    pub fn next(&self, revision: u64, changes: impl IntoIterator<Item = Change>) -> Self {
        let mut by_type: [Vec<(Arc<str>, Option<Resource>)>; ResourceType::ALL.len()] = Default::default();
        for change in changes {
            match change {
                Change::Put(resource) => {
                    let name = Arc::clone(resource.name());
                    by_type[resource.resource_type().index()].push((name, Some(resource)));
                }
                Change::Remove(resource_type, name) => by_type[resource_type.index()].push((name, None)),
            }
        }
        let mut sets = self.sets.clone();
        for (set, changes) in sets.iter_mut().zip(by_type) {
            set.apply(changes);
        }
        Self { revision, sets }
    }

    /// The revision of the mesh that this view was made from.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// The resources of one type.
    #[must_use]
    pub fn of(&self, resource_type: ResourceType) -> &ResourceSet {
        &self.sets[resource_type.index()]
    }

    /// The names of one type whose resource is not the same one as in `previous`: put, changed or removed.
    #[must_use]
    pub fn differing(&self, previous: &Self, resource_type: ResourceType) -> Vec<Arc<str>> {
        self.of(resource_type).differing(previous.of(resource_type))
    }
}

/// The resources of one type by name.
#[derive(Clone, Debug, Default)]
pub struct ResourceSet {
    /// Empty, or a power of two of them.
    buckets: Arc<[Bucket]>,
    len: usize,
    digest: u64,
}

impl ResourceSet {
    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The resource of a name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&Resource> {
        self.buckets.get(place_of(name, self.buckets.len()))?.get(name)
    }

    /// All of them, in an order that follows from the names alone.
    pub fn iter(&self) -> impl Iterator<Item = &Resource> {
        self.buckets.iter().flat_map(|bucket| bucket.values())
    }

    /// The sum of the digests of all: equal for equal names and versions, in whatever order they came about.
    pub(crate) fn digest(&self) -> u64 {
        self.digest
    }

    fn apply(&mut self, changes: Vec<(Arc<str>, Option<Resource>)>) {
        if changes.is_empty() {
            return;
        }
        let mut buckets = self.buckets.to_vec();
        let wanted = buckets_for(self.len + changes.len());
        // Grown for all that may come before any is put, so that a first load does not build the buckets again and again.
        if wanted > 2 * buckets.len() {
            rebuild(&mut buckets, wanted);
        }
        for (name, resource) in changes {
            let place = place_of(&name, buckets.len());
            if resource.is_none() && !buckets[place].contains_key(&name) {
                continue;
            }
            let bucket = Arc::make_mut(&mut buckets[place]);
            self.digest = self
                .digest
                .wrapping_add(resource.as_ref().map_or(0, Resource::digest));
            let previous = match resource {
                Some(resource) => bucket.insert(name, resource),
                None => bucket.remove(&name),
            };
            self.digest = self
                .digest
                .wrapping_sub(previous.map_or(0, |previous| previous.digest()));
        }
        self.len = buckets.iter().map(|bucket| bucket.len()).sum();
        let wanted = buckets_for(self.len);
        if 4 * wanted < buckets.len() {
            rebuild(&mut buckets, wanted);
        }
        self.buckets = buckets.into();
    }

    fn differing(&self, previous: &Self) -> Vec<Arc<str>> {
        let mut names = Vec::new();
        if self.buckets.len() == previous.buckets.len() {
            for (bucket, before) in self.buckets.iter().zip(previous.buckets.iter()) {
                if !Arc::ptr_eq(bucket, before) {
                    compare(bucket.values(), |name| before.get(name), &mut names);
                    names.extend(before.keys().filter(|name| !bucket.contains_key(*name)).cloned());
                }
            }
        } else {
            compare(self.iter(), |name| previous.find(name), &mut names);
            let gone = previous
                .iter()
                .map(Resource::name)
                .filter(|name| self.find(name).is_none());
            names.extend(gone.cloned());
        }
        names
    }
}

/// Adds the names of `now` that `before` does not know, or knows otherwise.
fn compare<'a>(
    now: impl Iterator<Item = &'a Resource>,
    before: impl Fn(&str) -> Option<&'a Resource>,
    names: &mut Vec<Arc<str>>,
) {
    for resource in now {
        if !before(resource.name()).is_some_and(|before| before.is_same_as(resource)) {
            names.push(Arc::clone(resource.name()));
        }
    }
}

fn buckets_for(len: usize) -> usize {
    (len / BUCKET_RESOURCES).next_power_of_two().clamp(1, BUCKETS_MAX)
}

fn place_of(name: &str, buckets: usize) -> usize {
    // The mask of no bucket at all is all ones: the place of nothing is then beyond the end.
    let mask = (buckets as u64).wrapping_sub(1);
    usize::try_from(xxh64(name.as_bytes(), 0) & mask).unwrap_or(usize::MAX)
}

fn rebuild(buckets: &mut Vec<Bucket>, count: usize) {
    let mut maps: Vec<BTreeMap<Arc<str>, Resource>> = vec![BTreeMap::new(); count];
    for (name, resource) in buckets.iter().flat_map(|bucket| bucket.iter()) {
        maps[place_of(name, count)].insert(Arc::clone(name), resource.clone());
    }
    *buckets = maps.into_iter().map(Arc::new).collect();
}

#[cfg(test)]
mod tests;
