//! Programs that cannot be started: codes, words, and nothing left behind.

use std::{fs, os::unix::fs::PermissionsExt as _};

use hcs_schema::HResult;
use hcs_wire::guest::ResponseBase;
use serde_json::{Value, json};

use crate::{Test, bridge::Bridge, system::System};

pub const TESTS: &[Test] = &[
    (
        "missing_programs_say_where_was_looked",
        missing_programs_say_where_was_looked,
    ),
    ("files_that_are_no_programs", files_that_are_no_programs),
    ("working_directories", working_directories),
    (
        "documents_that_are_no_command",
        documents_that_are_no_command,
    ),
    ("too_much_for_one_program", too_much_for_one_program),
    ("failed_starts_leave_nothing", failed_starts_leave_nothing),
    (
        "path_is_searched_past_what_cannot_run",
        path_is_searched_past_what_cannot_run,
    ),
];

fn refusal(bridge: &mut Bridge, document: &Value) -> (HResult, String) {
    let base: ResponseBase = bridge.try_start(document).unwrap_err();
    assert_eq!(base.error_records[0].message, base.error_message);
    let causes: Vec<_> = base
        .error_records
        .iter()
        .skip(1)
        .map(|record| record.message.as_str())
        .collect();
    (
        base.hresult(),
        format!("{} [{}]", base.error_message, causes.join("; ")),
    )
}

fn win32(code: u16) -> HResult {
    HResult::from_win32(code)
}

fn missing_programs_say_where_was_looked() {
    let system = System::start();
    let mut bridge = system.connect();
    let document = json!({ "CommandLine": "foo -x", "Environment": { "PATH": "/usr/bin:/bin" } });
    let (code, message) = refusal(&mut bridge, &document);
    assert_eq!(code, HResult::FILE_NOT_FOUND);
    assert_eq!(
        message,
        "cannot run \"foo\": not found in PATH (/usr/bin:/bin) \
         [as user 0, group 0, in \"/\"; tried /usr/bin/foo, /bin/foo]"
    );
    let (code, message) = refusal(&mut bridge, &json!({ "CommandArgs": ["/no/such/program"] }));
    assert_eq!(code, HResult::FILE_NOT_FOUND);
    assert!(
        message.starts_with("cannot run \"/no/such/program\": there is no such file"),
        "{message}"
    );
    let (code, message) = refusal(&mut bridge, &json!({ "CommandArgs": ["/etc/passwd/x"] }));
    assert_eq!(code, win32(3), "{message}");
}

fn files_that_are_no_programs() {
    let system = System::start();
    let mut bridge = system.connect();
    let file = |name: &str, contents: &str, mode: u32| {
        let path = system.path(name);
        fs::write(&path, contents).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        json!({ "CommandArgs": [path] })
    };
    let cases = [
        (
            file("plain", "#!/bin/sh\n", 0o644),
            win32(5),
            "may not be executed by user 0: permission denied",
        ),
        (
            file("data", "no magic", 0o755),
            win32(193),
            "is neither a program for this machine nor a script",
        ),
        (
            file("orphan", "#!/no/such/interpreter\n", 0o755),
            win32(2),
            "is there, but the interpreter",
        ),
        (
            json!({
                "CommandArgs": ["./orphan"],
                "WorkingDirectory": system.path("orphan").parent().unwrap(),
            }),
            win32(2),
            "\"./orphan\" is there, but the interpreter",
        ),
        (
            json!({ "CommandArgs": ["/etc"] }),
            win32(5),
            "may not be executed",
        ),
    ];
    for (document, code, words) in cases {
        let (found, message) = refusal(&mut bridge, &document);
        assert_eq!(found, code, "{message}");
        assert!(message.contains(words), "{message}");
    }
}

