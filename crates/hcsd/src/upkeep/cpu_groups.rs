//! Groups of processors: which processors the containers that name a group share. The engine makes them real; what they
//! are is kept in `<state root>/cpu_groups.json`, so that they are there after a restart.

use std::{
    cell::RefCell,
    collections::{BTreeMap, VecDeque},
    fs, io,
    path::{Path, PathBuf},
    rc::Rc,
    sync::Arc,
};

use hcs_engine::engine::{Engine, ProcessorGroups};
use hcs_schema::{
    Document, Failure, HResult,
    coverage::SERVICE,
    documents::{
        ComputeSystem, CpuGroupAffinity, CpuGroupConfig, CpuGroupConfigurations,
        CreateGroupOperation, DeleteGroupOperation, HostProcessorModificationRequest,
        ModificationRequest, ModifyPropertyType, ModifyServiceOperation, SetPropertyOperation,
    },
    win32,
};
use serde_json::Value;
use tokio::sync::Mutex;
use tracing::{error, info};

use crate::{
    document::parse,
    record::{blocking::blocking, files},
    upkeep::host,
};

/// Calls that are remembered as begun: their clients come back soon, and few change groups.
const MOST_BEGUN: usize = 64;

/// Groups by id, each with its processors.
type Groups = BTreeMap<String, Vec<u32>>;

/// The groups there are. Belongs to the service's thread.
#[derive(Debug)]
pub(crate) struct CpuGroups {
    file: PathBuf,
    groups: RefCell<Groups>,
    /// Calls that were begun, oldest first. What the groups are like tells whether they were done.
    begun: RefCell<VecDeque<String>>,
    /// Changes are made one after the other.
    changing: Mutex<()>,
}

impl CpuGroups {
    /// Those that were kept. A file that is not what was written is put aside: without groups there is still a service.
    ///
    /// # Errors
    /// The file cannot be read or put aside.
    pub(crate) fn open(root: &Path) -> io::Result<Self> {
        let file = root.join("cpu_groups.json");
        let groups = match fs::read(&file) {
            Ok(text) => match serde_json::from_slice(&text) {
                Ok(groups) => groups,
                Err(e) => {
                    let aside = file.with_extension("json.damaged");
                    fs::rename(&file, &aside)?;
                    error!(
                        "the groups of processors are lost: {} is damaged ({e}) and now {}",
                        file.display(),
                        aside.display()
                    );
                    Groups::new()
                }
            },
            Err(e) if e.kind() == io::ErrorKind::NotFound => Groups::new(),
            Err(e) => return Err(e),
        };
        let begun = fs::read(begun_file(&file)).unwrap_or_default();
        Ok(Self {
            file,
            begun: RefCell::new(serde_json::from_slice(&begun).unwrap_or_default()),
            groups: RefCell::new(groups),
            changing: Mutex::new(()),
        })
    }

    fn write(&self, groups: &Groups) -> Result<(), Failure> {
        let write = || -> io::Result<()> {
            if groups.is_empty() {
                return match fs::remove_file(&self.file) {
                    Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
                    _ => Ok(()),
                };
            }
            let temporary = self.file.with_extension("json.new");
            files::write(&temporary, &serde_json::to_vec(groups)?)?;
            fs::rename(&temporary, &self.file)
        };
        write().map_err(|e| {
            Failure::new(
                HResult::E_FAIL,
                format!("{} cannot be written", self.file.display()),
            )
            .because(&e)
        })
    }

    /// Notes that a call begins; answers whether it was begun before, perhaps by an earlier service.
    fn begin(&self, name: Option<&Rc<str>>) -> Result<bool, Failure> {
        let Some(name) = name else {
            return Ok(false);
        };
        let mut begun = self.begun.borrow_mut();
        if begun.iter().any(|begun| **begun == **name) {
            return Ok(true);
        }
        if begun.len() >= MOST_BEGUN {
            begun.pop_front();
        }
        begun.push_back(name.to_string());
        let write = || -> io::Result<()> {
            let (file, temporary) = (begun_file(&self.file), self.file.with_extension("new"));
            fs::write(&temporary, serde_json::to_vec(&*begun)?)?;
            fs::rename(&temporary, &file)
        };
        write().map(|()| false).map_err(|e| {
            Failure::new(HResult::E_FAIL, "the call cannot be written down").because(&e)
        })
    }

