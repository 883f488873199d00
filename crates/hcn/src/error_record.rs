//! The `ErrorRecord` that a client gets with a refusal.
//!
//! `{"Success": false, "Error": "...", "ErrorCode": 2151350319}`, as the API before this one answered. `Causes` is an
//! addition: the pointer and the sentence of each. A success has no record, not even an empty one: clients take any
//! text for a failure.

use hcs_schema::Failure;
use serde_json::{Map, Value, json};

/// The record of a failure.
#[must_use]
pub fn error_record(failure: &Failure) -> String {
    let causes = failure.causes.iter().map(|cause| {
        let mut object = Map::new();
        if let Some(pointer) = &cause.pointer {
            object.insert("Pointer".to_owned(), json!(pointer));
        }
        object.insert("Message".to_owned(), json!(cause.message));
        Value::Object(object)
    });
    let mut record = json!({
        "Success": false,
        "Error": failure.message,
        "ErrorCode": failure.hresult.0.cast_unsigned(),
    });
    let causes: Vec<Value> = causes.collect();
    if let (false, Some(object)) = (causes.is_empty(), record.as_object_mut()) {
        object.insert("Causes".to_owned(), Value::Array(causes));
    }
    record.to_string()
}

#[cfg(test)]
mod tests {
    use hcs_schema::HResult;

    use super::*;

    #[test]
    fn the_code_is_unsigned_and_causes_have_their_pointers() {
        let failure = Failure::new(HResult::HCN_E_ADDR_INVALID_OR_RESERVED, "no such address")
            .cause_at("/IpConfigurations/0/IpAddress", "it is the gateway's");
        let record: Value = serde_json::from_str(&error_record(&failure)).unwrap();
        assert_eq!(record["ErrorCode"], json!(2_151_350_319_u32));
        assert_eq!(record["Success"], json!(false));
        assert_eq!(
            record["Causes"][0]["Pointer"],
            "/IpConfigurations/0/IpAddress"
        );
        let plain = error_record(&Failure::new(HResult::E_FAIL, ""));
        assert!(
            !plain.contains("Causes") && plain.contains("\"Error\":\""),
            "{plain}"
        );
    }
}