fn working_directories() {
    let system = System::start();
    let mut bridge = system.connect();
    let document = |directory: &str, user: &str| json!({ "CommandLine": "pwd", "WorkingDirectory": directory, "User": user, "CreateStdOutPipe": true });
    let (code, message) = refusal(&mut bridge, &document("/no/such", ""));
    assert_eq!(code, win32(267));
    assert!(
        message.contains("the working directory \"/no/such\" cannot be entered"),
        "{message}"
    );
    assert_eq!(
        refusal(&mut bridge, &document("/etc/passwd", "")).0,
        win32(267)
    );
    let private = system.path("private");
    fs::create_dir(&private).unwrap();
    fs::set_permissions(&private, fs::Permissions::from_mode(0o700)).unwrap();
    let private = private.to_str().unwrap();
    let (code, message) = refusal(&mut bridge, &document(private, "65534"));
    assert_eq!(code, HResult::E_ACCESSDENIED);
    assert!(
        message.contains("by user 65534: permission denied"),
        "{message}"
    );
    for (given, entered) in [
        (private, private),
        ("/usr", "/usr"),
        ("", "/"),
        ("usr", "/usr"),
    ] {
        let mut process = bridge.start(&document(given, ""));
        assert_eq!(process.read_stdout().trim_end(), entered);
    }
}

fn documents_that_are_no_command() {
    let system = System::start();
    let mut bridge = system.connect();
    let cases = [
        (json!({}), "names no program"),
        (json!({ "CommandLine": "   " }), "names no program"),
        (json!({ "CommandLine": "echo 'open" }), "cannot be split"),
        (json!({ "CommandArgs": ["echo", "a\u{0}b"] }), "NUL"),
        (
            json!({ "CommandLine": "true", "WorkingDirectory": "/\u{0}" }),
            "NUL",
        ),
        (
            json!({ "CommandLine": "true", "Environment": { "A=B": "c" } }),
            "\"A=B\"",
        ),
        (
            json!({ "CommandLine": "true", "User": "nosuchuser" }),
            "no user \"nosuchuser\"",
        ),
        (
            json!({ "CommandLine": "true", "User": "0:nosuchgroup" }),
            "no group \"nosuchgroup\"",
        ),
    ];
    for (document, words) in cases {
        let (code, message) = refusal(&mut bridge, &document);
        assert_eq!(code, HResult::E_INVALIDARG, "{message}");
        assert!(message.contains(words), "{message}");
    }
}

fn too_much_for_one_program() {
    let system = System::start();
    let mut bridge = system.connect();
    let (code, message) = refusal(
        &mut bridge,
        &json!({ "CommandArgs": ["true", "x".repeat(200_000)] }),
    );
    assert_eq!(code, win32(206));
    assert!(message.contains("too large"), "{message}");
    let (code, _) = refusal(
        &mut bridge,
        &json!({ "CommandArgs": ["/".to_owned() + &"x".repeat(5000)] }),
    );
    assert_eq!(code, win32(206));
}

fn failed_starts_leave_nothing() {
    let system = System::start();
    let mut bridge = system.connect();
    // The agent closes its copies of a process's pipes before it answers; `read` ends after that.
    let descriptors = |bridge: &mut Bridge| {
        bridge
            .run("read x; ls /proc/1/fd | wc -l; cat /proc/1/task/1/children | wc -w")
            .1
    };
    let before = descriptors(&mut bridge);
    for console in [false, true] {
        for _ in 0..50 {
            let document = json!({
                "CommandLine": "/no/such/program", "EmulateConsole": console,
                "CreateStdInPipe": true, "CreateStdOutPipe": true
            });
            assert_eq!(refusal(&mut bridge, &document).0, HResult::FILE_NOT_FOUND);
        }
    }
    assert_eq!(descriptors(&mut bridge), before);
}

/// As execvp(3) does: a file that may not be executed is remembered, not final.
fn path_is_searched_past_what_cannot_run() {
    let system = System::start();
    let mut bridge = system.connect();
    for (directory, mode) in [("first", 0o644), ("second", 0o755)] {
        fs::create_dir(system.path(directory)).unwrap();
        let file = system.path(directory).join("tool");
        fs::write(&file, format!("#!/bin/sh\necho {directory} $0\n")).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
    }
    let (first, second) = (system.path("first"), system.path("second"));
    let (first, second) = (first.to_str().unwrap(), second.to_str().unwrap());
    let tool = |path: String| json!({ "CommandLine": "tool", "CreateStdOutPipe": true, "Environment": { "PATH": path } });
    let mut process = bridge.start(&tool(format!("/no/such:{first}:{second}")));
    assert_eq!(process.read_stdout(), format!("second {second}/tool\n"));
    let (code, message) = refusal(&mut bridge, &tool(format!("{first}:/no/such")));
    assert_eq!(code, HResult::E_ACCESSDENIED);
    assert!(
        message.contains(&format!("\"{first}/tool\" may not be executed")),
        "{message}"
    );
}
