//! Every document that a real client was seen to send must parse, where the recordings are at hand.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::{fs, path::Path};

use hcs_schema::{
    Document, Failure,
    documents::{
        ComputeSystem, GuestModifySettingRequest, MigrationCancelOptions,
        MigrationInitializeOptions, ModificationRequest, ModifySettingRequest,
        ProcessModifyRequest, ProcessParameters, ServicePropertyQuery, SignalProcessOptions,
        SystemPropertyQuery, SystemQuery,
    },
    parse,
};
use serde_json::Value;

/// Parses a document and writes it again.
type Read = fn(&str) -> Result<Value, Failure>;

/// The document that a call of the API reads.
const CALLS: &[(&str, Read)] = &[
    ("HcsCancelLiveMigration", reads::<MigrationCancelOptions>),
    ("HcsCreateComputeSystem", reads::<ComputeSystem>),
    ("HcsCreateProcess", reads::<ProcessParameters>),
    ("HcsEnumerateComputeSystems", reads::<SystemQuery>),
    (
        "HcsGetComputeSystemProperties",
        reads::<SystemPropertyQuery>,
    ),
    ("HcsGetServiceProperties", reads::<ServicePropertyQuery>),
    (
        "HcsInitializeLiveMigrationOnSource",
        reads::<MigrationInitializeOptions>,
    ),
    ("HcsModifyComputeSystem", reads::<ModifySettingRequest>),
    ("HcsModifyProcess", reads::<ProcessModifyRequest>),
    ("HcsModifyServiceSettings", reads::<ModificationRequest>),
];

fn reads<T: Document>(text: &str) -> Result<Value, Failure> {
    parse::<T>(text).map(|document| serde_json::to_value(document).unwrap())
}

#[test]
fn every_recorded_document_parses_and_loses_nothing() {
    let Some(directory) = common::reference("HCS_VECTORS_DIR", "vectors") else {
        return;
    };
    let mut count = 0;
    for (name, text) in json_files(&directory) {
        let stem = name.split(['-', '.']).next().unwrap();
        match stem {
            "Gcs" => guest_message(&name, &text),
            // Documents of the network service are another API's.
            "computenetwork" => continue,
            call => {
                let (_, read) = CALLS
                    .iter()
                    .find(|(known, _)| *known == call)
                    .unwrap_or_else(|| panic!("{name}"));
                same(&name, &text, *read);
            }
        }
        count += 1;
    }
    assert!(count > 0, "no recordings in {}", directory.display());
}

fn same(name: &str, text: &str, read: Read) {
    let document = read(text).unwrap_or_else(|failure| panic!("{name}: {failure}"));
    let sent: Value = serde_json::from_str(text).unwrap();
    assert_eq!(document, sent, "{name}");
}

/// Messages to the guest agent are the bridge's own, but some carry documents of the schema.
fn guest_message(name: &str, text: &str) {
    let message: Value = serde_json::from_str(text).unwrap();
    match name.split(['-', '.']).nth(1).unwrap() {
        "ExecuteProcess" => {
            let inner = message["Settings"]["ProcessParameters"].as_str().unwrap();
            let sent: Value = serde_json::from_str(inner).unwrap();
            if sent["CommandLine"].is_null()
                && sent["CommandArgs"].is_null()
                && sent["OciProcess"].is_null()
            {
                // What starts a container's own process names none; only the bridge takes that.
                let failure = parse::<ProcessParameters>(inner).unwrap_err();
                assert_eq!(failure.causes.len(), 1, "{name}: {failure}");
                parse::parse_value(ProcessParameters::shape(), inner).unwrap();
            } else {
                same(name, inner, reads::<ProcessParameters>);
            }
        }
        "ModifySettings" => same(
            name,
            &message["Request"].to_string(),
            reads::<GuestModifySettingRequest>,
        ),
        "SignalProcess" if !message["Options"].is_null() => {
            same(
                name,
                &message["Options"].to_string(),
                reads::<SignalProcessOptions>,
            );
        }
        _ => {}
    }
}

/// The files in `directory` whose names end in `.json`, sorted: name and content.
fn json_files(directory: &Path) -> Vec<(String, String)> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if name.ends_with(".json") {
            files.push((name, fs::read_to_string(path).unwrap()));
        }
    }
    files.sort();
    files
}
