//! What a container sees of itself and of the host.

use serde_json::json;

use crate::host::Host;

super::cases![a_container_is_made_and_removed];

fn a_container_is_made_and_removed() {
    let host = Host::new();
    let container = host.start(json!({}));
    let name: String = container
        .request
        .runtime_id
        .chars()
        .filter(char::is_ascii_hexdigit)
        .take(12)
        .collect();
    assert_eq!(container.shell("hostname"), name);
    assert_eq!(container.shell("echo $PPID"), "1");
}
