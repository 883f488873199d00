//! Changes to a running container.

use std::os::fd::AsFd;

use hcs_engine::modification::{Action, HostChange, RESOURCE_PATH, SETTINGS};
use hcs_schema::{
    Failure, HResult,
    coverage::CONTAINER,
    documents::{ContainerMemory, ContainerProcessor},
};

use super::{ContainerMachine, job};
use crate::{
    cgroup::limits::{self, CpuLimits},
    child::job::ChildJob,
    failure::StepError,
    parts::{mapped, sharing},
    plan,
    spec::{MappedSpec, Owners},
    user_namespace::{self, IdRange},
};

/// What is to be changed.
#[derive(Debug)]
pub(crate) enum Change {
    Memory(u64),
    Cpu(CpuLimits),
    Mounts(ChildJob),
}

/// Applies a change.
///
/// # Errors
/// The resource or the kind of change is not supported, the value does not fit, or the kernel refused it.
pub(super) fn apply(machine: &ContainerMachine, change: &HostChange) -> Result<(), Failure> {
    match read(change, machine.record.owners())? {
        Change::Memory(bytes) => machine
            .record
            .groups
            .limit_memory(Some(bytes))
            .map_err(in_settings),
        Change::Cpu(cpu) => machine.record.groups.limit_cpu(cpu).map_err(in_settings),
        Change::Mounts(job) => {
            let message = "a service that runs as an ordinary user cannot map anything into a container that runs, or \
                           take it away; name it in the document of the container";
            if machine.is_of_user() {
                return Err(refuse(RESOURCE_PATH, message.to_owned()));
            }
            if let ChildJob::Map(spec) = &job {
                check_sharing(machine, spec)?;
            }
            let job = covering(machine, job)?;
            let marked = match &job {
                ChildJob::Map(spec) => sharing::mark([spec]),
                _ => Ok(()),
            };
            let changed = marked.and_then(|()| run(machine, &job));
            changed.map_err(|error| machine.fail("changed", error))
        }
    }
}

/// Has the service's own directories covered in what is mapped.
fn covering(machine: &ContainerMachine, mut job: ChildJob) -> Result<ChildJob, Failure> {
    if let ChildJob::Map(spec) = &mut job {
        machine.own_places.cover_in_mapped([spec])?;
    }
    Ok(job)
}

/// Makes sure that what the container makes there gives no power on the host, as for one that is named in its document.
fn check_sharing(machine: &ContainerMachine, spec: &MappedSpec) -> Result<(), Failure> {
    let record = &machine.record;
    let own = record.user_namespace.filter(|user| user.slot.is_some());
    if let Some(user) = own {
        let range = |first| IdRange {
            first,
            count: IdRange::EACH,
        };
        sharing::check_usable(spec, (range(user.user), range(user.group)))?;
    }
    sharing::check_late(spec, record.guarded)
}

fn run(machine: &ContainerMachine, job: &ChildJob) -> Result<(), StepError> {
    let process = machine.process.as_fd();
    let namespace = match machine.record.user_namespace {
        Some(_) => Some(user_namespace::Child::find(machine.record.pid, process)?.namespace()?),
        None => None,
    };
    let namespace = namespace.as_ref().map(AsFd::as_fd);
    job::run((&machine.launcher, machine.user), process, namespace, job)
}

/// Reads the change. `owners`: whose files are in what is mapped where the request does not say.
pub(crate) fn read(change: &HostChange, owners: Owners) -> Result<Change, Failure> {
    Ok(match &change.action {
        Action::LimitContainerMemory(megabytes) => Change::Memory(memory(*megabytes)?),
        Action::LimitContainerProcessor(document) => Change::Cpu(processor(document)?),
        Action::MapDirectory(document) => Change::Mounts(ChildJob::Map(mapped::check_directory(
            document, SETTINGS, owners,
        )?)),
        Action::UnmapDirectory(document) => Change::Mounts(ChildJob::Unmap(
            mapped::check_directory(document, SETTINGS, owners)?,
        )),
        Action::MapPipe(document) => {
            Change::Mounts(ChildJob::Map(mapped::check_pipe(document, SETTINGS)?))
        }
        Action::UnmapPipe(document) => {
            Change::Mounts(ChildJob::Unmap(mapped::check_pipe(document, SETTINGS)?))
        }
        _ => return Err(CONTAINER.refuse_resource(&change.resource)),
    })
}

fn refuse(pointer: &str, message: String) -> Failure {
    Failure::new(HResult::NOT_SUPPORTED, message.clone()).cause_at(pointer, message)
}

fn memory(megabytes: u64) -> Result<u64, Failure> {
    let document = ContainerMemory {
        size_in_mb: Some(megabytes),
    };
    let size = limits::memory(Some(&document)).map_err(in_settings)?;
    size.ok_or_else(|| {
        let message = format!("{megabytes} is not a size in megabytes");
        Failure::new(HResult::HCS_E_INVALID_JSON, message.clone()).cause_at(SETTINGS, message)
    })
}

fn processor(document: &ContainerProcessor) -> Result<CpuLimits, Failure> {
    if document.cpu_group.is_some() {
        let message = "a running container stays in its group of processors".to_owned();
        return Err(refuse("/Settings/CpuGroup", message));
    }
    limits::processor(Some(document), plan::processors()).map_err(in_settings)
}

/// The pointers of a failure are those of the document a container is made from; in a request the value stands
/// elsewhere.
fn in_settings(mut failure: Failure) -> Failure {
    for pointer in failure
        .causes
        .iter_mut()
        .filter_map(|cause| cause.pointer.as_mut())
    {
        let rest = pointer
            .strip_prefix(limits::MEMORY)
            .or_else(|| pointer.strip_prefix(limits::PROCESSOR));
        *pointer = format!("{SETTINGS}{}", rest.unwrap_or(pointer));
    }
    failure
}
