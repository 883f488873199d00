//! An object of networks is made and deleted once for its client, whatever other clients do to it meanwhile.

use hcs_wire::{
    network::{NetworkCall, ObjectKind},
    service::{Call, Kind},
};
use serde_json::json;

use super::{create, delete, listed, space::Space};
use crate::common::{Client, Service};

const INSTANCE: &str = "c0ffee00-0000-4000-8000-000000000002";
const NETWORK: &str = "00000000-0000-4000-8000-0000000000A1";

/// A network with the id of this file.
fn create_network() -> Call {
    let mut call = create(
        ObjectKind::Network,
        "",
        json!({ "Name": "once", "Type": "Private" }),
    );
    if let Call::Network(NetworkCall::Create { id, .. }) = &mut call {
        NETWORK.clone_into(id);
    }
    call
}

fn delete_network() -> Call {
    delete(ObjectKind::Network, NETWORK)
}

/// A service that dies and is followed by another one, in a network of its own.
struct Place {
    host: Space,
    service: Service,
}

impl Place {
    fn next(&mut self) {
        self.service.kill();
        self.host.run(|| self.service.run());
    }

    /// Makes a call to a service that dies before its client knows.
    fn ask_in_vain(&mut self, call: &Call) {
        let mut asking = Client::connect_as(&self.service.endpoint(), Some(INSTANCE));
        asking.send_as(Kind::Request, 78, call, &[]);
        asking.wait(78).ok();
        self.next();
    }

    /// Makes it again, after one more service has died; its answer.
    fn ask_again(&mut self, call: &Call) -> Option<String> {
        self.next();
        let mut again = Client::connect_as(&self.service.endpoint(), Some(INSTANCE));
        again.send_as(Kind::Repeat, 78, call, &[]);
        again.wait(78).ok().reply.document
    }

    fn others(&self, call: &Call) {
        self.service.client().call(call).ok();
    }

    fn networks(&self) -> Vec<String> {
        listed(&mut self.service.client(), ObjectKind::Network)
    }
}

#[test]
fn what_another_client_deleted_is_not_made_again_and_what_it_made_is_not_deleted_again() {
    let host = Space::new();
    let service = host.run(Service::new);
    let mut place = Place { host, service };
    place.ask_in_vain(&create_network());
    place.others(&delete_network());
    let answer = place.ask_again(&create_network()).unwrap();
    assert!(answer.contains(NETWORK), "{answer}");
    assert_eq!(place.networks(), Vec::<String>::new(), "it was made twice");

    place.others(&create_network());
    place.ask_in_vain(&delete_network());
    place.others(&create_network());
    place.ask_again(&delete_network());
    assert_eq!(place.networks(), [NETWORK], "it was deleted twice");
    place.others(&delete_network());
    place.host.is_cleared();
}
