//! A document and the variables that its text may name.

use std::collections::{BTreeMap, HashMap};

/// A document to load.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The file name that diagnostics show. Relative file names in the document are taken from its directory.
    pub name: String,
    /// The YAML text.
    pub text: String,
}

/// Where `${VAR}` in a document is looked up.
#[derive(Debug, Clone)]
pub struct Environment(Variables);

#[derive(Debug, Clone)]
enum Variables {
    Process,
    Map(BTreeMap<String, String>),
}

impl Environment {
    /// The variables of this process, read when they are asked for.
    pub fn process() -> Environment {
        Environment(Variables::Process)
    }
    /// No variables.
    pub fn empty() -> Environment {
        Environment(Variables::Map(BTreeMap::new()))
    }
    /// The variable's value; none if it is not set, or not UTF-8.
    pub(crate) fn variable(&self, name: &str) -> Option<String> {
        match &self.0 {
            Variables::Process => std::env::var(name).ok(),
            Variables::Map(map) => map.get(name).cloned(),
        }
    }
    /// The names that a suggestion may come from; the process's own are not listed, they may tell too much.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        match &self.0 {
            Variables::Process => None,
            Variables::Map(map) => Some(map.keys().map(String::as_str)),
        }
        .into_iter()
        .flatten()
    }
}

impl From<BTreeMap<String, String>> for Environment {
    fn from(map: BTreeMap<String, String>) -> Environment {
        Environment(Variables::Map(map))
    }
}

impl From<HashMap<String, String>> for Environment {
    fn from(map: HashMap<String, String>) -> Environment {
        Environment(Variables::Map(map.into_iter().collect()))
    }
}
