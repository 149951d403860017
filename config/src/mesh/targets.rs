//! Services where configuration documents have clusters.
//!
//! One rule for every object of the document: where it has `cluster`, a mesh has `service` and `port`; where it has
//! `weighted_clusters`, a mesh has `weighted_services`. The shapes say which objects these are, so that what comes to
//! them comes to meshes too.

use super::made;
use super::service::{Port, Service};
use super::view::Builder;
use crate::diagnostic::Span;
use crate::suggest::nearest;
use crate::yaml::reader::scalar_of;
use crate::yaml::shape::{Field, Kind, Shape, optional};
use crate::yaml::shapes::FORWARD;
use crate::yaml::tree::{Entry, Node, Value};
use std::borrow::Cow;
use std::sync::Arc;

const CLUSTER: &str = "cluster";
const SERVICE: &str = "service";
const PORT: &str = "port";
const SHARES: (&str, &str) = ("weighted_clusters", "weighted_services");

/// It names a cluster, and in a mesh a service.
fn has_target(shape: &Shape) -> bool {
    shape
        .field(CLUSTER)
        .is_some_and(|field| matches!(field.kind, Kind::Name))
}

/// The fields of an object in a mesh.
pub(crate) fn fields_in_mesh(shape: &'static Shape) -> Vec<Field> {
    let mut fields = Vec::new();
    for field in shape.fields {
        match field.name {
            CLUSTER if has_target(shape) => {
                let mut service = *field;
                service.name = SERVICE;
                service.about =
                    "A service, `NAMESPACE/NAME`; where routes belong to a service, that if not given.";
                fields.push(service);
                let number = Kind::Integer { min: 1, max: 65_535 };
                fields.push(optional(PORT, number, "Its port; its first if not given."));
            }
            name if name == SHARES.0 => {
                let mut shares = *field;
                shares.name = SHARES.1;
                shares.about = "Services with their shares.";
                fields.push(shares);
            }
            _ => fields.push(*field),
        }
    }
    fields
}

/// What an object in a mesh is called, and what it is for.
pub(crate) fn words_in_mesh(shape: &'static Shape) -> (Cow<'static, str>, Cow<'static, str>) {
    let (name, about) = (Cow::Borrowed(shape.name), Cow::Borrowed(shape.about));
    if !has_target(shape) {
        return (name, about);
    }
    let word = |text: Cow<'static, str>| text.replace(CLUSTER, SERVICE).into();
    (word(name), word(about))
}

/// What a field of an object is called in a mesh.
pub(crate) fn field_in_mesh(shape: &'static Shape, name: &'static str) -> &'static str {
    match name {
        CLUSTER if has_target(shape) => SERVICE,
        name if name == SHARES.0 => SHARES.1,
        _ => name,
    }
}

/// What it does not say may follow from where it stands.
pub(crate) fn is_completed(shape: &'static Shape) -> bool {
    std::ptr::eq(shape, &FORWARD)
}

/// Where requests go that name no service.
#[derive(Clone, Copy)]
pub(super) enum Own<'m> {
    /// Nowhere: they must.
    None,
    /// A port of a service.
    Port(&'m Service, &'m Port),
    /// The application, on a port.
    Application(&'m Port),
}

impl<'m> Builder<'m> {
    /// A value of a kind as the document has it: clusters in place of services. What it names becomes part of the view.
    pub(super) fn in_document(&mut self, node: &Arc<Node>, kind: &Kind, own: Own<'m>) -> Arc<Node> {
        match (kind, &node.value) {
            (Kind::Object(shape), Value::Map(_)) => self.object(node, shape, own),
            (Kind::List(of) | Kind::FilledList(of), Value::List(items)) => {
                let made: Vec<_> = items.iter().map(|item| self.in_document(item, of, own)).collect();
                if made.iter().zip(items).all(|(made, item)| Arc::ptr_eq(made, item)) {
                    return Arc::clone(node);
                }
                made::list(node.span, made)
            }
            (Kind::Either(kinds), _) => {
                let fits = |kind: &&Kind| {
                    matches!(
                        (kind, &node.value),
                        (Kind::Object(_), Value::Map(_))
                            | (Kind::List(_) | Kind::FilledList(_), Value::List(_))
                    )
                };
                match kinds.iter().find(fits) {
                    Some(kind) => self.in_document(node, kind, own),
                    None => Arc::clone(node),
                }
            }
            _ => Arc::clone(node),
        }
    }

    fn object(&mut self, node: &Arc<Node>, shape: &'static Shape, own: Own<'m>) -> Arc<Node> {
        let targeted = has_target(shape);
        let mut changed = false;
        let mut entries = Vec::new();
        for entry in made::entries_of(node) {
            if targeted && let Some(made) = self.target(node, entry, shape) {
                changed = true;
                entries.extend(made);
                continue;
            }
            let value = match shape.field(&entry.key) {
                Some(field) => self.in_document(&entry.value, &field.kind, own),
                None => Arc::clone(&entry.value),
            };
            changed |= !Arc::ptr_eq(&value, &entry.value);
            entries.push(Entry {
                value,
                ..made::again(entry)
            });
        }
        if shape.field(SHARES.0).is_some() {
            changed |= self.complete(node.span, &mut entries, shape, own);
        }
        match changed {
            true => made::map(node.span, entries),
            false => Arc::clone(node),
        }
    }

