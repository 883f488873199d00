//! Groups of processors: which processors the systems that name a group share. The engine makes them real; what they
//! are is kept in `<state root>/cpu_groups.json`, so that they are there after a restart.
//!
//! The calls that changed them are beside it, in `cpu_groups.calls.json` ([`calls`]).

mod calls;

use std::{
    cell::RefCell,
    collections::BTreeMap,
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
use hcs_wire::subordinate::holder;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tracing::{error, info, warn};

use crate::{
    document::parse,
    record::{
        blocking::blocking,
        failures::{cancelled, unknown},
        files,
        ledger::CallOutcome,
        timeline::{self, CallKeeper},
    },
    thread::{
        fair::{FairLane, FairPlace},
        limits::is_trusted,
    },
    upkeep::host,
};
use calls::{Change, GroupCalls};

/// Groups that there may be, in all and of one user: each is a control group of the host in each hierarchy.
const MOST: (usize, usize) = (256, 64);
/// Groups of all users but root and the service's own: some are kept for those.
const MOST_OF_USERS: usize = MOST.0 - MOST.0 / 8;

/// Groups by id.
type Groups = BTreeMap<String, Group>;

/// A group as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "StoredGroup", rename_all = "PascalCase")]
struct Group {
    processors: Vec<u32>,
    /// The user who made it, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<u32>,
}

/// A group as it was written down.
#[derive(Deserialize)]
#[serde(untagged)]
enum StoredGroup {
    /// By an earlier version.
    Processors(Vec<u32>),
    #[serde(rename_all = "PascalCase")]
    Group {
        processors: Vec<u32>,
        user: Option<u32>,
    },
}

impl From<StoredGroup> for Group {
    fn from(stored: StoredGroup) -> Self {
        match stored {
            StoredGroup::Processors(processors) => Self {
                processors,
                user: None,
            },
            StoredGroup::Group { processors, user } => Self { processors, user },
        }
    }
}

/// The call that changes groups.
#[derive(Debug)]
pub(crate) struct By<'a> {
    pub(crate) uid: u32,
    /// Its name, where its client may make it again.
    pub(crate) name: Option<&'a Rc<str>>,
    /// Its client may have made it before.
    pub(crate) is_repeat: bool,
    /// Its turn, held until it is done.
    pub(crate) _turn: FairPlace,
}

