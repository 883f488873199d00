//! Bytes to lines of bounded length.

/// The longest line that is taken, in bytes. Most answers are far shorter; those about disks grow with the number of
/// disks and with what their images hold.
pub(crate) const LONGEST: usize = 16 << 20;

/// Bytes of memory that are kept when no line is there.
const KEPT: usize = 64 << 10;

/// A line is longer than [`LONGEST`]. It is skipped up to its end.
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
    /// The line was too long already: the rest of it is skipped.
    skips: bool,
}

impl Lines {
    /// Adds bytes as they came.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        if self.begin > 0 {
            self.bytes.drain(..self.begin);
            self.looked -= self.begin;
            self.begin = 0;
            // A long line is over: most of what it needed is given back.
            self.bytes.shrink_to(KEPT);
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// Takes the next whole line, without its end.
    ///
    /// # Errors
    /// The line is too long, whether or not its end is there. This is told once for each such line.
    pub(crate) fn next(&mut self) -> Result<Option<&[u8]>, TooLong> {
        loop {
            let end = self.bytes[self.looked..]
                .iter()
                .position(|byte| *byte == b'\n');
            let Some(end) = end.map(|end| self.looked + end) else {
                return self.without_end();
            };
            let line = self.begin..end;
            self.begin = end + 1;
            self.looked = self.begin;
            if std::mem::take(&mut self.skips) {
                continue;
            }
            if line.len() > LONGEST {
                return Err(TooLong);
            }
            let line = &self.bytes[line];
            return Ok(Some(line.strip_suffix(b"\r").unwrap_or(line)));
        }
    }

    /// The line has not ended yet.
    fn without_end(&mut self) -> Result<Option<&[u8]>, TooLong> {
        self.looked = self.bytes.len();
        if self.skips {
            self.begin = self.looked;
        } else if self.looked - self.begin > LONGEST {
            self.begin = self.looked;
            self.skips = true;
            return Err(TooLong);
        }
        Ok(None)
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
    fn a_line_that_is_too_long_is_told_once_and_skipped() {
        let mut lines = Lines::default();
        lines.push(&vec![b'x'; LONGEST]);
        assert_eq!(lines.next(), Ok(None));
        lines.push(b"x");
        assert_eq!(lines.next(), Err(TooLong));
        for _ in 0..3 {
            lines.push(b"x");
            assert_eq!(lines.next(), Ok(None));
        }
        lines.push(b"x\nnext\n");
        assert_eq!(lines.next(), Ok(Some(&b"next"[..])));
        let mut lines = Lines::default();
        lines.push(&vec![b'x'; LONGEST + 1]);
        lines.push(b"\nnext\n");
        assert_eq!(lines.next(), Err(TooLong));
        assert_eq!(lines.next(), Ok(Some(&b"next"[..])));
        lines.push(b"");
        assert!(lines.bytes.capacity() <= KEPT);
    }
}