    /// The property `CpuGroup`.
    pub(crate) fn configurations(&self) -> CpuGroupConfigurations {
        let groups = self.groups.borrow();
        let config = |(id, processors): (&String, &Vec<u32>)| CpuGroupConfig {
            group_id: Some(id.clone()),
            affinity: Some(CpuGroupAffinity {
                logical_processor_count: u32::try_from(processors.len()).ok(),
                logical_processors: Some(processors.clone()),
            }),
            ..CpuGroupConfig::default()
        };
        CpuGroupConfigurations {
            cpu_groups: Some(groups.iter().map(config).collect()),
        }
    }
}

/// Where the calls are written down that were begun.
fn begun_file(groups: &Path) -> PathBuf {
    groups.with_extension("calls.json")
}

/// A group's id as groups are kept by.
///
/// # Errors
/// It is no GUID.
pub(crate) fn canonical(id: &str) -> Result<String, Failure> {
    let inside = id.strip_prefix('{').and_then(|id| id.strip_suffix('}'));
    match uuid::Uuid::try_parse(inside.unwrap_or(id)) {
        Ok(id) => Ok(id.to_string()),
        Err(e) => Err(Failure::new(
            HResult::HCS_E_INVALID_JSON,
            format!("expected a GUID as the id of a group of processors, found '{id}'"),
        )
        .because(&e)),
    }
}

/// Makes the groups that were kept anew, where they are gone.
pub(crate) async fn restore(kept: &CpuGroups, engines: &[Arc<dyn Engine>]) {
    let groups = kept.groups.borrow().clone();
    for (id, processors) in groups {
        let group = id.clone();
        let made = on_engine(engines, move |groups| groups.make(&group, &processors));
        if let Err(failure) = made.await {
            error!(
                group = id,
                "a group of processors cannot be made again: {}",
                failure.log_line()
            );
        }
    }
}

/// `HcsModifyServiceSettings`. `users` names the systems that are in a group.
///
/// # Errors
/// The document is wrong, the change makes no sense, or the host refuses it.
pub(crate) async fn modify(
    kept: &CpuGroups,
    engines: &[Arc<dyn Engine>],
    users: impl Fn(&str) -> Vec<String>,
    settings: &str,
    name: Option<&Rc<str>>,
) -> Result<(), Failure> {
    let request: ModificationRequest = parse(&SERVICE, settings)?;
    match request.property_type {
        Some(ModifyPropertyType::CpuGroup) => {}
        _ => return Err(missing("/PropertyType", "\"CpuGroup\"")),
    }
    let request: HostProcessorModificationRequest = inner(request.settings, "/Settings")?;
    let details = request.operation_details;
    let place = "/Settings/OperationDetails";
    let _one_at_a_time = kept.changing.lock().await;
    match request.operation {
        Some(ModifyServiceOperation::CreateGroup) => {
            create(kept, engines, inner(details, place)?, name).await
        }
        Some(ModifyServiceOperation::DeleteGroup) => {
            delete(kept, engines, users, inner(details, place)?, name).await
        }
        Some(ModifyServiceOperation::SetProperty) => set_property(kept, &inner(details, place)?),
        None => Err(missing("/Settings/Operation", "an operation")),
    }
}

fn missing(pointer: &str, what: &str) -> Failure {
    Failure::new(
        HResult::HCS_E_INVALID_JSON,
        format!("the settings lack {what}"),
    )
    .cause_at(pointer, format!("expected {what}"))
}

/// A document within the settings.
fn inner<T: Document>(value: Option<Value>, pointer: &str) -> Result<T, Failure> {
    let value = value.ok_or_else(|| missing(pointer, "an object"))?;
    let mut parsed = hcs_schema::parse::<T>(&value.to_string());
    if let Err(failure) = &mut parsed {
        for cause in &mut failure.causes {
            let below = cause.pointer.take().unwrap_or_default();
            cause.pointer = Some(format!("{pointer}{below}"));
        }
    }
    parsed
}

