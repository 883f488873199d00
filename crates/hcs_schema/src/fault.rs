//! Faults of a document: the place, the value found, the value expected.

use std::fmt::{self, Write as _};

use crate::{Failure, HResult, Record, failure::Cause, parse::Place};

/// The most faults of one report: a longer report would not help its reader.
pub const MOST_FAULTS: usize = 20;

/// Values and names are cut to about this many characters in messages.
const LONGEST_QUOTE: usize = 80;

/// Pointers are cut to about this many characters: a name in a hostile document may be as long as the document.
const LONGEST_POINTER: usize = 2048;

/// One step of a JSON pointer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PathSegment {
    Key(String),
    Index(usize),
}

/// Where a walk stands: a list on the stack, so that walking a valid document allocates nothing.
#[derive(Clone, Copy, Debug)]
pub struct Path<'a>(Option<(&'a Path<'a>, StepRef<'a>)>);

#[derive(Clone, Copy, Debug)]
enum StepRef<'a> {
    Key(&'a str),
    Index(usize),
}

impl<'a> Path<'a> {
    /// The whole document.
    pub const ROOT: Path<'static> = Path(None);

    /// The property `key` of the object here.
    #[must_use]
    pub fn key(&'a self, key: &'a str) -> Self {
        Self(Some((self, StepRef::Key(key))))
    }

    /// The item at `index` of the list here.
    #[must_use]
    pub fn index(&'a self, index: usize) -> Self {
        Self(Some((self, StepRef::Index(index))))
    }

    /// Its JSON pointer (RFC 6901).
    #[must_use]
    pub fn pointer(&self) -> String {
        pointer(&self.steps())
    }

    pub(crate) fn steps(&self) -> Vec<PathSegment> {
        let mut steps = Vec::new();
        let mut here = self;
        while let Some((parent, step)) = here.0 {
            steps.push(match step {
                StepRef::Key(key) => PathSegment::Key(key.to_owned()),
                StepRef::Index(index) => PathSegment::Index(index),
            });
            here = parent;
        }
        steps.reverse();
        steps
    }
}

/// The JSON pointer (RFC 6901) of `steps`; `""` is the whole document.
pub(crate) fn pointer(steps: &[PathSegment]) -> String {
    let mut text = String::new();
    for step in steps {
        text.push('/');
        match step {
            PathSegment::Key(key) => text.push_str(&key.replace('~', "~0").replace('/', "~1")),
            PathSegment::Index(index) => {
                let _ = write!(text, "{index}");
            }
        }
    }
    text
}

/// One fault.
#[derive(Clone, Debug)]
pub(crate) struct Fault {
    /// To the value at fault.
    pub(crate) steps: Vec<PathSegment>,
    /// Whether the property's name is at fault and not its value.
    pub(crate) at_name: bool,
    /// A sentence without the place and without a full stop.
    pub(crate) message: String,
    /// The expected value, in words.
    pub(crate) expected: String,
}

/// Faults gathered so far, never more than [`MOST_FAULTS`].
#[derive(Debug, Default)]
pub struct Faults(Vec<Fault>);

