//! The keys that detach: a sequence among what is typed. Pure.

/// A sequence of keys; empty for none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DetachKeys(Vec<u8>);

/// Reads a sequence such as `ctrl-p,ctrl-q` or `~,.`.
///
/// # Errors
/// It is none.
pub(crate) fn parse(text: &str) -> Result<DetachKeys, String> {
    let keys = match text {
        "" => Some(Vec::new()),
        text => text.split(',').map(key).collect(),
    };
    let expected = || {
        "expected keys such as ctrl-p,ctrl-q: each a character, or ctrl- and one of a-z @ [ \\ ] ^ _; or nothing"
            .to_owned()
    };
    keys.map(DetachKeys).ok_or_else(expected)
}

fn key(text: &str) -> Option<u8> {
    let (name, control) = match text.strip_prefix("ctrl-") {
        Some(name) => (name, true),
        None => (text, false),
    };
    let [byte] = *name.as_bytes() else {
        return None;
    };
    match (control, byte.to_ascii_uppercase()) {
        (true, upper @ b'@'..=b'_') => Some(upper & 0x1f),
        (false, _) if byte.is_ascii_graphic() || byte == b' ' => Some(byte),
        _ => None,
    }
}

/// Looks for the sequence in what is typed, in parts of any size.
#[derive(Debug)]
pub(super) struct Detector {
    keys: Vec<u8>,
    /// How many of them have been typed and are held back.
    typed: usize,
}

impl Detector {
    pub(super) fn new(keys: &DetachKeys) -> Self {
        Self {
            keys: keys.0.clone(),
            typed: 0,
        }
    }

    /// Appends to `passed` what is to be passed on of `bytes`; whether the sequence has been typed, behind which
    /// nothing is passed on.
    pub(super) fn feed(&mut self, bytes: &[u8], passed: &mut Vec<u8>) -> bool {
        for byte in bytes {
            while self.typed > 0 && self.keys.get(self.typed) != Some(byte) {
                self.hold_less(passed);
            }
            if self.keys.get(self.typed) != Some(byte) {
                passed.push(*byte);
                continue;
            }
            self.typed += 1;
            if self.typed == self.keys.len() {
                return true;
            }
        }
        false
    }

    /// Passes on as many of the keys held back as are no beginning of the sequence any more.
    fn hold_less(&mut self, passed: &mut Vec<u8>) {
        let held = &self.keys[..self.typed];
        let rest = (1..=held.len()).find(|begin| held.starts_with(&held[*begin..]));
        let begin = rest.unwrap_or(held.len());
        passed.extend_from_slice(&held[..begin]);
        self.typed -= begin;
    }

    /// Nothing more is typed: what is held back.
    pub(super) fn end(&mut self) -> Vec<u8> {
        let held = self.keys[..self.typed].to_vec();
        self.typed = 0;
        held
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn keys_are_read_as_they_are_called() {
        assert_eq!(parse("ctrl-p,ctrl-q"), Ok(DetachKeys(vec![0x10, 0x11])));
        assert_eq!(parse("~,."), Ok(DetachKeys(b"~.".to_vec())));
        assert_eq!(
            parse("ctrl-@,ctrl-],Q"),
            Ok(DetachKeys(vec![0, 0x1d, b'Q']))
        );
        assert_eq!(parse(""), Ok(DetachKeys(Vec::new())));
        for text in ["ctrl-", "ctrl-1", "pq", ",", "ctrl-pq", "\u{e4}", "a,,b"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_only_begins_the_sequence_is_passed_on() {
        let mut detector = Detector::new(&parse("a,a,b").unwrap());
        let mut passed = Vec::new();
        assert!(!detector.feed(b"xaac", &mut passed));
        assert_eq!(passed, b"xaac");
        assert!(detector.feed(b"aaab more", &mut passed));
        assert_eq!(passed, b"xaaca");
        let mut none = Detector::new(&parse("").unwrap());
        assert!(!none.feed(b"\x10\x11", &mut passed));
        assert_eq!(none.end(), b"");
    }

    proptest! {
        /// Whatever is typed, in whatever parts: all of it is passed on up to the first time the sequence is there.
        #[test]
        fn the_sequence_is_found_and_nothing_else_is_kept(
            keys in prop::collection::vec(b'a'..b'd', 1..4),
            typed in prop::collection::vec(b'a'..b'd', 0..40),
            cut in 0..40_usize,
        ) {
            let mut detector = Detector::new(&DetachKeys(keys.clone()));
            let (first, second) = typed.split_at(cut.min(typed.len()));
            let mut passed = Vec::new();
            let found = detector.feed(first, &mut passed) || detector.feed(second, &mut passed);
            let there = typed.windows(keys.len()).position(|window| window == keys);
            prop_assert_eq!(found, there.is_some());
            if !found {
                passed.extend(detector.end());
            }
            prop_assert_eq!(&passed, &typed[..there.unwrap_or(typed.len())]);
        }
    }
}
