//! No value of a client's document is in the log, at level debug as well, or in the event log: each string of each
//! document that a call takes is one by which it is recognised, as a value, as a key, and where something else belongs.

use std::{
    collections::BTreeSet,
    fs,
    io::{Read as _, Write as _},
    os::unix::fs::PermissionsExt as _,
    thread,
};

use hcn::documents::{
    HostComputeEndpoint, HostComputeLoadBalancer, HostComputeNamespace, HostComputeNetwork,
    HostComputeQuery, ModifyEndpointRequest, ModifyNamespaceRequest, ModifyNetworkRequest,
};
use hcs_schema::{
    Document as _, HResult,
    documents::find,
    shape::{Kind, Shape},
    win32,
};
use hcs_wire::{
    log::LogQuery,
    network::{NetworkCall, ObjectKind},
    service::{self, Call},
};
use rustix::thread::{Gid, Uid, set_thread_gid, set_thread_groups, set_thread_uid};
use serde_json::{Value, json};

use crate::common::{
    Client, Service,
    client::{create_process, create_system, open_system, terminate_system},
};

/// What is looked for.
const CANARY: &str = "CANARY7391";
/// How deep documents are walked: the schema has documents that contain themselves.
const DEPTH: usize = 5;

/// The forms of a value: a word, a path, a quotation without an end, NUL, more than one line, what is like an option.
fn forms() -> [String; 5] {
    [
        CANARY.to_owned(),
        format!("/{CANARY}/../x"),
        format!("/bin/sh -c '{CANARY}"),
        format!("{CANARY}\0{CANARY}"),
        format!("{CANARY}\n\u{202e}{CANARY}"),
    ]
}

/// `within` with each value that can stand in a property of `kind`, each in a document of its own.
fn fill(kind: &Kind, depth: usize, forms: &[String], within: &mut dyn FnMut(Value)) {
    match kind {
        Kind::Document(shape) if depth < DEPTH => walk(shape(), depth + 1, forms, within),
        Kind::Array(item) => fill(item, depth, forms, &mut |value| within(json!([value]))),
        Kind::Map(item) => {
            within(json!({ CANARY: 7 }));
            fill(item, depth, forms, &mut |value| {
                within(json!({ CANARY: value }));
            });
        }
        // A string is wrong in most others, which is where messages quote it.
        _ => forms.iter().for_each(|form| within(json!(form))),
    }
}

fn walk(shape: &Shape, depth: usize, forms: &[String], within: &mut dyn FnMut(Value)) {
    within(json!({ CANARY: 1 }));
    for property in shape.properties {
        fill(&property.kind, depth, forms, &mut |value| {
            within(json!({ property.name: value }));
        });
    }
}

/// Calls with `text` as the document called `document`.
fn calls(document: &str, handle: u64, text: &str) -> Vec<Call> {
    let options = || Some(text.to_owned());
    let text = || text.to_owned();
    match document {
        "ComputeSystem" => vec![create_system(handle, "canary", &text())],
        "ProcessParameters" => vec![Call::CreateProcess {
            system: 1,
            process: handle,
            parameters: text(),
            pipes: None,
        }],
        "ModifySettingRequest" => vec![Call::ModifySystem {
            system: 1,
            settings: text(),
        }],
        "SystemPropertyQuery" => vec![Call::GetSystemProperties {
            system: 1,
            query: options(),
        }],
        "Service_PropertyQuery" => vec![Call::GetServiceProperties { query: options() }],
        "SystemQuery" => vec![Call::EnumerateSystems { query: options() }],
        "ModificationRequest" => vec![Call::ModifyServiceSettings { settings: text() }],
        "CrashReport" => vec![Call::SubmitCrashReport { settings: text() }],
        "PauseOptions" => vec![
            Call::PauseSystem {
                system: 1,
                options: options(),
            },
            Call::ResumeSystem {
                system: 1,
                options: None,
            },
        ],
        "SaveOptions" => vec![Call::SaveSystem {
            system: 1,
            options: options(),
        }],
        "CrashOptions" => vec![Call::CrashSystem {
            system: 1,
            options: options(),
        }],
        "StartOptions" => vec![Call::StartSystem {
            system: 1,
            options: options(),
        }],
        "SignalProcessOptions" => vec![Call::SignalProcess {
            process: 9,
            options: options(),
        }],
        "ProcessModifyRequest" => vec![Call::ModifyProcess {
            process: 9,
            settings: text(),
        }],
        "ShutdownOptions" => vec![Call::ShutDownSystem {
            system: 2,
            options: options(),
        }],
        other => network_calls(other, &text())
            .into_iter()
            .map(Call::Network)
            .collect(),
    }
}

