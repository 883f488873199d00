//! `HNSCall`: the API of version 1, over the same objects.

use c_border::{
    out::Out,
    string,
    types::{HRESULT, PCWSTR, PWSTR},
};
use hcn::hns::{self, NetworkName, Noun, Request};
use hcs::network::{self, ObjectKind};
use hcs_schema::{Failure, HResult};

use super::answer::{answer, missing};

/// A query for documents of version 2.
const SECOND: &str = r#"{"SchemaVersion":{"Major":2,"Minor":0}}"#;

const fn kind(noun: Noun) -> ObjectKind {
    match noun {
        Noun::Network => ObjectKind::Network,
        Noun::Endpoint => ObjectKind::Endpoint,
        Noun::Namespace => ObjectKind::Namespace,
        Noun::PolicyList => ObjectKind::LoadBalancer,
    }
}

/// Makes a request; returns the document that it gives.
fn make(request: Request, body: &str) -> Result<Option<String>, Failure> {
    match request {
        Request::Version => Ok(Some(hns::version())),
        Request::List(noun) => list(noun).map(Some),
        Request::Get(noun, id) => get(noun, &id.to_string()).map(Some),
        Request::Create(noun) => {
            let id = create(noun, body)?;
            get(noun, &id).map(Some)
        }
        Request::Delete(noun, id) => {
            network::delete(kind(noun), &id.to_string()).wait()?;
            Ok(None)
        }
        Request::Statistics(id) => network::statistics(&id.to_string(), "").wait().map(Some),
        Request::Attach(endpoint, container) => attach(&endpoint.to_string(), &container),
        Request::Detach(endpoint, container) => detach(&endpoint.to_string(), &container),
        Request::Resource(namespace, request) => {
            let id = namespace.to_string();
            network::modify(ObjectKind::Namespace, &id, &request).wait()?;
            get(Noun::Namespace, &id).map(Some)
        }
    }
}

/// An object, as version 1 has it.
fn get(noun: Noun, id: &str) -> Result<String, Failure> {
    let query = match noun {
        Noun::Network | Noun::Endpoint => "",
        Noun::Namespace | Noun::PolicyList => SECOND,
    };
    let document = network::query(kind(noun), id, query).wait()?;
    Ok(match noun {
        Noun::Network => document,
        Noun::Namespace => hns::namespace(&document),
        Noun::PolicyList => hns::policy_list(&document),
        Noun::Endpoint => match hns::namespace_of(&document) {
            Some(namespace) => {
                // The endpoint may have left it meanwhile.
                let told = network::query(ObjectKind::Namespace, &namespace, SECOND).wait();
                hns::endpoint(&document, &told.unwrap_or_default())
            }
            None => document,
        },
    })
}

/// All objects of a kind. One that was deleted meanwhile is none of them.
fn list(noun: Noun) -> Result<String, Failure> {
    let gone = [
        HResult::HCN_E_NETWORK_NOT_FOUND,
        HResult::HCN_E_ENDPOINT_NOT_FOUND,
        HResult::NOT_FOUND,
    ];
    let mut documents = Vec::new();
    for id in network::enumerate(kind(noun), "").wait()? {
        match get(noun, &id) {
            Ok(document) => documents.push(document),
            Err(failure) if gone.contains(&failure.hresult) => {}
            Err(failure) => return Err(failure),
        }
    }
    Ok(format!("[{}]", documents.join(",")))
}

fn create(noun: Noun, body: &str) -> Result<String, Failure> {
    let made = match noun {
        Noun::Network => network::create(ObjectKind::Network, "", body),
        Noun::Namespace => network::create(ObjectKind::Namespace, "", &hns::new_namespace(body)?),
        Noun::PolicyList => {
            network::create(ObjectKind::LoadBalancer, "", &hns::load_balancer(body)?)
        }
        Noun::Endpoint => {
            let network = match hns::network_of(body)? {
                NetworkName::Id(id) => id,
                NetworkName::Name(name) => by_name(&name)?,
            };
            network::create_endpoint(&network, "", body)
        }
    };
    made.wait()
}

