//! The cost to read and to write the documents of everyday calls.
#![expect(clippy::expect_used, reason = "a benchmark that cannot go on fails")]

use divan::{AllocProfiler, Bencher, black_box, counter::BytesCount};
use hcs_schema::{
    HResult,
    documents::{ComputeSystem, ProcessParameters},
    parse,
};

#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

/// A container as a caller usually describes it.
const SYSTEM: &str = r#"{
    "Owner": "bench",
    "SchemaVersion": { "Major": 2, "Minor": 1 },
    "ShouldTerminateOnLastHandleClosed": true,
    "Container": {
        "GuestOs": { "HostName": "bench" },
        "Storage": {
            "Layers": [
                { "Id": "8f6a3b1e-5d0c-4a52-9a54-0f3f8f2d7b01", "Path": "/var/lib/layers/application" },
                { "Id": "8f6a3b1e-5d0c-4a52-9a54-0f3f8f2d7b02", "Path": "/var/lib/layers/language" },
                { "Id": "8f6a3b1e-5d0c-4a52-9a54-0f3f8f2d7b03", "Path": "/var/lib/layers/base" }
            ]
        },
        "MappedDirectories": [
            { "HostPath": "/srv/data", "ContainerPath": "/data", "ReadOnly": true },
            { "HostPath": "/srv/results", "ContainerPath": "/results" }
        ],
        "Memory": { "SizeInMB": 512 },
        "Processor": { "Maximum": 5000 }
    }
}"#;

const PROCESS: &str = r#"{
    "CommandArgs": ["/bin/sh", "-c", "echo hello"],
    "WorkingDirectory": "/data",
    "Environment": { "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8" },
    "CreateStdInPipe": false,
    "CreateStdOutPipe": true,
    "CreateStdErrPipe": true
}"#;

fn main() {
    divan::main();
}

#[divan::bench]
fn read_compute_system(bencher: Bencher<'_, '_>) {
    bencher
        .counter(BytesCount::of_str(SYSTEM))
        .bench(|| parse::<ComputeSystem>(black_box(SYSTEM)).expect("the document is right"));
}

#[divan::bench]
fn read_process_parameters(bencher: Bencher<'_, '_>) {
    bencher
        .counter(BytesCount::of_str(PROCESS))
        .bench(|| parse::<ProcessParameters>(black_box(PROCESS)).expect("the document is right"));
}

/// The cost of a refusal: every fault is found, and named with its place.
#[divan::bench]
fn refuse_compute_system(bencher: Bencher<'_, '_>) {
    let wrong = SYSTEM
        .replace("\"Memory\"", "\"Memroy\"")
        .replace("512", "\"512\"");
    bencher.bench(|| parse::<ComputeSystem>(black_box(&wrong)).expect_err("the document is wrong"));
}

#[divan::bench]
fn write_compute_system(bencher: Bencher<'_, '_>) {
    let document = parse::<ComputeSystem>(SYSTEM).expect("the document is right");
    bencher.bench(|| serde_json::to_string(black_box(&document)).expect("it can be written"));
}

#[divan::bench]
fn write_a_failure(bencher: Bencher<'_, '_>) {
    let failure =
        hcs_schema::Failure::new(HResult::HCS_E_SYSTEM_NOT_FOUND, "there is no \"bench\"");
    bencher.bench(|| black_box(&failure).to_document());
}
