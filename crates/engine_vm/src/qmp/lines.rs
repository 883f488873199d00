//! Bytes to lines of bounded length.

/// The longest line that is accepted, in bytes. The answers to the commands in use are shorter than a hundredth of it.
pub(crate) const LONGEST: usize = 256 << 10;

/// A line is longer than [`LONGEST`].
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TooLong;

/// Bytes of which the lines have not been taken.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    bytes: Vec<u8>,
    /// The beginning of the next line.
    begin: usize,
    /// Up to here there is no end of that line.
    looked: usize,
}

impl Lines {
    /// Adds bytes as they came.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        if self.begin > 0 {
            self.bytes.drain(..self.begin);
            self.looked -= self.begin;
            self.begin = 0;
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// Takes the next whole line, without its end.
    ///
    /// # Errors
    /// The line is too long, whether or not its end is there.
    pub(crate) fn next(&mut self) -> Result<Option<&[u8]>, TooLong> {
        let end = self.bytes[self.looked..]
            .iter()
            .position(|byte| *byte == b'\n');
        let Some(end) = end.map(|end| self.looked + end) else {
            self.looked = self.bytes.len();
            let length = self.bytes.len() - self.begin;
            return if length > LONGEST {
                Err(TooLong)
            } else {
                Ok(None)
            };
        };
        let line = self.begin..end;
        self.begin = end + 1;
        self.looked = self.begin;
        if line.len() > LONGEST {
            return Err(TooLong);
        }
        let line = &self.bytes[line];
        Ok(Some(line.strip_suffix(b"\r").unwrap_or(line)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn lines_are_the_same_however_they_are_cut(
            lines in proptest::collection::vec("[a-z]{0,20}", 0..8),
            cuts in proptest::collection::vec(0_usize..200, 0..6),
        ) {
            let text: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(text.len())).collect();
            cuts.push(text.len());
            cuts.sort_unstable();
            let (mut taken, mut from, mut found) = (Lines::default(), 0, Vec::new());
            for cut in cuts {
                taken.push(&text.as_bytes()[from..cut]);
                from = cut;
                while let Some(line) = taken.next().unwrap() {
                    found.push(String::from_utf8(line.to_vec()).unwrap());
                }
            }
            prop_assert_eq!(found, lines);
        }
    }

    #[test]
    fn a_line_that_never_ends_is_refused() {
        let mut lines = Lines::default();
        lines.push(&vec![b'x'; LONGEST]);
        assert_eq!(lines.next(), Ok(None));
        lines.push(b"x");
        assert_eq!(lines.next(), Err(TooLong));
        let mut lines = Lines::default();
        lines.push(&vec![b'x'; LONGEST + 1]);
        lines.push(b"\n");
        assert_eq!(lines.next(), Err(TooLong));
    }
}
