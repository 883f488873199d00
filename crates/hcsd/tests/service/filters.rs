//! Filters of system calls that the kernel cannot compile any more.

use crate::common::{
    Service,
    client::{CONTAINER, create_system, start_system, terminate_system},
};

/// Has the kernel answer the installation of each later filter as where `net.core.bpf_jit_limit` is used up, and
/// becomes the program of its arguments.
const FULL: &str = r#"
import ctypes, os, platform, struct, sys
SECCOMP = {"x86_64": 317, "aarch64": 277}[platform.machine()]
LOAD, EQUAL, ANSWER = 0x20, 0x15, 0x06
REFUSE, ALLOW = 0x00050000 | 524, 0x7fff0000
steps = [(LOAD, 0, 0, 0), (EQUAL, 0, 1, SECCOMP), (ANSWER, 0, 0, REFUSE), (ANSWER, 0, 0, ALLOW)]
program = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in steps))
filter = ctypes.create_string_buffer(struct.pack("@HP", len(steps), ctypes.addressof(program)))
PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 22, 2
if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, filter):
    sys.exit(os.strerror(ctypes.get_errno()))
os.execv(sys.argv[1], sys.argv[1:])
"#;

#[test]
fn where_no_filter_can_be_compiled_the_failure_says_what_to_do() {
    let program = ["python3", "-c", FULL, env!("CARGO_BIN_EXE_hcsd")];
    let service = Service::of(program.map(str::to_owned).into(), "warm_slots = 0\n");
    let mut client = service.client();
    let made = client.call(&create_system(1, "unfiltered", CONTAINER));
    let failed = match made.reply.result.is_success() {
        true => client.call(&start_system(1)),
        false => made,
    };
    assert!(!failed.reply.result.is_success());
    let document = failed.reply.document.unwrap();
    for told in ["error 524", "sysctl -w net.core.bpf_jit_limit"] {
        assert!(document.contains(told), "{document}");
    }
    // There may be nothing left of it.
    client.call(&terminate_system(1));
}
