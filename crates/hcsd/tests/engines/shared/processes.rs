//! Processes: signals, exit statuses, consoles, and what a cancelled creation leaves.

use hcs_schema::HResult;
use hcs_wire::service::Call;
use serde_json::{Value, json};

use super::open_process;
use crate::{
    common::client::{create_process, shell},
    kinds::{Kind, properties},
};

pub(super) fn processes_are_signalled_terminated_and_opened(kind: &Kind) {
    let service = kind.service();
    let mut client = service.client();
    kind.run(&mut client, 1, "signals");
    let process = client.create_process(1, 2, &json!({"CommandArgs": ["/bin/sleep", "1000"]}));
    let signal = |options: Option<&str>| Call::SignalProcess {
        process: 2,
        options: options.map(str::to_owned),
    };
    client
        .call(&signal(Some(r#"{"Signal":"Nonsense"}"#)))
        .failed(HResult::HCS_E_INVALID_JSON);
    client.call(&signal(Some(r#"{"Signal":15}"#))).ok();
    assert_eq!(client.exit_code(2), 143);
    client
        .call(&signal(None))
        .failed(HResult::HCS_E_PROCESS_ALREADY_STOPPED);
    let properties = client
        .call(&Call::GetProcessProperties {
            process: 2,
            query: None,
        })
        .ok()
        .json();
    assert_eq!(properties["ExitCode"], 143);
    let open = open_process(1, 3, process.pid);
    client.call(&open).failed(HResult::NOT_FOUND);

    client.create_process(1, 4, &json!({"CommandArgs": ["/bin/sleep", "1000"]}));
    let terminate = Call::TerminateProcess {
        process: 4,
        options: None,
    };
    client.call(&terminate).ok();
    client
        .call(&terminate)
        .failed(HResult::HCS_E_PROCESS_ALREADY_STOPPED);
    assert_eq!(client.exit_code(4), 137);
    client
        .call(&create_process(
            1,
            5,
            &json!({"CommandArgs": ["/nonexistent/program"]}),
        ))
        .failed(HResult::FILE_NOT_FOUND);
    client.terminate(1);
}

pub(super) fn an_exit_status_is_kept_until_a_client_was_told(kind: &Kind) {
    let service = kind.service();
    let mut client = service.client();
    kind.run(&mut client, 1, "kept");
    let mut process = client.create_process(1, 2, &shell("read x; exit 9"));
    client.call(&Call::CloseProcess { process: 2 }).ok();
    process.write("go\n");
    // Its end of stdout is closed by its end.
    assert_eq!(process.output(), "");
    let open = |handle| open_process(1, handle, process.pid);
    let opened = client.call(&open(3)).ok();
    assert_eq!(opened.reply.process.unwrap().process_id, process.pid);
    assert_eq!(client.exit_code(3), 9);
    client.call(&open(4)).failed(HResult::NOT_FOUND);
    client.terminate(1);
}

pub(super) fn a_cancelled_process_is_killed(kind: &Kind) {
    let service = kind.service();
    let mut client = service.client();
    kind.run(&mut client, 1, "cancels");
    let made = client.send(&create_process(
        1,
        2,
        &json!({"CommandArgs": ["/bin/sleep", "1000"]}),
    ));
    client.call(&Call::Cancel { request: made }).ok();
    let created = client.wait(made).reply.result;
    assert!([HResult::CANCELLED, HResult::S_OK].contains(&created));
    if created == HResult::S_OK {
        client
            .call(&Call::TerminateProcess {
                process: 2,
                options: None,
            })
            .ok();
    }
    let list = properties(1, &["ProcessList"]);
    let names = |list: &Value| -> Vec<String> {
        let list = list["ProcessList"].as_array().unwrap();
        list.iter()
            .map(|p| p["ImageName"].as_str().unwrap().to_owned())
            .collect()
    };
    while names(&client.call(&list).ok().json())
        .iter()
        .any(|name| name.contains("sleep"))
    {
        std::thread::yield_now();
    }
    client.terminate(1);
}

pub(super) fn a_console_has_a_size_and_stdin_can_be_ended(kind: &Kind) {
    let service = kind.service();
    let mut client = service.client();
    kind.run(&mut client, 1, "console");
    let mut parameters = shell("stty size; read x; stty size; read y; exit 8");
    parameters["EmulateConsole"] = json!(true);
    parameters["ConsoleSize"] = json!([20, 60]);
    let mut console = client.create_process(1, 2, &parameters);
    assert!(console.stderr.is_none(), "a console has one output");
    let mut modify = |settings: Value| {
        client.call(&Call::ModifyProcess {
            process: 2,
            settings: settings.to_string(),
        })
    };
    modify(json!({"Operation": "ConsoleSize", "ConsoleSize": {"Height": 31, "Width": 97}})).ok();
    modify(json!({"Operation": "CloseHandle"})).failed(HResult::HCS_E_INVALID_JSON);
    console.write("a\nb\n");
    let output = console.output();
    assert!(output.contains("31 97"), "{output}");
    assert_eq!(client.exit_code(2), 8);
    let settings =
        json!({"Operation": "CloseHandle", "CloseHandle": {"Handle": "StdIn"}}).to_string();
    client
        .call(&Call::ModifyProcess {
            process: 2,
            settings: settings.clone(),
        })
        .failed(HResult::HCS_E_PROCESS_ALREADY_STOPPED);

    let plain = client.create_process(1, 3, &shell("cat; exit 2"));
    client
        .call(&Call::ModifyProcess {
            process: 3,
            settings: json!({"Operation": "ConsoleSize", "ConsoleSize": {"Height": 1, "Width": 1}})
                .to_string(),
        })
        .reply
        .result
        .is_success()
        .then(|| panic!("a process without a console has no size"));
    client
        .call(&Call::ModifyProcess {
            process: 3,
            settings,
        })
        .ok();
    // The service holds no end of the pipe: the client's own is the last.
    drop(plain);
    assert_eq!(client.exit_code(3), 2);
    client.terminate(1);
}
