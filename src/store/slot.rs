//! The store while it may still have to be opened: calls are answered before it is.

use std::sync::Arc;

use tokio::sync::watch;

use super::{Store, StoreError};

/// Where the store will be once it is open. Until then it says why it is not.
#[derive(Debug, Clone)]
pub struct StoreSlot(Arc<watch::Sender<Opening>>);

/// How opening the store goes.
#[derive(Debug, Clone)]
enum Opening {
    /// It is tried for the first time: usually a matter of milliseconds, worth waiting for.
    Begun,
    /// It has failed, and is tried again.
    Failed(String),
    Open(Arc<dyn Store>),
}

impl Default for StoreSlot {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(Opening::Begun)))
    }
}

impl StoreSlot {
    /// The store.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] while it is not open.
    pub fn get(&self) -> Result<Arc<dyn Store>, StoreError> {
        match &*self.0.borrow() {
            Opening::Open(store) => Ok(Arc::clone(store)),
            Opening::Begun => Err(StoreError::Unavailable("it is being opened".to_owned())),
            Opening::Failed(cause) => Err(StoreError::Unavailable(cause.clone())),
        }
    }

    /// The store, as soon as the first try to open it has come to an end.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] where it could not be opened.
    pub async fn opened(&self) -> Result<Arc<dyn Store>, StoreError> {
        // Its sender is here: it cannot be gone.
        let _ = self.0.subscribe().wait_for(|opening| !matches!(opening, Opening::Begun)).await;
        self.get()
    }

    /// Puts the open store in.
    pub fn fill(&self, store: Arc<dyn Store>) {
        self.0.send_replace(Opening::Open(store));
    }

    /// Says why the store could not be opened.
    pub fn blame(&self, error: &StoreError) {
        self.0.send_replace(Opening::Failed(error.to_string()));
    }
}
