//! What is listed, and the properties of systems.

use hcs_schema::HResult;
use hcs_wire::service::Call;
use serde_json::{Value, json};

use super::ids;
use crate::{
    common::client::{create_process, create_system, shell},
    kinds::{Kind, properties},
};

fn types(name: &str) -> String {
    json!({ "Types": [name] }).to_string()
}

pub(super) fn enumeration_and_properties_say_what_is_there(kind: &Kind) {
    let service = kind.service();
    let mut client = service.client();
    let document = kind.document_with(&json!({ "Owner": "an owner" }));
    client.call(&create_system(1, "one", &document)).ok();
    kind.run(&mut client, 2, "two");
    assert_eq!(ids(&mut client, Some("")), ["one", "two"]);
    assert_eq!(
        ids(&mut client, Some(r#"{"Owners":["an owner"]}"#)),
        ["one"]
    );
    assert_eq!(
        ids(&mut client, Some(r#"{"Ids":["two","three"]}"#)),
        ["two"]
    );
    assert_eq!(
        ids(&mut client, Some(&types(kind.system_type))),
        ["one", "two"]
    );
    assert_eq!(
        ids(&mut client, Some(&types(kind.other_type))),
        Vec::<String>::new()
    );

    let mut properties = |system: u64, query: &str| {
        let query = Some(query.to_owned());
        client
            .call(&Call::GetSystemProperties { system, query })
            .ok()
            .json()
    };
    let basic = properties(1, "");
    assert_eq!(basic["Id"], "one");
    assert_eq!(basic["State"], Value::Null, "it has not run");
    assert_eq!(basic["Owner"], "an owner");
    assert_eq!(basic["SystemType"], kind.system_type);
    assert_eq!(basic["RuntimeOsType"], "Linux");
    let all = properties(
        2,
        r#"{"PropertyTypes":["Statistics","ProcessList","TerminateOnLastHandleClosed","GuestConnection"]}"#,
    );
    assert_eq!(all["State"], "Running");
    assert_eq!(all["TerminateOnLastHandleClosed"], false);
    assert!(all["Statistics"]["Uptime100ns"].as_u64() > Some(0), "{all}");
    assert!(all["ProcessList"].is_array(), "{all}");
    assert_eq!(all["GuestConnectionInfo"]["ProtocolVersion"], 4);
    let named = properties(
        2,
        r#"{"PropertyQueries":{"Statistics":{},"SharedMemoryRegion":{},"Wishes":{}}}"#,
    );
    let responses = &named["PropertyResponses"];
    assert!(responses["Statistics"]["Response"].is_object(), "{named}");
    for missing in ["SharedMemoryRegion", "Wishes"] {
        assert!(
            responses[missing]["Error"]["ErrorMessage"].is_string(),
            "{named}"
        );
    }
    for way in ["Queries", "PropertyQueries"] {
        let named: serde_json::Map<_, _> = (0..65).map(|n| (format!("No{n}"), json!({}))).collect();
        let query = Some(json!({ way: named }).to_string());
        let answer = client.call(&Call::GetSystemProperties { system: 2, query });
        let document = answer.reply.document.clone().unwrap();
        assert!(document.contains(&format!("\"/{way}\"")), "{document}");
        answer.failed(HResult::E_INVALIDARG);
    }
    let query = Some(r#"{"PropertyTypes":["ProcessList"]}"#.to_owned());
    client
        .call(&Call::GetSystemProperties { system: 1, query })
        .failed(HResult::HCS_E_INVALID_STATE);
    client.terminate(1);
    client.terminate(2);
}

pub(super) fn what_a_machine_uses_is_accounted_or_refused(kind: &Kind) {
    let service = kind.service();
    let mut client = service.client();
    kind.run(&mut client, 1, "used");
    let statistics = client.call(&properties(1, &["Statistics"])).ok().json();
    let statistics = &statistics["Statistics"];
    assert_eq!(
        statistics["Processor"]["TotalRuntime100ns"]
            .as_u64()
            .is_some(),
        kind.accounts.is_ok(),
        "{statistics}"
    );
    let answer = client.call(&properties(1, &["Memory"]));
    match kind.accounts {
        Ok(()) => {
            let memory = answer.ok().json();
            assert!(memory["Memory"].is_object(), "{memory}");
        }
        Err(words) => {
            let said = answer.failed(HResult::NOT_SUPPORTED);
            assert!(said.contains(words), "{said}");
        }
    }
    client.terminate(1);
}

pub(super) fn a_change_that_the_engine_does_not_know_is_refused(kind: &Kind) {
    let service = kind.service();
    let mut client = service.client();
    kind.run(&mut client, 1, "changed");
    let modify = |settings: Value| Call::ModifySystem {
        system: 1,
        settings: settings.to_string(),
    };
    let nowhere = json!({"ResourcePath": "Nowhere/At/All", "Settings": 64});
    let said = client.call(&modify(nowhere)).failed(HResult::NOT_SUPPORTED);
    assert!(said.contains("Nowhere/At/All"), "{said}");
    // The guest's part goes to the agent, which says what it makes of it, where clients may ask it.
    let guest = json!({"GuestRequest": {"ResourceType": "Nonsense"}});
    let said = client.call(&modify(guest)).failed(HResult::NOT_SUPPORTED);
    let words = kind.takes_guest_requests.err().unwrap_or("Nonsense");
    assert!(said.contains(words), "{said}");
    client.terminate(1);
}

pub(super) fn the_output_of_a_detached_process_is_kept_or_refused(kind: &Kind) {
    let service = kind.service();
    let mut client = service.client();
    kind.run(&mut client, 1, "detached");
    let mut detached = shell("exit 3");
    for pipe in ["CreateStdInPipe", "CreateStdOutPipe", "CreateStdErrPipe"] {
        detached.as_object_mut().unwrap().remove(pipe);
    }
    detached["Detached"] = json!(true);
    let answer = client.call(&create_process(1, 2, &detached));
    match kind.keeps_output {
        Ok(()) => {
            answer.ok();
            assert_eq!(client.exit_code(2), 3);
        }
        Err(words) => {
            let said = answer.failed(HResult::NOT_SUPPORTED);
            assert!(said.contains(words), "{said}");
        }
    }
    client.terminate(1);
}
