//! Where those who verify tokens find the keys that somebody else keeps fresh.

use super::key_set::KeySet;
use arc_swap::{ArcSwapOption, Guard};
use outrigger_config::model::{JwksSource, JwtProvider, Name};
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

/// The keys of one provider, as they are now. Readers take no lock, and never wait.
#[derive(Default)]
pub struct KeyCell {
    keys: ArcSwapOption<KeySet>,
    wanted: OnceLock<Box<dyn Fn() + Send + Sync>>,
}

impl fmt::Debug for KeyCell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("KeyCell").field(&*self.keys.load()).finish()
    }
}

impl KeyCell {
    /// The keys; none while their source has never answered.
    pub fn keys(&self) -> Guard<Option<Arc<KeySet>>> {
        self.keys.load()
    }

    /// The same, to be kept.
    pub fn keys_owned(&self) -> Option<Arc<KeySet>> {
        self.keys.load_full()
    }

    /// From now on these are the keys.
    pub fn set(&self, keys: Arc<KeySet>) {
        self.keys.store(Some(keys));
    }

    /// Says who is told when a token names a key that is not there; only the first to say so counts. It is called on the
    /// data path, and must neither block nor take long.
    pub fn when_wanted(&self, tell: impl Fn() + Send + Sync + 'static) {
        let _ = self.wanted.set(Box::new(tell));
    }

    /// A token names a key that is not there: a newer set may hold it.
    pub fn want_newer(&self) {
        if let Some(tell) = self.wanted.get() {
            tell();
        }
    }
}

/// All cells of a process, by provider and source. A cell is shared by whoever asks for the same, for as long as
/// somebody holds it: a configuration in force and the next one have the same cell where a provider's source stays, and
/// two where it changes.
#[derive(Debug, Clone, Default)]
pub struct KeyCells(Arc<Mutex<Cells>>);

type Cells = HashMap<Name, Vec<(JwksSource, Weak<KeyCell>)>>;

impl KeyCells {
    /// The cell of a provider's keys. It takes a lock: for those who apply configurations, not for those who verify.
    pub fn cell(&self, provider: &JwtProvider) -> Arc<KeyCell> {
        let mut cells = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        cells.retain(|_, cells| {
            cells.retain(|(_, cell)| cell.strong_count() > 0);
            !cells.is_empty()
        });
        let known = cells.entry(provider.name().clone()).or_default();
        let live = known
            .iter()
            .find(|(source, _)| source == provider.keys())
            .and_then(|(_, cell)| cell.upgrade());
        live.unwrap_or_else(|| {
            let cell = Arc::default();
            known.push((provider.keys().clone(), Arc::downgrade(&cell)));
            cell
        })
    }
}
