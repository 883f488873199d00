//! What a process inside finds of its streams.

use std::process::Command;

use crate::common::{Container, hcs, with_input};

/// A shell that opens its three streams again, as its own user.
pub(crate) const AGAIN: &str = "cat /dev/stdin; echo out > /dev/stdout; echo err > /dev/stderr; stat -L -c %u /dev/stdin \
                                /dev/stdout /dev/stderr";

/// Runs [`AGAIN`] by a command line whose user is 1000.
#[track_caller]
pub(crate) fn assert_streams_open_again(command: &mut Command) {
    let output = with_input(command, b"in\n".to_vec());
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(
        (out.as_str(), err.as_str()),
        ("in\nout\n1000\n1000\n1000\n", "err\n")
    );
}

#[test]
fn the_streams_of_a_process_belong_to_its_user() {
    for options in ["", "--userns", "--cap-drop CHOWN"] {
        let container = Container::with("streams", options);
        let line = [
            "exec",
            "-i",
            "-u",
            "1000",
            &container.0,
            "--",
            "sh",
            "-c",
            AGAIN,
        ];
        assert_streams_open_again(&mut hcs(line));
    }
}
