//! Health tests of noise sources: NIST SP 800-90B section 4.4, over samples of 8 bits.
//!
//! Cut-offs are for a claim of 4 bits of entropy in a byte, half of what a quantum generator promises, and a
//! false alarm once in 2^40 samples or windows: lenient to a good source, deaf to none that sticks or leans.

/// A sample repeated so often means the source is stuck: 1 + 40 / 4 (section 4.4.1).
const REPETITIONS: u32 = 11;

/// Samples in a window of the proportion test (section 4.4.2, non-binary).
const WINDOW: u32 = 512;

/// A window whose first sample occurs so often means the source leans:
/// 1 + critbinom(512, 2^-4, 1 - 2^-40) (section 4.4.2).
const PROPORTION: u32 = 78;

/// The continuous tests of one source.
#[derive(Debug, Default)]
pub(crate) struct Health {
    last: Option<u8>,
    repeated: u32,
    first: u8,
    seen: u32,
    matched: u32,
}

/// Which test failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The repetition-count test.
    Stuck,
    /// The adaptive-proportion test.
    Leaning,
}

impl Health {
    /// Tests the next samples, in order.
    pub(crate) fn test(&mut self, samples: &[u8]) -> Result<(), Failure> {
        samples.iter().try_for_each(|sample| {
            self.repetition(*sample)?;
            self.proportion(*sample)
        })
    }

    fn repetition(&mut self, sample: u8) -> Result<(), Failure> {
        self.repeated = if self.last == Some(sample) { self.repeated + 1 } else { 1 };
        self.last = Some(sample);
        if self.repeated >= REPETITIONS { Err(Failure::Stuck) } else { Ok(()) }
    }

    fn proportion(&mut self, sample: u8) -> Result<(), Failure> {
        if self.seen == 0 {
            (self.first, self.matched) = (sample, 0);
        }
        self.matched += u32::from(sample == self.first);
        self.seen = (self.seen + 1) % WINDOW;
        if self.matched >= PROPORTION { Err(Failure::Leaning) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every byte value in turn: no repetition, and each value twice in a window.
    fn even(samples: usize) -> Vec<u8> {
        (0..=u8::MAX).cycle().take(samples).collect()
    }

    #[test]
    fn an_even_source_passes() {
        assert_eq!(Health::default().test(&even(100_000)), Ok(()));
    }

    #[test]
    fn ten_repetitions_pass_and_eleven_fail() {
        assert_eq!(Health::default().test(&[7; 10]), Ok(()));
        assert_eq!(Health::default().test(&[7; 11]), Err(Failure::Stuck));
    }

    #[test]
    fn repetition_is_seen_across_reads() {
        let mut health = Health::default();
        assert_eq!(health.test(&[7; 6]), Ok(()));
        assert_eq!(health.test(&[7; 5]), Err(Failure::Stuck));
    }

    #[test]
    fn a_window_with_77_of_its_first_value_passes_and_with_78_fails() {
        let lean = |count: usize| {
            let others = (0..=u8::MAX).filter(|value| *value != 42).cycle();
            let mut window: Vec<u8> = others.take(512).collect();
            window.iter_mut().step_by(5).take(count).for_each(|sample| *sample = 42);
            window
        };
        assert_eq!(Health::default().test(&lean(77)), Ok(()));
        assert_eq!(Health::default().test(&lean(78)), Err(Failure::Leaning));
    }

    #[test]
    fn windows_are_judged_apart() {
        let mut samples = vec![];
        for window in 0..4_u8 {
            samples.extend(even(512).iter().map(|value| value.wrapping_add(window)));
        }
        assert_eq!(Health::default().test(&samples), Ok(()));
    }
}
