//! One thing for each standard stream of a process.

use serde::{Deserialize, Serialize};

/// One `T` for each standard stream of a process: whether it is wanted, its port, a descriptor. All that goes over the
/// three goes in this order. Messages whose members have other names, or others beside them, have the three written
/// out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    default,
    bound(deserialize = "T: Default + Deserialize<'de>"),
    rename_all = "snake_case"
)]
pub struct Stdio<T> {
    /// Of standard input.
    pub stdin: T,
    /// Of standard output.
    pub stdout: T,
    /// Of standard error.
    pub stderr: T,
}

impl<T> Stdio<T> {
    /// The three by reference.
    #[must_use]
    pub const fn as_ref(&self) -> Stdio<&T> {
        Stdio {
            stdin: &self.stdin,
            stdout: &self.stdout,
            stderr: &self.stderr,
        }
    }

    /// The three, to be changed.
    #[must_use]
    pub const fn as_mut(&mut self) -> Stdio<&mut T> {
        Stdio {
            stdin: &mut self.stdin,
            stdout: &mut self.stdout,
            stderr: &mut self.stderr,
        }
    }

    /// Returns what `each` makes of the three.
    #[must_use]
    pub fn map<U>(self, mut each: impl FnMut(T) -> U) -> Stdio<U> {
        Stdio {
            stdin: each(self.stdin),
            stdout: each(self.stdout),
            stderr: each(self.stderr),
        }
    }

    /// Returns what `each` makes of the three. Ends at the first error.
    ///
    /// # Errors
    /// That of `each`.
    pub fn try_map<U, E>(self, mut each: impl FnMut(T) -> Result<U, E>) -> Result<Stdio<U>, E> {
        Ok(Stdio {
            stdin: each(self.stdin)?,
            stdout: each(self.stdout)?,
            stderr: each(self.stderr)?,
        })
    }

    /// Puts each of these beside that of `others`.
    #[must_use]
    pub fn zip<U>(self, others: Stdio<U>) -> Stdio<(T, U)> {
        Stdio {
            stdin: (self.stdin, others.stdin),
            stdout: (self.stdout, others.stdout),
            stderr: (self.stderr, others.stderr),
        }
    }

    /// The three in an array.
    #[must_use]
    pub fn into_array(self) -> [T; 3] {
        [self.stdin, self.stdout, self.stderr]
    }
}

impl Stdio<bool> {
    /// How many are set.
    #[must_use]
    pub fn count(self) -> usize {
        self.into_array().into_iter().filter(|set| *set).count()
    }

    /// Takes the next of `ends` for each stream that is set.
    #[must_use]
    pub fn take<E>(self, ends: impl IntoIterator<Item = E>) -> Stdio<Option<E>> {
        let mut ends = ends.into_iter();
        self.map(|set| if set { ends.next() } else { None })
    }
}

impl<T> Stdio<Option<T>> {
    /// Which of the three are there.
    #[must_use]
    pub fn present(&self) -> Stdio<bool> {
        self.as_ref().map(Option::is_some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTER: Stdio<bool> = Stdio {
        stdin: true,
        stdout: false,
        stderr: true,
    };

    #[test]
    fn each_stream_that_is_set_takes_the_next_end() {
        let taken = OUTER.take([7, 8, 9]);
        assert_eq!(taken.into_array(), [Some(7), None, Some(8)]);
        assert_eq!((taken.present(), OUTER.count()), (OUTER, 2));
        assert_eq!(OUTER.take([7]).into_array(), [Some(7), None, None]);
    }

    #[test]
    fn the_three_stay_in_their_order() {
        let mut numbers = Stdio::default().map(|()| 0);
        let mut next = 0;
        for number in numbers.as_mut().into_array() {
            next += 1;
            *number = next;
        }
        assert_eq!(numbers.into_array(), [1, 2, 3]);
        let pairs = numbers.zip(OUTER).into_array();
        assert_eq!(pairs, [(1, true), (2, false), (3, true)]);
        let stopped = numbers.try_map(|number| if number < 2 { Ok(number) } else { Err(number) });
        assert_eq!(stopped, Err(2));
    }

    #[test]
    fn a_member_that_is_missing_has_its_usual_value() {
        let read: Stdio<bool> = serde_json::from_str(r#"{"stderr":true,"stdin":true}"#).unwrap();
        assert_eq!(read, OUTER);
        let written = serde_json::to_string(&read).unwrap();
        assert_eq!(written, r#"{"stdin":true,"stdout":false,"stderr":true}"#);
    }
}
