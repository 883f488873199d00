//! What is written down of networks: a file per object below `<state root>/networks`, and the former settings of the
//! host.
//!
//! A file takes the place of another as a whole, so a service that is killed leaves each object as it was before or
//! after a change. A change of several objects is one file first, which the next service finds: else one of them would
//! tell that the call was done, and another one would be as before.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use engine_network::Former;
use hcn::{Guid, Object, Record};
use hcs_schema::{Failure, HResult};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tracing::{error, warn};

use super::gone::Gone;
use crate::record::{call_names::CallNames, files};

/// The file of former settings.
const FORMER: &str = "forwarding.json";
/// The file of several records that are written as one.
const CHANGE: &str = "change.json";
/// The file of calls on objects that are gone.
const GONE: &str = "gone.calls.json";

/// What is written down of an object.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Stored {
    pub(super) record: Record,
    /// The calls that made and changed it.
    #[serde(default)]
    pub(super) calls: CallNames,
    /// The runtime id of the container that it was made for, and ends with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) made_for: Option<String>,
    /// The user who asked for it, but root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) owner: Option<u32>,
    /// Of a namespace: the container that has its network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) occupant: Option<Occupant>,
}

/// A container that has the network of a namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Occupant {
    pub(super) id: String,
    pub(super) runtime_id: String,
    /// The user who asked for it. A record of an older service does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) user: Option<u32>,
    /// Names beside its id.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) names: Vec<String>,
    /// Of a virtual machine: what its agent and its adapters are told by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) machine: Option<GuestNames>,
}

/// What is known of the network of a virtual machine besides its endpoints.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct GuestNames {
    /// Its adapters by the names that clients gave them.
    #[serde(default)]
    pub(super) adapters: BTreeMap<String, Guid>,
    /// The text of its `/etc/resolv.conf`.
    #[serde(default)]
    pub(super) resolver: String,
    /// Lines of its `/etc/hosts` besides those of its networks.
    #[serde(default)]
    pub(super) hosts: String,
}

/// A setting of the host before it was changed: interface, name, value.
type Setting = (String, String, String);

/// The directory of records.
#[derive(Clone, Debug)]
pub(super) struct Store {
    directory: PathBuf,
    /// Whether the directory was there and safe to use once. No other user can change that.
    made: Arc<AtomicBool>,
}

impl Store {
    pub(super) fn new(root: &Path) -> Self {
        Self {
            directory: root.join("networks"),
            made: Arc::default(),
        }
    }

    /// All objects that are written down. A file that cannot be read is put aside: without it there is still a service.
    pub(super) fn read(&self) -> Vec<Stored> {
        let Ok(entries) = fs::read_dir(&self.directory) else {
            return Vec::new();
        };
        let files = entries.filter_map(Result::ok).map(|entry| entry.path());
        let is_object = |path: &PathBuf| {
            let name = path.file_name().and_then(|name| name.to_str());
            name.is_some_and(|name| ![FORMER, CHANGE, GONE].contains(&name))
                && path
                    .extension()
                    .is_some_and(|extension| extension == "json")
        };
        let (objects, others): (Vec<_>, Vec<_>) = files.partition(is_object);
        // What a write left that was broken off.
        for file in others {
            if file.extension().is_some_and(|extension| extension == "new")
                && let Err(error) = fs::remove_file(&file)
            {
                warn!("{} stays: {error}", file.display());
            }
        }
        objects.into_iter().filter_map(|file| read(&file)).collect()
    }

    /// Settings of the host before they were changed.
    pub(super) fn read_former(&self) -> Vec<Former> {
        let settings: Vec<Setting> = read(&self.directory.join(FORMER)).unwrap_or_default();
        let former = |(interface, setting, value)| Former {
            interface,
            setting,
            value,
        };
        settings.into_iter().map(former).collect()
    }

