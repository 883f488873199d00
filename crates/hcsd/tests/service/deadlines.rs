//! Calls that have to be done by a time.

use hcs_schema::HResult;
use hcs_wire::service::Call;

use crate::common::{Service, client::shell};

#[test]
fn a_call_that_is_late_ends_and_is_undone() {
    let service = Service::new();
    let mut client = service.client();
    client.start_container(1, "box");
    // What refuses to end keeps the shutdown waiting.
    let _deaf = client.create_deaf_process(1, 2);
    let shut_down = client.send(&Call::ShutDownSystem {
        system: 1,
        options: None,
    });
    // A call that waits for its turn is ended as well.
    let pause = client.send(&Call::PauseSystem {
        system: 1,
        options: None,
    });
    for request in [pause, shut_down] {
        let limit = Call::Limit {
            request,
            milliseconds: 50,
        };
        client.call(&limit).ok();
        let message = client
            .wait(request)
            .failed(HResult::HCS_E_OPERATION_TIMEOUT);
        assert!(message.contains("deadline"), "{message}");
    }
    // The shutdown was taken back: processes may be created again.
    let mut later = client.create_process(1, 3, &shell("echo again"));
    assert_eq!(later.output(), "again\n");
    assert_eq!(client.exit_code(3), 0);
    client.terminate(1);
}

#[test]
fn a_call_that_is_done_in_time_keeps_its_result() {
    let service = Service::new();
    let mut client = service.client();
    client.start_container(1, "box");
    let pause = client.send(&Call::PauseSystem {
        system: 1,
        options: None,
    });
    let limit = |request| Call::Limit {
        request,
        milliseconds: 600_000,
    };
    client.call(&limit(pause)).ok();
    client.wait(pause).ok();
    // Limits of what is done, or never was, say nothing.
    client.call(&limit(pause)).ok();
    client.call(&limit(1 << 40)).ok();
    client.terminate(1);
}
