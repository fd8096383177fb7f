//! The store while it may still have to be opened: calls are answered before it is.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::{Store, StoreError};

/// Where the store will be once it is open. Until then it says why it is not.
#[derive(Debug, Clone, Default)]
pub struct StoreSlot(Arc<Slot>);

#[derive(Debug, Default)]
struct Slot {
    store: OnceLock<Arc<dyn Store>>,
    /// Why it could not be opened. A std mutex: never held across an await.
    cause: Mutex<Option<String>>,
}

impl StoreSlot {
    /// A slot whose store is open.
    #[must_use]
    pub fn filled(store: Arc<dyn Store>) -> Self {
        let slot = Self::default();
        slot.fill(store);
        slot
    }

    /// The store.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] while it is not open.
    pub fn get(&self) -> Result<&Arc<dyn Store>, StoreError> {
        self.0.store.get().ok_or_else(|| StoreError::Unavailable(self.cause()))
    }

    /// Puts the open store in. Only the first stays.
    pub fn fill(&self, store: Arc<dyn Store>) {
        let _ = self.0.store.set(store);
    }

    /// Says why the store could not be opened yet.
    pub fn blame(&self, error: &StoreError) {
        *self.0.cause.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.to_string());
    }

    fn cause(&self) -> String {
        let cause = self.0.cause.lock().unwrap_or_else(PoisonError::into_inner);
        cause.clone().unwrap_or_else(|| "it is being opened".to_owned())
    }
}
