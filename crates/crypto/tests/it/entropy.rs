//! The source of all randomness.

use std::{
    io,
    path::PathBuf,
    sync::{Mutex, mpsc},
};

use writ_crypto::entropy::{Entropy, Fetch, Source, SourceStatus, State};
use writ_kernel::Chance as _;

fn external(fetch: impl Fn(&mut [u8]) -> io::Result<()> + Send + Sync + 'static) -> Source {
    Source::External { name: "qrng".to_owned(), fetch: Box::new(fetch) as Fetch }
}

/// Every byte value in turn: dull, but without repetition or lean.
fn even(bytes: &mut [u8]) {
    bytes.iter_mut().zip((0..=u8::MAX).cycle()).for_each(|(to, value)| *to = value);
}

fn draw(entropy: &Entropy) -> [u8; 32] {
    let mut bytes = [0; 32];
    entropy.fill(&mut bytes);
    bytes
}

fn only(entropy: &Entropy) -> SourceStatus {
    entropy.status().pop().expect("one source")
}

/// Draws until the source is seen to have failed, and says why.
fn failure(entropy: &Entropy) -> String {
    loop {
        if let State::Failed(reason) = only(entropy).state {
            return reason;
        }
        draw(entropy);
    }
}

#[test]
fn the_operating_system_alone_is_enough() {
    let entropy = Entropy::os();
    assert_ne!(draw(&entropy), draw(&entropy));
    assert!(entropy.status().is_empty());
}

#[test]
fn any_length_is_filled() {
    let entropy = Entropy::os();
    for length in [0, 1, 31, 8160, 8161, 100_000] {
        let mut bytes = vec![0; length];
        entropy.fill(&mut bytes);
        let tail = bytes.len().saturating_sub(64);
        assert!(length < 32 || bytes[tail..].iter().any(|byte| *byte != 0), "{length}");
    }
}

#[test]
fn a_good_source_contributes_32_bytes_to_a_fill() {
    let entropy = Entropy::new(vec![external(|bytes| {
        even(bytes);
        Ok(())
    })]);
    draw(&entropy);
    assert_eq!(only(&entropy), SourceStatus { name: "qrng".to_owned(), state: State::Active, bytes: 32 });
}

#[test]
fn a_source_that_always_says_the_same_does_not_make_output_repeat() {
    let entropy = || {
        Entropy::new(vec![external(|bytes| {
            even(bytes);
            Ok(())
        })])
    };
    assert_ne!(draw(&entropy()), draw(&entropy()));
}

#[test]
fn a_device_contributes() {
    let entropy =
        Entropy::new(vec![Source::Device { name: "os".to_owned(), path: PathBuf::from("/dev/urandom") }]);
    draw(&entropy);
    assert_eq!(only(&entropy), SourceStatus { name: "os".to_owned(), state: State::Active, bytes: 32 });
}

#[test]
fn a_device_that_is_missing_or_empty_is_dropped_and_says_so() {
    let device =
        |path: &str| Entropy::new(vec![Source::Device { name: "dev".to_owned(), path: path.into() }]);
    assert!(failure(&device("/nonexistent/qrng")).starts_with("it cannot be opened"));
    let stuck = device("/dev/null");
    assert!(failure(&stuck).starts_with("it cannot be read"));
    assert_ne!(draw(&stuck), draw(&stuck));
}

#[test]
fn a_stuck_device_is_dropped_and_says_so() {
    let entropy =
        Entropy::new(vec![Source::Device { name: "zero".to_owned(), path: PathBuf::from("/dev/zero") }]);
    assert_eq!(failure(&entropy), "it failed the repetition-count test");
    assert_eq!(only(&entropy).bytes, 0);
    assert_ne!(draw(&entropy), draw(&entropy));
}

