//! How long a failing look is left alone.

use conversationd::domain::fetch::backoff;
use jiff::SignedDuration;
use proptest::prelude::*;

#[test]
fn the_pause_begins_at_a_tenth_of_a_second_and_doubles_up_to_half_a_minute() {
    let pauses: Vec<i128> = (1..=12).map(|failures| backoff(failures, 0.0).as_millis()).collect();
    assert_eq!(pauses, [100, 200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 30_000, 30_000, 30_000]);
    assert_eq!(backoff(u32::MAX, 0.0), SignedDuration::from_secs(30));
    assert_eq!(backoff(0, 0.0), SignedDuration::from_millis(100));
}

#[test]
fn jitter_takes_away_up_to_half() {
    assert_eq!(backoff(1, 1.0), SignedDuration::from_millis(50));
    assert_eq!(backoff(1, 0.5), SignedDuration::from_millis(75));
    assert_eq!(backoff(40, 1.0), SignedDuration::from_secs(15));
    assert_eq!(backoff(1, -3.0), backoff(1, 0.0));
    assert_eq!(backoff(1, 7.0), backoff(1, 1.0));
}

proptest! {
    #[test]
    fn a_pause_is_never_shorter_than_50_ms_nor_longer_than_30_s(failures: u32, jitter in -1.0..2.0) {
        let pause = backoff(failures, jitter);
        prop_assert!(pause >= SignedDuration::from_millis(50), "{pause}");
        prop_assert!(pause <= SignedDuration::from_secs(30), "{pause}");
    }

    #[test]
    fn one_more_failure_never_shortens_the_pause(failures in 0_u32..100, jitter in 0.0..=1.0) {
        prop_assert!(backoff(failures, jitter) <= backoff(failures + 1, jitter));
    }

    #[test]
    fn more_jitter_never_lengthens_the_pause(failures in 0_u32..100, less in 0.0..=1.0, more in 0.0..=1.0_f64) {
        let (less, more) = if less <= more { (less, more) } else { (more, less) };
        prop_assert!(backoff(failures, more) <= backoff(failures, less));
    }
}
