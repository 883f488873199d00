//! From errors of netlink to failures with words and codes.

use hcs_schema::{Failure, HResult};
use rustix::io::Errno;

use crate::netlink::NetlinkError;

/// A failure while `doing` something; `needs` is what a kernel has to have for it.
pub(crate) fn failed(doing: &str, needs: &str, error: &NetlinkError) -> Failure {
    let code = match error.errno() {
        Some(Errno::PERM | Errno::ACCESS) => HResult::E_ACCESSDENIED,
        Some(Errno::OPNOTSUPP | Errno::PROTONOSUPPORT | Errno::NOENT | Errno::AFNOSUPPORT) => {
            HResult::NOT_SUPPORTED
        }
        _ => HResult::E_FAIL,
    };
    let advice = match code {
        HResult::E_ACCESSDENIED => "; this takes the capability CAP_NET_ADMIN".to_owned(),
        HResult::NOT_SUPPORTED => format!("; the kernel may lack what this needs: {needs}"),
        _ => String::new(),
    };
    Failure::new(code, format!("{doing} failed: {}{advice}", chain(error)))
        .on_record(format!("{needs}: a request to the kernel failed"))
        .because(error)
}

/// The error and its reason in one line.
fn chain(error: &NetlinkError) -> String {
    match error.errno() {
        Some(errno) => format!("{error}: {}", std::io::Error::from(errno)),
        None => error.to_string(),
    }
}

/// Something of ours that is to be removed: what is in its place but of another program is left alone, and nothing is
/// ours.
pub(crate) fn removable<T>(found: Result<Option<T>, Failure>) -> Result<Option<T>, Failure> {
    match found {
        Err(failure) if failure.hresult == HResult::HCN_E_ADAPTER_NOT_FOUND => Ok(None),
        found => found,
    }
}

/// What is there is not what was asked for.
pub(crate) fn in_the_way(message: String) -> Failure {
    Failure::new(HResult::HCN_E_ADAPTER_NOT_FOUND, message)
}
