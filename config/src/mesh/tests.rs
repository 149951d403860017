//! Meshes, from their documents to what nodes are told.

mod after;
mod changes;
mod faults;
mod random;
mod views;

use super::{Mesh, NodeRole, View, load_mesh, load_mesh_after};
use crate::{Diagnostics, Environment, Source, to_yaml};
use std::path::Path;
use std::sync::Arc;

fn source(name: &str, text: &str) -> Source {
    Source {
        name: name.into(),
        text: text.into(),
    }
}

/// Reads a mesh of one document.
fn read(text: &str) -> Result<Mesh, Diagnostics> {
    load_mesh(&[source("mesh.yaml", text)], &Environment::empty())
}

#[track_caller]
fn mesh(text: &str) -> Mesh {
    let mesh = read(text).unwrap_or_else(|faults| panic!("{faults}"));
    let warnings = mesh
        .validate(std::time::SystemTime::now())
        .unwrap_or_else(|faults| panic!("{faults}"));
    assert!(warnings.is_empty(), "{}", warnings[0]);
    mesh
}

fn sidecar(service: &str) -> NodeRole {
    NodeRole::Sidecar {
        service: service.into(),
        node: None,
    }
}

#[track_caller]
fn view(mesh: &Mesh, role: &NodeRole) -> Arc<View> {
    mesh.view(role).unwrap_or_else(|faults| panic!("{faults}"))
}

/// A view as a document.
#[track_caller]
fn shown(mesh: &Mesh, role: &NodeRole) -> String {
    to_yaml(&view(mesh, role).config)
}

/// The example of the guide.
fn example() -> Mesh {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/mesh");
    let mut files: Vec<_> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    let sources: Vec<Source> = files
        .iter()
        .map(|file| {
            source(
                &file.display().to_string(),
                &std::fs::read_to_string(file).unwrap(),
            )
        })
        .collect();
    load_mesh(&sources, &Environment::empty()).unwrap_or_else(|faults| panic!("{faults}"))
}
