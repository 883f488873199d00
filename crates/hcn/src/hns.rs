//! `HNSCall`: requests of version 1, by method and path, and what they are answered with.
//!
//! 1. [`Request::read`]: what is asked. 2. [`namespace`], [`endpoint`], [`policy_list`]: documents of version 1 of what
//!    there is; [`load_balancer`], [`resource`]: documents of version 2 of what is asked for. 3. [`succeeded`],
//!    [`failed`]: the answers.

use hcs_schema::{Failure, HResult};
use serde_json::{Map, Value, json};

use crate::{error_record::error_record, guid::Guid, reading::refused};

/// The version of the service that `GET /globals/version` tells. Clients take a version for the promise of all that
/// came up to it, so it is that of version 2 of the API and of nothing later: several steps of that ladder are not
/// done.
pub const VERSION: (u32, u32) = (9, 2);

/// A kind of objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Noun {
    /// `/networks/`
    Network,
    /// `/endpoints/`
    Endpoint,
    /// `/namespaces/`
    Namespace,
    /// `/policylists/`: load balancers.
    PolicyList,
}

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// The version of the service.
    Version,
    /// All objects of a kind.
    List(Noun),
    /// An object.
    Get(Noun, Guid),
    /// A new object, from the body.
    Create(Noun),
    /// The end of an object.
    Delete(Noun, Guid),
    /// The counters of an endpoint.
    Statistics(Guid),
    /// An endpoint goes into a container.
    Attach(Guid, String),
    /// An endpoint leaves a container.
    Detach(Guid, String),
    /// Something goes into a namespace, or leaves it: a request of version 2.
    Resource(Guid, String),
}

/// Reads an object, whose properties are at most these.
fn object(text: &str, properties: &[&str]) -> Result<Map<String, Value>, Failure> {
    let expected = |what: String| refused(HResult::HCN_E_INVALID_JSON, "", what);
    let read = if text.trim().is_empty() { "{}" } else { text };
    let value: Value = serde_json::from_str(read)
        .map_err(|error| expected(format!("the request is no JSON: {error}")))?;
    match value {
        Value::Object(object) => {
            only(&object, properties, "")?;
            Ok(object)
        }
        _ => Err(expected("a JSON object is expected".to_owned())),
    }
}

fn only(object: &Map<String, Value>, properties: &[&str], pointer: &str) -> Result<(), Failure> {
    match object.keys().find(|key| !properties.contains(&&***key)) {
        None => Ok(()),
        Some(key) => Err(refused(
            HResult::HCN_E_REQUEST_UNSUPPORTED,
            format!("{pointer}/{key}"),
            format!(
                "it is not supported; expected at most {}",
                properties.join(", ")
            ),
        )),
    }
}

fn text<'a>(object: &'a Map<String, Value>, key: &str) -> &'a str {
    object.get(key).and_then(Value::as_str).unwrap_or_default()
}

impl Request {
    /// Reads a request.
    ///
    /// # Errors
    /// `HCN_E_REQUEST_UNSUPPORTED` for what has no meaning here, `HCN_E_GUID_CONVERSION_FAILURE` for an id that is
    /// none, `HCN_E_INVALID_JSON`.
    pub fn read(method: &str, path: &str, body: &str) -> Result<Self, Failure> {
        let method = method.to_ascii_uppercase();
        let unsupported = |why: &str| {
            let message = format!("the request {method:?} {path:?} is not supported: {why}");
            Failure::new(HResult::HCN_E_REQUEST_UNSUPPORTED, message).on_record(why.to_owned())
        };
        let steps: Vec<&str> = path.split('/').filter(|step| !step.is_empty()).collect();
        let (first, rest) = steps
            .split_first()
            .ok_or_else(|| unsupported("a path is expected, such as /networks/"))?;
        let noun = match &*first.to_ascii_lowercase() {
            "networks" => Noun::Network,
            "endpoints" => Noun::Endpoint,
            "namespaces" => Noun::Namespace,
            "policylists" => Noun::PolicyList,
            "endpointstats" => {
                return match (&*method, rest) {
                    ("GET", [id]) => id_of(id).map(Self::Statistics),
                    _ => Err(unsupported("counters are got, by the id of an endpoint")),
                };
            }
            "globals" => {
                return match (&*method, rest) {
                    ("GET", ["version"]) => Ok(Self::Version),
                    _ => Err(unsupported(
                        "of the globals there is the version, which is got",
                    )),
                };
            }
            "accelnet" => return Err(unsupported("no network of Linux is accelerated that way")),
            _ => {
                let why = "there are /networks/, /endpoints/, /endpointstats/, /namespaces/, /policylists/ and \
                           /globals/version";
                return Err(unsupported(why));
            }
        };
        match (&*method, rest) {
            ("GET", []) => Ok(Self::List(noun)),
            ("GET", [id]) => Ok(Self::Get(noun, id_of(id)?)),
            ("POST", []) => Ok(Self::Create(noun)),
            ("DELETE", [id]) => Ok(Self::Delete(noun, id_of(id)?)),
            ("POST", [id, action]) => Self::of_action(noun, id, action, body)
                .unwrap_or_else(|| Err(unsupported("the object has no such action"))),
            ("POST", [_]) => Err(unsupported(
                "objects are changed by requests of version 2, such as those of HcnModifyEndpoint",
            )),
            _ => Err(unsupported("objects are got, posted and deleted")),
        }
    }

