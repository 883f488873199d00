//! The same loop over another link: an agent that dials its host, for the stream as for stdio, as it does in a virtual
//! machine. Unix sockets stand in for vsock: port N is the socket `N.sock`.

use std::{
    io::{Read as _, Write as _},
    net::Shutdown,
    os::{
        fd::{AsFd as _, BorrowedFd, OwnedFd},
        unix::net::{UnixListener, UnixStream},
    },
    path::PathBuf,
    process::ExitCode,
};

use guest_agent::{
    Role,
    link::{Dialled, DialledStream, Link},
};
use hcs_schema::{Failure, HResult, Stdio, privileges::Privileges};
use hcs_wire::guest::{BRIDGE_PORT, ExecuteProcessResponse, Rpc, VsockStdioRelaySettings};
use rustix::{
    io::Errno,
    time::{
        Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
        timerfd_settime,
    },
};
use serde_json::{Value, json};

use crate::{Test, bridge::Bridge, system::System};

pub const TESTS: &[Test] = &[
    (
        "a_dialling_agent_finds_its_host_again",
        a_dialling_agent_finds_its_host_again,
    ),
    (
        "dialled_streams_are_the_process_s_own",
        dialled_streams_are_the_process_s_own,
    ),
    (
        "a_console_over_dialled_streams",
        a_console_over_dialled_streams,
    ),
    ("a_port_without_a_listener", a_port_without_a_listener),
    (
        "streams_are_dialled_before_anything_else_and_hung_up_in_vain",
        streams_are_dialled_before_anything_else_and_hung_up_in_vain,
    ),
];

/// How often the agent dials while it has no stream, in nanoseconds.
const RETRY: i64 = 5_000_000;

/// Dials. Its descriptor is a timer that runs while there is no stream.
struct DialLink {
    directory: PathBuf,
    timer: OwnedFd,
}

impl DialLink {
    fn new(directory: PathBuf) -> Self {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = timerfd_create(TimerfdClockId::Monotonic, flags).unwrap();
        let mut link = Self { directory, timer };
        link.stream_lost();
        link
    }

    fn set_timer(&self, nanoseconds: i64) {
        let time = Timespec {
            tv_sec: 0,
            tv_nsec: nanoseconds,
        };
        let setting = Itimerspec {
            it_interval: time,
            it_value: time,
        };
        timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &setting).unwrap();
    }

    fn connect(&self, port: u32) -> std::io::Result<OwnedFd> {
        let path = self.directory.join(format!("{port}.sock"));
        UnixStream::connect(path).map(OwnedFd::from)
    }
}

impl Link for DialLink {
    fn descriptor(&self) -> BorrowedFd<'_> {
        self.timer.as_fd()
    }

    fn next_stream(&mut self) -> Result<Option<OwnedFd>, Errno> {
        let Ok(stream) = self.connect(BRIDGE_PORT) else {
            rustix::io::read(&self.timer, &mut [0; 8]).ok();
            return Ok(None);
        };
        self.set_timer(0);
        rustix::io::ioctl_fionbio(&stream, true)?;
        Ok(Some(stream))
    }

    fn stream_lost(&mut self) {
        self.set_timer(RETRY);
    }

    fn dial(&mut self, ports: VsockStdioRelaySettings) -> Dialled {
        let dial = |port| match self.connect(port) {
            Ok(socket) => Ok(DialledStream { socket, port }),
            Err(error) => Err(Failure::new(
                HResult::HCS_E_CONNECT_FAILED,
                format!("port {port} cannot be dialled: {error}"),
            )),
        };
        ports.ports().map(|port| port.map(dial))
    }

    fn stdio(
        &mut self,
        wanted: Stdio<bool>,
        dialled: Dialled,
        _sent: Vec<OwnedFd>,
    ) -> Result<Stdio<Option<OwnedFd>>, Failure> {
        wanted.zip(dialled).try_map(|(wanted, dialled)| {
            let dialled = dialled.filter(|_| wanted).transpose()?;
            Ok(dialled.map(|stream| stream.socket))
        })
    }

    fn passes_descriptors(&self) -> bool {
        false
    }
}

/// Serves as an agent that dials the sockets in `directory`.
pub fn become_agent(directory: Option<String>) -> ExitCode {
    let link = DialLink::new(directory.unwrap().into());
    let own = guest_agent::Own::at_usual_places();
    ExitCode::from(
        u8::try_from(guest_agent::serve(
            link,
            own,
            Privileges::default(),
            Role::Init,
        ))
        .unwrap(),
    )
}

/// The host's side: a system and the sockets it dials.
struct Host {
    system: System,
    bridge: UnixListener,
}

impl Host {
    fn new() -> Self {
        let system = System::start_dialling();
        let bridge = listen(&system, BRIDGE_PORT);
        Self { system, bridge }
    }

