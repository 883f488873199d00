//! SCSI controllers by the names that a document gives them.
//!
//! Clients call them by number, by the GUIDs that Windows has for them, or as they like: "Primary disk". Such a name
//! has the first number that no other of the document has.

use std::collections::BTreeMap;

use hcs_schema::documents::VirtualMachine;

use super::{CONTROLLERS, SCSI, Wrong};

/// The names that clients for Windows give to controllers, in this order.
const NAMES: [&str; CONTROLLERS as usize] = [
    "df6d0690-79e5-55b6-a5ec-c1e2f77f580a",
    "0110f83b-de10-5172-a266-78bca56bf50a",
    "b5d2d8d4-3a75-51bf-945b-3444dc6b8579",
    "305891a9-b251-5dfe-91a2-c25d9212275b",
];

/// The controllers of a machine, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Controllers(BTreeMap<String, u8>);

impl Controllers {
    /// Those of `machine`.
    ///
    /// # Errors
    /// There are too many, two are the same, or a name can be none.
    pub(crate) fn of_machine(machine: &VirtualMachine) -> Result<Self, Wrong> {
        let devices = machine.devices.as_ref();
        let asked = devices.and_then(|devices| devices.scsi.as_ref());
        let names = || asked.into_iter().flat_map(BTreeMap::keys);
        let wrong = |name: &str, why: String| {
            let escaped = name.replace('~', "~0").replace('/', "~1");
            (format!("{SCSI}/{escaped}"), why)
        };
        let mut known = BTreeMap::new();
        for name in names() {
            let Some(number) = fixed(name) else {
                check(name).map_err(|why| wrong(name, why))?;
                continue;
            };
            if known.values().any(|other| *other == number) {
                let same = "another controller of the document is the same";
                return Err(wrong(name, same.to_owned()));
            }
            known.insert(name.clone(), number);
        }
        for name in names().filter(|name| fixed(name).is_none()) {
            let is_free = |number: &u8| known.values().all(|other| other != number);
            let number = (0..CONTROLLERS).find(is_free).ok_or_else(|| {
                let many = format!("a virtual machine has at most {CONTROLLERS} SCSI controllers");
                wrong(name, many)
            })?;
            known.insert(name.clone(), number);
        }
        Ok(Self(known))
    }

    /// The number of the controller that is called `name`.
    ///
    /// # Errors
    /// A sentence: there is none.
    pub(crate) fn number(&self, name: &str) -> Result<u8, String> {
        let known = self.0.get(name).copied();
        known.or_else(|| fixed(name)).ok_or_else(|| is_none(name))
    }

    /// All of them, in order.
    pub(crate) fn numbers(&self) -> Vec<u8> {
        let mut numbers: Vec<u8> = self.0.values().copied().collect();
        numbers.sort_unstable();
        numbers
    }
}

/// The number that a name has in every document.
fn fixed(name: &str) -> Option<u8> {
    let by_name = (0..)
        .zip(NAMES)
        .find(|(_, known)| known.eq_ignore_ascii_case(name));
    let by_number = || name.parse().ok().filter(|number| *number < CONTROLLERS);
    by_name.map(|(number, _)| number).or_else(by_number)
}

/// Whether a client may call a controller so.
///
/// # Errors
/// A sentence: it may not.
fn check(name: &str) -> Result<(), String> {
    let is_number = name.bytes().all(|byte| byte.is_ascii_digit()) || name.parse::<i64>().is_ok();
    if is_number {
        return Err(is_none(name));
    }
    if name.contains('/') {
        return Err(format!(
            "{name:?} cannot stand in the path of a resource, whose parts '/' separates: choose a name without it"
        ));
    }
    Ok(())
}

fn is_none(name: &str) -> String {
    format!(
        "{name:?} is no SCSI controller; \"0\" to \"{}\" are, their GUIDs, and other names that the machine's document gives \
         to some",
        CONTROLLERS - 1
    )
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, Value, json};

    use super::*;

    fn controllers(names: &[&str]) -> Result<Controllers, Wrong> {
        let scsi: Map<_, _> = names
            .iter()
            .map(|name| ((*name).to_owned(), json!({})))
            .collect();
        let machine = json!({"Devices": {"Scsi": Value::Object(scsi)}});
        let machine: VirtualMachine = hcs_schema::parse(&machine.to_string()).unwrap();
        Controllers::of_machine(&machine)
    }

    #[test]
    fn names_of_a_document_have_numbers_that_no_other_has() {
        let known = controllers(&["Primary disk", "1", "cloud-init iso file", NAMES[0]]).unwrap();
        let number = |name: &str| known.number(name);
        assert_eq!(
            (number("0"), number("1"), number(NAMES[1])),
            (Ok(0), Ok(1), Ok(1))
        );
        assert_eq!(
            (number("Primary disk"), number("cloud-init iso file")),
            (Ok(2), Ok(3))
        );
        assert!(number("primary disk").is_err() && number("4").is_err());
        assert_eq!(known.numbers(), [0, 1, 2, 3]);
    }

    #[test]
    fn names_that_no_request_could_use_are_refused_by_pointer() {
        for (name, escaped) in [
            ("", ""),
            ("4", "4"),
            ("-1", "-1"),
            ("99999999999999999999", "99999999999999999999"),
            ("a/b", "a~1b"),
            ("~/", "~0~1"),
        ] {
            let (pointer, why) = controllers(&[name]).unwrap_err();
            assert_eq!(pointer, format!("{SCSI}/{escaped}"));
            assert!(why.contains(&format!("{name:?}")), "{why}");
        }
    }

    #[test]
    fn a_machine_has_four() {
        let (pointer, why) = controllers(&["a", "b", "c", "d", "e"]).unwrap_err();
        assert_eq!(pointer, format!("{SCSI}/e"));
        assert!(why.contains('4'), "{why}");
    }
}
