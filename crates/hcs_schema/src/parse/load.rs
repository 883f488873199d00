//! Text to JSON under limits, refusing names that are given twice.
//!
//! serde_json parses; the visitor here builds the value, counts depth and compares names. On an error each level adds
//! its own step to the path on the way out. So a fault has its JSON pointer and a valid document pays nothing for it.

use std::{cell::RefCell, fmt};

use serde::de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value, error::Category};

use crate::{
    Failure,
    fault::{Fault, PathSegment, quote},
    parse::{Place, place},
};

/// Longest document, in bytes.
pub const MAX_BYTES: usize = 4 << 20;

/// Deepest nesting of objects and arrays.
pub const MAX_DEPTH: usize = 64;

/// Parses `text`; `document` names the document in messages.
pub(super) fn load(document: &str, text: &str) -> Result<Value, Failure> {
    let whole = |message: String| {
        let fault = Fault {
            steps: Vec::new(),
            at_name: false,
            message,
            expected: String::new(),
        };
        fault.into_failure(document, Place::START)
    };
    if text.len() > MAX_BYTES {
        let length = text.len();
        return Err(whole(format!(
            "it is {length} bytes long where at most {MAX_BYTES} are allowed"
        )));
    }
    if text.trim().is_empty() {
        return Err(whole(
            "it is empty where a JSON object is expected".to_owned(),
        ));
    }
    let trace = RefCell::new(Trace::default());
    let seed = Seed {
        depth: 0,
        trace: &trace,
    };
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let result = seed
        .deserialize(&mut deserializer)
        .and_then(|value| deserializer.end().map(|()| value));
    result.map_err(|error| {
        let mut trace = trace.into_inner();
        trace.steps.reverse();
        let place = trace.place(text, &error);
        let Trace { steps, at_name } = trace;
        let fault = Fault {
            steps,
            at_name,
            message: describe(text, &error),
            expected: String::new(),
        };
        fault.into_failure(document, place)
    })
}

/// Where an error happened, gathered from the innermost level outwards.
#[derive(Default)]
struct Trace {
    steps: Vec<PathSegment>,
    at_name: bool,
}

impl Trace {
    /// serde_json tells the place of a mistake in its grammar; for our own errors it is where it stopped reading, so
    /// these are looked up by their pointer.
    fn place(&self, text: &str, error: &serde_json::Error) -> Place {
        let find = || {
            place::find(text, &[(&self.steps, self.at_name)])
                .pop()
                .flatten()
        };
        let found = if error.is_data() { find() } else { None };
        found.unwrap_or_else(|| Place::of_error(text, error))
    }
}

/// Returns the fault without serde_json's own " at line 1 column 2", in words for readers who do not know its grammar.
fn describe(text: &str, error: &serde_json::Error) -> String {
    // No JSON text may hold U+0000, and the C library puts it where UTF-16 is broken.
    if error.is_syntax() && text.contains('\0') {
        return "this is not JSON: it holds U+0000, or, as UTF-16, a surrogate without its pair"
            .to_owned();
    }
    let told = error.to_string();
    let end = format!(" at line {} column {}", error.line(), error.column());
    let told = told.strip_suffix(&end).unwrap_or(&told);
    let plain = match told {
        "expected value" | "expected ident" => "a value is expected",
        "key must be a string" => "a name in double quotes is expected",
        "trailing comma" => "a comma has nothing behind it",
        "trailing characters" => "there is more text behind the end",
        "EOF while parsing a value" => "a value is missing",
        "EOF while parsing an object" => "an object is not closed",
        "EOF while parsing a list" => "an array is not closed",
        "EOF while parsing a string" => "a string is not closed",
        other => other,
    };
    match error.classify() {
        Category::Syntax => format!("this is not JSON: {plain}"),
        Category::Eof => format!("the text ends too early: {plain}"),
        Category::Data | Category::Io => plain.to_owned(),
    }
}

/// Builds one value, `depth` objects and arrays deep.
#[derive(Clone, Copy)]
struct Seed<'p> {
    depth: usize,
    trace: &'p RefCell<Trace>,
}

impl Seed<'_> {
    fn deeper<E: serde::de::Error>(self) -> Result<Self, E> {
        if self.depth == MAX_DEPTH {
            return Err(E::custom(format_args!(
                "objects and arrays are nested deeper than the {MAX_DEPTH} levels allowed"
            )));
        }
        Ok(Self {
            depth: self.depth + 1,
            ..self
        })
    }

    fn failed_at<E>(self, step: PathSegment, error: E) -> E {
        self.trace.borrow_mut().steps.push(step);
        error
    }
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Value;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut list = Vec::new();
        loop {
            match items.next_element_seed(inner) {
                Ok(Some(item)) => list.push(item),
                Ok(None) => return Ok(Value::Array(list)),
                Err(error) => return Err(self.failed_at(PathSegment::Index(list.len()), error)),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut object = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            if object.contains_key(&key) {
                let error =
                    A::Error::custom(format_args!("the name {} is given twice", quote(&key)));
                self.trace.borrow_mut().at_name = true;
                return Err(self.failed_at(PathSegment::Key(key), error));
            }
            match entries.next_value_seed(inner) {
                Ok(value) => object.insert(key, value),
                Err(error) => return Err(self.failed_at(PathSegment::Key(key), error)),
            };
        }
        Ok(Value::Object(object))
    }
}
