//! How many descriptors the service may have: as many as the system allows, and enough for what is recorded.
//!
//! Each system that is taken over takes some, so a service that a caller with a low limit starts could be one that
//! serves no client. Root may raise the limit. Where this process may not, it leaves the systems to a service that a
//! caller with a higher limit starts.

use std::{fs, path::Path};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tracing::warn;

/// Those of the service itself and of its clients.
const OWN: u64 = 512;
/// Those of a system, with some of its processes.
const OF_SYSTEM: u64 = 8;

/// How many a service with so many systems should have at least.
const fn needed(systems: u64) -> u64 {
    OWN.saturating_add(systems.saturating_mul(OF_SYSTEM))
}

/// Raises the limit: every process's pipes pass through here. After the helpers of the engines are started, whose limit
/// is that of containers.
///
/// # Errors
/// The sentence to be shown: fewer than what is recorded below `root` takes.
pub(crate) fn raise_limit(root: &Path) -> Result<(), String> {
    let systems = fs::read_dir(root.join("systems"));
    let systems = systems.map_or(0, |entries| entries.flatten().count() as u64);
    let (limit, needed) = (getrlimit(Resource::Nofile), needed(systems));
    let set = |maximum| {
        let current = maximum;
        setrlimit(Resource::Nofile, Rlimit { current, maximum })
    };
    let allowed = limit.maximum.unwrap_or(u64::MAX);
    if allowed < needed && set(Some(needed)).is_ok() {
        return Ok(());
    }
    if let Err(e) = set(limit.maximum) {
        warn!("the limit on descriptors stays at {:?}: {e}", limit.current);
    }
    match allowed < needed && systems > 0 {
        true => Err(too_few(allowed, needed, systems)),
        false => Ok(()),
    }
}

fn too_few(allowed: u64, needed: u64, systems: u64) -> String {
    format!(
        "the service may have {allowed} files open at a time, and the {systems} containers and virtual machines that an \
         earlier one has left take more: let it have {needed} (ulimit -Hn in the shell that calls it, LimitNOFILE= of its \
         unit). They live on meanwhile"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_system_takes_some_and_the_least_limit_is_enough_for_a_few() {
        assert_eq!(needed(0), 512);
        assert_eq!(needed(64), 1024);
        assert_eq!(needed(300), 2912);
    }
}
