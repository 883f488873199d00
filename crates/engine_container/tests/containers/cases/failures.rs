//! What is refused, and that it leaves nothing (which every case's host checks when it is dropped).

use std::fs;

use hcs_schema::HResult;
use serde_json::json;

use crate::host::Host;

super::cases![
    a_layer_has_to_be_there,
    a_network_has_to_be_there,
    a_failed_container_can_be_made_again,
    names_are_checked,
];

fn a_layer_has_to_be_there() {
    let host = Host::new();
    let file = host.files.path().join("file");
    fs::write(&file, "").unwrap();
    let cases = [
        (json!("/not/there"), HResult::FILE_NOT_FOUND),
        (json!(file), HResult::HCS_E_INVALID_LAYER),
        (json!("relative"), HResult::E_INVALIDARG),
    ];
    for (path, hresult) in cases {
        let failure =
            host.failure(json!({ "Storage": { "Layers": [{ "Path": "/" }, { "Path": path }] } }));
        assert_eq!(failure.hresult, hresult, "{failure:#?}");
        assert_eq!(
            failure.causes[0].pointer.as_deref(),
            Some("/Container/Storage/Layers/1/Path")
        );
        assert!(
            failure.message.contains(path.as_str().unwrap()),
            "{failure:#?}"
        );
    }
}

fn a_network_has_to_be_there() {
    let host = Host::new();
    let missing = host.failure(json!({ "Networking": { "Namespace": "hcs-test-none" } }));
    assert_eq!(missing.hresult, HResult::FILE_NOT_FOUND);
    // A file of another kind is only refused by the kernel, in the child.
    let other = host.failure(json!({ "Networking": { "Namespace": "/proc/self/ns/uts" } }));
    for failure in [missing, other] {
        assert_eq!(
            failure.causes[0].pointer.as_deref(),
            Some("/Container/Networking/Namespace"),
            "{failure:#?}"
        );
    }
}

fn a_failed_container_can_be_made_again() {
    let host = Host::new();
    let mut request = host.request(json!({ "Storage": { "Layers": [{ "Path": "/not/there" }] } }));
    host.create(&request).expect_err("there is no such layer");
    request.document = host.request(json!({})).document;
    let machine = host.create(&request).unwrap_or_else(|f| panic!("{f:#?}"));
    let container = crate::host::Container::new(machine, request);
    container.wait_ready().unwrap_or_else(|f| panic!("{f:#?}"));
}

fn names_are_checked() {
    let host = Host::new();
    let failure = host.failure(json!({ "GuestOs": { "HostName": "a b" } }));
    assert_eq!(failure.hresult, HResult::E_INVALIDARG);
    assert_eq!(
        failure.causes[0].pointer.as_deref(),
        Some("/Container/GuestOs/HostName")
    );
}