/// The same of networks: of an object that is not there, where one is needed.
fn network_calls(document: &str, text: &str) -> Vec<NetworkCall> {
    use ObjectKind::{Endpoint, LoadBalancer, Namespace, Network};
    let text = || text.to_owned();
    let none = || "5F1F0B0E-1A2B-4C3D-8E9F-000000000001".to_owned();
    let create = |kind| NetworkCall::Create {
        kind,
        id: String::new(),
        network: if kind == Endpoint {
            none()
        } else {
            String::new()
        },
        settings: text(),
    };
    let modify = |kind| NetworkCall::Modify {
        kind,
        id: none(),
        settings: text(),
    };
    match document {
        "HostComputeNetwork" => vec![create(Network)],
        "HostComputeEndpoint" => vec![create(Endpoint)],
        "HostComputeNamespace" => vec![create(Namespace)],
        "HostComputeLoadBalancer" => vec![create(LoadBalancer), modify(LoadBalancer)],
        "ModifyNetworkRequest" => vec![modify(Network)],
        "ModifyEndpointRequest" => vec![modify(Endpoint)],
        "ModifyNamespaceRequest" => vec![modify(Namespace)],
        "HostComputeQuery" => [Network, Endpoint, Namespace, LoadBalancer]
            .into_iter()
            .flat_map(|kind| {
                let (id, query) = (none(), text());
                [
                    NetworkCall::Query { kind, id, query },
                    NetworkCall::Enumerate {
                        kind,
                        query: text(),
                    },
                    NetworkCall::Statistics {
                        id: none(),
                        query: text(),
                    },
                ]
            })
            .collect(),
        other => panic!("{other}"),
    }
}

/// The document that a call of this kind takes, of which there is no kind that is not here. Those without have ids,
/// numbers and names of calls, which are in the log for those who look for them.
const fn document_of(call: &Call) -> Option<&'static str> {
    Some(match call {
        Call::CreateSystem { .. } => "ComputeSystem",
        Call::StartSystem { .. } => "StartOptions",
        Call::ShutDownSystem { .. } => "ShutdownOptions",
        Call::PauseSystem { .. } => "PauseOptions",
        Call::SaveSystem { .. } => "SaveOptions",
        Call::CrashSystem { .. } => "CrashOptions",
        Call::ModifySystem { .. } => "ModifySettingRequest",
        Call::GetSystemProperties { .. } => "SystemPropertyQuery",
        Call::EnumerateSystems { .. } => "SystemQuery",
        Call::CreateProcess { .. } => "ProcessParameters",
        Call::SignalProcess { .. } => "SignalProcessOptions",
        Call::ModifyProcess { .. } => "ProcessModifyRequest",
        Call::GetServiceProperties { .. } => "Service_PropertyQuery",
        Call::ModifyServiceSettings { .. } => "ModificationRequest",
        Call::SubmitCrashReport { .. } => "CrashReport",
        Call::Network(call) => return network_document_of(call),
        // What the API calls options of these has no properties, and is not read.
        Call::ResumeSystem { .. }
        | Call::TerminateSystem { .. }
        | Call::TerminateProcess { .. }
        | Call::GetProcessProperties { .. }
        | Call::Hello { .. }
        | Call::OpenSystem { .. }
        | Call::CloseSystem { .. }
        | Call::OpenProcess { .. }
        | Call::CloseProcess { .. }
        | Call::GetProcessInfo { .. }
        | Call::GetVmIdentity { .. }
        | Call::ExplainOperation { .. }
        | Call::StopService
        | Call::ReloadService
        | Call::Limit { .. }
        | Call::Cancel { .. }
        // Parts of the message itself: `broken_messages`.
        | Call::ReadOutput { .. }
        | Call::ReadEvents(_) => return None,
    })
}

