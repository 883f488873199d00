//! `hcs explain`: from an error message to the time line.

use crate::common::{Container, ended, hcs, words};

#[test]
fn what_an_event_names_can_be_explained() {
    let container = Container::new("explain");
    let id = &container.0;
    let failed = ended(&mut hcs(["exec", id, "--", "/no/such/program"]));
    assert_eq!(failed.code, Some(127));
    let events = words(&format!("events --system {id} --format json")).fine();
    let event = events
        .lines()
        .find(|line| line.contains("\"OperationFailed\""))
        .unwrap();
    let event: serde_json::Value = serde_json::from_str(event).unwrap();
    let operation = event["Operation"].as_str().unwrap();
    let told = words(&format!("explain {operation}")).fine();
    let first = format!("{operation} CreateProcess on {id}, received ");
    assert!(told.starts_with(&first), "{told}");
    assert!(
        told.contains(" s  asked the guest agent: ExecuteProcess\n"),
        "{told}"
    );
    assert!(told.contains("/no/such/program"), "{told}");
    let unknown = words("explain 1-1");
    assert_eq!(unknown.code, Some(125));
    assert!(unknown.err.contains("1-1"), "{}", unknown.err);
}
