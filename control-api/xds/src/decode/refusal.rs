//! Why a resource is refused: every fault, by the path of its field.

use outrigger_config::Diagnostic;
use outrigger_config::document::Path;
use std::fmt;

/// Faults of one resource that are kept; the rest is counted. A NACK has to fit into a message.
const FAULTS_MAX: usize = 50;

/// One thing that is wrong with a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The field; empty: the resource as a whole.
    pub path: String,
    /// What is wrong.
    pub message: String,
    /// What to do about it, if that is known.
    pub help: Option<String>,
}

/// A resource that is refused, with every fault that was found. Never without one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The resource's name.
    pub resource: String,
    /// The faults.
    pub faults: Vec<Fault>,
}

impl Refusal {
    /// A refusal of the resource as a whole.
    pub fn whole(resource: &str, message: impl Into<String>) -> Refusal {
        Refusal {
            resource: resource.to_owned(),
            faults: vec![Fault {
                path: String::new(),
                message: message.into(),
                help: None,
            }],
        }
    }
    /// What the document's reader found; there is a fault among it.
    pub(crate) fn of<'d>(resource: &str, diagnostics: impl IntoIterator<Item = &'d Diagnostic>) -> Refusal {
        let mut refusals = Refusals::default();
        refusals.extend(diagnostics);
        refusals.into_refusal(resource)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)?;
        match &self.help {
            Some(help) => write!(f, " ({help})"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`: ", self.resource)?;
        for (index, fault) in self.faults.iter().enumerate() {
            let between = if index > 0 { "; " } else { "" };
            write!(f, "{between}{fault}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Refusal {}

/// Faults that are being gathered.
#[derive(Debug, Default)]
pub(crate) struct Refusals {
    faults: Vec<Fault>,
    more: usize,
}

impl Refusals {
    pub(crate) fn fault(&mut self, path: &Path, message: impl Into<String>) {
        self.add(path.to_string(), message.into(), None);
    }

    pub(crate) fn fault_with_help(
        &mut self,
        path: &Path,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.add(path.to_string(), message.into(), Some(help.into()));
    }

    /// Refuses a value of a field that is supported otherwise.
    pub(crate) fn unsupported(&mut self, path: &Path, what: impl fmt::Display) {
        self.fault(path, format!("{what} is not implemented"));
    }

    /// Refuses a field, if it is set.
    pub(crate) fn refuse_set(&mut self, path: &Path, field: &'static str, is_set: bool) {
        if is_set {
            self.fault(
                &path.field(field.trim_start_matches("r#")),
                "this field is not implemented",
            );
        }
    }

    /// Takes over what the document's reader found.
    pub(crate) fn extend<'d>(&mut self, diagnostics: impl IntoIterator<Item = &'d Diagnostic>) {
        for diagnostic in diagnostics {
            let path = diagnostic.path().unwrap_or_default().to_owned();
            let help = diagnostic.help().map(str::to_owned);
            self.add(path, Diagnostic::message(diagnostic).to_owned(), help);
        }
    }

    /// Takes over a fault of another refusal of the same resource.
    pub(crate) fn take_over(&mut self, fault: Fault) {
        self.add(fault.path, fault.message, fault.help);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.faults.is_empty()
    }

    /// The refusal of a resource; for where there is a fault.
    pub(crate) fn into_refusal(mut self, resource: &str) -> Refusal {
        if self.more > 0 {
            let message = format!("{} more faults are not shown", self.more);
            self.faults.push(Fault {
                path: String::new(),
                message,
                help: None,
            });
        }
        Refusal {
            resource: resource.to_owned(),
            faults: self.faults,
        }
    }

    fn add(&mut self, path: String, message: String, help: Option<String>) {
        match self.faults.len() < FAULTS_MAX {
            true => self.faults.push(Fault { path, message, help }),
            false => self.more += 1,
        }
    }
}
