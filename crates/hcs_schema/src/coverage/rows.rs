//! The coverage document, row by row.

use crate::{
    coverage::{Coverage, ROOTS, table},
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

/// Every property of every document that clients send, in the order of the schema; documents that contain themselves
/// are followed once.
pub fn rows() -> impl Iterator<Item = Row> {
    let mut walk = Walk {
        call: "",
        rows: Vec::new(),
        within: Vec::new(),
    };
    for root in ROOTS {
        walk.call = root.call;
        walk.document((root.shape)(), "", None);
    }
    walk.rows.into_iter()
}

struct Walk {
    call: &'static str,
    rows: Vec<Row>,
    /// The documents on the way here.
    within: Vec<&'static str>,
}

impl Walk {
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
        let own = || table::coverage(shape.name, property.name).unwrap_or(missing);
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
                coverage: table::coverage(enumeration.name, value.name).unwrap_or(missing),
                inherited: false,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_property_that_clients_send_is_in_the_table_and_nothing_else_is() {
        let needed: BTreeSet<_> = rows()
            .filter(|row| !row.inherited)
            .map(|row| {
                (
                    row.document,
                    row.value.unwrap_or_else(|| last(&row.pointer)).to_owned(),
                )
            })
            .collect();
        let present: BTreeSet<_> = table::entries()
            .map(|(document, name, _)| (document, name.to_owned()))
            .collect();
        assert_eq!(
            needed.difference(&present).collect::<Vec<_>>(),
            Vec::<&(&str, String)>::new(),
            "missing"
        );
        assert_eq!(
            present.difference(&needed).collect::<Vec<_>>(),
            Vec::<&(&str, String)>::new(),
            "stale"
        );
        assert_eq!(
            table::entries().count(),
            present.len(),
            "an entry is given twice"
        );
    }

    fn last(pointer: &str) -> &str {
        let named = |step: &&str| *step != "*";
        pointer.rsplit('/').find(named).unwrap()
    }

    #[test]
    fn reasons_are_sentences_without_a_full_stop() {
        for (document, name, coverage) in table::entries() {
            let reason = coverage.reason().unwrap_or("x");
            assert!(
                !reason.is_empty() && !reason.ends_with('.'),
                "{document}.{name}: {reason:?}"
            );
        }
    }

    #[test]
    fn rows_reach_into_lists_and_inherit() {
        let rows: Vec<Row> = rows().collect();
        let find = |pointer: &str| rows.iter().find(|row| row.pointer == pointer).unwrap();
        assert_eq!(
            find("/Container/Storage/Layers/*/Path").coverage,
            Coverage::Supported
        );
        let inherited = find("/Container/HvSocket/EnablePowerShellDirect");
        assert!(inherited.inherited && matches!(inherited.coverage, Coverage::Refused(_)));
    }
}
