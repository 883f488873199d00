//! Changes to a running container.

use std::os::fd::AsFd;

use hcs_schema::{
    Failure, HResult,
    coverage::CONTAINER,
    documents::{
        ContainerMemory, ContainerProcessor, MappedDirectory, MappedPipe, ModifyRequestType,
        ModifySettingRequest,
    },
};
use serde_json::Value;

use super::{ContainerMachine, errand};
use crate::{
    cgroup::limits::{self, CpuLimits},
    child::errand::Errand,
    failure::StepError,
    parts::{mapped, sharing},
    plan,
    spec::{MappedSpec, Owners},
    user_namespace::{self, IdRange},
};

/// JSON pointer of the value in a request.
const SETTINGS: &str = "/Settings";

/// What is to be changed.
#[derive(Debug)]
pub(crate) enum Change {
    Memory(u64),
    Cpu(CpuLimits),
    Mounts(Errand),
}

/// Applies a `ModifySettingRequest`.
///
/// # Errors
/// The resource or the kind of change is not supported, the value does not fit, or the kernel refused it.
pub(super) fn apply(
    machine: &ContainerMachine,
    request: &ModifySettingRequest,
) -> Result<(), Failure> {
    match read(request, machine.record.owners())? {
        Change::Memory(bytes) => machine
            .record
            .groups
            .limit_memory(Some(bytes))
            .map_err(in_settings),
        Change::Cpu(cpu) => machine.record.groups.limit_cpu(cpu).map_err(in_settings),
        Change::Mounts(errand) => {
            let message = "a service that runs as an ordinary user cannot map anything into a container that runs, or \
                           take it away; name it in the document of the container";
            if machine.is_of_user() {
                return Err(refuse("/ResourcePath", message.to_owned()));
            }
            if let Errand::Map(spec) = &errand {
                check_sharing(machine, spec)?;
            }
            run(machine, &covering(machine, errand)?)
                .map_err(|error| machine.fail("changed", error))
        }
    }
}

/// Has the service's own directories covered in what is mapped.
fn covering(machine: &ContainerMachine, mut errand: Errand) -> Result<Errand, Failure> {
    if let Errand::Map(spec) = &mut errand {
        machine.own_places.cover_in_mapped([spec])?;
    }
    Ok(errand)
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

fn run(machine: &ContainerMachine, errand: &Errand) -> Result<(), StepError> {
    let process = machine.process.as_fd();
    let namespace = match machine.record.user_namespace {
        Some(_) => Some(user_namespace::Child::find(machine.record.pid, process)?.namespace()?),
        None => None,
    };
    let namespace = namespace.as_ref().map(AsFd::as_fd);
    errand::run(&machine.launcher, process, namespace, errand)
}

/// Reads the request. `owners`: whose files are in what is mapped where the request does not say.
pub(crate) fn read(request: &ModifySettingRequest, owners: Owners) -> Result<Change, Failure> {
    let resource = request.resource_path.as_deref().unwrap_or_default();
    let kind = request.request_type.unwrap_or(ModifyRequestType::Update);
    let kind = kind.name();
    let settings = request.settings.as_ref().unwrap_or(&Value::Null);
    match (resource, kind) {
        ("Container/Memory/SizeInMB", "Update") => memory(settings).map(Change::Memory),
        ("Container/Processor", "Update") => processor(settings).map(Change::Cpu),
        ("Container/MappedDirectories", "Add" | "Remove") => {
            let document: MappedDirectory = parse(settings)?;
            mapped::check_directory(&document, SETTINGS, owners).map(|spec| mounts(kind, spec))
        }
        ("Container/MappedPipes", "Add" | "Remove") => {
            let document: MappedPipe = parse(settings)?;
            mapped::check_pipe(&document, SETTINGS).map(|spec| mounts(kind, spec))
        }
        ("Container/Memory/SizeInMB" | "Container/Processor", _) => Err(refuse(
            "/RequestType",
            format!("{kind:?} of {resource} is not supported, only \"Update\""),
        )),
        ("Container/MappedDirectories" | "Container/MappedPipes", _) => Err(refuse(
            "/RequestType",
            format!("{kind:?} of {resource} is not supported, only \"Add\" and \"Remove\""),
        )),
        _ => Err(CONTAINER.refuse_resource(resource)),
    }
}

fn mounts(kind: &str, spec: MappedSpec) -> Change {
    Change::Mounts(if kind == "Add" {
        Errand::Map(spec)
    } else {
        Errand::Unmap(spec)
    })
}

fn refuse(pointer: &str, message: String) -> Failure {
    Failure::new(HResult::NOT_SUPPORTED, message.clone()).cause_at(pointer, message)
}

fn parse<T: hcs_schema::Document>(settings: &Value) -> Result<T, Failure> {
    hcs_schema::parse(&settings.to_string())
        .and_then(|document| CONTAINER.check(&document).map(|()| document))
        .map_err(in_settings)
}

fn memory(settings: &Value) -> Result<u64, Failure> {
    let document = ContainerMemory {
        size_in_mb: settings.as_u64(),
    };
    let size = limits::memory(Some(&document)).map_err(in_settings)?;
    size.ok_or_else(|| {
        let message = format!("{settings} is not a size in megabytes");
        Failure::new(HResult::HCS_E_INVALID_JSON, message.clone()).cause_at(SETTINGS, message)
    })
}

fn processor(settings: &Value) -> Result<CpuLimits, Failure> {
    let document: ContainerProcessor = parse(settings)?;
    if document.cpu_group.is_some() {
        let message = "a running container stays in its group of processors".to_owned();
        return Err(refuse("/Settings/CpuGroup", message));
    }
    limits::processor(Some(&document), plan::processors()).map_err(in_settings)
}

/// The pointers of a failure are those of the document a container is made from, or of the settings alone; in this
/// request the value stands elsewhere.
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
