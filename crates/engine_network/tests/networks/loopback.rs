//! The loopback interface of a new network namespace.

use engine_network::set_loopback_up;

use crate::world::{Space, can_work};

#[test]
fn the_loopback_interface_is_set_up_with_its_address() {
    if !can_work() {
        return;
    }
    let space = Space::new();
    let shown = || space.ip("-brief address show lo");
    assert!(shown().contains("DOWN"), "{}", shown());
    space.run(set_loopback_up).unwrap();
    assert!(shown().contains("127.0.0.1/8"), "{}", shown());
    // What is up may be set up again.
    space.run(set_loopback_up).unwrap();
}