/// The groups there are. Belongs to the service's thread.
#[derive(Debug)]
pub(crate) struct CpuGroups {
    file: PathBuf,
    groups: RefCell<Groups>,
    calls: RefCell<GroupCalls>,
    /// Changes are made one after the other, in turns of those who ask.
    changing: Rc<FairLane>,
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
        let calls = match fs::read(calls_file(&file)) {
            Ok(text) => GroupCalls::read(&text, |id| groups.contains_key(id)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => GroupCalls::default(),
            Err(_) => GroupCalls::unknown(),
        };
        Ok(Self {
            file,
            calls: RefCell::new(calls),
            groups: RefCell::new(groups),
            changing: FairLane::new(1),
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
            files::replace_json(&self.file, groups)
        };
        write().map_err(|e| {
            Failure::new(
                HResult::E_FAIL,
                format!("{} cannot be written", self.file.display()),
            )
            .because(&e)
        })
    }

    /// Whether the call was done before, perhaps by an earlier service.
    ///
    /// # Errors
    /// An earlier service has forgotten whether it was.
    fn was_done(&self, by: &By<'_>) -> Result<bool, Failure> {
        let Some(name) = by.name.filter(|_| by.is_repeat) else {
            return Ok(false);
        };
        match self.calls.borrow().outcome(name) {
            CallOutcome::Done => Ok(true),
            CallOutcome::NotBegun => Ok(false),
            CallOutcome::Uncertain | CallOutcome::Forgotten => Err(unknown(
                "the service had to forget calls on groups of processors",
            )),
        }
    }

    /// A call is about to make this change: written down first, so that a service that is killed meanwhile leaves what
    /// the next one needs to tell whether it was made.
    ///
    /// # Errors
    /// It cannot be written down.
    fn begin(&self, by: &By<'_>, change: Change) -> Result<(), Failure> {
        let mut calls = self.calls.borrow_mut();
        match calls.begin(by.name.map(|name| &**name), change) {
            true => self.write_calls(&calls),
            false => Ok(()),
        }
    }

    /// The change was made.
    fn finish(&self) {
        self.calls.borrow_mut().finish();
    }

    /// The change was refused.
    fn withdraw(&self) {
        self.calls.borrow_mut().withdraw();
    }

    fn write_calls(&self, calls: &GroupCalls) -> Result<(), Failure> {
        files::replace_json(&calls_file(&self.file), calls).map_err(|e| {
            Failure::new(HResult::E_FAIL, "the call cannot be written down").because(&e)
        })
    }

    /// Forgets what clients asked an earlier service for: they had their time to come back.
    pub(crate) fn forget_earlier_calls(&self) {
        let mut calls = self.calls.borrow_mut();
        if calls.release_earlier()
            && let Err(failure) = self.write_calls(&calls)
        {
            warn!("{}", failure.log_line());
        }
    }

    /// The turn of whose call this is to change groups. Nothing has begun before.
    pub(crate) async fn turn(&self) -> FairPlace {
        self.changing.place(timeline::who()).await
    }

    /// Whether the user `uid` may have another group.
    ///
    /// # Errors
    /// There are as many as may be.
    fn has_room(&self, uid: u32) -> Result<(), Failure> {
        let groups = self.groups.borrow();
        let user = holder(uid);
        let own = groups.values().filter_map(|group| group.user);
        let own = own.filter(|one| holder(*one) == user).count();
        let of_users = groups.values().filter_map(|group| group.user);
        let of_users = of_users.filter(|one| !is_trusted(*one)).count();
        let (count, whose) = match (groups.len(), own) {
            (all, _) if all >= MOST.0 => (MOST.0, "this host has"),
            _ if of_users >= MOST_OF_USERS && !is_trusted(uid) => {
                (MOST_OF_USERS, "users other than root have made")
            }
            (_, own) if own >= MOST.1 => (MOST.1, "this user has made"),
            _ => return Ok(()),
        };
        Err(Failure::new(
            HResult::from_win32(win32::ERROR_NO_SYSTEM_RESOURCES),
            format!(
                "{whose} {count} groups of processors, which are as many as may be: delete one first"
            ),
        ))
    }

    /// The property `CpuGroup`.
    pub(crate) fn configurations(&self) -> CpuGroupConfigurations {
        let groups = self.groups.borrow();
        let config = |(id, group): (&String, &Group)| CpuGroupConfig {
            group_id: Some(id.clone()),
            affinity: Some(CpuGroupAffinity {
                logical_processor_count: u32::try_from(group.processors.len()).ok(),
                logical_processors: Some(group.processors.clone()),
            }),
            ..CpuGroupConfig::default()
        };
        CpuGroupConfigurations {
            cpu_groups: Some(groups.iter().map(config).collect()),
        }
    }
}

impl CallKeeper for CpuGroups {
    fn release(&self, name: &str) {
        self.calls.borrow_mut().release(name);
    }
}

/// Where the calls are written down.
fn calls_file(groups: &Path) -> PathBuf {
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
    for (id, Group { processors, .. }) in groups {
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

/// `HcsModifyServiceSettings`. `users` names the systems that are in a group. To be polled to its end, not as work of
/// the call: others wait meanwhile. What has made a group takes that back where `is_cancelled` by then.
///
/// # Errors
/// The document is wrong, the change makes no sense, or the host refuses it.
pub(crate) async fn modify(
    kept: &CpuGroups,
    engines: &[Arc<dyn Engine>],
    users: impl Fn(&str) -> Vec<String>,
    settings: &str,
    by: By<'_>,
    is_cancelled: impl Fn() -> bool,
) -> Result<(), Failure> {
    let request: ModificationRequest = parse(&SERVICE, settings)?;
    match request.property_type {
        Some(ModifyPropertyType::CpuGroup) => {}
        _ => return Err(missing("/PropertyType", "\"CpuGroup\"")),
    }
    let request: HostProcessorModificationRequest = inner(request.settings, "/Settings")?;
    let details = request.operation_details;
    let place = "/Settings/OperationDetails";
    match request.operation {
        Some(ModifyServiceOperation::CreateGroup) => {
            create(kept, engines, inner(details, place)?, &by, is_cancelled).await
        }
        Some(ModifyServiceOperation::DeleteGroup) => {
            delete(kept, engines, users, inner(details, place)?, &by).await
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
    by: &By<'_>,
    is_cancelled: impl Fn() -> bool,
) -> Result<(), Failure> {
    let place = "/Settings/OperationDetails";
    let id = asked.group_id.as_deref();
    let id = canonical(id.ok_or_else(|| missing(&format!("{place}/GroupId"), "a GroupId"))?)?;
    let processors = usable(&asked, place)?;
    if kept.was_done(by)? {
        return Ok(());
    }
    let mut groups = kept.groups.borrow().clone();
    if groups.contains_key(&id) {
        return Err(Failure::new(
            HResult::from_win32(win32::ERROR_ALREADY_EXISTS),
            format!("a group of processors with the id {id} already exists"),
        ));
    }
    kept.has_room(by.uid)?;
    let user = Some(by.uid);
    let group = Group {
        processors: processors.clone(),
        user,
    };
    groups.insert(id.clone(), group);
    // Written down first: one that was made and is not known would stay for ever if the service were killed in between.
    kept.begin(by, Change::Create(id.clone()))?;
    if let Err(failure) = kept.write(&groups) {
        kept.withdraw();
        return Err(failure);
    }
    let group = id.clone();
    let made = on_engine(engines, move |groups| groups.make(&group, &processors));
    let made = match made.await {
        Ok(()) if is_cancelled() => take_back(engines, id.clone()).await,
        made => made,
    };
    if let Err(failure) = made {
        kept.withdraw();
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
    kept.finish();
    kept.groups.replace(groups);
    Ok(())
}

/// Removes a group that was given up while it was made. A group that stays is told as made, so that it can be deleted.
///
/// # Errors
/// The group is not there, as its client wanted.
async fn take_back(engines: &[Arc<dyn Engine>], group: String) -> Result<(), Failure> {
    let removed = on_engine(engines, move |groups| groups.remove(&group)).await;
    removed.map_or(Ok(()), |()| Err(cancelled()))
}

/// The processors that are asked for at `place`, which the host has.
fn usable(asked: &CreateGroupOperation, place: &str) -> Result<Vec<u32>, Failure> {
    let usable = host::processors().map_err(|e| {
        Failure::new(HResult::E_FAIL, "the host's processors are not known").because(&e)
    })?;
    chosen(asked, &usable).map_err(|message| {
        Failure::new(HResult::E_INVALIDARG, message.clone())
            .cause_at(format!("{place}/LogicalProcessors"), message)
    })
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
    by: &By<'_>,
) -> Result<(), Failure> {
    if kept.was_done(by)? {
        return Ok(());
    }
    let id = known(kept, asked.group_id.as_deref())?;
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
    kept.begin(by, Change::Delete(id.clone()))?;
    let group = id.clone();
    let mut groups = kept.groups.borrow().clone();
    groups.remove(&id);
    let removed = on_engine(engines, move |groups| groups.remove(&group)).await;
    if let Err(failure) = removed.and_then(|()| kept.write(&groups)) {
        kept.withdraw();
        return Err(failure);
    }
    info!(group = id, "a group of processors was removed");
    kept.finish();
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

/// Asks the engine that has groups of processors: there is one, that of containers, and virtual machines use its
/// groups. A group on two engines could not be made and removed in one step.
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
    canonical(engine.processor_group(document)?).ok()
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
        let group = Group {
            processors: vec![0, 1],
            user: Some(7),
        };
        let groups = Groups::from([("a".to_owned(), group)]);
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
    fn groups_of_earlier_versions_are_no_users() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("cpu_groups.json");
        fs::write(&file, r#"{"a":[0,1]}"#).unwrap();
        let opened = CpuGroups::open(directory.path()).unwrap();
        let group = opened.groups.borrow()["a"].clone();
        assert_eq!((group.processors, group.user), (vec![0, 1], None));
    }

    #[test]
    fn groups_are_bounded_for_each_user_and_in_all() {
        let directory = tempfile::tempdir().unwrap();
        let kept = CpuGroups::open(directory.path()).unwrap();
        let users = MOST.0 / MOST.1;
        for number in 0..MOST.0 {
            let user = u32::try_from(number % users).unwrap();
            kept.has_room(user).unwrap();
            let group = Group {
                processors: vec![0],
                user: Some(user),
            };
            kept.groups.borrow_mut().insert(number.to_string(), group);
            let own = number / users + 1;
            let refused = kept.has_room(user).is_err();
            assert_eq!(refused, own >= MOST.1 || number + 1 >= MOST.0);
        }
        let message = kept.has_room(1000).unwrap_err().message;
        assert!(message.contains("this host has 256 groups"), "{message}");
        kept.groups.borrow_mut().remove("0");
        kept.has_room(1000).unwrap();
        let message = kept.has_room(1).unwrap_err().message;
        assert!(message.contains("this user has made 64"), "{message}");
        // However many users there are, some stay for root.
        let own = rustix::process::geteuid().as_raw();
        for (number, user) in (1..).zip(kept.groups.borrow_mut().values_mut()) {
            user.user = Some(own + number);
        }
        kept.groups
            .borrow_mut()
            .retain(|id, _| id.parse::<usize>().unwrap() <= MOST_OF_USERS);
        assert!(kept.has_room(own + 1000).is_err());
        kept.has_room(0).unwrap();
        kept.groups.borrow_mut().remove("1");
        kept.has_room(own + 1000).unwrap();
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