    /// # Errors
    /// The file system refused.
    pub(super) fn write_former(&self, former: &[Former]) -> Result<(), Failure> {
        if former.is_empty() {
            return self.remove_file(FORMER);
        }
        let setting = |one: &Former| {
            let (interface, setting) = (one.interface.clone(), one.setting.clone());
            (interface, setting, one.value.clone())
        };
        let settings: Vec<Setting> = former.iter().map(setting).collect();
        self.write_file(FORMER, &settings)
    }

    /// Calls on objects that are gone, whose records are removed if an earlier service was killed before that. Of a
    /// file that cannot be used it is not known which calls it had.
    pub(super) fn read_gone(&self) -> Gone {
        let file = self.directory.join(GONE);
        if !file.exists() {
            return Gone::default();
        }
        let mut gone: Gone = read(&file).unwrap_or_else(Gone::unknown);
        let removing = std::mem::take(&mut gone.removing);
        let removed = removing.iter().try_for_each(|name| self.remove_file(name));
        let written = match removing.is_empty() {
            true => Ok(()),
            false => removed.and_then(|()| self.write_gone(&gone)),
        };
        if let Err(failure) = written {
            error!("{}", failure.log_line());
        }
        gone
    }

    /// Removes the records of objects, and tells of the calls on them: both or, for the next service, neither.
    ///
    /// # Errors
    /// The file system refused.
    pub(super) fn remove_all(&self, objects: &[Object], gone: &Gone) -> Result<(), Failure> {
        if !gone.is_empty() {
            let names = objects.iter().map(|object| name(*object)).collect();
            self.write_gone(&gone.while_removing(names))?;
        }
        let removed = objects.iter().try_for_each(|object| self.remove(*object));
        let done = removed.and_then(|()| self.write_gone(gone));
        // What stays now is not for the next service to remove: another object may have its id by then.
        done.or_else(|failure| {
            let written = self.write_gone(gone);
            written
                .or_else(|_| self.remove_file(GONE))
                .and(Err(failure))
        })
    }

    /// # Errors
    /// The file system refused.
    pub(super) fn write_gone(&self, gone: &Gone) -> Result<(), Failure> {
        match gone.is_empty() {
            true => self.remove_file(GONE),
            false => self.write_file(GONE, gone),
        }
    }

    /// Writes several records: all or, for the next service, none.
    ///
    /// # Errors
    /// The file system refused.
    pub(super) fn write_all(&self, records: &[(Object, Stored)]) -> Result<(), Failure> {
        let write = || {
            let mut each = records.iter();
            each.try_for_each(|(object, stored)| self.write(*object, stored))
        };
        if records.len() < 2 {
            return write();
        }
        let change = records
            .iter()
            .map(|(object, stored)| (name(*object), stored));
        self.write_file(CHANGE, &change.collect::<Vec<_>>())?;
        let written = write();
        self.remove_file(CHANGE).and(written)
    }

    /// Finishes a change that an earlier service was killed in.
    pub(super) fn finish_change(&self) {
        let file = self.directory.join(CHANGE);
        if !file.exists() {
            return;
        }
        let records: Vec<(String, Value)> = read(&file).unwrap_or_default();
        let mut each = records.iter();
        let written = each.try_for_each(|(name, stored)| self.write_file(name, stored));
        if let Err(failure) = written.and_then(|()| self.remove_file(CHANGE)) {
            error!("{}", failure.log_line());
        }
    }

    /// # Errors
    /// The file system refused.
    pub(super) fn write(&self, object: Object, stored: &Stored) -> Result<(), Failure> {
        self.write_file(&name(object), stored)
    }

    /// # Errors
    /// The file system refused.
    pub(super) fn remove(&self, object: Object) -> Result<(), Failure> {
        self.remove_file(&name(object))
    }

