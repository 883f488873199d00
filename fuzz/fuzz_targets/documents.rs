//! Documents that a client sends: whatever the text is, parsing ends with a document or a failure that says why.

#![no_main]

use hcs_schema::{
    documents::{ComputeSystem, ModifySettingRequest, ProcessModifyRequest, ProcessParameters, SignalProcessOptions, SystemQuery},
    parse,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((kind, text)) = data.split_first() else { return };
    let Ok(text) = std::str::from_utf8(text) else { return };
    let failure = match kind % 6 {
        0 => parse::<ComputeSystem>(text).err(),
        1 => parse::<ProcessParameters>(text).err(),
        2 => parse::<ProcessModifyRequest>(text).err(),
        3 => parse::<SignalProcessOptions>(text).err(),
        4 => parse::<SystemQuery>(text).err(),
        _ => parse::<ModifySettingRequest>(text).err(),
    };
    if let Some(failure) = failure {
        assert!(!failure.message.is_empty() && !failure.hresult.is_success());
        let document = failure.to_document();
        assert_eq!(hcs_schema::Failure::from_document(failure.hresult, &document), failure);
    }
});
