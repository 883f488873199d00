//! The coverage document, row by row.

use crate::{
    coverage::{Coverage, ROOTS, Table},
    shape::{Enumeration, Kind, Property, Shape, Since},
};

/// One line of the coverage document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The function that reads the document.
    pub call: &'static str,
    /// JSON pointer into the document; `*` stands for any index or key.
    pub pointer: String,
    /// The value, for a row about one value of an enumeration.
    pub value: Option<&'static str>,
    /// The document (or enumeration) of the schema that has the property (or value).
    pub document: &'static str,
    /// When it came.
    pub since: Since,
    /// Its effect here.
    pub coverage: Coverage,
    /// Whether that is so because of a property above.
    pub inherited: bool,
}

impl Table {
    /// Every property of every document of this table that clients send, in the order of the schema; documents that
    /// contain themselves are followed once.
    pub fn rows(&self) -> impl Iterator<Item = Row> + use<> {
        let mut walk = Walk {
            table: self,
            call: "",
            rows: Vec::new(),
            within: Vec::new(),
        };
        let own = ROOTS.iter().filter(|root| self.has((root.shape)().name));
        for root in own {
            walk.call = root.call;
            walk.document((root.shape)(), "", None);
        }
        walk.rows.into_iter()
    }
}

struct Walk<'a> {
    table: &'a Table,
    call: &'static str,
    rows: Vec<Row>,
    /// The documents on the way here.
    within: Vec<&'static str>,
}

impl Walk<'_> {
    fn document(&mut self, shape: &'static Shape, pointer: &str, above: Option<Coverage>) {
        if self.within.contains(&shape.name) {
            return;
        }
        self.within.push(shape.name);
        for property in shape.properties {
            self.property(
                shape,
                property,
                &format!("{pointer}/{}", property.name),
                above,
            );
        }
        self.within.pop();
    }

    fn property(
        &mut self,
        shape: &Shape,
        property: &'static Property,
        pointer: &str,
        above: Option<Coverage>,
    ) {
        // A property that the table lacks is a mistake which a test finds; until then it is not claimed to work.
        let missing = Coverage::WithoutEffect("it is not in the table");
        let own = || {
            self.table
                .coverage(shape.name, property.name)
                .unwrap_or(missing)
        };
        let coverage = above.unwrap_or_else(own);
        self.rows.push(Row {
            call: self.call,
            pointer: pointer.to_owned(),
            value: None,
            document: shape.name,
            since: property.since,
            coverage,
            inherited: above.is_some(),
        });
        let below = (coverage != Coverage::Supported).then_some(coverage);
        self.inner(property.kind, pointer, below);
    }

    fn inner(&mut self, kind: Kind, pointer: &str, above: Option<Coverage>) {
        match kind {
            Kind::Document(shape) => self.document(shape(), pointer, above),
            Kind::Array(inner) | Kind::Map(inner) => {
                self.inner(*inner, &format!("{pointer}/*"), above);
            }
            // The values of a property that has no effect, or is refused, do not matter.
            Kind::Enumeration(table) if above.is_none() => self.values(table(), pointer),
            _ => {}
        }
    }

    fn values(&mut self, enumeration: &'static Enumeration, pointer: &str) {
        for value in enumeration.values {
            let missing = Coverage::WithoutEffect("it is not in the table");
            self.rows.push(Row {
                call: self.call,
                pointer: pointer.to_owned(),
                value: Some(value.name),
                document: enumeration.name,
                since: value.since,
                coverage: self
                    .table
                    .coverage(enumeration.name, value.name)
                    .unwrap_or(missing),
                inherited: false,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::coverage::{CONTAINER, SERVICE, STORAGE, VIRTUAL_MACHINE};

    /// Every entry: document, name, coverage.
    fn entries(
        table: &Table,
    ) -> impl Iterator<Item = (&'static str, &'static str, Coverage)> + use<> {
        let all = table.entries.iter().copied().flatten();
        all.flat_map(|(document, entries)| {
            let named = entries.iter();
            named.map(|(name, coverage)| (*document, *name, *coverage))
        })
    }

    #[test]
    fn every_property_that_clients_send_is_in_a_table_and_nothing_else_is() {
        for root in ROOTS {
            let name = (root.shape)().name;
            for engine in [&CONTAINER, &VIRTUAL_MACHINE] {
                let elsewhere = SERVICE.has(name) || STORAGE.has(name);
                assert_ne!(elsewhere, engine.has(name), "{name}");
            }
        }
        for table in [&SERVICE, &STORAGE, &CONTAINER, &VIRTUAL_MACHINE] {
            let needed: BTreeSet<_> = table
                .rows()
                .filter(|row| !row.inherited)
                .map(|row| {
                    let name = row.value.unwrap_or_else(|| last(&row.pointer));
                    (row.document, name.to_owned())
                })
                .collect();
            let present: BTreeSet<_> = entries(table)
                .map(|(document, name, _)| (document, name.to_owned()))
                .collect();
            let none = Vec::<&(&str, String)>::new();
            let missing: Vec<_> = needed.difference(&present).collect();
            assert_eq!(missing, none, "missing from {}", table.about);
            let stale: Vec<_> = present.difference(&needed).collect();
            assert_eq!(stale, none, "stale in {}", table.about);
            let twice = "an entry is given twice";
            assert_eq!(entries(table).count(), present.len(), "{twice}");
        }
    }

    fn last(pointer: &str) -> &str {
        let named = |step: &&str| *step != "*";
        pointer.rsplit('/').find(named).unwrap()
    }

    #[test]
    fn reasons_are_sentences_without_a_full_stop() {
        let all = [&SERVICE, &STORAGE, &CONTAINER, &VIRTUAL_MACHINE].into_iter();
        for (document, name, coverage) in all.flat_map(entries) {
            let reason = coverage.reason().unwrap_or("x");
            assert!(
                !reason.is_empty() && !reason.ends_with('.'),
                "{document}.{name}: {reason:?}"
            );
        }
    }

    #[test]
    fn rows_reach_into_lists_and_inherit() {
        let rows: Vec<Row> = CONTAINER.rows().collect();
        let find = |pointer: &str| rows.iter().find(|row| row.pointer == pointer).unwrap();
        assert_eq!(
            find("/Container/Storage/Layers/*/Path").coverage,
            Coverage::Supported
        );
        let inherited = find("/Container/HvSocket/EnablePowerShellDirect");
        assert!(inherited.inherited && matches!(inherited.coverage, Coverage::Refused(_)));
    }
}