const fn network_document_of(call: &NetworkCall) -> Option<&'static str> {
    Some(match call {
        NetworkCall::Create { kind, .. } => match kind {
            ObjectKind::Network => "HostComputeNetwork",
            ObjectKind::Endpoint => "HostComputeEndpoint",
            ObjectKind::Namespace => "HostComputeNamespace",
            ObjectKind::LoadBalancer => "HostComputeLoadBalancer",
        },
        NetworkCall::Modify { kind, .. } => match kind {
            ObjectKind::Network => "ModifyNetworkRequest",
            ObjectKind::Endpoint => "ModifyEndpointRequest",
            ObjectKind::Namespace => "ModifyNamespaceRequest",
            // It is replaced as a whole.
            ObjectKind::LoadBalancer => "HostComputeLoadBalancer",
        },
        NetworkCall::Query { .. }
        | NetworkCall::Enumerate { .. }
        | NetworkCall::Statistics { .. } => "HostComputeQuery",
        NetworkCall::Open { .. } | NetworkCall::Delete { .. } | NetworkCall::Watch { .. } => {
            return None;
        }
    })
}

/// Messages whose parts of our own have a value where another one belongs; each ends its connection.
fn broken_messages(service: &Service) {
    for query in [
        json!({ "call": "read_output", "system": 1, "query": { "ProcessId": CANARY } }),
        json!({ "call": "read_output", "system": 1, "query": { "Tail": [CANARY] } }),
        json!({ "call": "read_events", "since": CANARY }),
        json!({ "call": "read_events", "follow": { CANARY: 1 } }),
        json!({ "call": "network", "function": "create", "kind": CANARY }),
        json!({ "call": CANARY }),
    ] {
        let mut client = service.client();
        let message = service::encode(service::Kind::Request, 99, 0, &query).unwrap();
        client.stream.write_all(&message).unwrap();
        client.stream.shutdown(std::net::Shutdown::Write).unwrap();
        // Whatever it answers; its end is waited for.
        let _answer = client.stream.read_to_end(&mut Vec::new());
    }
}

const DOCUMENTS: &[&str] = &[
    "ComputeSystem",
    "ProcessParameters",
    "ModifySettingRequest",
    "SystemPropertyQuery",
    "Service_PropertyQuery",
    "SystemQuery",
    "ModificationRequest",
    "CrashReport",
    "PauseOptions",
    "SaveOptions",
    "CrashOptions",
    "StartOptions",
    "SignalProcessOptions",
    "ProcessModifyRequest",
    "ShutdownOptions",
];

/// All documents that calls take.
fn shapes() -> Vec<(&'static str, &'static Shape)> {
    let networks = [
        HostComputeNetwork::shape(),
        HostComputeEndpoint::shape(),
        HostComputeNamespace::shape(),
        HostComputeLoadBalancer::shape(),
        ModifyNetworkRequest::shape(),
        ModifyEndpointRequest::shape(),
        ModifyNamespaceRequest::shape(),
        HostComputeQuery::shape(),
    ];
    let named = DOCUMENTS.iter().map(|name| {
        let of = find(name).unwrap_or_else(|| panic!("{name}"));
        (*name, of.shape)
    });
    named
        .chain(networks.map(|shape| (shape.name, shape)))
        .collect()
}

/// Documents of a type, and texts that are none.
fn texts(of: &Shape) -> Vec<String> {
    // A system has many properties; each is tried in one form, the short documents in all.
    let forms = forms();
    let few = [
        "ComputeSystem",
        "ModifySettingRequest",
        "HostComputeNetwork",
        "HostComputeEndpoint",
    ];
    let few = few.contains(&of.name);
    let forms = if few { &forms[1..3] } else { &forms[..] };
    let mut texts = vec![
        format!("{{\"{CANARY}"),
        format!("\"{CANARY}\""),
        format!("{{\"Owner\":\"a\" {CANARY}}}"),
    ];
    let document = |mut value: Value| {
        if of.name == "ComputeSystem" {
            value["SchemaVersion"] = json!({ "Major": 2, "Minor": 1 });
            // A machine is another engine's, which would not be asked where both are.
            if value["Container"].is_null() && value["VirtualMachine"].is_null() {
                value["Container"] = json!({});
            }
        }
        let command = ["CommandLine", "CommandArgs"];
        // Without it the document would be one of version 1.
        if of.name.starts_with("HostCompute") && value["SchemaVersion"].is_null() {
            value["SchemaVersion"] = json!({ "Major": 2, "Minor": 0 });
        }
        if of.name == "ProcessParameters" && command.iter().all(|key| value[key].is_null()) {
            value["CommandArgs"] = json!(["/bin/true"]);
        }
        value.to_string()
    };
    walk(of, 0, forms, &mut |value| texts.push(document(value)));
    texts
}

