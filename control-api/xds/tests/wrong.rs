//! Fifty wrong versions of good resources, one after the other: each is refused by name and field, and changes nothing.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![allow(deprecated, reason = "messages are written out with fields of all ages")]

mod wrong {
    pub(crate) mod good;
    pub(crate) mod node;
    pub(crate) mod of_clusters;
    pub(crate) mod of_listeners;
    pub(crate) mod of_routes;
    pub(crate) mod of_secrets;
    pub(crate) mod of_wrappers;
}

use outrigger_xds::assembly::Standing;
use outrigger_xds::resource::ResourceType;
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;
use wrong::good::{BESIDE, Good};
use wrong::node::{Node, Resource};

/// What is wrong, and what has to be said about it.
pub(crate) struct Wrong {
    pub(crate) what: &'static str,
    pub(crate) resource_type: ResourceType,
    pub(crate) resource: Resource,
    /// The resource that is named, and the field; both as they stand in the error detail.
    pub(crate) name: &'static str,
    pub(crate) field: &'static str,
}

impl Wrong {
    /// The resource, in a version of its own.
    fn versioned(&self, version: &str) -> Resource {
        Resource {
            version: version.to_owned(),
            ..self.resource.clone()
        }
    }
}

#[test]
fn each_is_refused_by_name_and_field_and_what_was_good_stays() {
    let good = Good::new();
    let wrongs: Vec<Wrong> = [
        wrong::of_wrappers::all(&good),
        wrong::of_listeners::all(&good),
        wrong::of_routes::all(&good),
        wrong::of_clusters::all(&good),
        wrong::of_secrets::all(&good),
    ]
    .into_iter()
    .flatten()
    .collect();
    assert!(wrongs.len() >= 50, "{} are not fifty", wrongs.len());
    let mut node = Node::new();
    let first = node.begin(&good);
    let mut failures = String::new();
    for (number, wrong) in (0..).zip(&wrongs) {
        // Age is seen to grow.
        node.now += Duration::from_secs(1);
        if let Err(failure) = one(&mut node, &good, wrong, number, &first) {
            let _ = writeln!(failures, "{}: {failure}", wrong.what);
        }
    }
    assert!(failures.is_empty(), "\n{failures}");
    // Once the server behaves, everything of it is taken.
    let refusals = node.put_all(&good, "again");
    assert_eq!(refusals, Vec::<String>::new());
    assert!(
        node.assembly
            .standings()
            .all(|one| one.standing == Standing::InForce)
    );
}

fn one(node: &mut Node, good: &Good, wrong: &Wrong, number: u16, first: &First) -> Result<(), String> {
    let (bad, fine) = (format!("wrong-{number}"), format!("fine-{number}"));
    let beside = good.beside(wrong.resource_type, number + 1, &fine);
    let before = Arc::clone(node.assembly.in_force());
    let detail = node.put(wrong.resource_type, vec![wrong.versioned(&bad), beside]);
    let detail = detail.ok_or("it is taken")?;
    if !detail.contains(wrong.name) || !detail.contains(wrong.field) {
        return Err(format!(
            "{detail}\n    lacks `{}` or `{}`",
            wrong.name, wrong.field
        ));
    }
    let after = node.assembly.in_force();
    if first.of(after) != first.of(&before) {
        return Err("what is in force has changed".to_owned());
    }
    let standings: Vec<_> = node.assembly.standings().collect();
    let of = |name: &str| {
        let is_it = |one: &&outrigger_xds::assembly::ResourceStanding| {
            one.resource_type == wrong.resource_type && &*one.name == name
        };
        standings.iter().find(is_it)
    };
    let version = of(BESIDE).and_then(|one| one.in_force.as_ref().map(|(version, _)| version.to_string()));
    if version.as_deref() != Some(&fine) {
        return Err(format!(
            "the good resource beside it is not in force: {version:?}"
        ));
    }
    let Some(held) = of(&wrong.resource.name) else {
        return Ok(());
    };
    match (&held.in_force, &held.standing) {
        (Some((version, since)), _) if &**version == "first" => match *since == first.since() {
            true => Ok(()),
            false => Err("the age of what is in force began anew".to_owned()),
        },
        (None, Standing::Refused { version, .. }) if **version == *bad => Ok(()),
        other => Err(format!("it stands as {other:?}")),
    }
}

use wrong::node::First;
