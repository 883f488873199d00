//! The walk that finds the properties of one document that must be refused.

use serde_json::Value;

use crate::{
    Document, Failure, HResult,
    coverage::{Coverage, Table},
    fault::{MOST_FAULTS, Path, pointer},
    shape::{Kind, Shape},
};

impl Table {
    /// Whether everything that `document` asks for is supported, or can be left undone without harm.
    ///
    /// A property asks for nothing when it is `false`, 0, or an empty string, list or map: clients write out their
    /// defaults. A document asks for what it is about, with whatever it leaves open at its default; so does one in a
    /// list.
    ///
    /// # Errors
    /// `HRESULT_FROM_WIN32(ERROR_NOT_SUPPORTED)` with a cause per refused property: its JSON pointer and the reason.
    pub fn check<T: Document>(&self, document: &T) -> Result<(), Failure> {
        let value = serde_json::to_value(document).map_err(|error| {
            let message = format!("the {} document cannot be written", T::shape().name);
            Failure::new(HResult::E_UNEXPECTED, message).because(&error)
        })?;
        self.check_value(T::shape(), &value)
    }

    /// As [`Table::check`], for a value that fits `shape`.
    ///
    /// # Errors
    /// As [`Table::check`].
    pub fn check_value(&self, shape: &'static Shape, value: &Value) -> Result<(), Failure> {
        let mut walk = Walk {
            table: self,
            refusals: Vec::new(),
        };
        walk.document(shape, value, &Path::ROOT);
        let Some(first) = walk.refusals.first() else {
            return Ok(());
        };
        let mut failure = Failure::new(HResult::NOT_SUPPORTED, first.message());
        for refusal in &walk.refusals {
            failure = failure.cause_at(refusal.pointer.clone(), refusal.message());
        }
        Err(failure)
    }
}

/// The walk through one document.
struct Walk<'a> {
    table: &'a Table,
    refusals: Vec<Refusal>,
}

struct Refusal {
    pointer: String,
    what: String,
    reason: &'static str,
}

impl Refusal {
    fn message(&self) -> String {
        format!("{} is not supported: {}", self.what, self.reason)
    }
}

impl Walk<'_> {
    fn document(&mut self, shape: &Shape, value: &Value, path: &Path<'_>) {
        for (name, value) in value.as_object().into_iter().flatten() {
            let Some(property) = shape.property(name) else {
                continue;
            };
            if self.refusals.len() >= MOST_FAULTS {
                return;
            }
            let path = path.key(name);
            match self.table.coverage(shape.name, property.name) {
                Some(Coverage::Refused(reason)) => {
                    if !asks_for_something(property.kind, value) {
                        continue;
                    }
                    let pointer = pointer(&path.steps());
                    self.refusals.push(Refusal {
                        what: pointer.clone(),
                        pointer,
                        reason,
                    });
                }
                Some(Coverage::Supported) => self.inner(property.kind, value, &path),
                Some(Coverage::WithoutEffect(_)) | None => {}
            }
        }
    }

    fn inner(&mut self, kind: Kind, value: &Value, path: &Path<'_>) {
        match kind {
            Kind::Document(shape) => self.document(shape(), value, path),
            Kind::Array(item) => {
                for (index, value) in value.as_array().into_iter().flatten().enumerate() {
                    self.inner(*item, value, &path.index(index));
                }
            }
            Kind::Map(item) => {
                for (key, value) in value.as_object().into_iter().flatten() {
                    self.inner(*item, value, &path.key(key));
                }
            }
            Kind::Enumeration(values) => {
                let name = value.as_str().unwrap_or_default();
                if let Some(Coverage::Refused(reason)) = self.table.coverage(values().name, name) {
                    let pointer = pointer(&path.steps());
                    let what = format!("{name:?} at {pointer}");
                    self.refusals.push(Refusal {
                        pointer,
                        what,
                        reason,
                    });
                }
            }
            Kind::Boolean
            | Kind::Integer(_)
            | Kind::Number
            | Kind::String(_)
            | Kind::Any
            | Kind::Signal => {}
        }
    }
}