/// Everything in the event log.
fn events(client: &mut Client) -> Vec<String> {
    let (mut events, mut since) = (Vec::new(), 0);
    loop {
        let query = LogQuery {
            since,
            ..LogQuery::default()
        };
        let page = client.call(&Call::ReadEvents(query)).ok().json();
        let found = page["events"]
            .as_array()
            .or(page["Events"].as_array())
            .unwrap();
        events.extend(found.iter().map(Value::to_string));
        if page["More"] != true {
            return events;
        }
        since = page["Next"].as_u64().unwrap();
    }
}

/// Sends all of them and answers how many calls were made.
fn send_all(client: &mut Client) -> usize {
    let (mut handle, mut made) = (100, 0);
    for (name, shape) in shapes() {
        let mut taken_by = BTreeSet::new();
        for text in texts(shape) {
            for call in calls(name, handle, &text) {
                made += 1;
                taken_by.extend(document_of(&call));
                let answer = client.call(&call);
                if answer.reply.result.is_success() {
                    undo(client, &call, handle, answer.reply.document.as_deref());
                }
                handle += 1;
            }
        }
        assert_eq!(taken_by, BTreeSet::from([name]));
    }
    made
}

/// Takes back what a call has made.
fn undo(client: &mut Client, call: &Call, handle: u64, document: Option<&str>) {
    match call {
        Call::CreateSystem { .. } => {
            client.call(&terminate_system(handle)).ok();
        }
        Call::Network(NetworkCall::Create { kind, .. }) => {
            let created: Value = serde_json::from_str(document.unwrap()).unwrap();
            let delete = NetworkCall::Delete {
                kind: *kind,
                id: created["ID"].as_str().unwrap().to_owned(),
                only_unused: false,
            };
            client.call(&Call::Network(delete)).ok();
        }
        _ => {}
    }
}

/// Row S9.
#[test]
fn no_value_of_a_clients_document_is_in_the_log_or_the_events() {
    let lines = "log = \"debug\"\nwarm_slots = 0\n[limits]\nevent_log_bytes = 67108864\n";
    // Networks are made in a namespace of its own.
    let program = ["unshare", "--net", env!("CARGO_BIN_EXE_hcsd")];
    let service = Service::of(program.map(str::to_owned).into(), lines);
    let mut client = service.client();
    client.start_container(1, "box");
    // A system that is shut down with what are no options.
    client.start_container(2, "other");
    let made = send_all(&mut client);
    broken_messages(&service);
    client.call(&terminate_system(2));
    assert!(made > 1000, "{made} calls");
    let events = events(&mut client);
    assert!(events.len() > 300, "{} events", events.len());
    let quoted: Vec<_> = events
        .iter()
        .filter(|event| event.contains("CANARY"))
        .collect();
    assert!(
        quoted.is_empty(),
        "{} of {}: {quoted:#?}",
        quoted.len(),
        events.len()
    );
    client.terminate(1);
    let log = service.log();
    assert!(
        log.contains("a call failed"),
        "it is the log at level debug"
    );
    let quoted: Vec<_> = log.lines().filter(|line| line.contains("CANARY")).collect();
    assert!(
        quoted.is_empty(),
        "{} lines: {:#?}",
        quoted.len(),
        &quoted[..quoted.len().min(20)]
    );
}

/// A group whose members may use the service, and a user who is in no other one.
const GROUP: u32 = 64_991;
const OTHER: u32 = 64_992;

