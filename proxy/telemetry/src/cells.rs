//! What one worker counts for a listener, a route and a cluster, and what the process counts as a whole.
//!
//! Each field is one metric family: its documentation is the family's help, its name stands beside it. The structs are
//! aligned to two cache lines, so that no two workers write to one.

use crate::cell::Terms;
use crate::exposition::{Heading, Samples};

/// One metric family, read from cells of type `C`.
pub(crate) struct Family<C: 'static> {
    pub(crate) heading: Heading,
    /// The label of the cell itself, after those of `C`.
    pub(crate) label: Option<&'static str>,
    /// What that label can say, as far as it is known here.
    pub(crate) values: &'static [&'static str],
    /// Which of them are shown before they have counted anything; those beyond its end are not.
    pub(crate) from_zero: &'static [bool],
    /// False: the last to write a cell counts, so that it says nothing where several share it.
    pub(crate) adds_up: bool,
    /// Writes the samples of one label set: the cells of every worker, summed.
    pub(crate) write: fn(&[C], &mut Samples<'_>),
}

/// A struct of cells whose fields are metric families.
pub(crate) trait Cells: Sized + Send + Sync + 'static {
    /// The labels that tell one label set from another.
    const LABELS: &'static [&'static str];
    /// The families, in the order of the fields.
    const FAMILIES: &'static [Family<Self>];

    /// Cells that have counted nothing.
    fn new(terms: &Terms) -> Self;

    /// Has each of them count something.
    #[cfg(test)]
    fn touch(&self);
}

/// Declares structs of cells, with each field's documentation as its help text.
macro_rules! cells {
    ($($(#[$meta:meta])* pub struct $name:ident [$($label:literal),*] {
        $(#[doc = $help:literal] $field:ident: $kind:ty = $family:literal,)*
    })*) => {$(
        $(#[$meta])*
        #[derive(Debug)]
        #[repr(align(128))]
        pub struct $name { $(#[doc = $help] pub $field: $kind,)* }

        impl Cells for $name {
            const LABELS: &'static [&'static str] = &[$($label),*];
            const FAMILIES: &'static [Family<$name>] = &[$(Family {
                heading: Heading {
                    name: $family,
                    help: $help,
                    kind: <$kind as Series>::KIND,
                },
                label: <$kind as Series>::LABEL,
                values: <$kind as Series>::VALUES,
                from_zero: <$kind as Series>::FROM_ZERO,
                adds_up: <$kind as Series>::ADDS_UP,
                write: |workers, out| {
                    <$kind as Series>::write(workers, |cells: &$name| &cells.$field, out);
                },
            }),*];

            fn new(terms: &Terms) -> $name {
                $name { $($field: <$kind as Series>::new(terms)),* }
            }

            #[cfg(test)]
            fn touch(&self) {
                $(self.$field.touch();)*
            }
        }
    )*};
}

mod cluster;
mod direction;
mod health;
mod listener;
mod material;
mod policy;
mod process;
mod route;

pub use cluster::{AdaptiveCells, BreakerCells, ClusterCells, DiscoveryCells};
pub use direction::DirectionCells;
pub use health::HealthCells;
pub use listener::ListenerCells;
pub use material::{CertificateCells, RevocationListCells, TrustBundleCells};
pub use policy::{AuthorizationCells, KeySetCells, PolicyCells, RateLimitCells, SourceCells, TokenCells};
pub use process::{
    EventLoopCells, ExportCells, OverloadActionCells, PressureCells, ProcessMetrics, RemarkCells, WorkerCells,
};
pub use route::RouteCells;