impl Faults {
    /// Whether no further fault would be reported.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.0.len() >= MOST_FAULTS
    }

    /// Notes a fault of the value at `path`: a sentence that names the expected value.
    pub fn value(
        &mut self,
        path: &Path<'_>,
        message: impl Into<String>,
        expected: impl Into<String>,
    ) {
        self.add(path, false, message.into(), expected.into());
    }

    /// Notes a fault of the name of the property at `path`: a sentence that names the expected value.
    pub fn name(
        &mut self,
        path: &Path<'_>,
        message: impl Into<String>,
        expected: impl Into<String>,
    ) {
        self.add(path, true, message.into(), expected.into());
    }

    /// Notes that the value at `path` breaks a rule: the value found, and the value expected.
    pub fn rule(&mut self, path: &Path<'_>, found: impl fmt::Display, expected: impl Into<String>) {
        let expected = expected.into();
        self.add(
            path,
            false,
            format!("{found}; expected {expected}"),
            expected,
        );
    }

    /// Notes that the value at `path` lacks the property `name`.
    pub fn missing(&mut self, path: &Path<'_>, name: &str) {
        let message = format!("the property {} is missing", quote(name));
        self.add(path, false, message, String::new());
    }

    fn add(&mut self, path: &Path<'_>, at_name: bool, message: String, expected: String) {
        if !self.is_full() {
            self.0.push(Fault {
                steps: path.steps(),
                at_name,
                message,
                expected,
            });
        }
    }

    /// The failure that reports them all, or `Ok` when there are none. `places` are those of the faults in their
    /// order; missing ones are left out of the report.
    pub(crate) fn into_result(
        self,
        document: &str,
        places: impl FnOnce(&[Fault]) -> Vec<Option<Place>>,
    ) -> Result<(), Failure> {
        if self.0.is_empty() {
            return Ok(());
        }
        let places = places(&self.0);
        let place = |index: usize| places.get(index).copied().flatten();
        let mut order: Vec<usize> = (0..self.0.len()).collect();
        order.sort_by_key(|index| place(*index));
        let faults = order.iter().map(|index| (&self.0[*index], place(*index)));
        let more = match self.0.len() {
            1 => String::new(),
            n if self.is_full() => format!(" (and at least {} more faults)", n - 1),
            n => format!(" (and {} more)", n - 1),
        };
        let causes = faults.map(|(fault, place)| fault.cause(place)).collect();
        Err(invalid(document, causes, &more))
    }
}

/// The failure of a whole document; its message tells the first cause.
fn invalid(document: &str, causes: Vec<Cause>, more: &str) -> Failure {
    let first = causes.first().map_or("", |cause| cause.message.as_str());
    let message = format!("the {document} document is invalid: {first}{more}");
    let record = format!("the {document} document is invalid");
    let mut failure = Failure::new(HResult::HCS_E_INVALID_JSON, message).on_record(record);
    failure.causes = causes;
    failure
}

impl Fault {
    /// The failure that reports this fault alone.
    pub(crate) fn into_failure(self, document: &str, place: Place) -> Failure {
        invalid(document, vec![self.cause(Some(place))], "")
    }

    fn cause(&self, place: Option<Place>) -> Cause {
        let mut data = Vec::new();
        if let Some(place) = place {
            data.push(place.to_string());
        }
        if !self.expected.is_empty() {
            data.push(format!("expected {}", self.expected));
        }
        let what = match self.at_name {
            true => "a property that is not known or not allowed here",
            false => "a value that is not allowed here",
        };
        let at = place.map_or_else(String::new, |place| format!("{place}: "));
        Cause {
            record: Record::of(format!("{at}{what}")),
            message: format!("{}{}", Where(&self.steps, place), self.message),
            pointer: Some(cut(&pointer(&self.steps), LONGEST_POINTER)),
            data,
        }
    }
}

/// `"/a/b (line 1, column 2): "`, with the parts that are known.
struct Where<'a>(&'a [PathSegment], Option<Place>);

impl fmt::Display for Where<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.0.is_empty() {
            f.write_str(&cut(&pointer(self.0), 4 * LONGEST_QUOTE))?;
        }
        match self.1 {
            Some(place) if self.0.is_empty() => write!(f, "{place}: "),
            Some(place) => write!(f, " ({place}): "),
            None if self.0.is_empty() => Ok(()),
            None => f.write_str(": "),
        }
    }
}

/// `text` in double quotes, with control characters escaped, cut where it is long.
#[must_use]
pub fn quote(text: &str) -> String {
    format!("{:?}", cut(text, LONGEST_QUOTE))
}

/// At most about `limit` characters of `text`.
pub(crate) fn cut(text: &str, limit: usize) -> String {
    match text.char_indices().nth(limit) {
        Some((end, _)) => format!("{}...", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}