    fn write_file<T: Serialize>(&self, name: &str, contents: &T) -> Result<(), Failure> {
        let path = self.directory.join(name);
        if !self.made.load(Ordering::Relaxed) {
            self.make()?;
        }
        let written = match files::replace_json(&path, contents) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.make()?;
                files::replace_json(&path, contents)
            }
            written => written,
        };
        written.map_err(|error| failed(&path, "written", &error))
    }

    /// Makes the directory, or has a look whether it is safe to use.
    fn make(&self) -> Result<(), Failure> {
        files::make(&self.directory, 0o700)
            .map_err(|sentence| Failure::new(HResult::E_FAIL, sentence))?;
        self.made.store(true, Ordering::Relaxed);
        Ok(())
    }

    fn remove_file(&self, name: &str) -> Result<(), Failure> {
        let path = self.directory.join(name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(failed(&path, "removed", &error))
            }
            _ => Ok(()),
        }
    }
}

fn read<T: for<'de> Deserialize<'de>>(file: &Path) -> Option<T> {
    let text = fs::read(file).ok()?;
    match serde_json::from_slice(&text) {
        Ok(contents) => Some(contents),
        Err(damage) => {
            let aside = file.with_extension("damaged");
            error!("{} is damaged and left out: {damage}", file.display());
            if let Err(why) = fs::rename(file, &aside) {
                warn!("it cannot be put aside: {why}");
            }
            None
        }
    }
}

fn name(object: Object) -> String {
    match object {
        Object::Network(id) => format!("network.{id}.json"),
        Object::Endpoint(id) => format!("endpoint.{id}.json"),
        Object::Namespace(id) => format!("namespace.{id}.json"),
        Object::LoadBalancer(id) => format!("load-balancer.{id}.json"),
    }
}

fn failed(path: &Path, done: &str, error: &io::Error) -> Failure {
    let message = format!("{} cannot be {done}", path.display());
    Failure::new(HResult::E_FAIL, message).because(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_of_several_records_that_was_broken_off_is_finished() {
        let root = tempfile::tempdir().unwrap();
        let store = Store::new(root.path());
        let names = [Object::Namespace(Guid(7)), Object::Endpoint(Guid(8))].map(name);
        let change = names.clone().map(|name| (name, "a record"));
        store.write_file(CHANGE, &change.to_vec()).unwrap();
        store.finish_change();
        assert!(!store.directory.join(CHANGE).exists());
        for name in names {
            let found: Option<String> = read(&store.directory.join(name));
            assert_eq!(found.as_deref(), Some("a record"));
        }
    }

    #[test]
    fn a_removal_that_was_broken_off_is_finished() {
        let root = tempfile::tempdir().unwrap();
        let store = Store::new(root.path());
        let object = Object::Namespace(Guid(7));
        let mut calls = CallNames::default();
        calls.add("7.a.1");
        let mut gone = Gone::default();
        gone.absorb(object, calls);
        let record = || store.write_file(&name(object), &"a record").unwrap();
        let is_there = || store.directory.join(name(object)).exists();
        record();
        store
            .write_gone(&gone.while_removing(vec![name(object)]))
            .unwrap();
        let read = store.read_gone();
        assert!(read.contains("7.a.1") && read.removing.is_empty());
        assert!(!is_there());
        // Another object of that id, which came later.
        record();
        assert_eq!(store.read_gone(), read);
        assert!(is_there());
        store.remove_all(&[object], &gone).unwrap();
        assert!(!is_there());
        assert_eq!(store.read_gone(), read);
    }

    #[test]
    fn a_removal_that_failed_is_not_made_up_for_later() {
        let root = tempfile::tempdir().unwrap();
        let store = Store::new(root.path());
        let object = Object::Namespace(Guid(7));
        let mut calls = CallNames::default();
        calls.add("7.a.1");
        let mut gone = Gone::default();
        gone.absorb(object, calls);
        store.write_gone(&gone).unwrap();
        // A directory is not removed as a file is.
        let path = store.directory.join(name(object));
        fs::create_dir(&path).unwrap();
        store.remove_all(&[object], &gone).unwrap_err();
        fs::remove_dir(&path).unwrap();
        store.write_file(&name(object), &"another record").unwrap();
        let read = store.read_gone();
        assert!(read.contains("7.a.1") && read.removing.is_empty());
        assert!(path.exists());
    }
}