    fn of_action(noun: Noun, id: &str, action: &str, body: &str) -> Option<Result<Self, Failure>> {
        Some(match (noun, &*action.to_ascii_lowercase()) {
            (Noun::Endpoint, "attach") => {
                id_of(id).and_then(|id| Ok(Self::Attach(id, container(body)?)))
            }
            (Noun::Endpoint, "detach") => {
                id_of(id).and_then(|id| Ok(Self::Detach(id, container(body)?)))
            }
            (Noun::Namespace, "addresource") => {
                id_of(id).and_then(|id| Ok(Self::Resource(id, resource("Add", body)?)))
            }
            (Noun::Namespace, "removeresource") => {
                id_of(id).and_then(|id| Ok(Self::Resource(id, resource("Remove", body)?)))
            }
            _ => return None,
        })
    }
}

fn id_of(text: &str) -> Result<Guid, Failure> {
    text.parse().map_err(|_| {
        let message = format!("expected a GUID as the id of an object, found {text:?}");
        Failure::new(HResult::HCN_E_GUID_CONVERSION_FAILURE, message)
            .on_record("expected a GUID as the id of an object")
    })
}

/// The container of a request to attach or detach an endpoint.
fn container(body: &str) -> Result<String, Failure> {
    let unsupported =
        |pointer, what| Err(refused(HResult::HCN_E_REQUEST_UNSUPPORTED, pointer, what));
    let known = [
        "ContainerId",
        "SystemType",
        "CompartmentId",
        "VirtualNicName",
    ];
    let request = object(body, &known)?;
    match text(&request, "SystemType") {
        "Container" => {}
        "Host" => {
            let what = "the host has the gateway's address in each network of type NAT, ICS and Internal; no endpoint \
                        is attached to it";
            return unsupported("/SystemType", what);
        }
        "VirtualMachine" => {
            let what = "a virtual machine gets its endpoints by its document, or by HcsModifyComputeSystem";
            return unsupported("/SystemType", what);
        }
        _ => return unsupported("/SystemType", "\"Container\" is expected"),
    }
    match text(&request, "ContainerId") {
        "" => unsupported("/ContainerId", "the id of a container is expected"),
        id => Ok(id.to_owned()),
    }
}

/// A request of version 2 to change a namespace, from one of version 1: `{"Type": "Endpoint", "Data": {"Id": ...}}`.
///
/// # Errors
/// `HCN_E_INVALID_JSON`, `HCN_E_REQUEST_UNSUPPORTED`.
pub fn resource(what: &str, body: &str) -> Result<String, Failure> {
    let request = object(body, &["Type", "Data"])?;
    let id = request.get("Data").and_then(|data| data["Id"].as_str());
    let settings = match (text(&request, "Type"), id) {
        ("Endpoint", Some(id)) => json!({ "EndpointId": id }),
        ("Container", Some(id)) => json!({ "ContainerId": id }),
        ("Endpoint" | "Container", None) => {
            let what = "the id of what goes in or out is expected";
            return Err(refused(HResult::HCN_E_INVALID_JSON, "/Data/Id", what));
        }
        _ => {
            let what = "\"Endpoint\" or \"Container\" is expected";
            return Err(refused(HResult::HCN_E_INVALID_JSON, "/Type", what));
        }
    };
    let kind = text(&request, "Type");
    Ok(json!({ "ResourceType": kind, "RequestType": what, "Settings": settings }).to_string())
}

