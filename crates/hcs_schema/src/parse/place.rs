//! Line and column of JSON pointers, found only when something is wrong.
//!
//! The text is walked again with serde_json's raw values, which borrow their slice of the text: a slice's place in
//! memory tells its offset. All pointers are looked for in one walk, which opens only the objects on their way.

use std::fmt;

use serde::{
    Deserializer as _,
    de::{IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

use crate::fault::PathSegment;

/// A place in a text, both counted from 1; columns are characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

impl Place {
    /// Where every text begins.
    pub(super) const START: Self = Self { line: 1, column: 1 };

    /// The place of the byte at `offset` of `text`.
    fn at(text: &str, offset: usize) -> Self {
        let before = text.get(..offset).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |end| end + 1);
        Self {
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        }
    }

    /// The place serde_json reports. Its columns count bytes, and a line break belongs to the line after it.
    pub(super) fn of_error(text: &str, error: &serde_json::Error) -> Self {
        let (mut line, mut bytes) = (error.line().max(1), error.column().saturating_sub(1));
        if error.column() == 0 && line > 1 {
            (line, bytes) = (line - 1, usize::MAX);
        }
        let content = text.split('\n').nth(line - 1).unwrap_or_default();
        let before = content.char_indices().take_while(|(at, _)| *at < bytes);
        Self {
            line,
            column: before.count() + 1,
        }
    }
}

/// Each level on the way to a pointer is read once more. A document made to be slow costs no more than this many
/// bytes; its places then stay unknown.
const MOST_READ: usize = 32 << 20;

/// A pointer to be found, and whether its last name is meant instead of the value.
type Wanted<'a> = (&'a [PathSegment], bool);

/// The places of `wanted` in `text`, in their order; `None` where the text has no such value.
pub(super) fn find(text: &str, wanted: &[Wanted<'_>]) -> Vec<Option<Place>> {
    let mut search = Search {
        text,
        wanted,
        offsets: vec![None; wanted.len()],
        budget: MOST_READ,
    };
    let all: Vec<usize> = (0..wanted.len()).collect();
    let start = text.len() - text.trim_start().len();
    if let Some(root) = text.get(start..) {
        search.visit(root, root, 0, &all);
    }
    let place = |offset: &Option<usize>| offset.map(|offset| Place::at(text, offset));
    search.offsets.iter().map(place).collect()
}

struct Search<'t, 'w> {
    text: &'t str,
    wanted: &'w [Wanted<'w>],
    offsets: Vec<Option<usize>>,
    budget: usize,
}

impl<'t> Search<'t, '_> {
    /// `value` was reached by `depth` steps common to all of `group`; `name` is its name, or itself where it has none.
    fn visit(&mut self, name: &'t str, value: &'t str, depth: usize, group: &[usize]) {
        let mut further = Vec::new();
        for &index in group {
            let (steps, at_name) = self.wanted[index];
            if steps.len() == depth {
                let slice = if at_name { name } else { value };
                let offset = slice.as_ptr().addr().checked_sub(self.text.as_ptr().addr());
                self.offsets[index] = offset;
            } else {
                further.push(index);
            }
        }
        if further.is_empty() || self.budget < value.len() {
            return;
        }
        self.budget -= value.len();
        let walker = Walker {
            search: self,
            depth,
            group: &further,
        };
        // The text was parsed before, so this cannot fail; if it did, some places would stay unknown.
        let _ = serde_json::Deserializer::from_str(value).deserialize_any(walker);
    }

    fn matching(
        &self,
        depth: usize,
        group: &[usize],
        is: impl Fn(&PathSegment) -> bool,
    ) -> Vec<usize> {
        let matches = |index: &&usize| self.wanted[**index].0.get(depth).is_some_and(&is);
        group.iter().filter(matches).copied().collect()
    }
}

struct Walker<'s, 't, 'w> {
    search: &'s mut Search<'t, 'w>,
    depth: usize,
    group: &'s [usize],
}

impl<'t> Visitor<'t> for Walker<'_, 't, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object or array")
    }

    fn visit_seq<A: SeqAccess<'t>>(self, mut items: A) -> Result<(), A::Error> {
        let mut at = 0;
        while let Some(item) = items.next_element::<&'t RawValue>()? {
            let is = |step: &PathSegment| *step == PathSegment::Index(at);
            let inner = self.search.matching(self.depth, self.group, is);
            if !inner.is_empty() {
                let text = item.get();
                self.search.visit(text, text, self.depth + 1, &inner);
            }
            at += 1;
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'t>>(self, mut entries: A) -> Result<(), A::Error> {
        while let Some(raw) = entries.next_key::<&'t RawValue>()? {
            let name: String = serde_json::from_str(raw.get()).unwrap_or_default();
            let is = |step: &PathSegment| matches!(step, PathSegment::Key(key) if *key == name);
            let inner = self.search.matching(self.depth, self.group, is);
            if inner.is_empty() {
                entries.next_value::<IgnoredAny>()?;
            } else {
                let value = entries.next_value::<&'t RawValue>()?.get();
                self.search.visit(raw.get(), value, self.depth + 1, &inner);
            }
        }
        Ok(())
    }
}
