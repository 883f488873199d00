//! What the service says of its host, and settings of the service itself.

use std::fs;

use hcs_schema::HResult;
use hcs_wire::service::Call;
use serde_json::{Value, json};

use crate::common::{
    Client, Service,
    client::{create_system, open_system, shell, start_system},
};

const GROUP: &str = "0ad8b3c2-91e6-4ed2-9bf2-6f47f2b1a3c4";

fn get(client: &mut Client, query: &Value) -> Value {
    let call = Call::GetServiceProperties {
        query: Some(query.to_string()),
    };
    client.call(&call).ok().json()
}

fn property(client: &mut Client, name: &str) -> Value {
    get(client, &json!({ "PropertyTypes": [name] }))["Properties"][0].clone()
}

fn change(operation: &str, details: &Value) -> Call {
    let settings = json!({
        "PropertyType": "CpuGroup",
        "Settings": { "Operation": operation, "OperationDetails": details },
    });
    Call::ModifyServiceSettings {
        settings: settings.to_string(),
    }
}

/// As many properties as a query may name, and one more, in both ways to name them.
fn too_many_are_refused(client: &mut Client) {
    for count in [64, 65] {
        let named: Value = (0..count).map(|n| (format!("No{n}"), json!({}))).collect();
        let listed: Vec<_> = (0..count).map(|_| "Memory").collect();
        for (way, query) in [
            ("/PropertyQueries", json!({ "PropertyQueries": named })),
            ("/PropertyTypes", json!({ "PropertyTypes": listed })),
        ] {
            let query = Some(query.to_string());
            let answer = client.call(&Call::GetServiceProperties { query });
            if count == 64 {
                answer.ok();
                continue;
            }
            let document = answer.reply.document.clone().unwrap();
            assert!(document.contains(way), "{document}");
            let message = answer.failed(HResult::E_INVALIDARG);
            assert!(
                message.contains("65") && message.contains("64"),
                "{message}"
            );
        }
    }
}

#[test]
fn the_host_is_described_as_it_is() {
    let service = Service::new();
    let mut client = service.client();
    let topology = property(&mut client, "ProcessorTopology");
    let listed = topology["LogicalProcessors"].as_array().unwrap().len();
    assert_eq!(topology["LogicalProcessorCount"], listed);
    assert!(listed >= std::thread::available_parallelism().unwrap().get());
    let memory = property(&mut client, "Memory");
    assert!(memory["TotalMemoryInBytes"].as_u64() > memory["AvailableMemoryInBytes"].as_u64());
    let processors = property(&mut client, "ProcessorCapabilities");
    let features = processors["ProcessorFeatures"].as_array().unwrap();
    assert!(!features.is_empty() || !cfg!(target_arch = "x86_64"));
    // Guests cannot have it, and a client that reads it would ask for it.
    assert!(!features.contains(&json!("NestedVirt")), "{features:?}");
    let nothing = Call::GetServiceProperties { query: None };
    let basic = client.call(&nothing).ok().json();
    assert!(basic["Properties"][0]["SupportedSchemaVersions"].is_array());
    let both = json!({ "PropertyQueries": { "Basic": {}, "CacheMonitoring": {}, "Nonsense": {} } });
    let both = &get(&mut client, &both)["PropertyResponses"];
    assert!(both["Basic"]["Response"].is_object());
    assert_eq!(
        both["CacheMonitoring"]["Error"]["Error"],
        HResult::NOT_SUPPORTED.0
    );
    assert_eq!(both["Nonsense"]["Error"]["Error"], HResult::E_INVALIDARG.0);
    too_many_are_refused(&mut client);
    let capabilities = property(&mut client, "Capabilities");
    assert_eq!(
        capabilities["ModifyPaths"]["Container/MappedPipes"]["Support"],
        "Supported"
    );
}