/// The document of version 2 of a namespace that is asked for.
///
/// # Errors
/// `HCN_E_INVALID_JSON`, `HCN_E_REQUEST_UNSUPPORTED`.
pub fn new_namespace(body: &str) -> Result<String, Failure> {
    let request = object(body, &["ID", "IsDefault"])?;
    if request.get("IsDefault").is_some_and(|it| *it == true) {
        let what = "the namespace of the host is there, and is not made";
        return Err(refused(
            HResult::HCN_E_REQUEST_UNSUPPORTED,
            "/IsDefault",
            what,
        ));
    }
    let mut document = json!({ "SchemaVersion": { "Major": 2, "Minor": 0 } });
    if let Some(id) = request.get("ID").filter(|id| !id.is_null()) {
        document["ID"] = id.clone();
    }
    Ok(document.to_string())
}

fn parsed(document: &str) -> Value {
    // It is a document of this service.
    serde_json::from_str(document).unwrap_or_default()
}

/// A namespace in version 1, from its document of version 2.
#[must_use]
pub fn namespace(document: &str) -> String {
    let mut document = parsed(document);
    let mut old = json!({ "ID": document["ID"], "CompartmentId": document["NamespaceId"] });
    if document["Resources"].is_array() {
        old["ResourceList"] = document["Resources"].take();
    }
    old.to_string()
}

/// Whether a container is in the namespace of this document of version 2.
#[must_use]
pub fn has_container(document: &str, container: &str) -> bool {
    containers(&parsed(document)).any(|id| id == container)
}

fn containers(namespace: &Value) -> impl Iterator<Item = &str> {
    let resources = namespace["Resources"].as_array();
    let resources = resources.into_iter().flatten();
    resources
        .filter(|resource| resource["Type"] == "Container")
        .filter_map(|resource| resource["Data"]["Id"].as_str())
}

/// The namespace that an endpoint is in, from its document of version 1.
#[must_use]
pub fn namespace_of(endpoint: &str) -> Option<String> {
    let document = parsed(endpoint);
    document["Namespace"]["ID"].as_str().map(str::to_owned)
}

/// An endpoint in version 1 with the containers that have it, which its namespace tells in version 2.
#[must_use]
pub fn endpoint(document: &str, namespace: &str) -> String {
    let (mut endpoint, namespace) = (parsed(document), parsed(namespace));
    let shared: Vec<&str> = containers(&namespace).collect();
    if !shared.is_empty() {
        endpoint["SharedContainers"] = json!(shared);
    }
    endpoint.to_string()
}

/// The network that a new endpoint of version 1 is to be in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NetworkName {
    /// By its id.
    Id(String),
    /// By its name.
    Name(String),
}

/// The network that the document of a new endpoint names.
///
/// # Errors
/// It names none, or is no JSON.
pub fn network_of(body: &str) -> Result<NetworkName, Failure> {
    let what = |error: &dyn std::fmt::Display| format!("the request is no JSON: {error}");
    let document: Value = serde_json::from_str(body)
        .map_err(|error| refused(HResult::HCN_E_INVALID_JSON, "", what(&error)))?;
    let named = |key: &str| document[key].as_str().filter(|text| !text.is_empty());
    match (named("VirtualNetwork"), named("VirtualNetworkName")) {
        (Some(id), _) => Ok(NetworkName::Id(id.to_owned())),
        (None, Some(name)) => Ok(NetworkName::Name(name.to_owned())),
        (None, None) => {
            let what = "the id of the endpoint's network is expected";
            Err(refused(
                HResult::HCN_E_INVALID_JSON,
                "/VirtualNetwork",
                what,
            ))
        }
    }
}

/// The query for networks of this name.
#[must_use]
pub fn by_name(name: &str) -> String {
    json!({ "Filter": json!({ "Name": name }).to_string() }).to_string()
}

const REFERENCE: &str = "/endpoints/";
const DSR: u64 = 1;
const ILB: u64 = 1;

