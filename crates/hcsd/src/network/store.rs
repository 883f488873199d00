//! What is written down of networks: a file per object below `<state root>/networks`, and the former settings of the
//! host.
//!
//! A file takes the place of another as a whole, so a service that is killed leaves each object as it was before or
//! after a change.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use engine_network::Former;
use hcn::{Guid, Object, Record};
use hcs_schema::{Failure, HResult};
use serde::{Deserialize, Serialize};
use tracing::{error, warn};

use crate::record::{call_names::CallNames, files};

/// The file of former settings.
const FORMER: &str = "forwarding.json";

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
    /// Of a namespace: the container that has its network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) occupant: Option<Occupant>,
}

/// A container that has the network of a namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Occupant {
    pub(super) id: String,
    pub(super) runtime_id: String,
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
}

impl Store {
    pub(super) fn new(root: &Path) -> Self {
        Self {
            directory: root.join("networks"),
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
            name.is_some_and(|name| name != FORMER)
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
        let write = || -> io::Result<()> {
            let temporary = path.with_extension("new");
            files::write(&temporary, &serde_json::to_vec(contents)?)?;
            fs::rename(&temporary, &path)
        };
        files::make(&self.directory, 0o700)
            .map_err(|sentence| Failure::new(HResult::E_FAIL, sentence))?;
        write().map_err(|error| failed(&path, "written", &error))
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
