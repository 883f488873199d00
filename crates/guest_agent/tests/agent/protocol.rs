//! The bridge itself: negotiation, bad messages, streams.

use hcs_schema::HResult;
use hcs_wire::guest::{NegotiateProtocol, RequestBase, Rpc, code};
use serde_json::json;

use crate::{
    Test,
    bridge::{Bridge, base},
    system::System,
};

pub const TESTS: &[Test] = &[(
    "negotiation_comes_first_and_once",
    negotiation_comes_first_and_once,
)];

fn negotiation_comes_first_and_once() {
    let system = System::start();
    let mut bridge = Bridge::new(system.dial());
    let (code, message) = bridge.refusal(Rpc::Start, &base());
    assert_eq!(code, HResult::E_NOTIMPL);
    assert!(message.contains("NegotiateProtocol"), "{message}");
    let versions = |minimum_version, maximum_version| NegotiateProtocol {
        base: RequestBase::default(),
        minimum_version,
        maximum_version,
    };
    for (minimum, maximum) in [(5, 9), (1, 3), (9, 1)] {
        let (code, message) = bridge.refusal(Rpc::NegotiateProtocol, &versions(minimum, maximum));
        assert_eq!(code, code::UNSUPPORTED_PROTOCOL_VERSION, "{message}");
    }
    bridge.negotiate();
    let (code, _) = bridge.refusal(Rpc::NegotiateProtocol, &versions(4, 4));
    assert_eq!(code, HResult::E_NOTIMPL);
    let started: serde_json::Value = bridge.call(Rpc::Start, &json!({ "ContainerId": "" }));
    assert_eq!(started, json!({ "Result": 0 }));
}
