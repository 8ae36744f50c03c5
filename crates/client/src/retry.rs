//! When to try again.

use std::time::Duration;

use writ_kernel::Chance;

/// The first wait is at most this; each further one at most twice the one before.
const FIRST: Duration = Duration::from_millis(200);
/// No wait of our own is longer.
const LONGEST: Duration = Duration::from_secs(10);

/// How long to wait after the failed attempt number `attempt` (from 1): at least what the server `asked` for,
/// plus a random part so that clients do not return all at once. `None` when it asks for more than our `patience`.
pub(crate) fn wait(
    attempt: u32,
    asked: Option<Duration>,
    patience: Duration,
    chance: &dyn Chance,
) -> Option<Duration> {
    if asked.is_some_and(|asked| asked > patience) {
        return None;
    }
    let ceiling = FIRST.saturating_mul(2_u32.saturating_pow(attempt.saturating_sub(1))).min(LONGEST);
    let mut random = [0; 2];
    chance.fill(&mut random);
    let jitter = ceiling.mul_f64(f64::from(u16::from_le_bytes(random)) / f64::from(u16::MAX));
    Some(asked.unwrap_or_default() + jitter)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_mins(1);

    struct Always(u8);

    impl Chance for Always {
        fn fill(&self, bytes: &mut [u8]) {
            bytes.fill(self.0);
        }
    }

    #[test]
    fn the_ceiling_doubles_up_to_a_limit() {
        let longest = |attempt| wait(attempt, None, PATIENCE, &Always(0xff)).unwrap().as_millis();
        assert_eq!([1, 2, 3, 7, 99].map(longest), [200, 400, 800, 10_000, 10_000]);
    }

    #[test]
    fn chance_spreads_the_wait_from_zero() {
        assert_eq!(wait(3, None, PATIENCE, &Always(0)), Some(Duration::ZERO));
    }

    #[test]
    fn the_server_is_given_the_time_it_asks_for_within_reason() {
        let asked = Duration::from_secs(7);
        assert_eq!(wait(1, Some(asked), PATIENCE, &Always(0)), Some(asked));
        assert!(wait(1, Some(asked), PATIENCE, &Always(0xff)).unwrap() > asked);
        assert_eq!(wait(1, Some(Duration::from_hours(1)), PATIENCE, &Always(0)), None);
    }
}
