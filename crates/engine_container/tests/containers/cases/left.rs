//! What the agent leaves: the next service finds it, and no process of the container can write it.

use std::{fs, io::Write as _};

use hcs_engine::engine::{Engine as _, Found};
use hcs_wire::guest::LeftRecord;
use serde_json::{Value, json};

use crate::host::{Container, Host};

super::cases![
    what_the_agent_has_left_is_found_when_it_is_gone,
    no_process_can_write_what_the_agent_leaves,
    what_is_left_takes_no_memory_of_the_container,
];

/// Without and with a user namespace; an ordinary user has no choice.
const DOCUMENTS: [fn() -> Value; 2] = [|| json!({}), || json!({ "UserNamespace": true })];

/// What a service that comes now learns of a container that is gone.
fn learnt(host: &Host, container: &Container) -> LeftRecord {
    let found = host
        .engine
        .adopt(&container.request, &container.machine.record());
    let Ok(Found::Gone {
        guest: Some(guest), ..
    }) = found
    else {
        panic!("{found:#?}");
    };
    LeftRecord::read(&guest.left().unwrap())
}

fn what_the_agent_has_left_is_found_when_it_is_gone() {
    let host = Host::new();
    for document in DOCUMENTS {
        let container = host.start(document());
        let mut stream = container.connect();
        stream.write_all(b"[\"leave\", \"7\"]\n").unwrap();
        container.wait_gone();
        let left = learnt(&host, &container);
        assert_eq!((left.complete, left.exit(2)), (true, Some(7)));
        // The service that was there knows it as well.
        let guest = container.machine.guest().unwrap();
        assert_eq!(LeftRecord::read(&guest.left().unwrap()), left);
    }
}

/// Root inside tries the descriptors of the agent, by each way there is, and looks for the file.
fn no_process_can_write_what_the_agent_leaves() {
    const FORGED: &str = r#"{"Complete":true,"Exits":[[2,0]]}"#;
    let host = Host::new();
    for document in DOCUMENTS {
        let container = host.start(document());
        let script = format!(
            "for fd in /proc/1/fd/* /proc/1/fd/[0-9] /proc/1/fd/1[0-9] /proc/1/task/1/fd/8 /proc/self/fd/8; do
                echo '{FORGED}' > $fd && echo $fd
            done 2> /dev/null; find / -name left.jsonl 2> /dev/null"
        );
        let written = container.run(&["/bin/sh", "-c", &script]).stdout;
        assert_eq!(written, "");
        let path = container.request.directory.join("left.jsonl");
        let text = fs::read(path).unwrap();
        assert!(text.iter().all(|byte| *byte == 0), "{text:?}");
    }
}

/// A container that has used up its memory has none for the file.
fn what_is_left_takes_no_memory_of_the_container() {
    let host = Host::new();
    let container = host.start(json!({}));
    let path = container.request.directory.join("left.jsonl");
    let found = std::os::unix::fs::MetadataExt::blocks(&fs::metadata(path).unwrap());
    assert!(found * 512 >= 4096, "{found} blocks");
}
