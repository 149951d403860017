//! The operating system's roots.

use super::RootSet;
use crate::error::IdentityError;
use std::sync::{Arc, OnceLock};

/// The roots of the operating system, read once for the process; those that cannot be used are left out, and said so.
pub(crate) fn system_roots() -> Result<Arc<RootSet>, IdentityError> {
    static ROOTS: OnceLock<Result<Arc<RootSet>, Option<String>>> = OnceLock::new();
    let roots = ROOTS.get_or_init(|| {
        let loaded = rustls_native_certs::load_native_certs();
        let problem = loaded.errors.first().map(ToString::to_string);
        if let Some(problem) = &problem {
            let problems = loaded.errors.len();
            tracing::warn!(problems, first = %problem, "some of the operating system's roots cannot be read");
        }
        // A store of the system's may hold what no verifier takes: one such certificate must not take all away.
        let usable: Vec<_> = loaded
            .certs
            .into_iter()
            .filter(|certificate| RootSet::new(vec![certificate.clone()]).is_ok())
            .collect();
        RootSet::new(usable).map(Arc::new).map_err(|_| problem)
    });
    match roots {
        Ok(roots) => Ok(Arc::clone(roots)),
        Err(problem) => Err(IdentityError::NoSystemRoots {
            problem: problem.clone(),
        }),
    }
}
