//! Network cards: links of the host, whose descriptors the worker gives to QEMU.

use hcs_engine::engine::{Card, Lease};
use hcs_schema::{Failure, HResult};
use rustix::io::Errno;

use super::VmMachine;
use crate::{
    protocol::WorkerRequest,
    sys::{packet, tap},
};

/// Makes the link of a card and hands its descriptor to QEMU, which has the only copy then: the link goes with it.
pub(super) fn plug(machine: &VmMachine, card: &Card) -> Result<(), Failure> {
    let link = tap::make(&card.link).map_err(|errno| unmade(card, errno))?;
    let request = WorkerRequest::Plug(card.link.clone(), card.mac);
    let asked = machine.control.ask_with(&request, &link);
    machine.done("given a network adapter", asked)?;
    lease(machine, card).inspect_err(|_| drop(unplug(machine, &card.link)))
}

/// Has the worker answer what the guest asks for by DHCP, where it has no agent to give its cards their addresses. The
/// guest of a worker that knows of no leases has none, as before.
pub(super) fn lease(machine: &VmMachine, card: &Card) -> Result<(), Failure> {
    let is_asked = machine.record.leases && !machine.has_agent;
    match card.lease.as_ref().filter(|_| is_asked) {
        Some(lease) => give(machine, card, lease),
        None => Ok(()),
    }
}

fn give(machine: &VmMachine, card: &Card, lease: &Lease) -> Result<(), Failure> {
    let socket = packet::dhcp_questions(&card.link).map_err(|errno| {
        let message = "what a guest asks for by DHCP cannot be heard";
        Failure::new(hcs_wire::errno::hresult(errno), message).because(&std::io::Error::from(errno))
    })?;
    let request = WorkerRequest::Lease(card.link.clone(), card.mac, lease.into());
    let asked = machine.control.ask_with(&request, &socket);
    machine.done("given an address", asked).map(drop)
}

pub(super) fn unplug(machine: &VmMachine, link: &str) -> Result<(), Failure> {
    let request = WorkerRequest::Unplug(link.to_owned());
    machine
        .ask("relieved of a network adapter", &request)
        .map(drop)
}

fn unmade(card: &Card, errno: Errno) -> Failure {
    let error = std::io::Error::from(errno);
    let message = match errno {
        Errno::NOENT | Errno::NODEV | Errno::NXIO => {
            "the link of a network adapter cannot be made: the host has no /dev/net/tun; load the module tun (modprobe tun), \
             and where the service is in a container give that the device"
        }
        Errno::BUSY => {
            return Failure::new(
                HResult::HCN_E_ADAPTER_NOT_FOUND,
                format!(
                    "the link {} of a network adapter is there already",
                    card.link
                ),
            );
        }
        _ => "the link of a network adapter cannot be made",
    };
    Failure::new(hcs_wire::errno::hresult(errno), message).because(&error)
}