/// The document of version 2 of a load balancer that is asked for as a list of policies:
/// `{"References": ["/endpoints/ID"], "Policies": [{"Type": "ELB", "Protocol": 6, "InternalPort": 80, ...}]}`.
///
/// # Errors
/// `HCN_E_INVALID_JSON`; `HCN_E_REQUEST_UNSUPPORTED` for other policies.
pub fn load_balancer(body: &str) -> Result<String, Failure> {
    let request = object(body, &["ID", "References", "Policies"])?;
    let list = |key: &str| match request.get(key) {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(list)) => Ok(list.clone()),
        Some(_) => Err(refused(
            HResult::HCN_E_INVALID_JSON,
            format!("/{key}"),
            "a list is expected",
        )),
    };
    let mut endpoints = Vec::new();
    for (at, reference) in list("References")?.iter().enumerate() {
        let id = reference
            .as_str()
            .and_then(|text| text.strip_prefix(REFERENCE));
        let what = "\"/endpoints/ID\" is expected";
        let id = id.ok_or_else(|| {
            refused(
                HResult::HCN_E_INVALID_JSON,
                format!("/References/{at}"),
                what,
            )
        })?;
        endpoints.push(json!(id));
    }
    let mut document = json!({
        "SchemaVersion": { "Major": 2, "Minor": 0 },
        "HostComputeEndpoints": endpoints,
        "PortMappings": [],
    });
    if let Some(id) = request.get("ID").filter(|id| !id.is_null() && **id != "") {
        document["ID"] = id.clone();
    }
    for (at, policy) in list("Policies")?.iter().enumerate() {
        add_policy(&mut document, policy, &format!("/Policies/{at}"))?;
    }
    Ok(document.to_string())
}

/// The properties of a policy that makes a port of a load balancer.
const BALANCING: [&str; 8] = [
    "Type",
    "Protocol",
    "InternalPort",
    "ExternalPort",
    "SourceVIP",
    "VIPs",
    "ILB",
    "IsDSR",
];

fn add_policy(document: &mut Value, policy: &Value, pointer: &str) -> Result<(), Failure> {
    let unsupported = |key: &str, what: &str| {
        Err(refused(
            HResult::HCN_E_REQUEST_UNSUPPORTED,
            format!("{pointer}/{key}"),
            what,
        ))
    };
    let empty = Map::new();
    let policy = policy.as_object().unwrap_or(&empty);
    if text(policy, "Type") != "ELB" {
        return unsupported("Type", "of policies in a list only \"ELB\" is supported");
    }
    only(policy, &BALANCING, pointer)?;
    let is_set = |key: &str| policy.get(key).is_some_and(|it| *it == true);
    let mut mapping = Map::new();
    for key in ["Protocol", "InternalPort", "ExternalPort"] {
        mapping.extend(policy.get(key).map(|it| (key.to_owned(), it.clone())));
    }
    if is_set("ILB") {
        mapping.insert("Flags".to_owned(), json!(ILB));
    }
    let is_first = document["PortMappings"]
        .as_array()
        .is_none_or(Vec::is_empty);
    let flags = if is_set("IsDSR") {
        json!(DSR)
    } else {
        Value::Null
    };
    let shared = [
        ("VIPs", "FrontendVIPs", policy.get("VIPs").cloned()),
        ("SourceVIP", "SourceVIP", policy.get("SourceVIP").cloned()),
        ("IsDSR", "Flags", Some(flags)),
    ];
    for (key, new, value) in shared {
        let value = value.unwrap_or_default();
        if is_first && !value.is_null() {
            document[new] = value;
        } else if document[new] != value {
            return unsupported(
                key,
                "the policies of one list have the same addresses and kind",
            );
        }
    }
    if let Some(mappings) = document["PortMappings"].as_array_mut() {
        mappings.push(Value::Object(mapping));
    }
    Ok(())
}

/// A load balancer as a list of policies, from its document of version 2.
#[must_use]
pub fn policy_list(document: &str) -> String {
    let document = parsed(document);
    let list = |key: &str| document[key].as_array().cloned().unwrap_or_default();
    let flags = |value: &Value| value["Flags"].as_u64().unwrap_or(0);
    let references = list("HostComputeEndpoints").into_iter();
    let references = references.map(|id| format!("{REFERENCE}{}", id.as_str().unwrap_or_default()));
    let policies = list("PortMappings").into_iter().map(|mapping| {
        let mut policy = json!({ "Type": "ELB" });
        for key in ["Protocol", "InternalPort", "ExternalPort"] {
            if !mapping[key].is_null() {
                policy[key] = mapping[key].clone();
            }
        }
        for (key, value) in [
            ("SourceVIP", &document["SourceVIP"]),
            ("VIPs", &document["FrontendVIPs"]),
        ] {
            if !value.is_null() {
                policy[key] = value.clone();
            }
        }
        if flags(&mapping) & ILB != 0 {
            policy["ILB"] = json!(true);
        }
        if flags(&document) & DSR != 0 {
            policy["IsDSR"] = json!(true);
        }
        policy
    });
    json!({
        "ID": document["ID"],
        "References": references.collect::<Vec<_>>(),
        "Policies": policies.collect::<Vec<_>>(),
    })
    .to_string()
}

