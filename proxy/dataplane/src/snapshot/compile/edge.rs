//! Edge policy of virtual hosts: pages are read from their files, whose contents decide whether anything changed.

use super::*;
use bytes::Bytes;
use outrigger_config::model::defaults::PAGE_BYTES_MAX;
use outrigger_config::model::{Page, PageBody, VirtualHost};
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// The edge policy of a virtual host; none if it has none. `before`: that of the same host, unchanged, in the snapshot
/// before, which is kept if the files of its pages are as they were.
pub(super) fn edge(
    host: &VirtualHost,
    before: Option<&VirtualHostPolicy>,
    faults: &mut Vec<CompileFault>,
) -> Option<Arc<EdgePolicy>> {
    if let Some(before) = before
        && !reads_files(host)
    {
        return before.edge.clone();
    }
    let has_none = host.https_redirect().is_none()
        && host.hsts().is_none()
        && host.maintenance().is_none()
        && host.error_pages().is_empty();
    if has_none {
        return None;
    }
    let mut fault = |message: String| {
        faults.push(CompileFault {
            origin: host.origin().clone(),
            message: format!("virtual host `{}`: {message}", host.name()),
        });
    };
    let maintenance = host.maintenance().as_ref().and_then(|config| {
        Some(MaintenancePolicy {
            config: config.clone(),
            page: page(config.page(), &mut fault)?,
        })
    });
    let mut error_pages = Vec::new();
    for config in host.error_pages() {
        if let Some(page) = page(config.page(), &mut fault) {
            let page = Arc::new(page);
            error_pages.extend(
                config
                    .statuses()
                    .iter()
                    .map(|status| (*status, Arc::clone(&page))),
            );
        }
    }
    let edge = EdgePolicy {
        https_redirect: host.https_redirect().clone(),
        hsts: host.hsts().as_ref().map(outrigger_traffic::edge::hsts_value),
        maintenance,
        error_pages,
    };
    match before.and_then(|before| before.edge.as_ref()) {
        Some(before) if **before == edge => Some(Arc::clone(before)),
        _ => Some(Arc::new(edge)),
    }
}

/// True if the host has pages whose contents may change without the configuration.
pub(super) fn reads_files(host: &VirtualHost) -> bool {
    let maintenance = host.maintenance().iter().map(|maintenance| maintenance.page());
    let errors = host.error_pages().iter().map(|error| error.page());
    maintenance
        .chain(errors)
        .any(|page| matches!(page.body(), PageBody::File(_)))
}

fn page(config: &Page, fault: &mut impl FnMut(String)) -> Option<PagePolicy> {
    let body = match config.body() {
        PageBody::Inline(text) => Bytes::copy_from_slice(text.as_bytes()),
        PageBody::File(path) => match read(path) {
            Ok(contents) => contents,
            Err(error) => {
                fault(format!("page {}: {error}", path.display()));
                return None;
            }
        },
    };
    Some(PagePolicy {
        status: config.status(),
        content_type: config.content_type().clone(),
        body,
    })
}

/// Reads a page. Blocking: for the thread that applies configurations.
fn read(path: &Path) -> std::io::Result<Bytes> {
    let mut contents = Vec::new();
    File::open(path)?
        .take(PAGE_BYTES_MAX as u64 + 1)
        .read_to_end(&mut contents)?;
    if contents.len() > PAGE_BYTES_MAX {
        let error = format!("it is longer than {PAGE_BYTES_MAX} bytes");
        return Err(std::io::Error::other(error));
    }
    Ok(contents.into())
}
