//! How many files the processes of a container may have open, where its document does not say.
//!
//! The kernel counts the descriptors that lie unread in unix sockets, for each user. A process may send more of them
//! unless the count is above its own soft limit, or it has `CAP_SYS_RESOURCE` or `CAP_SYS_ADMIN` on the host. So
//! programs of one user with the same limit can keep each other from sending. A container that has the service's user
//! gets half of the service's limit, and what the service has started may use all of that.

use std::fs;

use hcs_schema::privileges::{Limit, Privileges, limits};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Programs expect as many.
const LEAST: u64 = 1024;

/// The kernel sets no limit on open files above this, also where it is none higher than before.
const HIGHEST: &str = "/proc/sys/fs/nr_open";

/// Lets the calling process, and the agents that are cloned from it, have as many as they may; answers the limit that
/// it was given, as far as it can be set again.
pub(crate) fn raise() -> Rlimit {
    let given = getrlimit(Resource::Nofile);
    let text = fs::read_to_string(HIGHEST).unwrap_or_default();
    let given = settable(given, text.trim().parse().ok());
    let highest = Rlimit {
        current: given.maximum,
        ..given
    };
    let _lower = setrlimit(Resource::Nofile, highest);
    given
}

/// `given`, or what is left of it where the kernel sets no limit above `highest`.
fn settable(given: Rlimit, highest: Option<u64>) -> Rlimit {
    let lower = |limit: Option<u64>| match (limit, highest) {
        (Some(limit), Some(highest)) => Some(limit.min(highest)),
        (limit, highest) => limit.or(highest),
    };
    Rlimit {
        current: lower(given.current),
        maximum: lower(given.maximum),
    }
}

/// `privileges` with a limit on open files, unless they have one: that of the launcher, or less for a container without
/// ids of its own.
pub(crate) fn limited(mut privileges: Privileges, given: Rlimit, own_ids: bool) -> Privileges {
    let Some(number) = limits::number("nofile") else {
        return privileges;
    };
    let is_set = privileges.limits.iter().any(|limit| limit.number == number);
    if let (Some(soft), Some(most), false) = (given.current, given.maximum, is_set) {
        let hard = match own_ids {
            true => most,
            false => (most / 2).max(LEAST).min(most),
        };
        privileges.limits.push(Limit {
            number,
            soft: soft.min(hard),
            hard,
        });
    }
    privileges
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(soft: u64, hard: u64, own_ids: bool) -> (u64, u64) {
        let given = Rlimit {
            current: Some(soft),
            maximum: Some(hard),
        };
        let limited = limited(Privileges::default(), given, own_ids);
        let [limit] = limited.limits[..] else {
            panic!("{limited:?}");
        };
        assert_eq!(limits::name(limit.number), "nofile");
        (limit.soft, limit.hard)
    }

    #[test]
    fn a_container_with_the_users_own_ids_has_half_of_the_limit() {
        assert_eq!(of(1024, 1 << 20, true), (1024, 1 << 20));
        assert_eq!(of(1024, 1 << 20, false), (1024, 1 << 19));
        assert_eq!(of(4096, 4096, false), (2048, 2048));
        assert_eq!(of(1500, 1500, false), (1024, 1024));
        assert_eq!(of(64, 256, false), (64, 256));
    }

    #[test]
    fn what_was_inherited_and_cannot_be_set_any_more_is_lowered() {
        let given = Rlimit {
            current: Some(1024),
            maximum: Some(1 << 20),
        };
        assert_eq!(settable(given, Some(1 << 20)), given);
        assert_eq!(settable(given, None), given);
        assert_eq!(settable(given, Some(4096)).maximum, Some(4096));
    }

    #[test]
    fn a_limit_that_the_document_sets_stays() {
        let limit = Limit {
            number: 7,
            soft: 5000,
            hard: 6000,
        };
        let privileges = Privileges {
            limits: vec![limit],
            ..Privileges::default()
        };
        let given = Rlimit {
            current: Some(4096),
            maximum: Some(4096),
        };
        assert_eq!(limited(privileges.clone(), given, false), privileges);
    }
}