#[test]
fn a_group_of_processors_holds_its_containers_and_is_kept() {
    let mut service = Service::new();
    let mut client = service.client();
    let topology = property(&mut client, "ProcessorTopology");
    let last = topology["LogicalProcessors"].as_array().unwrap().last();
    let last = last.unwrap()["LpIndex"].clone();
    let group =
        json!({ "GroupId": GROUP, "LogicalProcessorCount": 1, "LogicalProcessors": [last] });
    let create = change("CreateGroup", &group);
    let capabilities = property(&mut client, "Capabilities");
    if capabilities["Limits"]["CpuGroups"]["Supported"] == false {
        client.call(&create).failed(HResult::NOT_SUPPORTED);
        return;
    }
    client.call(&create).ok();
    let again = client.call(&create);
    again.failed(HResult::from_win32(hcs_schema::win32::ERROR_ALREADY_EXISTS));
    let impossible =
        json!({ "GroupId": "0ad8b3c2-91e6-4ed2-9bf2-6f47f2b1a3c5", "LogicalProcessors": [99999] });
    client
        .call(&change("CreateGroup", &impossible))
        .failed(HResult::E_INVALIDARG);
    let listed = property(&mut client, "CpuGroup");
    assert_eq!(listed["CpuGroups"][0]["GroupId"], GROUP);
    assert_eq!(
        listed["CpuGroups"][0]["Affinity"]["LogicalProcessors"],
        json!([last])
    );

    let document = |group: &str| {
        json!({ "Container": { "Processor": { "CpuGroup": { "Id": group } } } }).to_string()
    };
    let other = document("0ad8b3c2-91e6-4ed2-9bf2-6f47f2b1a3c6");
    client
        .call(&create_system(1, "box", &other))
        .failed(HResult::NOT_FOUND);
    client.call(&create_system(2, "box", &document(GROUP))).ok();
    client.call(&start_system(2)).ok();
    let script = "grep Cpus_allowed_list /proc/self/status | tr -d 'A-Za-z_:\\t '";
    let mut process = client.create_process(2, 3, &shell(script));
    assert_eq!(process.output().trim(), last.to_string());
    client.exit_code(3);

    let delete = change("DeleteGroup", &json!({ "GroupId": GROUP }));
    let busy = HResult::from_win32(hcs_schema::win32::ERROR_BUSY);
    assert!(client.call(&delete).failed(busy).contains("'box'"));
    let property_of = json!({ "GroupId": GROUP, "PropertyCode": 0x10000, "PropertyValue": 5 });
    client
        .call(&change("SetProperty", &property_of))
        .failed(HResult::NOT_SUPPORTED);
    service.kill();
    service.run();
    let mut client = service.client();
    assert_eq!(property(&mut client, "CpuGroup"), listed);
    assert!(client.call(&delete).failed(busy).contains("'box'"));
    let open = open_system(2, "box", None);
    client.call(&open).ok();
    client.terminate(2);
    client.call(&delete).ok();
    client.call(&delete).failed(HResult::NOT_FOUND);
    assert_eq!(
        property(&mut client, "CpuGroup"),
        json!({ "CpuGroups": [] })
    );
}

#[test]
fn a_group_of_processors_that_is_given_up_while_it_is_made_is_not_there() {
    let service = Service::new();
    let mut client = service.client();
    let topology = property(&mut client, "ProcessorTopology");
    let first = topology["LogicalProcessors"][0]["LpIndex"].clone();
    let create = change(
        "CreateGroup",
        &json!({ "GroupId": GROUP, "LogicalProcessors": [first] }),
    );
    let capabilities = client.send(&Call::GetServiceProperties {
        query: Some(json!({ "PropertyTypes": ["Capabilities"] }).to_string()),
    });
    let known = client.wait(capabilities).ok().json();
    if known["Properties"][0]["Limits"]["CpuGroups"]["Supported"] == false {
        client.call(&create).failed(HResult::NOT_SUPPORTED);
        return;
    }
    // Both are there when the first is taken up.
    let request = capabilities + 1;
    let [created, cancelled] = client.send_together([&create, &Call::Cancel { request }]);
    assert_eq!(created, request);
    client.wait(cancelled).ok();
    client.wait(created).failed(HResult::CANCELLED);
    // Neither a call nor, at the end of this test, the host has it.
    let delete = change("DeleteGroup", &json!({ "GroupId": GROUP }));
    client.call(&delete).failed(HResult::NOT_FOUND);
    client.call(&create).ok();
    client.call(&delete).ok();
}

#[test]
fn a_crash_report_is_written_where_the_configuration_says() {
    let directory = tempfile::tempdir().unwrap();
    let place = directory.path().join("crashes");
    let line = format!("crash_report_directory = \"{}\"\n", place.display());
    let service = Service::with_config(&line);
    let mut client = service.client();
    let report =
        json!({ "SystemId": "box", "CrashLog": "it fell over", "CrashParameters": [1, 2] });
    let submit = |settings: String| Call::SubmitCrashReport { settings };
    client.call(&submit(report.to_string())).ok();
    let files: Vec<_> = fs::read_dir(&place).unwrap().map(Result::unwrap).collect();
    assert_eq!(files.len(), 1);
    let text: Value = serde_json::from_slice(&fs::read(files[0].path()).unwrap()).unwrap();
    assert_eq!(text["Report"], report);
    client
        .call(&submit("{\"CrashLog\": 7}".to_owned()))
        .failed(HResult::HCS_E_INVALID_JSON);
    assert_eq!(fs::read_dir(&place).unwrap().count(), 1);
}
