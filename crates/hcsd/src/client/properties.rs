//! `HcsGetComputeSystemProperties`: from the query to the `Properties` document.

use std::{
    cell::Cell,
    collections::BTreeMap,
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use hcs_engine::engine::Machine;
use hcs_lifecycle::system::State;
use hcs_schema::{
    Failure, HResult,
    coverage::Coverage,
    documents::{
        GuestConnectionInfo, ProcessDetails, Properties, PropertyResponse, ResultError,
        State as StateName, SystemPropertyQuery, SystemPropertyType, Version,
    },
    parse_optional,
};
use hcs_wire::service::MAX_MESSAGE_BYTES;
use serde_json::Value;

use crate::{
    client::{connection::CallAnswer, picture_size},
    record::blocking::blocking,
    system::{System, guest_link::calls::SHORT},
};

/// Properties that one query may name, in each of its ways: each is answered, be it with a failure.
const MOST_NAMES: usize = 64;

/// Refuses a query that names too many properties at `pointer`.
///
/// # Errors
/// It does.
pub(crate) fn check_count(pointer: &str, count: Option<usize>) -> Result<(), Failure> {
    let count = count.unwrap_or(0);
    if count <= MOST_NAMES {
        return Ok(());
    }
    let message = format!(
        "the query names {count} properties and may name {MOST_NAMES}: ask for fewer at a time"
    );
    Err(Failure::new(HResult::E_INVALIDARG, message).cause_at(pointer, "there are too many"))
}

/// Bytes of what others wrote that an answer has room for: the rest of a message is for what the service says itself,
/// and for the escapes of text.
const MOST_BYTES: usize = MAX_MESSAGE_BYTES as usize / 4 * 3;

/// How a query is answered.
struct Asking {
    /// One limit for all that the agent has to say.
    end: Instant,
    /// Bytes of what others wrote that the answer has: the agent, and the maker of the system.
    bytes: Cell<usize>,
}

impl Asking {
    /// What is left of the time.
    fn left(&self) -> Duration {
        self.end.saturating_duration_since(Instant::now())
    }

    /// Counts what others wrote.
    fn count(&self, bytes: usize) {
        self.bytes.set(self.bytes.get().saturating_add(bytes));
    }

    /// Counts a picture, if the answer has room for it.
    ///
    /// # Errors
    /// It has none.
    fn count_picture(&self, bytes: usize) -> Result<(), Failure> {
        let others = self.bytes.get();
        if others.saturating_add(bytes) <= MOST_BYTES {
            self.count(bytes);
            return Ok(());
        }
        let message = format!(
            "the picture has {bytes} bytes and the rest of the answer {others}, which are more than {MOST_BYTES}: ask for \
             it alone, and once"
        );
        Err(Failure::new(HResult::E_OUTOFMEMORY, message).while_doing("GetProperties"))
    }

    /// Whether what is answered is to be written aside.
    fn is_long(&self) -> bool {
        self.bytes.get() > SHORT
    }
}

/// Answers a query, that of the call `request`. One property of `PropertyTypes` that fails fails the call; one of
/// `PropertyQueries` only itself.
///
/// # Errors
/// The query is wrong, or a property cannot be had.
pub(crate) async fn answer(
    request: u64,
    system: &Rc<System>,
    query: Option<&str>,
) -> Result<CallAnswer, Failure> {
    let query: SystemPropertyQuery = parse_optional(query)?;
    system.alive()?;
    let checked = system.coverage().check(&query);
    checked.map_err(|failure| failure.while_doing("GetProperties"))?;
    check_count(
        "/PropertyTypes",
        query.property_types.as_ref().map(Vec::len),
    )?;
    check_count("/Queries", query.queries.as_ref().map(BTreeMap::len))?;
    let queries = query.property_queries.as_ref();
    check_count("/PropertyQueries", queries.map(BTreeMap::len))?;
    let mut properties = basic(system);
    let asking = Asking {
        end: Instant::now() + system.context()?.config().times.query(),
        bytes: Cell::default(),
    };
    let mut answered = Vec::new();
    for kind in query.property_types.unwrap_or_default() {
        // What is asked for again has no other answer.
        if answered.contains(&kind) {
            continue;
        }
        answered.push(kind);
        let one = property(system, kind, &asking).await?;
        merge(&mut properties, one);
    }
    let named = query.queries.into_iter().chain(query.property_queries);
    let mut responses = BTreeMap::new();
    for (name, asked) in named.flatten() {
        let mut answer = by_name(system, &name, &asking).await;
        if name == SystemPropertyType::ConsoleImage.name() {
            answer = answer.and_then(|image| picture_size::check(&asked, &image).map(|()| image));
        }
        let response = response(answer)?;
        responses.insert(name, response);
    }
    if !responses.is_empty() {
        properties.property_responses = Some(responses);
    }
    if asking.is_long() {
        return CallAnswer::encoded(request, properties).await;
    }
    Ok(CallAnswer::document(Some(to_text(&properties)?)))
}

/// What every answer has, and an enumeration shows.
pub(crate) fn basic(system: &System) -> Properties {
    Properties {
        id: Some(system.id.clone()),
        system_type: Some(system.system_type),
        runtime_os_type: system.os_type,
        owner: system.owner.clone(),
        runtime_id: Some(system.runtime_id.clone()),
        image: system.image.clone(),
        state: shown_state(system.state()),
        ..Properties::default()
    }
}

/// The name of a state; none until the system has run, as clients of HCS know it.
fn shown_state(state: State) -> Option<StateName> {
    if state == State::Created {
        return None;
    }
    StateName::ALL
        .iter()
        .copied()
        .find(|name| name.name() == state.name())
}

/// The document as text.
///
/// # Errors
/// It cannot be written.
pub(crate) fn to_text<T: serde::Serialize>(document: &T) -> Result<String, Failure> {
    serde_json::to_string(document).map_err(|e| {
        Failure::new(HResult::E_UNEXPECTED, "an answer could not be written").because(&e)
    })
}

/// What stands under the name of a property of the newer form: its value, or why it cannot be had.
///
/// # Errors
/// The failure cannot be written.
pub(crate) fn response(answer: Result<Value, Failure>) -> Result<PropertyResponse, Failure> {
    match answer {
        Ok(value) => Ok(PropertyResponse {
            response: Some(value),
            error: None,
        }),
        Err(failure) => Ok(PropertyResponse {
            response: None,
            error: Some(as_result_error(&failure)?),
        }),
    }
}

fn as_result_error(failure: &Failure) -> Result<ResultError, Failure> {
    serde_json::from_str(&failure.to_document()).map_err(|e| {
        Failure::new(HResult::E_UNEXPECTED, "a failure could not be written").because(&e)
    })
}

/// The properties, with nothing but `kind` in them.
async fn property(
    system: &Rc<System>,
    kind: SystemPropertyType,
    asking: &Asking,
) -> Result<Properties, Failure> {
    let mut properties = Properties::default();
    match kind {
        SystemPropertyType::Basic => properties = basic(system),
        SystemPropertyType::ProcessList => {
            properties.process_list = Some(process_list(system, asking).await?);
        }
        SystemPropertyType::TerminateOnLastHandleClosed => {
            properties.terminate_on_last_handle_closed =
                Some(system.terminate_on_last_handle_closed.get());
        }
        SystemPropertyType::GuestConnection => {
            properties.guest_connection_info = Some(guest_connection(system, asking).await?);
        }
        SystemPropertyType::Document => {
            let text = system.document().to_owned();
            asking.count(text.len());
            let machine = Arc::clone(&system.machine);
            let read = blocking(move || document(&text, &*machine));
            properties.document = Some(read.await?);
        }
        SystemPropertyType::Statistics => {
            properties = of_machine(system, kind).await?;
            let context = system.context()?;
            let network = context.networks.figures(&system.runtime_id).await;
            let statistics = properties.statistics.get_or_insert_default();
            statistics.network = network.map_err(|failure| failure.while_doing("GetProperties"))?;
        }
        SystemPropertyType::ConsoleImage => {
            properties = of_machine(system, kind).await?;
            let image = properties.console_image.as_ref();
            let length = image
                .and_then(|image| image.image.as_ref())
                .map(String::len);
            asking.count_picture(length.unwrap_or_default())?;
        }
        other => return of_machine(system, other).await,
    }
    Ok(properties)
}

/// The document that the system was made from, completed by its engine.
fn document(text: &str, machine: &dyn Machine) -> Result<Value, Failure> {
    let mut document: Value = serde_json::from_str(text).map_err(|e| {
        let message = "the document of the system cannot be read";
        Failure::new(HResult::E_UNEXPECTED, message).because(&e)
    })?;
    machine.complete_document(&mut document);
    Ok(document)
}

fn unavailable(system: &System, name: &str) -> Failure {
    let kinds = SystemPropertyType::enumeration().name;
    let reason = (system.coverage().coverage(kinds, name))
        .and_then(Coverage::reason)
        .unwrap_or("the engine that has the system does not offer it");
    Failure::new(
        HResult::NOT_SUPPORTED,
        format!(
            "the property {name} is not available for '{}': {reason}",
            system.id
        ),
    )
    .while_doing("GetProperties")
}

/// One property of the newer form, as the value that stands under its name.
async fn by_name(system: &Rc<System>, name: &str, asking: &Asking) -> Result<Value, Failure> {
    let kind = SystemPropertyType::ALL
        .iter()
        .copied()
        .find(|kind| kind.name() == name);
    let Some(kind) = kind else {
        return Err(if name == "ProcessorCapabilities" {
            unavailable(system, name)
        } else {
            Failure::new(
                HResult::E_INVALIDARG,
                format!("there is no property {name}"),
            )
        });
    };
    let properties = property(system, kind, asking).await?;
    if asking.is_long() {
        return blocking(move || value_of(kind, properties)).await;
    }
    value_of(kind, properties)
}

/// What stands under the name of `kind`, of which the properties are.
fn value_of(kind: SystemPropertyType, properties: Properties) -> Result<Value, Failure> {
    let value = match kind {
        SystemPropertyType::Basic => serde_json::to_value(properties),
        // Two names of one member.
        SystemPropertyType::Memory | SystemPropertyType::GuestMemory => {
            serde_json::to_value(properties.memory)
        }
        SystemPropertyType::Statistics => serde_json::to_value(properties.statistics),
        SystemPropertyType::ProcessList => serde_json::to_value(properties.process_list),
        SystemPropertyType::GuestConnection => {
            serde_json::to_value(properties.guest_connection_info)
        }
        SystemPropertyType::Document => serde_json::to_value(properties.document),
        SystemPropertyType::ConsoleImage => serde_json::to_value(properties.console_image),
        SystemPropertyType::TerminateOnLastHandleClosed => {
            serde_json::to_value(properties.terminate_on_last_handle_closed)
        }
        SystemPropertyType::SharedMemoryRegion => {
            serde_json::to_value(properties.shared_memory_region_info)
        }
        SystemPropertyType::ICHeartbeatStatus => {
            serde_json::to_value(properties.ic_heartbeat_status)
        }
    };
    value.map_err(|e| {
        Failure::new(HResult::E_UNEXPECTED, "an answer could not be written").because(&e)
    })
}

/// Takes over the members that `one` has. All are named, so that a new one is not left out: the compiler asks for it.
fn merge(into: &mut Properties, one: Properties) {
    macro_rules! take_over {
        ($($member:ident)*) => {
            let Properties { $($member),* } = one;
            $(into.$member = $member.or(into.$member.take());)*
        };
    }
    take_over! {
        id system_type runtime_os_type name owner runtime_id runtime_template_id state stopped exit_type memory
        statistics process_list terminate_on_last_handle_closed hosting_system_id shared_memory_region_info
        guest_connection_info property_responses ic_heartbeat_status document console_image image detached_process detached_command
    }
}

/// A property that the system's engine answers, if it has it.
async fn of_machine(system: &Rc<System>, kind: SystemPropertyType) -> Result<Properties, Failure> {
    let machine = Arc::clone(&system.machine);
    let answered = blocking(move || machine.property(kind)).await;
    match answered.map_err(|failure| failure.while_doing("GetProperties"))? {
        Some(properties) => Ok(properties),
        None => Err(unavailable(system, kind.name())),
    }
}

/// The processes as the agent knows them; nothing else that it tells is believed.
async fn process_list(
    system: &Rc<System>,
    asking: &Asking,
) -> Result<Vec<ProcessDetails>, Failure> {
    let link = system.guest_within(asking.left()).await?;
    match link.process_details(&system.target, asking.left()).await {
        Ok((listed, bytes)) => {
            asking.count(bytes);
            Ok(listed)
        }
        Err(failure) => Err(system.explain(failure).await.while_doing("GetProperties")),
    }
}

async fn guest_connection(
    system: &System,
    asking: &Asking,
) -> Result<GuestConnectionInfo, Failure> {
    let link = system.guest_within(asking.left()).await?;
    let capabilities = link.capabilities();
    let versions = capabilities.supported_schema_versions.iter().take(16);
    Ok(GuestConnectionInfo {
        supported_schema_versions: Some(
            versions
                .map(|version| Version {
                    major: Some(version.major),
                    minor: Some(version.minor),
                })
                .collect(),
        ),
        protocol_version: Some(hcs_wire::guest::PROTOCOL_VERSION),
        guest_defined_capabilities: serde_json::to_value(&capabilities.guest_defined_capabilities)
            .ok(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_for_which_an_answer_has_no_room_fails_alone() {
        const PICTURE: usize = (8 << 20) / 3 * 4 + 4;
        let asking = Asking {
            end: Instant::now(),
            bytes: Cell::default(),
        };
        asking.count_picture(PICTURE).unwrap();
        let refused = asking.count_picture(PICTURE).unwrap_err();
        assert_eq!(refused.hresult, HResult::E_OUTOFMEMORY, "{refused}");
        assert_eq!(asking.bytes.get(), PICTURE);
    }

    #[test]
    fn a_system_has_no_state_until_it_has_run() {
        assert_eq!(shown_state(State::Created), None);
        assert_eq!(shown_state(State::Running), Some(StateName::Running));
        assert_eq!(shown_state(State::Paused), Some(StateName::Paused));
    }
}
