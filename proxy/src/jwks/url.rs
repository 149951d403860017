//! Keys from a URL, asked for again and again in the background.

use super::Shared;
use super::fetch::{Fetched, fetch};
use super::schedule::Schedule;
use super::standing::Standing;
use outrigger_config::model::{JwksUrl, Roots};
use outrigger_identity::{Material, RootSet};
use std::sync::Arc;
use tokio::sync::Notify;
use tokio::time::Instant;

/// Where keys are, and whom its server must prove to be.
pub(super) struct UrlSource {
    pub(super) settings: Box<JwksUrl>,
    /// What was read for the configuration that started it.
    pub(super) material: Arc<Material>,
    pub(super) shared: Arc<Shared>,
}

impl UrlSource {
    /// The authorities as they are now: those of the configuration in force, if it has them.
    fn roots(&self) -> Option<Arc<RootSet>> {
        let wanted = self.settings.roots();
        let published = self.shared.published.get().map(|published| published.load_full());
        published
            .and_then(|snapshot| roots_of(snapshot.material(), wanted))
            .or_else(|| roots_of(&self.material, wanted))
    }
}

fn roots_of(material: &Material, roots: &Roots) -> Option<Arc<RootSet>> {
    match roots {
        Roots::Bundle(name) => material.bundles().named(name).cloned(),
        roots => material.roots(roots).cloned(),
    }
}

/// Keeps keys fresh, for as long as it is polled.
pub(super) async fn keep(source: UrlSource, standing: Arc<Standing>) {
    let wanted = Arc::new(Notify::new());
    let tell = Arc::clone(&wanted);
    standing.cell().when_wanted(move || tell.notify_one());
    let settings = &source.settings;
    let mut schedule = Schedule::new(settings.refresh());
    loop {
        let fetched = fetch(settings, || source.roots()).await;
        let wait = match fetched {
            Ok(Fetched { keys, max_age }) => {
                standing.succeeded(keys);
                schedule.after_success(max_age, fastrand::f64())
            }
            Err(fault) => {
                standing.failed(&fault);
                schedule.after_failure(fastrand::f64())
            }
        };
        standing.waits(wait);
        let mut due = Instant::now() + wait;
        loop {
            tokio::select! {
                () = tokio::time::sleep_until(due) => break,
                () = wanted.notified() => {
                    let early = schedule.early(Instant::now().into_std());
                    due = due.min(early.into());
                }
            }
        }
    }
}
