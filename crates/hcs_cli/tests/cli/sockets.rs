//! `--mount` of what is no directory: files, sockets, FIFOs; and of paths with colons.

use std::{
    fs,
    io::{Read as _, Write as _},
    os::unix::{fs::PermissionsExt as _, net::UnixListener},
    path::Path,
    thread,
};

use rustix::fs::{CWD, FileType, Mode, mknodat};

use crate::{
    common::{ended, hcs},
    inside::{CLIENT, assert_refused_by_the_service},
    service::Place,
};

/// Says `ask` to the socket at `/seen`, and prints what it answers.
const TALK: &str = "my $s = IO::Socket::UNIX->new(Peer => '/seen') or die \"$!\\n\"; print $s \"ask\\n\"; print <$s>";

fn talk(mount: &str, options: &[&str]) -> crate::common::Ended {
    let first = ["run", "--mount", mount];
    let command = ["--", "perl", "-MIO::Socket::UNIX", "-e", TALK];
    ended(&mut hcs([&first[..], options, &command].concat()))
}

/// Row F15.
#[test]
fn a_socket_that_is_mapped_is_reached() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("answers:it.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let all = fs::Permissions::from_mode(0o666);
    fs::set_permissions(&path, all).unwrap();
    let answers = thread::spawn(move || {
        for _ in 0..2 {
            let (mut stream, _) = listener.accept().unwrap();
            let mut asked = [0; 4];
            stream.read_exact(&mut asked).unwrap();
            assert_eq!(&asked, b"ask\n");
            stream.write_all(b"answer\n").unwrap();
        }
    });
    for userns in ["--userns", "--userns=no"] {
        let mount = format!("src={},dst=/seen", path.display());
        assert_eq!(talk(&mount, &[userns]).fine(), "answer\n");
    }
    answers.join().unwrap();
    // Mode and owner are the host's.
    let mount = format!("{}:/seen", path.to_str().unwrap().replace(':', "\\:"));
    let chmod = ["run", "--mount", &mount, "--", "chmod", "600", "/seen"];
    assert_ne!(ended(&mut hcs(chmod)).code, Some(0));
    for nonsense in [":ro", ":suid"] {
        let refused = talk(&format!("{mount}{nonsense}"), &[]);
        assert_eq!(refused.code, Some(125), "{refused:?}");
        assert!(refused.err.contains("mean nothing"), "{refused:?}");
    }
}

/// Row S2.
#[test]
fn the_socket_of_the_service_is_of_no_use_by_whatever_name() {
    // Root of a user namespace is an ordinary user to a socket of the host.
    let other = Place::lasting("socket_mode = 0o666\n");
    other.hcs(&["list"]).output().unwrap();
    let program = format!("{}:/hcs:ro", env!("CARGO_BIN_EXE_hcs"));
    let socket = format!("src={},dst=/run/hcs/hcs.sock", other.endpoint().display());
    for command in [&mut hcs(["run"]), &mut other.hcs(&["run"])] {
        command.args(["--userns=no", "--mount", &program, "--mount", &socket]);
        command.args(["--", "sh", "-c", "HCS_ENDPOINT=/run/hcs/hcs.sock /hcs list"]);
        let refused = ended(command);
        assert_eq!(refused.code, Some(125), "{refused:?}");
        let said = "a process in a container may not use the host compute service";
        assert!(refused.err.contains(said), "{refused:?}");
    }
    for userns in ["--userns=no", "--userns"] {
        for command in [&mut hcs(["run"]), &mut other.hcs(&["run"])] {
            command.args([userns, "--mount", &socket, "--", "perl", "-e", CLIENT]);
            assert_refused_by_the_service(&ended(command.arg("/run/hcs/hcs.sock")));
        }
    }
}

/// Row F15.
#[test]
fn fifos_and_single_files_are_mapped() {
    let place = tempfile::tempdir().unwrap();
    let at = |name: &str| place.path().join(name);
    let mount = |path: &Path, to: &str| format!("{}:{to}", path.display());
    mknodat(
        CWD,
        at("fifo"),
        FileType::Fifo,
        Mode::from_raw_mode(0o666),
        0,
    )
    .unwrap();
    fs::write(at("file"), "before\n").unwrap();
    let (fifo, file) = (
        mount(&at("fifo"), "/in/fifo"),
        mount(&at("file"), "/in/file"),
    );
    let script = "cat /in/file; echo after > /in/file; echo through > /in/fifo";
    let mut run = hcs([
        "run", "--mount", &fifo, "--mount", &file, "--", "sh", "-c", script,
    ]);
    let reader = thread::spawn({
        let fifo = at("fifo");
        move || fs::read_to_string(fifo).unwrap()
    });
    assert_eq!(ended(&mut run).fine(), "before\n");
    assert_eq!(reader.join().unwrap(), "through\n");
    assert_eq!(fs::read_to_string(at("file")).unwrap(), "after\n");
}