#[test]
fn a_leaning_source_is_dropped_and_says_so() {
    // One byte in four is zero, never two in a row.
    let entropy = Entropy::new(vec![external(|bytes| {
        even(bytes);
        bytes.iter_mut().step_by(4).for_each(|byte| *byte = 0);
        Ok(())
    })]);
    assert_eq!(failure(&entropy), "it failed the adaptive-proportion test");
    assert_eq!(only(&entropy).bytes, 0);
}

/// Answers one read.
type Answer = fn(&mut [u8]);

/// A source that gives as many reads as are sent and then hangs; fails when the sender is gone.
fn metered() -> (mpsc::Sender<Answer>, Source) {
    let (sender, reads) = mpsc::channel::<Answer>();
    let reads = Mutex::new(reads);
    let source = external(move |bytes| {
        let read = reads.lock().unwrap().recv().map_err(|_| io::Error::other("unplugged"))?;
        read(bytes);
        Ok(())
    });
    (sender, source)
}

#[test]
fn a_source_that_begins_to_hang_starves_and_joins_again() {
    let (sender, source) = metered();
    sender.send(even).unwrap(); // for the start-up test
    sender.send(even).unwrap();
    let entropy = Entropy::new(vec![source]);
    while only(&entropy).bytes < 1024 {
        draw(&entropy);
    }
    draw(&entropy); // nothing is left, and this returns all the same
    assert_eq!(only(&entropy).state, State::Starved);
    sender.send(even).unwrap();
    while only(&entropy).bytes < 2048 {
        draw(&entropy);
    }
    assert_eq!(only(&entropy).state, State::Active);
}

#[test]
fn a_source_that_hangs_after_its_start_up_test_has_given_nothing_and_does_not_stop_the_house() {
    let (sender, source) = metered();
    sender.send(even).unwrap();
    let entropy = Entropy::new(vec![source]);
    assert_ne!(draw(&entropy), draw(&entropy));
    assert_eq!(only(&entropy), SourceStatus { name: "qrng".to_owned(), state: State::Starved, bytes: 0 });
}

#[test]
fn a_source_that_goes_bad_later_is_dropped_at_once_and_for_good() {
    let (sender, source) = metered();
    sender.send(even).unwrap();
    sender.send(even).unwrap();
    sender.send(|bytes| bytes.fill(7)).unwrap();
    sender.send(even).unwrap();
    let entropy = Entropy::new(vec![source]);
    assert_eq!(failure(&entropy), "it failed the repetition-count test");
    let used = only(&entropy).bytes;
    draw(&entropy);
    assert_eq!(only(&entropy).bytes, used);
}

#[test]
fn an_unplugged_source_says_why() {
    let (sender, source) = metered();
    sender.send(even).unwrap();
    drop(sender);
    assert_eq!(failure(&Entropy::new(vec![source])), "it cannot be read: unplugged");
}

#[test]
fn a_source_whose_reader_panics_is_dropped_and_says_so() {
    let entropy = Entropy::new(vec![external(|_| panic!("a bug in the reader"))]);
    assert_eq!(only(&entropy).state, State::Failed("reading it panicked".to_owned()));
    assert_ne!(draw(&entropy), draw(&entropy));
}

#[test]
fn one_bad_source_does_not_take_another_with_it() {
    let good = external(|bytes| {
        even(bytes);
        Ok(())
    });
    let bad = Source::Device { name: "zero".to_owned(), path: PathBuf::from("/dev/zero") };
    let entropy = Entropy::new(vec![bad, good]);
    draw(&entropy);
    let states: Vec<_> = entropy.status().into_iter().map(|status| status.state).collect();
    assert!(matches!(states[..], [State::Failed(_), State::Active]), "{states:?}");
}

#[test]
fn debug_output_shows_states_and_no_bytes() {
    let entropy =
        Entropy::new(vec![Source::Device { name: "zero".to_owned(), path: PathBuf::from("/dev/zero") }]);
    let text = format!("{entropy:?}");
    assert!(text.contains("repetition-count") && !text.contains("pool"), "{text}");
}
