use std::collections::BTreeMap;

use proptest::prelude::*;

use super::super::tests::resource;
use super::*;

const KIND: ResourceType = ResourceType::Cluster;

fn names(names: Vec<Arc<str>>) -> Vec<String> {
    let mut names: Vec<String> = names.iter().map(|name| name.to_string()).collect();
    names.sort();
    names
}

#[test]
fn an_empty_view_has_nothing() {
    let view = View::new(1, []);
    assert!(view.of(KIND).is_empty());
    assert!(view.of(KIND).find("a").is_none());
    assert!(view.differing(&View::default(), KIND).is_empty());
}

#[test]
fn the_difference_is_what_was_put_changed_or_removed() {
    let before = View::new(
        1,
        [
            resource(KIND, "a", "1"),
            resource(KIND, "b", "1"),
            resource(KIND, "c", "1"),
        ],
    );
    let changes = [
        Change::Put(resource(KIND, "a", "1")),
        Change::Put(resource(KIND, "b", "2")),
        Change::Remove(KIND, "c".into()),
        Change::Remove(KIND, "never".into()),
        Change::Put(resource(KIND, "d", "1")),
    ];
    let after = before.next(2, changes);
    assert_eq!((after.revision(), after.of(KIND).len()), (2, 3));
    assert_eq!(names(after.differing(&before, KIND)), ["b", "c", "d"]);
    assert!(after.differing(&before, ResourceType::Listener).is_empty());
}

#[test]
fn one_change_among_many_copies_one_bucket() {
    let before = View::new(
        1,
        (0..10_000).map(|number| resource(KIND, &format!("cluster-{number}"), "1")),
    );
    let after = before.next(2, [Change::Put(resource(KIND, "cluster-77", "2"))]);
    let (old, new) = (&before.of(KIND).buckets, &after.of(KIND).buckets);
    assert_eq!(old.len(), new.len());
    let copied = old
        .iter()
        .zip(new.iter())
        .filter(|(old, new)| !Arc::ptr_eq(old, new))
        .count();
    assert_eq!(copied, 1);
    assert!(old.iter().all(|bucket| bucket.len() < 4 * BUCKET_RESOURCES));
    assert_eq!(names(after.differing(&before, KIND)), ["cluster-77"]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// A set made by changes is the set made at once: same content, same digest, and the difference is what a
    /// comparison of maps says.
    #[test]
    fn changes_add_up(steps in prop::collection::vec((0..400_u32, 0..4_u32), 0..600), cut in 0..600_usize) {
        let mut map: BTreeMap<String, String> = BTreeMap::new();
        let mut view = View::default();
        let mut kept = (view.clone(), map.clone());
        for (place, (name, content)) in steps.into_iter().enumerate() {
            let name = format!("name-{name}");
            if content == 0 {
                map.remove(&name);
                view = view.next(1, [Change::Remove(KIND, name.into())]);
            } else {
                view = view.next(1, [Change::Put(resource(KIND, &name, &content.to_string()))]);
                map.insert(name, content.to_string());
            }
            if place == cut {
                kept = (view.clone(), map.clone());
            }
        }
        let at_once = View::new(1, map.iter().map(|(name, content)| resource(KIND, name, content)));
        prop_assert_eq!(at_once.of(KIND).digest(), view.of(KIND).digest());
        prop_assert_eq!(view.of(KIND).len(), map.len());
        prop_assert!(at_once.differing(&view, KIND).is_empty());
        let all = map.keys().chain(kept.1.keys());
        let mut differing: Vec<String> = all.filter(|name| map.get(*name) != kept.1.get(*name)).cloned().collect();
        differing.sort();
        differing.dedup();
        prop_assert_eq!(names(view.differing(&kept.0, KIND)), differing);
    }
}