/// The version, as it is told.
#[must_use]
pub fn version() -> String {
    json!({ "Major": VERSION.0, "Minor": VERSION.1 }).to_string()
}

/// The answer of a request that succeeded, with the document that it gives.
#[must_use]
pub fn succeeded(output: Option<&str>) -> String {
    match output {
        Some(output) => format!("{{\"Success\":true,\"Output\":{output}}}"),
        None => "{\"Success\":true}".to_owned(),
    }
}

/// The answer of a request that was refused. Clients look for the words that Windows has for what is not there.
#[must_use]
pub fn failed(failure: &Failure) -> String {
    let mut failure = failure.clone();
    if failure.hresult == HResult::NOT_FOUND {
        failure.message.push_str(". Element not found.");
    }
    error_record(&failure)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "4f1a6c52-93d0-4b7e-8a15-2d7c9e60b3a1";

    fn read(method: &str, path: &str, body: &str) -> Result<Request, (HResult, String)> {
        Request::read(method, path, body).map_err(|failure| {
            let cause = failure.causes.first();
            let pointer = cause.and_then(|cause| cause.pointer.clone());
            (failure.hresult, pointer.unwrap_or_default())
        })
    }

    #[test]
    fn paths_are_read_in_any_spelling() {
        let id: Guid = ID.parse().unwrap();
        for (method, path, wanted) in [
            ("GET", "/globals/version", Request::Version),
            ("get", "/networks", Request::List(Noun::Network)),
            ("GET", "/Endpoints/", Request::List(Noun::Endpoint)),
            ("POST", "policylists/", Request::Create(Noun::PolicyList)),
        ] {
            assert_eq!(read(method, path, ""), Ok(wanted), "{path}");
        }
        let path = format!("/namespaces/{{{ID}}}/");
        assert_eq!(
            read("DELETE", &path, ""),
            Ok(Request::Delete(Noun::Namespace, id))
        );
        let path = format!("/endpointstats/{}", ID.to_uppercase());
        assert_eq!(read("GET", &path, ""), Ok(Request::Statistics(id)));
        let body = r#"{"ContainerId":"c","SystemType":"Container","CompartmentId":3}"#;
        let path = format!("/endpoints/{ID}/attach");
        assert_eq!(
            read("POST", &path, body),
            Ok(Request::Attach(id, "c".to_owned()))
        );
    }

    #[test]
    fn what_has_no_meaning_is_refused_by_place() {
        let unsupported = HResult::HCN_E_REQUEST_UNSUPPORTED;
        let attach = format!("/endpoints/{ID}/attach");
        let nothing = String::new();
        for (method, path, body, wanted) in [
            ("GET", "", "", (unsupported, "")),
            ("GET", "/accelnet/", "", (unsupported, "")),
            ("PATCH", "/networks/", "", (unsupported, "")),
            ("POST", &*format!("/networks/{ID}"), "{}", (unsupported, "")),
            (
                "POST",
                &*format!("/networks/{ID}/attach"),
                "{}",
                (unsupported, ""),
            ),
            ("GET", "/globals/time", "", (unsupported, "")),
            (
                "GET",
                "/networks/x",
                "",
                (HResult::HCN_E_GUID_CONVERSION_FAILURE, ""),
            ),
            (
                "POST",
                &*attach,
                r#"{"SystemType":"Host"}"#,
                (unsupported, "/SystemType"),
            ),
            (
                "POST",
                &*attach,
                r#"{"SystemType":"Container"}"#,
                (unsupported, "/ContainerId"),
            ),
            ("POST", &*attach, r#"{"Far":1}"#, (unsupported, "/Far")),
            ("POST", &*attach, "{", (HResult::HCN_E_INVALID_JSON, "")),
            ("POST", &*attach, "[]", (HResult::HCN_E_INVALID_JSON, "")),
        ] {
            let (code, pointer) = read(method, path, body).unwrap_err();
            assert_eq!(
                (code, &*pointer),
                wanted,
                "{method} {path} {body} {nothing}"
            );
        }
    }

    #[test]
    fn a_list_of_policies_is_a_load_balancer_and_back() {
        let list = json!({
            "References": [format!("/endpoints/{ID}")],
            "Policies": [
                {"Type": "ELB", "Protocol": 6, "InternalPort": 80, "ExternalPort": 8080, "VIPs": ["10.0.0.1"],
                 "SourceVIP": "10.0.0.2", "ILB": true, "IsDSR": true},
                {"Type": "ELB", "Protocol": 17, "InternalPort": 53, "ExternalPort": 53, "VIPs": ["10.0.0.1"],
                 "SourceVIP": "10.0.0.2", "IsDSR": true},
            ],
        });
        let document = load_balancer(&list.to_string()).unwrap();
        let read = parsed(&document);
        assert_eq!(read["HostComputeEndpoints"], json!([ID]));
        assert_eq!(
            (&read["Flags"], &read["PortMappings"][0]["Flags"]),
            (&json!(1), &json!(1))
        );
        assert_eq!(read["PortMappings"][1].get("Flags"), None);
        let mut back = parsed(&policy_list(&document));
        back.as_object_mut().unwrap().remove("ID");
        assert_eq!(back, list);
    }

    #[test]
    fn policies_that_do_not_go_together_are_refused_by_pointer() {
        let pointer = |policies: Value| {
            let failure = load_balancer(&json!({ "Policies": policies }).to_string()).unwrap_err();
            failure.causes[0].pointer.clone().unwrap()
        };
        assert_eq!(pointer(json!([{"Type": "ROUTE"}])), "/Policies/0/Type");
        assert_eq!(
            pointer(json!([{"Type": "ELB", "Far": 1}])),
            "/Policies/0/Far"
        );
        let two = json!([{"Type": "ELB", "VIPs": ["10.0.0.1"]}, {"Type": "ELB"}]);
        assert_eq!(pointer(two), "/Policies/1/VIPs");
        let two = json!([{"Type": "ELB"}, {"Type": "ELB", "IsDSR": true}]);
        assert_eq!(pointer(two), "/Policies/1/IsDSR");
        let failure = load_balancer(r#"{"References":["x"]}"#).unwrap_err();
        assert_eq!(failure.causes[0].pointer.as_deref(), Some("/References/0"));
    }

    #[test]
    fn namespaces_and_endpoints_are_told_as_version_1_had_them() {
        let document = json!({
            "ID": ID, "NamespaceId": 4,
            "Resources": [
                {"Type": "Container", "Data": {"Id": "c"}}, {"Type": "Endpoint", "Data": {"Id": ID}},
            ],
        })
        .to_string();
        let old = parsed(&namespace(&document));
        assert_eq!(
            (&old["CompartmentId"], &old["ResourceList"][1]["Data"]["Id"]),
            (&json!(4), &json!(ID))
        );
        assert!(has_container(&document, "c") && !has_container(&document, ID));
        let attached = json!({ "ID": ID, "Namespace": { "ID": "N" } }).to_string();
        assert_eq!(namespace_of(&attached).as_deref(), Some("N"));
        assert_eq!(
            parsed(&endpoint(&attached, &document))["SharedContainers"],
            json!(["c"])
        );
        let request = parsed(
            &resource(
                "Add",
                &format!(r#"{{"Type":"Endpoint","Data":{{"Id":"{ID}"}}}}"#),
            )
            .unwrap(),
        );
        assert_eq!(request["Settings"], json!({ "EndpointId": ID }));
        assert!(resource("Add", r#"{"Type":"Endpoint"}"#).is_err());
        assert!(new_namespace(r#"{"IsDefault":true}"#).is_err());
        assert!(new_namespace("").unwrap().contains("SchemaVersion"));
    }

    #[test]
    fn answers_are_those_that_clients_read() {
        assert_eq!(succeeded(Some("[]")), r#"{"Success":true,"Output":[]}"#);
        let gone = Failure::new(HResult::NOT_FOUND, "there is no namespace");
        let answer = parsed(&failed(&gone));
        assert_eq!(answer["Success"], json!(false));
        assert_eq!(answer["Error"], "there is no namespace. Element not found.");
        assert_eq!(
            network_of("{}").unwrap_err().causes[0].pointer.as_deref(),
            Some("/VirtualNetwork")
        );
        let named = network_of(r#"{"VirtualNetwork":"","VirtualNetworkName":"n"}"#).unwrap();
        assert_eq!(named, NetworkName::Name("n".to_owned()));
        assert_eq!(by_name("n"), r#"{"Filter":"{\"Name\":\"n\"}"}"#);
        assert_eq!(version(), r#"{"Major":9,"Minor":2}"#);
    }
}