fn by_name(name: &str) -> Result<String, Failure> {
    let found = network::enumerate(ObjectKind::Network, &hns::by_name(name)).wait()?;
    found.into_iter().next().ok_or_else(|| {
        let message = format!("there is no network with the name {name:?}");
        Failure::new(HResult::HCN_E_NETWORK_NOT_FOUND, message)
    })
}

/// A container is in one namespace, into which its endpoint goes.
fn attach(endpoint: &str, container: &str) -> Result<Option<String>, Failure> {
    for namespace in network::enumerate(ObjectKind::Namespace, "").wait()? {
        let told = network::query(ObjectKind::Namespace, &namespace, SECOND).wait();
        // It may be gone already.
        if told.is_ok_and(|document| hns::has_container(&document, container)) {
            change(&namespace, "Add", endpoint)?;
            return Ok(None);
        }
    }
    let message = format!(
        "no namespace has the container {container:?}: it is not there, or was made without a network"
    );
    Err(Failure::new(HResult::NOT_FOUND, message))
}

fn detach(endpoint: &str, container: &str) -> Result<Option<String>, Failure> {
    let document = network::query(ObjectKind::Endpoint, endpoint, "").wait()?;
    let namespace = hns::namespace_of(&document);
    let told = namespace.as_ref().map(|id| {
        let query = network::query(ObjectKind::Namespace, id, SECOND);
        query.wait()
    });
    match (namespace, told.transpose()?) {
        (Some(namespace), Some(told)) if hns::has_container(&told, container) => {
            change(&namespace, "Remove", endpoint)?;
            Ok(None)
        }
        _ => {
            let message = format!("the endpoint {endpoint} is not in the container {container:?}");
            Err(Failure::new(HResult::HCN_E_ENDPOINT_NOT_ATTACHED, message))
        }
    }
}

fn change(namespace: &str, what: &str, endpoint: &str) -> Result<(), Failure> {
    let body = format!("{{\"Type\":\"Endpoint\",\"Data\":{{\"Id\":\"{endpoint}\"}}}}");
    let request = hns::resource(what, &body)?;
    network::modify(ObjectKind::Namespace, namespace, &request).wait()
}

/// Whether a failure is no answer of the service.
fn is_unreached(failure: &Failure) -> bool {
    [
        HResult::HCS_E_SERVICE_NOT_AVAILABLE,
        HResult::HCS_E_SERVICE_DISCONNECT,
        HResult::HCS_E_CONNECTION_TIMEOUT,
        HResult::HCS_E_ACCESS_DENIED,
        HResult::E_OUTOFMEMORY,
    ]
    .contains(&failure.hresult)
}

/// See `ComputeNetwork.h`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn HNSCall(
    method: PCWSTR,
    path: PCWSTR,
    request: PCWSTR,
    response: *mut PWSTR,
) -> HRESULT {
    let call = || {
        // SAFETY: the caller passes NULL or a place for a pointer.
        let out = unsafe { Out::new(response) };
        let out = out.required().map_err(|_| missing("Response"))?;
        // SAFETY: the caller passes NULL or a string.
        let method = unsafe { string::required(method) }.map_err(|_| missing("Method"))?;
        // SAFETY: the caller passes NULL or a string.
        let path = unsafe { string::required(path) }.map_err(|_| missing("Path"))?;
        // SAFETY: the caller passes NULL or a string.
        let body = unsafe { string::optional(request) }.unwrap_or_default();
        let read = Request::read(&method, &path, &body);
        let text = match read.and_then(|request| make(request, &body)) {
            Ok(output) => hns::succeeded(output.as_deref()),
            Err(failure) if is_unreached(&failure) => return Err(failure),
            Err(failure) => hns::failed(&failure),
        };
        let given = string::give(&text);
        out.set(given.map_err(|code| Failure::new(code, "memory for the answer is missing"))?);
        Ok(())
    };
    // SAFETY: no record is asked for.
    unsafe { answer(std::ptr::null_mut(), call) }
}
