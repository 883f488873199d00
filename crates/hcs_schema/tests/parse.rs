//! The faults of a document as a client sees them.

use hcs_schema::{HResult, documents::ComputeSystem, parse};

#[test]
fn every_fault_is_named_with_its_place() {
    let text = r#"{
  "SchemaVersion": {"Major": 2, "Minor": 1},
  "Container": {
    "Memmory": {"SizeInMB": 5},
    "Memory": {"SizeInMB": "12"},
    "Processor": {"Count": 4294967296}
  }
}"#;
    let failure = parse::<ComputeSystem>(text).unwrap_err();
    assert_eq!(failure.hresult, HResult::HCS_E_INVALID_JSON);
    assert_eq!(
        failure.message,
        "the ComputeSystem document is invalid: /Container/Memmory (line 4, column 5): \"Memmory\" is not a property \
         of Container; did you mean \"Memory\"? (and 2 more)"
    );
    let messages: Vec<_> = failure.causes.iter().map(|c| c.message.as_str()).collect();
    assert_eq!(
        messages,
        [
            "/Container/Memmory (line 4, column 5): \"Memmory\" is not a property of Container; did you mean \
             \"Memory\"?",
            "/Container/Memory/SizeInMB (line 5, column 28): found the string \"12\" where a whole number from 0 to \
             18446744073709551615 is expected",
            "/Container/Processor/Count (line 6, column 28): 4294967296 is not a whole number from 0 to 4294967295",
        ]
    );
    let pointers: Vec<_> = failure
        .causes
        .iter()
        .map(|c| c.pointer.as_deref())
        .collect();
    assert_eq!(
        pointers,
        [
            Some("/Container/Memmory"),
            Some("/Container/Memory/SizeInMB"),
            Some("/Container/Processor/Count")
        ]
    );
}
