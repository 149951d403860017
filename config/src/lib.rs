//! The policy model of Outrigger and its YAML front.
//!
//! [`model`] holds checked, immutable values: the only meaning of policy. [`load()`] makes them from YAML, or reports
//! everything that is wrong with it at once; [`document`] is for other fronts, [`load_mesh`] for whole meshes, [`load_mesh_after`] for the next of one; [`to_yaml`] writes them out with every default in place; [`difference()`]
//! says what a new configuration changes, and [`reuse`] keeps what it does not. This crate reads no socket, starts no
//! task, speaks no TLS and no protobuf; the only file it reads is the document itself, never one that it names.

mod diagnostic;
mod difference;
pub mod document;
mod load;
mod mesh;
pub mod model;
pub mod receipt;
mod source;
mod suggest;
mod timestamp;
mod yaml;

pub use diagnostic::{Diagnostic, Diagnostics, Severity};
pub use difference::{Changes, Difference, difference, reuse};
pub use load::{LoadError, Loaded, load, load_file};
pub use mesh::{Mesh, MeshChange, MeshChangeKind, MeshWork, NodeRole, View, load_mesh, load_mesh_after};
pub use model::MeshConfig;
pub use source::{Environment, Source};
pub use timestamp::{Timestamp, TimestampFault};
pub use yaml::schema::{json_schema, mesh_json_schema};
pub use yaml::write::{to_json, to_yaml};
