//! Documents of networks, as a client sends them: the first byte says to which call, of a service that has a network,
//! an endpoint and a namespace. With 255 it is a request of version 1: lines with its method and path, and its body.

#![no_main]

use hcn::{Guid, State, Surroundings, hns};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((call, text)) = data.split_first() else { return };
    let Ok(text) = std::str::from_utf8(text) else { return };
    if *call == 255 {
        return request(text);
    }
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

fn request(text: &str) {
    let mut lines = text.splitn(3, '\n');
    let [method, path, body] = [(); 3].map(|()| lines.next().unwrap_or_default());
    let read = hns::Request::read(method, path, body);
    let answer = match read {
        Ok(_) => hns::succeeded(None),
        Err(failure) => hns::failed(&failure),
    };
    assert!(serde_json::from_str::<serde_json::Value>(&answer).is_ok());
    let _named = hns::network_of(body);
    if let Ok(document) = hns::load_balancer(body) {
        let list = hns::policy_list(&document);
        // What is told can be asked for.
        assert!(hns::load_balancer(&list).is_ok(), "{list}");
    }
    let _document = hns::new_namespace(body).map(|document| hns::namespace(&document));
    let _document = hns::endpoint(body, body);
}
