//! What a change touches: the namespaces whose editors may make it, or the mesh itself.
//!
//! Closed by default: what means something different counts by its own namespace, and a document whose text changed where
//! nothing in it means something different counts by all that is in it. What cannot be told is the mesh's.

use crate::access::Scope;
use crate::store::DocumentChange;
use outrigger_config::{Mesh, MeshChange};
use serde::Deserialize;
use serde::de::IgnoredAny;
use std::collections::BTreeSet;

/// The scope of a change; `changes` is none if the mesh before cannot be read.
pub(super) fn scope(changes: Option<&[MeshChange]>, documents: &[DocumentChange]) -> Scope {
    let Some(changes) = changes else {
        return Scope::Mesh;
    };
    if changes.iter().any(|change| change.namespaces.is_empty()) {
        return Scope::Mesh;
    }
    let mut touched: BTreeSet<String> = changes
        .iter()
        .flat_map(|change| change.namespaces.iter().cloned())
        .collect();
    let meant = touched.clone();
    for document in documents {
        let declared = declared_in(document);
        match declared {
            Some(declared) if !declared.is_disjoint(&meant) => {}
            Some(declared) if !declared.is_empty() => touched.extend(declared),
            _ => return Scope::Mesh,
        }
    }
    // Whoever has no namespace is nobody's.
    match touched.is_empty() || touched.contains("") {
        true => Scope::Mesh,
        false => Scope::Namespaces(touched),
    }
}

/// The namespaces of all that a document declares, before and after; none if that cannot be told.
fn declared_in(document: &DocumentChange) -> Option<BTreeSet<String>> {
    let mut declared = BTreeSet::new();
    for text in [&document.before, &document.after].into_iter().flatten() {
        let outline: Outline = serde_saphyr::from_str(text).ok()?;
        declared.extend(outline.namespaces());
    }
    Some(declared)
}

/// Of a mesh document, who is in it.
#[derive(Deserialize)]
struct Outline {
    #[serde(default)]
    services: Option<Vec<Named>>,
    #[serde(default)]
    gateways: Option<Vec<Named>>,
    #[serde(default)]
    nodes: Option<Vec<OfService>>,
    #[serde(default)]
    authorization_policies: Option<Vec<Named>>,
    #[serde(default)]
    jwt_providers: Option<Vec<Named>>,
    #[serde(default)]
    rate_limits: Option<Vec<Named>>,
    #[serde(default)]
    defaults: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

#[derive(Deserialize)]
struct OfService {
    service: String,
}

impl Outline {
    fn namespaces(self) -> impl Iterator<Item = String> {
        let named = [
            self.services,
            self.gateways,
            self.authorization_policies,
            self.jwt_providers,
            self.rate_limits,
        ];
        let named = named.into_iter().flatten().flatten().map(|named| named.name);
        let services = self.nodes.into_iter().flatten().map(|node| node.service);
        // The defaults are in no namespace.
        let defaults = self.defaults.map(|_| String::new());
        let of = |name: String| Mesh::namespace_of(&name).to_owned();
        named.chain(services).map(of).chain(defaults)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use outrigger_config::MeshChangeKind;

    fn document(before: Option<&str>, after: Option<&str>) -> DocumentChange {
        DocumentChange {
            name: "a".into(),
            before: before.map(Into::into),
            after: after.map(Into::into),
        }
    }

    fn change(name: &str) -> MeshChange {
        MeshChange {
            what: "service",
            name: name.into(),
            namespaces: vec![Mesh::namespace_of(name).into()],
            kind: MeshChangeKind::Added,
        }
    }

    fn namespaces(all: &[&str]) -> Scope {
        Scope::Namespaces(all.iter().map(|name| (*name).to_owned()).collect())
    }

    const SHOP: &str = "services: [{ name: shop/web }]";
    const BOTH: &str = "services: [{ name: shop/web }]\nnodes: [{ name: n, service: edge/public }]";

    #[test]
    fn what_changes_counts_by_its_namespace() {
        let added = [document(None, Some(SHOP))];
        assert_eq!(scope(Some(&[change("shop/web")]), &added), namespaces(&["shop"]));
        let two = [
            document(None, Some(SHOP)),
            document(None, Some("gateways: [{ name: edge/public }]")),
        ];
        let changes = [change("shop/web"), change("edge/public")];
        assert_eq!(scope(Some(&changes), &two), namespaces(&["edge", "shop"]));
        // A document of several namespaces may be changed for one of them.
        let shared = [document(Some(BOTH), Some(BOTH))];
        assert_eq!(scope(Some(&[change("shop/web")]), &shared), namespaces(&["shop"]));
    }

    #[test]
    fn a_text_that_means_the_same_counts_by_all_that_is_in_it() {
        let commented = format!("# hello\n{BOTH}");
        let same = [document(Some(BOTH), Some(&commented))];
        assert_eq!(scope(Some(&[]), &same), namespaces(&["edge", "shop"]));
        // Somebody else's document is not rewritten beside a change of one's own.
        let other = "services: [{ name: bank/vault }]";
        let beside = [
            document(None, Some(SHOP)),
            document(Some(other), Some(&format!("{other}\n"))),
        ];
        assert_eq!(
            scope(Some(&[change("shop/web")]), &beside),
            namespaces(&["bank", "shop"])
        );
    }

    #[test]
    fn what_cannot_be_told_is_the_mesh() {
        assert_eq!(scope(None, &[document(None, Some(SHOP))]), Scope::Mesh);
        assert_eq!(
            scope(Some(&[]), &[document(None, Some("# nothing"))]),
            Scope::Mesh
        );
        assert_eq!(scope(Some(&[]), &[document(None, Some("{"))]), Scope::Mesh);
        assert_eq!(
            scope(Some(&[]), &[document(Some("defaults: {}"), None)]),
            Scope::Mesh
        );
        assert_eq!(scope(Some(&[change("alone")]), &[]), Scope::Mesh);
        let defaults = MeshChange {
            what: "defaults",
            namespaces: Vec::new(),
            ..change("")
        };
        assert_eq!(scope(Some(&[change("shop/web"), defaults]), &[]), Scope::Mesh);
    }
}