async fn create(
    kept: &CpuGroups,
    engines: &[Arc<dyn Engine>],
    asked: CreateGroupOperation,
    name: Option<&Rc<str>>,
) -> Result<(), Failure> {
    let place = "/Settings/OperationDetails";
    let id = asked.group_id.as_deref();
    let id = canonical(id.ok_or_else(|| missing(&format!("{place}/GroupId"), "a GroupId"))?)?;
    let usable = host::processors().map_err(|e| {
        Failure::new(HResult::E_FAIL, "the host's processors are not known").because(&e)
    })?;
    let processors = chosen(&asked, &usable).map_err(|message| {
        Failure::new(HResult::E_INVALIDARG, message.clone())
            .cause_at(format!("{place}/LogicalProcessors"), message)
    })?;
    let was_begun = kept.begin(name)?;
    let mut groups = kept.groups.borrow().clone();
    if was_begun && groups.get(&id) == Some(&processors) {
        return Ok(());
    }
    if groups.contains_key(&id) {
        return Err(Failure::new(
            HResult::from_win32(win32::ERROR_ALREADY_EXISTS),
            format!("a group of processors with the id {id} already exists"),
        ));
    }
    groups.insert(id.clone(), processors.clone());
    // Written down first: one that was made and is not known would stay for ever if the service were killed in between.
    kept.write(&groups)?;
    let group = id.clone();
    let made = on_engine(engines, move |groups| groups.make(&group, &processors));
    if let Err(failure) = made.await {
        groups.remove(&id);
        if let Err(also) = kept.write(&groups) {
            error!(
                group = id,
                "a group that could not be made is still written down: {}",
                also.log_line()
            );
        }
        return Err(failure);
    }
    info!(group = id, "a group of processors was made");
    kept.groups.replace(groups);
    Ok(())
}

/// The processors asked for, each once and usable.
fn chosen(asked: &CreateGroupOperation, usable: &[u32]) -> Result<Vec<u32>, String> {
    let mut processors = asked.logical_processors.clone().unwrap_or_default();
    processors.sort_unstable();
    processors.dedup();
    if processors.is_empty() {
        return Err("a group needs at least one processor".to_owned());
    }
    if let Some(count) = asked.logical_processor_count
        && count as usize != processors.len()
    {
        return Err(format!(
            "LogicalProcessorCount is {count}, but LogicalProcessors names {} processors",
            processors.len()
        ));
    }
    match processors.iter().find(|index| !usable.contains(index)) {
        Some(index) => Err(format!(
            "processor {index} cannot be used here; there are {usable:?}"
        )),
        None => Ok(processors),
    }
}

async fn delete(
    kept: &CpuGroups,
    engines: &[Arc<dyn Engine>],
    users: impl Fn(&str) -> Vec<String>,
    asked: DeleteGroupOperation,
    name: Option<&Rc<str>>,
) -> Result<(), Failure> {
    let known = known(kept, asked.group_id.as_deref());
    let gone = |failure: &Failure| failure.hresult == HResult::NOT_FOUND;
    if kept.begin(name)? && known.as_ref().is_err_and(gone) {
        return Ok(());
    }
    let id = known?;
    let users = users(&id);
    if !users.is_empty() {
        return Err(Failure::new(
            HResult::from_win32(win32::ERROR_BUSY),
            format!(
                "the group of processors {id} is used by {}",
                users.join(", ")
            ),
        ));
    }
    let group = id.clone();
    on_engine(engines, move |groups| groups.remove(&group)).await?;
    let mut groups = kept.groups.borrow().clone();
    groups.remove(&id);
    kept.write(&groups)?;
    info!(group = id, "a group of processors was removed");
    kept.groups.replace(groups);
    Ok(())
}

