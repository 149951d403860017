//! What one end wants of one type: names, or everything, or both.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::WILDCARD;

/// The names and the wildcard that are subscribed to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Interest {
    /// Everything that the server has for the node.
    pub(super) wildcard: bool,
    /// Resources by name; the wildcard is never among them.
    pub(super) names: BTreeSet<Arc<str>>,
}

/// What a request changed in an interest.
#[derive(Debug, Default)]
pub(super) struct Turn {
    /// Names newly asked for, or asked for again.
    pub(super) asked: Vec<Arc<str>>,
    /// Names that were wanted and are no longer.
    pub(super) dropped: Vec<Arc<str>>,
    /// The wildcard was asked for.
    pub(super) wildcard_asked: bool,
    /// The wildcard is no longer wanted.
    pub(super) wildcard_dropped: bool,
}

impl Interest {
    /// Whether a resource of this name is wanted.
    pub(super) fn wants(&self, name: &str) -> bool {
        self.wildcard || self.names.contains(name)
    }

    /// Whether nothing is wanted.
    pub(super) fn is_empty(&self) -> bool {
        !self.wildcard && self.names.is_empty()
    }

    /// Takes the whole list of a state of the world. Names that were wanted already are not asked for again.
    pub(super) fn replace(&mut self, wildcard: bool, names: &[String]) -> Turn {
        let listed = || names.iter().map(String::as_str).filter(|name| *name != WILDCARD);
        let mut turn = Turn {
            wildcard_asked: wildcard && !self.wildcard,
            wildcard_dropped: !wildcard && self.wildcard,
            ..Turn::default()
        };
        let kept: BTreeSet<&str> = listed().collect();
        turn.dropped = self
            .names
            .iter()
            .filter(|name| !kept.contains(&***name))
            .cloned()
            .collect();
        for name in &turn.dropped {
            self.names.remove(name);
        }
        for name in listed() {
            if !self.names.contains(name) {
                let name: Arc<str> = name.into();
                self.names.insert(Arc::clone(&name));
                turn.asked.push(name);
            }
        }
        self.wildcard = wildcard;
        turn
    }

    /// Takes the differences of a delta. A name asked for again is answered again (xDS protocol, "Subscribing to
    /// Resources"); one unsubscribed from that was never wanted is passed over.
    pub(super) fn change(&mut self, subscribe: &[String], unsubscribe: &[String]) -> Turn {
        let mut turn = Turn::default();
        for name in unsubscribe {
            if name == WILDCARD {
                turn.wildcard_dropped |= std::mem::take(&mut self.wildcard);
            } else if let Some(name) = self.names.take(name.as_str()) {
                turn.dropped.push(name);
            }
        }
        for name in subscribe {
            if name == WILDCARD {
                turn.wildcard_asked = true;
                turn.wildcard_dropped = false;
                self.wildcard = true;
            } else {
                let name = self
                    .names
                    .get(name.as_str())
                    .map_or_else(|| name.as_str().into(), Arc::clone);
                self.names.insert(Arc::clone(&name));
                turn.asked.push(name);
            }
        }
        turn.dropped.retain(|name| !self.names.contains(name));
        turn
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn a_whole_list_asks_for_what_is_new_and_drops_what_is_missing() {
        let mut interest = Interest::default();
        interest.replace(false, &names(&["a", "b"]));
        let turn = interest.replace(true, &names(&["*", "b", "c", "c"]));
        assert!(turn.wildcard_asked && !turn.wildcard_dropped);
        assert_eq!(turn.asked, ["c".into()]);
        assert_eq!(turn.dropped, ["a".into()]);
        assert!(interest.wants("anything") && !interest.names.contains("*"));
        assert!(interest.replace(false, &[]).wildcard_dropped);
        assert!(interest.is_empty());
    }

    #[test]
    fn differences_ask_again_for_what_is_named_again() {
        let mut interest = Interest::default();
        interest.change(&names(&["a"]), &[]);
        assert_eq!(interest.change(&names(&["a"]), &[]).asked, ["a".into()]);
        let turn = interest.change(&names(&["a"]), &names(&["a", "phantom"]));
        assert_eq!((turn.asked.len(), turn.dropped.len()), (1, 0));
        let turn = interest.change(&[], &names(&["a"]));
        assert_eq!(turn.dropped, ["a".into()]);
    }
}
