//! Becoming root of the container's own user namespace.

use rustix::{
    fs::{Gid, Uid},
    thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid},
};

use crate::failure::{Attempt, StepError};

/// The calling process becomes user and group 0 of its user namespace, which has its ids by now. `may_set_groups`: it
/// leaves the groups of the program that started the service.
pub(crate) fn become_root(may_set_groups: bool) -> Result<(), StepError> {
    if may_set_groups {
        set_thread_groups(&[]).step("leaving the service's groups")?;
    }
    set_thread_res_gid(Gid::ROOT, Gid::ROOT, Gid::ROOT)
        .step("becoming the container's root group")?;
    set_thread_res_uid(Uid::ROOT, Uid::ROOT, Uid::ROOT).step("becoming the container's root")
}