fn asks_for_something(kind: Kind, value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(value) => *value,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(entries) => !matches!(kind, Kind::Map(_)) || !entries.is_empty(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        coverage::{CONTAINER, ROOTS, SERVICE, VIRTUAL_MACHINE},
        documents::{ComputeSystem, ProcessParameters, ShutdownOptions},
    };

    fn refusals(system: &Value) -> Failure {
        CONTAINER
            .check_value(ComputeSystem::shape(), system)
            .unwrap_err()
    }

    #[test]
    fn what_would_weaken_isolation_is_refused_by_pointer() {
        let failure = refusals(&json!({"Container": {
            "Storage": {"Layers": [{"Path": "/a"}, {"Path": "b", "PathType": "VirtualSmbShareName"}], "QoS": {"IopsMaximum": 5}},
            "AssignedDevices": [{"Type": "GpuMirror"}],
        }}));
        assert_eq!(failure.hresult, HResult::NOT_SUPPORTED);
        let pointers: Vec<_> = failure
            .causes
            .iter()
            .filter_map(|c| c.pointer.as_deref())
            .collect();
        assert_eq!(
            pointers,
            [
                "/Container/AssignedDevices",
                "/Container/Storage/Layers/1/PathType",
                "/Container/Storage/QoS"
            ]
        );
        assert!(
            failure
                .message
                .starts_with("/Container/AssignedDevices is not supported: "),
            "{failure}"
        );
    }

    #[test]
    fn what_asks_for_nothing_is_not_refused() {
        let system = json!({"HostingSystemId": "", "Container": {
            "AssignedDevices": [], "AdditionalDeviceNamespace": null,
            "Networking": {"NetworkAdapters": [], "DnsSearchList": "", "AllowUnqualifiedDnsQuery": false},
        }});
        CONTAINER
            .check_value(ComputeSystem::shape(), &system)
            .unwrap();
    }

    /// The least that a value of this kind can ask for.
    fn least(kind: Kind) -> Value {
        match kind {
            Kind::Boolean => json!(true),
            Kind::Integer(_) | Kind::Number => json!(1),
            Kind::String(_) | Kind::Signal => json!("x"),
            Kind::Array(inner) => json!([empty(*inner)]),
            Kind::Map(inner) => json!({ "x": empty(*inner) }),
            Kind::Any | Kind::Document(_) => json!({}),
            Kind::Enumeration(values) => json!(values().values[0].name),
        }
    }

    /// The emptiest value of this kind: in a list, or under a key, it is there all the same.
    fn empty(kind: Kind) -> Value {
        match kind {
            Kind::Boolean => json!(false),
            Kind::Integer(_) | Kind::Number => json!(0),
            Kind::String(_) | Kind::Signal => json!(""),
            Kind::Array(_) => json!([]),
            Kind::Map(_) | Kind::Any | Kind::Document(_) => json!({}),
            Kind::Enumeration(values) => json!(values().values[0].name),
        }
    }

    /// Puts `value` at `pointer`, whose `*` are the first items of lists, or of maps.
    fn at(pointer: &str, value: Value, of_maps: bool) -> Value {
        let steps = pointer.trim_start_matches('/').rsplit('/');
        steps.fold(value, |inner, step| match step {
            "*" if of_maps => json!({ "0": inner }),
            "*" => json!([inner]),
            name => json!({ name: inner }),
        })
    }

    #[test]
    fn every_refused_property_is_refused_however_little_it_says() {
        let mut tried = 0;
        let every = |root| {
            [
                (root, &SERVICE),
                (root, &CONTAINER),
                (root, &VIRTUAL_MACHINE),
            ]
        };
        for (root, table) in ROOTS.iter().flat_map(every) {
            let refused = table.rows().filter(|row| {
                row.call == root.call
                    && row.value.is_none()
                    && !row.inherited
                    && matches!(row.coverage, Coverage::Refused(_))
            });
            for row in refused {
                let name = row.pointer.rsplit('/').find(|step| *step != "*").unwrap();
                let shape = crate::documents::find(row.document).unwrap().shape;
                let kind = shape.property(name).unwrap().kind;
                let check = |value: Value, of_maps| {
                    table.check_value((root.shape)(), &at(&row.pointer, value, of_maps))
                };
                let mut refusals = [false, true]
                    .into_iter()
                    .filter_map(|of_maps| check(least(kind), of_maps).err());
                let failure = refusals.next().unwrap();
                let expected = row.pointer.replace('*', "0");
                let pointers: Vec<_> = failure
                    .causes
                    .iter()
                    .map(|c| c.pointer.as_deref())
                    .collect();
                assert_eq!(pointers, [Some(&*expected)], "{}", root.call);
                check(Value::Null, false).unwrap();
                check(Value::Null, true).unwrap();
                tried += 1;
            }
        }
        assert!(tried > 20, "{tried} were tried");
    }

    #[test]
    fn each_kind_of_system_has_a_table_of_its_own() {
        let machine = json!({"VirtualMachine": {"StopOnReset": true}});
        let shape = ComputeSystem::shape();
        VIRTUAL_MACHINE.check_value(shape, &machine).unwrap();
        for refused in [machine, json!({"HostedSystem": {}})] {
            assert_eq!(refusals(&refused).hresult, HResult::NOT_SUPPORTED);
        }
    }

    #[test]
    fn harmless_details_pass() {
        let parameters = ProcessParameters {
            use_legacy_console: Some(true),
            ..ProcessParameters::default()
        };
        CONTAINER.check(&parameters).unwrap();
        let parameters = ProcessParameters {
            restricted_token: Some(true),
            ..ProcessParameters::default()
        };
        assert_eq!(
            CONTAINER.check(&parameters).unwrap_err().causes[0]
                .pointer
                .as_deref(),
            Some("/RestrictedToken")
        );
        let options: ShutdownOptions =
            crate::parse(r#"{"Mechanism": "IntegrationService", "Type": "Shutdown"}"#).unwrap();
        CONTAINER.check(&options).unwrap();
    }
}