    fn connect(&self) -> Bridge {
        let mut bridge = Bridge::new(self.bridge.accept().unwrap().0);
        bridge.negotiate();
        bridge
    }
}

fn listen(system: &System, port: u32) -> UnixListener {
    UnixListener::bind(system.path(&format!("{port}.sock"))).unwrap()
}

fn request(document: &Value, ports: &Value, wait: u64) -> Value {
    json!({
        "WaitMessageId": wait,
        "Settings": { "ProcessParameters": document.to_string(), "VsockStdioRelaySettings": ports }
    })
}

fn a_dialling_agent_finds_its_host_again() {
    let host = Host::new();
    for code in 0..3 {
        let mut bridge = host.connect();
        let document = json!({ "CommandArgs": ["sh", "-c", format!("exit {code}")] });
        let wait = bridge.fresh_id();
        let started: ExecuteProcessResponse =
            bridge.call(Rpc::ExecuteProcess, &request(&document, &json!({}), wait));
        assert_eq!(started.base.result, 0);
        assert_eq!(bridge.exit_of(wait), code);
    }
}

fn dialled_streams_are_the_process_s_own() {
    let host = Host::new();
    let mut bridge = host.connect();
    let listeners = [1, 2, 3].map(|port| listen(&host.system, port));
    let document = json!({
        "CommandArgs": ["sh", "-c", "tr a-z A-Z; echo problem >&2; exit 4"],
        "CreateStdInPipe": true, "CreateStdOutPipe": true, "CreateStdErrPipe": true
    });
    let wait = bridge.fresh_id();
    let ports = json!({ "StdIn": 1, "StdOut": 2, "StdErr": 3 });
    let id = bridge.send(Rpc::ExecuteProcess, &request(&document, &ports, wait), &[]);
    let [mut stdin, stdout, stderr] = listeners.map(|listener| listener.accept().unwrap().0);
    let started: ExecuteProcessResponse = bridge.answer(id);
    assert_eq!(started.base.result, 0);
    stdin.write_all(b"hello").unwrap();
    stdin.shutdown(Shutdown::Write).unwrap();
    assert_eq!(std::io::read_to_string(stdout).unwrap(), "HELLO");
    assert_eq!(std::io::read_to_string(stderr).unwrap(), "problem\n");
    assert_eq!(bridge.exit_of(wait), 4);
}

fn a_console_over_dialled_streams() {
    let host = Host::new();
    let mut bridge = host.connect();
    let listeners = [1, 2].map(|port| listen(&host.system, port));
    let document = json!({
        "CommandArgs": ["sh", "-c", "stty -echo; echo ready; cat; exit 6"], "EmulateConsole": true,
        "CreateStdInPipe": true, "CreateStdOutPipe": true
    });
    let wait = bridge.fresh_id();
    let id = bridge.send(
        Rpc::ExecuteProcess,
        &request(&document, &json!({ "StdIn": 1, "StdOut": 2 }), wait),
        &[],
    );
    let [mut stdin, mut stdout] = listeners.map(|listener| listener.accept().unwrap().0);
    let started: ExecuteProcessResponse = bridge.answer(id);
    assert_eq!(started.base.result, 0);
    let mut ready = [0; 7];
    stdout.read_exact(&mut ready).unwrap();
    assert_eq!(&ready, b"ready\r\n");
    stdin.write_all(b"line\n").unwrap();
    stdin.shutdown(Shutdown::Write).unwrap();
    assert_eq!(std::io::read_to_string(stdout).unwrap(), "line\r\n");
    assert_eq!(bridge.exit_of(wait), 6);
}

fn streams_are_dialled_before_anything_else_and_hung_up_in_vain() {
    let host = Host::new();
    let mut bridge = host.connect();
    let listener = listen(&host.system, 1);
    let document = json!({ "CommandLine": "true", "CreateStdOutPipe": true, "User": "stranger" });
    let (code, message) = bridge.refusal(
        Rpc::ExecuteProcess,
        &request(&document, &json!({ "StdOut": 1 }), 99),
    );
    assert!(message.contains("stranger"), "{code} {message}");
    let (stdout, _) = listener.accept().unwrap();
    assert_eq!(std::io::read_to_string(stdout).unwrap(), "");
}

fn a_port_without_a_listener() {
    let host = Host::new();
    let mut bridge = host.connect();
    let document = json!({ "CommandLine": "true", "CreateStdOutPipe": true });
    let (code, message) = bridge.refusal(
        Rpc::ExecuteProcess,
        &request(&document, &json!({ "StdOut": 7 }), 99),
    );
    assert!(
        code == HResult::HCS_E_CONNECT_FAILED && message.contains("port 7"),
        "{code} {message}"
    );
}
