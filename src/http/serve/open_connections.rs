//! The connections of one listener, and which of them is closed when another needs its place.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::task::{AbortHandle, Id, JoinSet};

use super::activity::{Activity, Claim};

/// The connections that are open.
#[derive(Debug)]
pub(super) struct OpenConnections {
    /// How many there may be.
    bound: usize,
    tasks: JoinSet<()>,
    open: HashMap<Id, OpenConnection>,
}

#[derive(Debug)]
struct OpenConnection {
    activity: Arc<Activity>,
    task: AbortHandle,
}

impl OpenConnections {
    /// No connection yet, and at most `bound` at one time.
    pub(super) fn new(bound: usize) -> Self {
        Self { bound, tasks: JoinSet::new(), open: HashMap::new() }
    }

    /// Whether another connection may be opened. If not, one is closed for it, as far as one may be; there is room when
    /// [it has ended](Self::one_ended), and no sooner: until then its socket is open.
    pub(super) fn has_room(&mut self) -> bool {
        let has_room = self.tasks.len() < self.bound;
        let is_one_closing = self.tasks.len() > self.open.len();
        if !has_room && !is_one_closing {
            self.close_one();
        }
        has_room
    }

    /// Closes the connection that has been idle longest or, where none is idle, the one whose request's body has been on
    /// its way longest; where there is none either, the one whose client has read nothing of its answer longest.
    pub(super) fn close_one(&mut self) {
        loop {
            let claims =
                self.open.iter().filter_map(|(id, connection)| Some((connection.activity.claim()?, *id)));
            let Some((claim, id)) = claims.min_by_key(|(claim, _)| *claim) else { return };
            let connection = self.open.get(&id).expect("it was found there");
            if connection.activity.evict(claim) {
                connection.task.abort();
                self.open.remove(&id);
                match claim {
                    Claim::Idle(_) => {}
                    Claim::Receiving(_) => {
                        tracing::debug!("a connection whose request does not come was closed for another");
                    }
                    Claim::Stalled(_) => {
                        tracing::debug!("a connection whose client does not read was closed for another");
                    }
                }
                return;
            }
        }
    }

    /// Closes every connection whose client reads nothing of its answer.
    pub(super) fn close_stalled(&mut self) {
        self.open.retain(|_, connection| match connection.activity.claim() {
            Some(claim @ Claim::Stalled(_)) if connection.activity.evict(claim) => {
                connection.task.abort();
                false
            }
            _ => true,
        });
    }

    /// Runs a connection.
    pub(super) fn open(
        &mut self,
        activity: Arc<Activity>,
        connection: impl Future<Output = ()> + Send + 'static,
    ) {
        let task = self.tasks.spawn(connection);
        self.open.insert(task.id(), OpenConnection { activity, task });
    }

    /// Waits until one has ended, if there is one.
    pub(super) async fn one_ended(&mut self) -> Option<()> {
        let id = match self.tasks.join_next_with_id().await? {
            Ok((id, ())) => id,
            Err(error) => error.id(),
        };
        self.open.remove(&id);
        Some(())
    }

    /// Waits until all have ended.
    pub(super) async fn all_ended(&mut self) {
        while self.one_ended().await.is_some() {}
    }
}
