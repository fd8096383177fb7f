//! `demo`: the daemon with a simulated Vonage beside it.

mod scene;

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde_json::Value;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::{Failure, clock, print, story};
use crate::domain::ids::ConversationId;
use crate::lifecycle;
use crate::simulator::{Call, Pace};
use scene::Scene;

/// How long after the last webhook everything must be stored.
const PATIENCE: Duration = Duration::from_secs(15);

/// How many calls there are at one time. Each goes no faster than the daemon looks, but waits for two seconds
/// at most: at 5 requests a second, the looks of many more would not all come in time.
const AT_ONCE: usize = 3;

/// How often the daemon is asked whether everything is stored.
const ASKED_EVERY: Duration = Duration::from_millis(50);

/// Run the daemon with a simulated Vonage beside it, and play calls.
#[derive(Debug, Args)]
pub(super) struct Demo {
    /// How many calls: the tutorial's (Alice calls, Bob is connected), and others of every kind.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    calls: u32,
    /// End after printing what was stored; fail if anything was not captured.
    #[arg(long)]
    exit: bool,
    /// Where configuration and store are put. Without it: a directory that is removed at the end.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

impl Demo {
    /// Plays, prints, and stays unless it was told to exit.
    pub(super) async fn run(self) -> Result<(), Failure> {
        let signal = lifecycle::stop_signal()?;
        let scene = Scene::set(self.dir).await?;
        let outcome = tokio::select! {
            outcome = perform(&scene, self.calls, self.exit) => outcome,
            () = signal => if self.exit { Err(Failure::Failed("interrupted".to_owned())) } else { Ok(()) },
        };
        let ended = scene.clear().await;
        outcome.and(ended)
    }
}

async fn perform(scene: &Scene, count: u32, exit: bool) -> Result<(), Failure> {
    scene.describe()?;
    let starting = clock().now();
    let others = (1..count).map(|number| Call::varied(number, starting));
    let calls: Vec<Call> = std::iter::once(Call::tutorial()).chain(others).collect();
    let ids: Vec<ConversationId> = calls.iter().flat_map(Call::conversations).collect();
    let accepted = play(scene, calls).await;
    let conversations = everything_stored(scene, &ids).await?;
    let tutorial = conversations.iter().find(|one| one["id"] == ids[0].as_str());
    print(&story::tell(tutorial.unwrap_or(&Value::Null)))?;
    if count > 1 {
        print(&format!("\n{}", story::summary(&conversations)))?;
    }
    let captured = conversations.iter().filter(|one| one["capture"]["state"] == "captured").count();
    if !accepted || captured < ids.len() {
        let all = ids.len();
        return Err(Failure::Failed(format!("{captured} of the calls' {all} conversations were captured")));
    }
    if !exit {
        scene.invite()?;
        std::future::pending::<()>().await;
    }
    Ok(())
}

/// Plays the calls, the tutorial's first and a few at a time, and tells whether the daemon took every webhook.
async fn play(scene: &Scene, calls: Vec<Call>) -> bool {
    let mut stage = JoinSet::new();
    let mut accepted = true;
    for call in calls {
        if stage.len() >= AT_ONCE {
            accepted &= stage.join_next().await.is_none_or(|played| played.unwrap_or(false));
        }
        let simulator = scene.simulator();
        stage.spawn(async move { simulator.play(&call, Pace::AfterEachLook).await.is_accepted() });
    }
    accepted & stage.join_all().await.into_iter().all(|accepted| accepted)
}

/// Asks the daemon for these conversations until each is over and seen, or until it has had time enough.
async fn everything_stored(scene: &Scene, ids: &[ConversationId]) -> Result<Vec<Value>, Failure> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let mut conversations = scene.conversations().await?;
        conversations.retain(|one| ids.iter().any(|id| one["id"] == id.as_str()));
        let is_settled = |one: &&Value| one["state"] == "ended" && one["capture"]["state"] != "pending";
        if conversations.iter().filter(is_settled).count() == ids.len() || Instant::now() > deadline {
            return Ok(conversations);
        }
        tokio::time::sleep(ASKED_EVERY).await;
    }
}
