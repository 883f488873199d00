//! Documents of networks, as a client sends them: the first byte says to which call, of a service that has a network,
//! an endpoint and a namespace.

#![no_main]

use hcn::{Guid, State, Surroundings};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((call, text)) = data.split_first() else { return };
    let Ok(text) = std::str::from_utf8(text) else { return };
    let (mut state, here) = (State::default(), Surroundings::default());
    let _made = state.create_network(Guid(1), "{}", &here);
    let _made = state.create_endpoint(Guid(1), Guid(2), "{}");
    let _made = state.create_namespace(Guid(3), "{}");
    let _answer = match call % 8 {
        0 => state.create_network(Guid(4), text, &here).map(drop),
        1 => state.create_endpoint(Guid(1), Guid(4), text).map(drop),
        2 => state.create_namespace(Guid(4), text).map(drop),
        3 => state.create_load_balancer(Guid(4), text).map(drop),
        4 => state.modify_network(Guid(1), text).map(drop),
        5 => state.modify_endpoint(Guid(2), text).map(drop),
        6 => state.modify_namespace(Guid(3), text).map(drop),
        _ => state.enumerate_endpoints(text).map(drop),
    };
    let objects = state.objects().into_iter();
    let records = objects.filter_map(|object| state.record(object)).collect();
    let (restored, faults) = State::restore(records);
    assert!(restored == state && faults.is_empty(), "{faults:?}");
});