/// A client of that user.
fn client_of_another_user(service: &Service) -> Client {
    let directory = service.root().parent().unwrap().to_owned();
    fs::set_permissions(directory, fs::Permissions::from_mode(0o711)).unwrap();
    thread::scope(|scope| {
        let connecting = scope.spawn(|| {
            set_thread_groups(&[]).unwrap();
            set_thread_gid(Gid::from_raw(GROUP)).unwrap();
            set_thread_uid(Uid::from_raw(OTHER)).unwrap();
            service.client()
        });
        connecting.join().unwrap()
    })
}

/// Row S7: a client that goes on and on fills no log.
#[test]
fn the_log_says_once_that_calls_of_a_connection_are_refused() {
    let service = Service::with_config("[limits]\npending_per_connection = 50\n");
    let mut flooding = service.client();
    let never = Call::ReadEvents(LogQuery {
        follow: true,
        system: Some("none".to_owned()),
        ..LogQuery::default()
    });
    let requests: Vec<u64> = (0..200).map(|_| flooding.send(&never)).collect();
    for request in &requests[50..] {
        let refused = HResult::from_win32(win32::ERROR_NO_SYSTEM_RESOURCES);
        flooding.wait(*request).failed(refused);
    }
    drop(flooding);
    let log = service.log();
    let told = log.matches("calls of a client are refused").count();
    assert_eq!(told, 1, "{log}");
}

/// Row S9: the time line of a call, for another user of the service, and after the end of the service.
#[test]
fn no_value_of_a_users_document_is_told_to_another_user() {
    let mut service = Service::with_config(&format!("socket_group = \"{GROUP}\"\n"));
    let mut client = service.client();
    client.start_container(1, "box");
    let mut names = Vec::new();
    for (handle, parameters) in (10..).zip([
        json!({ "CommandLine": format!("'{CANARY}") }),
        json!({ "CommandArgs": [format!("/no/such/{CANARY}")] }),
        json!({ "CommandArgs": ["/bin/true"], "WorkingDirectory": format!("/{CANARY}") }),
        json!({ "CommandArgs": ["/bin/true"], "User": CANARY }),
        json!({ "CommandArgs": ["/bin/true"], CANARY: CANARY }),
        json!({ "CommandArgs": ["/bin/true", CANARY], "Environment": { CANARY: CANARY } }),
    ]) {
        let request = client.send(&create_process(1, handle, &parameters));
        client.wait(request);
        names.push(format!("{}-{request}", std::process::id()));
    }
    let mut explained = 0;
    let mut explain_all = |service: &Service| {
        let mut other = client_of_another_user(service);
        for operation in &names {
            let explain = Call::ExplainOperation {
                operation: operation.clone(),
            };
            let told = other.call(&explain);
            let document = told.reply.document.unwrap_or_default();
            assert!(!document.contains(CANARY), "{document}");
            explained += usize::from(told.reply.result.is_success());
        }
    };
    explain_all(&service);
    service.kill();
    service.run();
    explain_all(&service);
    assert!(explained > 0, "the other user is told of none");
    let mut client = service.client();
    client.call(&open_system(1, "box", None)).ok();
    client.terminate(1);
}

#[test]
fn values_are_in_the_events_where_the_configuration_wants_them() {
    let service = Service::with_config("log_client_values = true\n");
    let mut client = service.client();
    client.start_container(1, "box");
    let call = Call::CreateProcess {
        system: 1,
        process: 2,
        parameters: json!({ "CommandLine": format!("'{CANARY}") }).to_string(),
        pipes: None,
    };
    assert!(!client.call(&call).reply.result.is_success());
    let events = events(&mut client);
    assert!(
        events.iter().any(|event| event.contains(CANARY)),
        "{events:#?}"
    );
    client.terminate(1);
}

#[test]
fn an_id_is_one_word_of_one_line_of_the_log() {
    let service = Service::new();
    let mut client = service.client();
    let id = "a\n2026-01-01T00:00:00Z ERROR forged\u{1b}[2J\u{202e}b";
    client.start_container(1, id);
    client.terminate(1);
    let log = service.log();
    assert!(log.contains("forged"), "{log}");
    let forged = |line: &str| line.trim_start().starts_with("2026-01-01T00:00:00Z ERROR");
    assert!(!log.lines().any(forged), "{log}");
    assert!(!log.contains(['\u{1b}', '\u{202e}']), "{log}");
}
