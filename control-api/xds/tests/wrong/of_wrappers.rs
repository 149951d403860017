//! What is wrong before a message is read: types, names, bytes, versions of the schema.

use super::good::{BESIDE, Good, spoilt};
use super::node::Resource;
use crate::Wrong;
use envoy_types::pb::google::protobuf::{Any, Duration};
use outrigger_xds::resource::ResourceType;

type Edit = fn(&mut Resource);

fn body(resource: &mut Resource) -> &mut Any {
    resource.resource.as_mut().unwrap()
}

/// A field that no type has.
fn newer(resource: &mut Resource) {
    let bytes = &mut body(resource).value;
    prost::encoding::encode_key(9_000, prost::encoding::WireType::Varint, bytes);
    prost::encoding::encode_varint(1, bytes);
}

fn half(resource: &mut Resource) {
    let bytes = &mut body(resource).value;
    bytes.truncate(bytes.len() - 3);
}

pub(crate) fn all(good: &Good) -> Vec<Wrong> {
    use ResourceType::{Cluster, ClusterLoadAssignment, Listener, RouteConfiguration, Secret};
    let edits: [(&str, ResourceType, &str, Edit); 13] = [
        (
            "a listener of the type of a cluster",
            Listener,
            "its type is",
            |one| {
                body(one).type_url = Cluster.type_url().to_owned();
            },
        ),
        ("a type that nobody knows", Cluster, "its type is", |one| {
            body(one).type_url = "type.googleapis.com/example.Thing".to_owned();
        }),
        ("no type", RouteConfiguration, "its type is", |one| {
            body(one).type_url.clear()
        }),
        ("bytes that are no message", Cluster, "not a message", |one| {
            body(one).value = b"\xff\xff\xff".to_vec();
        }),
        ("half a listener", Listener, "not a message", half),
        ("half of endpoints", ClusterLoadAssignment, "not a message", half),
        (
            "another name outside than inside",
            Cluster,
            "calls itself \"web\"",
            |one| {
                one.name = "weeb".to_owned();
            },
        ),
        ("a listener with a newer field", Listener, "number 9000", newer),
        (
            "routes with a newer field",
            RouteConfiguration,
            "number 9000",
            newer,
        ),
        (
            "endpoints with a newer field",
            ClusterLoadAssignment,
            "number 9000",
            newer,
        ),
        ("a secret with a newer field", Secret, "number 9000", newer),
        ("a lifetime below nothing", Cluster, "`ttl`", |one| {
            one.ttl = Some(Duration {
                seconds: -1,
                nanos: 0,
            });
        }),
        ("other names", Cluster, "`aliases`", |one| {
            one.aliases = vec!["also".to_owned()]
        }),
    ];
    let wrong = |(what, resource_type, field, edit): (&'static str, ResourceType, &'static str, Edit)| {
        let mut resource = good
            .all(resource_type, "")
            .into_iter()
            .find(|one| one.name != BESIDE)
            .unwrap();
        let renamed = what.starts_with("another name");
        edit(&mut resource);
        Wrong {
            what,
            resource_type,
            resource,
            name: if renamed { "weeb" } else { spoilt(resource_type) },
            field,
        }
    };
    edits.into_iter().map(wrong).collect()
}
