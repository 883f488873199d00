//! What a process has from its starter and cannot get rid of.

use std::fs;

use hcs_schema::privileges::Capabilities;
use rustix::{
    process::{geteuid, getpriority_process},
    thread::{CapabilitySet, capabilities_secure_bits},
};

use super::{limits, namespaces};

/// Without these root makes no containers.
const NEEDED: [(&str, CapabilitySet); 4] = [
    ("CAP_SYS_ADMIN", CapabilitySet::SYS_ADMIN),
    ("CAP_SETUID", CapabilitySet::SETUID),
    ("CAP_SETGID", CapabilitySet::SETGID),
    ("CAP_DAC_OVERRIDE", CapabilitySet::DAC_OVERRIDE),
];

/// Says so, a sentence for each thing. For a service that a client started (`renewed`) the rest of its surroundings
/// should be those of pid 1; another one has those that its unit or its administrator gave it.
#[must_use]
pub fn remaining(renewed: bool) -> Vec<String> {
    let root = geteuid().is_root();
    let mut told = of_status(
        &fs::read_to_string("/proc/self/status").unwrap_or_default(),
        root,
    );
    if capabilities_secure_bits().is_ok_and(|bits| !bits.is_empty()) {
        told.push(
            "securebits are set: root may not have the capabilities that root has".to_owned(),
        );
    }
    if !renewed {
        return told;
    }
    let lower = limits::lower();
    if root && !lower.is_empty() {
        told.push(format!(
            "limits of its starter stay in force: {}",
            lower.join(", ")
        ));
    }
    let others = namespaces::others();
    if root && !others.is_empty() {
        told.push(format!(
            "it is in other namespaces than pid 1 ({}): not allowed, or the socket's directory, the program or the \
             configuration are other files there",
            others.join(", ")
        ));
    }
    if let Ok(nice @ 1..) = getpriority_process(None) {
        told.push(format!(
            "it runs with the nice value {nice} of its starter, and so do all containers"
        ));
    }
    told
}

/// By the text of `/proc/PID/status` (`proc_pid_status(5)`).
fn of_status(status: &str, root: bool) -> Vec<String> {
    let value = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        Some(line.trim_start_matches(':').trim())
    };
    let mut told = Vec::new();
    if value("Seccomp").is_some_and(|mode| mode != "0") {
        told.push(
            "a filter of system calls from outside is in force, for all containers as well: what it refuses fails here and \
             in them (a service in a container, or settings of its unit)"
                .to_owned(),
        );
    }
    if value("NoNewPrivs") == Some("1") {
        told.push(
            "no_new_privs is set: programs like newuidmap, which an ordinary user's containers need for other users \
             than root, gain nothing"
                .to_owned(),
        );
    }
    let bounding = value("CapBnd").and_then(|text| u64::from_str_radix(text, 16).ok());
    if let (true, Some(bounding)) = (root, bounding) {
        let bounding = CapabilitySet::from_bits_retain(bounding);
        let missing = NEEDED.iter().filter(|(_, one)| !bounding.contains(*one));
        let mut missing: Vec<&str> = missing.map(|(name, _)| *name).collect();
        if !bounding.contains(CapabilitySet::from_bits_retain(Capabilities::USUAL.bits())) {
            missing.push("some of those that containers are given");
        }
        if !missing.is_empty() {
            told.push(format!(
                "the capability bounding set lacks {}: containers will fail, or have less (a service in a container?)",
                missing.join(", ")
            ));
        }
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_binds_a_process_for_good_is_told() {
        let free = "Name:\thcsd\nCapBnd:\t000001ffffffffff\nNoNewPrivs:\t0\nSeccomp:\t0\nSeccomp_filters:\t0\n";
        assert_eq!(of_status(free, true), [""; 0]);
        let bound = "CapBnd:\t00000000a80425fb\nNoNewPrivs:\t1\nSeccomp:\t2\nSeccomp_filters:\t1\n";
        let told = of_status(bound, true);
        for (sentence, word) in
            told.iter()
                .zip(["filter of system calls", "no_new_privs", "CAP_SYS_ADMIN"])
        {
            assert!(sentence.contains(word), "{sentence}");
        }
        assert_eq!(told.len(), 3);
        assert_eq!(of_status(bound, false).len(), 2);
    }
}
