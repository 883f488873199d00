//! [`ComputeSystem`].

use hcs_schema::{
    Failure,
    documents::{self, Properties, SystemExitStatus, SystemPropertyQuery, SystemQuery},
};
use hcs_wire::output::OutputQuery;
use serde::Serialize;

use crate::{
    Endpoint, Events, Exit, KeptOutput, Operation, Process,
    exit::system_exit,
    operation::{read, refused, write},
    raw,
};

/// A compute system: a container or a virtual machine. A handle to it; dropped, the handle is closed and the system
/// lives on, unless its document says `ShouldTerminateOnLastHandleClosed`.
#[derive(Clone, Debug)]
pub struct ComputeSystem {
    raw: raw::System,
}

impl ComputeSystem {
    /// Makes a system; it is then to be started.
    pub fn create(id: &str, document: &documents::ComputeSystem) -> Operation<Self> {
        create(id, write(document), |id, json, operation| {
            raw::System::create(id, json, operation)
        })
    }

    /// [`ComputeSystem::create`] with the text of the document.
    pub fn create_json(id: &str, document: &str) -> Operation<Self> {
        create(id, Ok(document.to_owned()), |id, json, operation| {
            raw::System::create(id, json, operation)
        })
    }

    /// A handle to a system that is there.
    pub fn open(id: &str) -> Operation<Self> {
        let start = |operation: &raw::Operation| {
            let endpoint = Endpoint::from_environment()?;
            endpoint.open_system_by(id, operation).map_err(refused)
        };
        Operation::new(start, |raw, _, _| Ok(Self { raw }))
    }

    /// The id it was made or opened with.
    #[must_use]
    pub fn id(&self) -> &str {
        self.raw.id()
    }

    /// The service's GUID for this very system, which tells it from later ones with the same id.
    #[must_use]
    pub fn runtime_id(&self) -> Option<&str> {
        self.raw.runtime_id()
    }

    /// The handle underneath.
    #[must_use]
    pub const fn raw(&self) -> &raw::System {
        &self.raw
    }

    /// Starts it; then processes can be made in it.
    pub fn start(&self) -> Operation<()> {
        self.call(|system, operation| system.start(operation, None))
    }

    /// Asks it to end by itself.
    pub fn shut_down(&self) -> Operation<()> {
        self.call(|system, operation| system.shut_down(operation, None))
    }

    /// Ends it at once.
    pub fn terminate(&self) -> Operation<()> {
        self.call(|system, operation| system.terminate(operation, None))
    }

    /// Stops everything in it until [`ComputeSystem::resume`].
    pub fn pause(&self) -> Operation<()> {
        self.call(|system, operation| system.pause(operation, None))
    }

    /// Undoes [`ComputeSystem::pause`].
    pub fn resume(&self) -> Operation<()> {
        self.call(|system, operation| system.resume(operation, None))
    }

    /// Saves its state.
    pub fn save(&self, options: &documents::SaveOptions) -> Operation<()> {
        match write(options) {
            Ok(json) => self.call(move |system, operation| system.save(operation, Some(&json))),
            Err(failure) => Operation::new(|_| Err::<(), _>(failure), |(), _, _| Ok(())),
        }
    }

    /// Changes settings: a `ModifySettingRequest`, or any document that serializes to one.
    pub fn modify<T: Serialize + ?Sized>(&self, request: &T) -> Operation<()> {
        let start = |operation: &raw::Operation| {
            self.raw
                .modify(operation, &write(request)?)
                .map_err(refused)
        };
        Operation::new(start, |(), _, _| Ok(()))
    }

    /// Its properties: the basic ones, and those the query names.
    pub fn properties(&self, query: &SystemPropertyQuery) -> Operation<Properties> {
        let start = |operation: &raw::Operation| {
            self.raw
                .properties(operation, Some(&write(query)?))
                .map_err(refused)
        };
        Operation::new(start, |(), _, document| {
            read("Properties", document.as_deref())
        })
    }

    /// Makes a process in it.
    pub fn create_process(&self, parameters: &documents::ProcessParameters) -> Operation<Process> {
        Process::create(&self.raw, write(parameters))
    }

    /// [`ComputeSystem::create_process`] with the text of the document.
    pub fn create_process_json(&self, parameters: &str) -> Operation<Process> {
        Process::create(&self.raw, Ok(parameters.to_owned()))
    }

    /// A handle to a process in it, by its pid inside the system. It comes without streams, see [`Process::attach`].
    pub fn open_process(&self, process_id: u32) -> Operation<Process> {
        Process::open(&self.raw, process_id)
    }

    /// What a detached process in it has written, as far as that is kept.
    pub fn output(&self, query: &OutputQuery) -> Operation<KeptOutput> {
        KeptOutput::read(&self.raw, query)
    }

    /// Its end, to be waited for or awaited.
    pub fn exit(&self) -> Exit<SystemExitStatus> {
        Exit::new(self.raw.handle(), system_exit)
    }

    /// The events of the system from now on.
    ///
    /// # Errors
    /// `E_OUTOFMEMORY` when no thread could be started.
    pub fn events(&self) -> Result<Events, Failure> {
        Events::new(self.raw.handle())
    }

    fn call(
        &self,
        start: impl FnOnce(&raw::System, &raw::Operation) -> Result<(), hcs_schema::HResult>,
    ) -> Operation<()> {
        let start = |operation: &raw::Operation| start(&self.raw, operation).map_err(refused);
        Operation::new(start, |(), _, _| Ok(()))
    }
}

impl From<raw::System> for ComputeSystem {
    fn from(raw: raw::System) -> Self {
        Self { raw }
    }
}

fn create(
    id: &str,
    document: Result<String, Failure>,
    create: impl FnOnce(&str, &str, &raw::Operation) -> Result<raw::System, hcs_schema::HResult>,
) -> Operation<ComputeSystem> {
    let start = |operation: &raw::Operation| create(id, &document?, operation).map_err(refused);
    Operation::new(start, |raw, _, _| Ok(ComputeSystem { raw }))
}

/// The systems that are there and fit the query; the default fits all.
pub fn enumerate(query: &SystemQuery) -> Operation<Vec<documents::ComputeSystemProperties>> {
    let start = |operation: &raw::Operation| {
        raw::enumerate(Some(&write(query)?), operation).map_err(refused)
    };
    Operation::new(start, |(), _, document| {
        read("list of compute systems", document.as_deref())
    })
}