    /// What stands in the document for an entry that names a service; none if it is another.
    fn target(&mut self, object: &Arc<Node>, entry: &Entry, shape: &'static Shape) -> Option<Option<Entry>> {
        let key = entry.key.as_str();
        let placed = |key: &str, value| {
            Some(Entry {
                key: key.to_owned(),
                key_span: entry.key_span,
                value,
            })
        };
        let broken = || placed(CLUSTER, made::broken(entry.value.span));
        if key == SERVICE {
            let port = made::field(object, PORT);
            return Some(match self.named(&entry.value, port) {
                Some(cluster) => placed(CLUSTER, made::text(entry.value.span, cluster)),
                None => broken(),
            });
        }
        if key == PORT {
            if made::field(object, SERVICE).is_none() {
                self.reader.fault_with_help(
                    entry.key_span,
                    "`port` without `service`",
                    "say whose port it is",
                );
            }
            return Some(None);
        }
        let has_shares = shape.field(SHARES.0).is_some();
        if has_shares && key == SHARES.1 {
            let kind = shape.field(SHARES.0).expect("looked at above").kind;
            let value = self.in_document(&entry.value, &kind, Own::None);
            return Some(placed(SHARES.0, value));
        }
        if key == CLUSTER || key == SHARES.0 {
            let message = format!("`{key}` in a mesh, which has services");
            let help = match key {
                CLUSTER => format!("write `{SERVICE}`"),
                _ => format!("write `{}`", SHARES.1),
            };
            self.reader.fault_with_help(entry.key_span, message, help);
            return Some(broken());
        }
        if shape.field(key).is_some() {
            return None;
        }
        let words = [SERVICE, PORT, SHARES.1];
        let near = nearest(key, shape.field_names().chain(words)).filter(|near| words.contains(near))?;
        let message = format!("unknown field `{key}` in {}", words_in_mesh(shape).0);
        let help = format!("did you mean `{near}`?");
        self.reader.fault_with_help(entry.key_span, message, help);
        Some(broken())
    }

    /// Gives what sends to services what it does not say: its target, a route's timeout. True if that is anything.
    fn complete(
        &mut self,
        span: Span,
        entries: &mut Vec<Entry>,
        shape: &'static Shape,
        own: Own<'m>,
    ) -> bool {
        let before = entries.len();
        let has = |entries: &[Entry], name: &str| entries.iter().any(|entry| entry.key == name);
        if !has(entries, CLUSTER) && !has(entries, SHARES.0) {
            let target = match own {
                Own::None => {
                    let message = format!(
                        "one of `{SERVICE}` and `{}` is missing in {}",
                        SHARES.1, shape.name
                    );
                    self.reader.fault(span, message);
                    made::broken(span)
                }
                Own::Port(service, port) => {
                    let cluster = self.cluster(service, port, span);
                    made::text(span, cluster)
                }
                Own::Application(port) => made::text(span, application(port)),
            };
            entries.push(made::entry(CLUSTER, target));
        }
        if is_completed(shape) && !has(entries, "timeout") {
            match (own, &self.defaults().timeout) {
                // Callers' routes say how long they wait; a sidecar that cut this would contradict them.
                (Own::Application(_), _) => {
                    entries.push(made::entry("timeout", made::plain(span, "off")));
                }
                (_, Some(timeout)) => entries.push(made::entry("timeout", Arc::clone(timeout))),
                (_, None) => {}
            }
        }
        entries.len() > before
    }

    /// The cluster of a service that is named, and a port of it.
    fn named(&mut self, name: &Node, port: Option<&Arc<Node>>) -> Option<String> {
        let text = self.reader.name(name)?;
        let service = self.service(text.as_str(), name.span)?;
        let port = match port {
            None => service.ports.first()?,
            Some(node) => {
                let number = super::sidecar::port_number(&mut self.reader, node)?;
                super::check::port_of(&mut self.reader, service, number, node.span)?
            }
        };
        Some(self.cluster(service, port, name.span))
    }

    /// A service by its name, a fault if there is none.
    pub(super) fn service(&mut self, name: &str, span: Span) -> Option<&'m Service> {
        let found = self.looking.service(name);
        if found.is_none() {
            super::check::no_service(&mut self.reader, self.looking.mesh(), name, span);
        }
        found
    }
}

/// What the cluster of the application is called, on a port.
pub(super) fn application(port: &Port) -> String {
    format!("inbound/{}", port.name)
}

/// A text, if it is one.
pub(super) fn text_of(node: &Node) -> Option<&str> {
    scalar_of(node).map(|scalar| scalar.text.as_str())
}
