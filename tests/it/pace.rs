//! Turns under a rate: how many, and for whom first. Tokio's clock stands still and jumps.

use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use conversationd::domain::fetch::Urgency;
use conversationd::vonage::pace::Pace;
use futures_util::FutureExt;
use proptest::prelude::*;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

/// What the pace promises: no more than its limit in any stretch of time as long as this.
const WINDOW: Duration = Duration::from_millis(1_050);

const UNBROKEN: &str = "nobody panics with the lock";

fn pace(limit: u32) -> Arc<Pace> {
    Arc::new(Pace::new(NonZeroU32::new(limit).expect("a limit is not zero")))
}

/// Lets somebody ask for a turn and note its name when it comes.
struct Queue {
    pace: Arc<Pace>,
    served: Arc<Mutex<Vec<(&'static str, Instant)>>>,
    waiting: JoinSet<()>,
}

impl Queue {
    fn at(pace: &Arc<Pace>) -> Self {
        Self { pace: Arc::clone(pace), served: Arc::default(), waiting: JoinSet::new() }
    }

    /// Returns when `name` stands in the queue.
    async fn join(&mut self, name: &'static str, urgency: Urgency) -> tokio::task::AbortHandle {
        let (pace, served) = (Arc::clone(&self.pace), Arc::clone(&self.served));
        let handle = self.waiting.spawn(async move {
            pace.turn(urgency).await;
            served.lock().expect(UNBROKEN).push((name, Instant::now()));
        });
        tokio::task::yield_now().await;
        handle
    }

    async fn names(mut self) -> Vec<&'static str> {
        while self.waiting.join_next().await.is_some() {}
        let served = self.served.lock().expect(UNBROKEN);
        served.iter().map(|(name, _)| *name).collect()
    }
}

#[tokio::test(start_paused = true)]
async fn as_many_as_the_limit_go_at_once_and_no_more_in_a_window() {
    let pace = pace(3);
    let start = Instant::now();
    let mut given = Vec::new();
    for _ in 0..10 {
        pace.turn(Urgency::Changed).await;
        given.push(start.elapsed());
    }
    assert_eq!(given[2], Duration::ZERO);
    assert!(given[3] >= WINDOW && given[3] < WINDOW + Duration::from_millis(5), "{:?}", given[3]);
    for (earlier, later) in given.iter().zip(given.iter().skip(3)) {
        assert!(*later >= *earlier + WINDOW, "{given:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_free_turn_goes_to_the_most_urgent_and_then_to_the_first() {
    let pace = pace(1);
    pace.turn(Urgency::Poll).await;
    let mut queue = Queue::at(&pace);
    for (name, urgency) in [
        ("events", Urgency::Events),
        ("poll 1", Urgency::Poll),
        ("changed 1", Urgency::Changed),
        ("poll 2", Urgency::Poll),
        ("unseen", Urgency::Unseen),
        ("changed 2", Urgency::Changed),
        ("last", Urgency::Last),
    ] {
        queue.join(name, urgency).await;
    }
    let order = queue.names().await;
    assert_eq!(order, ["unseen", "last", "changed 1", "changed 2", "poll 1", "poll 2", "events"]);
}

#[tokio::test(start_paused = true)]
async fn who_comes_late_and_is_more_urgent_goes_first() {
    let pace = pace(1);
    pace.turn(Urgency::Poll).await;
    let mut queue = Queue::at(&pace);
    queue.join("poll", Urgency::Poll).await;
    sleep(WINDOW / 2).await;
    queue.join("unseen", Urgency::Unseen).await;
    assert_eq!(queue.names().await, ["unseen", "poll"]);
}

#[tokio::test(start_paused = true)]
async fn a_turn_that_nobody_waits_for_any_more_is_not_lost() {
    let pace = pace(1);
    let start = Instant::now();
    pace.turn(Urgency::Poll).await;
    let mut queue = Queue::at(&pace);
    let first = queue.join("first", Urgency::Unseen).await;
    queue.join("second", Urgency::Changed).await;
    queue.join("third", Urgency::Poll).await;
    first.abort();
    let served = Arc::clone(&queue.served);
    assert_eq!(queue.names().await, ["second", "third"]);
    let times: Vec<Duration> = served.lock().unwrap().iter().map(|(_, at)| *at - start).collect();
    // The one who left took no turn with it.
    assert!(times[0] < WINDOW + Duration::from_millis(5), "{times:?}");
    assert!(times[1] < WINDOW * 2 + Duration::from_millis(10), "{times:?}");
    let gave_up = timeout(Duration::from_millis(1), pace.turn(Urgency::Unseen)).await;
    assert!(gave_up.is_err());
    sleep(WINDOW).await;
    assert!(pace.turn(Urgency::Poll).now_or_never().is_some(), "who gave up waits no longer");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn whoever_asks_the_limit_is_kept(limit in 1_u32..4, asked in prop::collection::vec((0_u64..1500, 0_usize..5), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        let given = runtime.expect("a runtime can be had").block_on(async {
            let pace = pace(limit);
            let given: Arc<Mutex<Vec<Instant>>> = Arc::default();
            let mut tasks = JoinSet::new();
            for (pause, who) in asked {
                sleep(Duration::from_millis(pause)).await;
                let (pace, given) = (Arc::clone(&pace), Arc::clone(&given));
                tasks.spawn(async move {
                    match who {
                        0 => drop(pace.turn(Urgency::Events).await),
                        1 => drop(pace.turn(Urgency::Unseen).await),
                        2 => drop(pace.turn(Urgency::Poll).await),
                        3 => if timeout(Duration::from_millis(700), pace.turn(Urgency::Last)).await.is_err() { return },
                        _ => drop(pace.turn(Urgency::Changed).await),
                    }
                    given.lock().unwrap().push(Instant::now());
                });
            }
            while tasks.join_next().await.is_some() {}
            let mut given = given.lock().unwrap().clone();
            given.sort();
            given
        });
        for (earlier, later) in given.iter().zip(given.iter().skip(limit as usize)) {
            prop_assert!(*later - *earlier >= WINDOW);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn who_is_ready_has_taken_nothing_and_let_the_more_urgent_go() {
    let pace = pace(1);
    let start = Instant::now();
    pace.ready(Urgency::Poll).await;
    pace.ready(Urgency::Poll).await;
    pace.turn(Urgency::Poll).await;
    assert_eq!(start.elapsed(), Duration::ZERO);
    let mut queue = Queue::at(&pace);
    queue.join("look", Urgency::Last).await;
    pace.ready(Urgency::Changed).await;
    assert_eq!(start.elapsed(), WINDOW * 2);
    assert_eq!(queue.names().await, ["look"]);
}

#[tokio::test(start_paused = true)]
async fn a_turn_counts_from_when_its_request_begins() {
    let pace = pace(2);
    let start = Instant::now();
    let first = pace.turn(Urgency::Poll).await;
    let second = pace.turn(Urgency::Poll).await;
    sleep(WINDOW * 3).await;
    let mut queue = Queue::at(&pace);
    queue.join("third", Urgency::Poll).await;
    queue.join("fourth", Urgency::Poll).await;
    drop(first);
    sleep(WINDOW / 2).await;
    drop(second);
    let served = Arc::clone(&queue.served);
    assert_eq!(queue.names().await, ["third", "fourth"]);
    let times: Vec<Duration> = served.lock().unwrap().iter().map(|(_, at)| *at - start).collect();
    assert!(times[0] >= WINDOW * 4 && times[1] >= WINDOW * 9 / 2, "{times:?}");
    assert!(times[1] < WINDOW * 5, "{times:?}");
}