/// Cap, priority and held back processors are of the hypervisor's scheduler; a group here is a set of processors.
fn set_property(kept: &CpuGroups, asked: &SetPropertyOperation) -> Result<(), Failure> {
    let id = known(kept, asked.group_id.as_deref())?;
    let code = asked.property_code.unwrap_or(0);
    let message = format!(
        "the property {code:#x} of the group of processors {id} cannot be set: a group is a set of processors here, and \
         the properties of groups are a hypervisor's; limits go with each container (Container.Processor)"
    );
    Err(
        Failure::new(HResult::NOT_SUPPORTED, message.clone()).cause_at(
            "/Settings/OperationDetails/PropertyCode",
            "this host has no such property",
        ),
    )
}

/// The id of a group there is.
fn known(kept: &CpuGroups, id: Option<&str>) -> Result<String, Failure> {
    let place = "/Settings/OperationDetails/GroupId";
    let id = canonical(id.ok_or_else(|| missing(place, "a GroupId"))?)?;
    if kept.groups.borrow().contains_key(&id) {
        return Ok(id);
    }
    Err(Failure::new(
        HResult::NOT_FOUND,
        format!("there is no group of processors with the id {id}"),
    ))
}

/// Asks the engine that has groups of processors.
async fn on_engine(
    engines: &[Arc<dyn Engine>],
    call: impl FnOnce(&dyn ProcessorGroups) -> Result<(), Failure> + Send + 'static,
) -> Result<(), Failure> {
    let none = || {
        let message = "no engine of this service has groups of processors";
        Failure::new(HResult::NOT_SUPPORTED, message)
    };
    let having = engines
        .iter()
        .find(|engine| engine.processor_groups().is_some());
    let engine = Arc::clone(having.ok_or_else(none)?);
    blocking(move || call(engine.processor_groups().ok_or_else(none)?)).await
}

/// The group that `document` asks `engine` for, as groups are kept by.
pub(crate) fn asked_for(engine: &dyn Engine, document: &ComputeSystem) -> Option<String> {
    canonical(engine.processor_groups()?.asked_for(document)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_names_usable_processors_once() {
        let asked = |count, processors: &[u32]| CreateGroupOperation {
            logical_processor_count: count,
            logical_processors: Some(processors.to_vec()),
            ..CreateGroupOperation::default()
        };
        assert_eq!(
            chosen(&asked(Some(2), &[3, 1, 3]), &[0, 1, 3]),
            Ok(vec![1, 3])
        );
        assert_eq!(chosen(&asked(None, &[0]), &[0]), Ok(vec![0]));
        for wrong in [asked(None, &[]), asked(Some(1), &[0, 1]), asked(None, &[2])] {
            assert!(chosen(&wrong, &[0, 1]).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn ids_are_the_same_however_they_are_written() {
        let id = "0AD8B3C2-91E6-4ED2-9BF2-6F47F2B1A3C4";
        assert_eq!(canonical(id).unwrap(), id.to_lowercase());
        assert_eq!(canonical(&format!("{{{id}}}")).unwrap(), id.to_lowercase());
        assert!(canonical("../x").is_err());
    }

    #[test]
    fn groups_are_kept_and_forgotten() {
        let directory = tempfile::tempdir().unwrap();
        let open = || CpuGroups::open(directory.path()).unwrap();
        let groups = Groups::from([("a".to_owned(), vec![0, 1])]);
        open().write(&groups).unwrap();
        assert_eq!(*open().groups.borrow(), groups);
        let shown = open().configurations().cpu_groups.unwrap();
        let affinity = shown[0].affinity.clone().unwrap();
        assert_eq!(affinity.logical_processor_count, Some(2));
        open().write(&Groups::new()).unwrap();
        assert!(open().groups.borrow().is_empty());
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_damaged_file_is_put_aside() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("cpu_groups.json");
        for damaged in ["", "{\"a\":[0", "[]", "{\"a\":-1}"] {
            fs::write(&file, damaged).unwrap();
            let opened = CpuGroups::open(directory.path()).unwrap();
            assert!(opened.groups.borrow().is_empty(), "{damaged}");
            assert!(!file.exists(), "{damaged}");
            let aside = fs::read_to_string(file.with_extension("json.damaged"));
            assert_eq!(aside.unwrap(), damaged);
        }
    }
}
