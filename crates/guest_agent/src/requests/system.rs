//! Requests about the system as a whole: negotiation, start, shutdown, settings, diagnosis.

use hcs_schema::{Failure, HResult};
use hcs_wire::{
    errno,
    guest::{
        DumpStacksResponse, GcsCapabilities, GuestDefinedCapabilities, ModifySettings,
        NegotiateProtocol, NegotiateProtocolResponse, PROTOCOL_VERSION, Rpc, SchemaVersion,
        ShutDown, UpdateNames, code,
    },
};

use super::{BridgeAnswer, BridgeCall};
use crate::{
    agent::{Agent, Role},
    link::Link,
    machine, names,
    sys::signals,
};

const SIGKILL: i32 = 9;
const SIGTERM: i32 = 15;
const SIGCONT: i32 = 18;

impl<L: Link> Agent<L> {
    pub(super) fn negotiate(
        &mut self,
        call: &BridgeCall,
        request: &NegotiateProtocol,
    ) -> BridgeAnswer {
        let offered = request.minimum_version..=request.maximum_version;
        if !offered.contains(&PROTOCOL_VERSION) {
            let message = format!(
                "the host speaks protocol versions {} to {}, the agent {PROTOCOL_VERSION}",
                offered.start(),
                offered.end()
            );
            return Err(Failure::new(code::UNSUPPORTED_PROTOCOL_VERSION, message));
        }
        if !request.renewal.is_empty() {
            self.link.renew(&request.renewal)?;
        }
        let answer = call.answer(&NegotiateProtocolResponse {
            base: call.base(),
            version: PROTOCOL_VERSION,
            capabilities: capabilities(
                self.link.passes_descriptors(),
                self.facts.own.hosts().is_some(),
            ),
        })?;
        if let Some(stream) = &mut self.stream {
            stream.negotiated = true;
        }
        Ok(answer)
    }

    /// Takes what the host tells of networks. Neither part keeps the other from being taken, and a virtual machine
    /// whose guest has no file for names has its cards all the same.
    pub(super) fn update_names(
        &mut self,
        call: &BridgeCall,
        request: &UpdateNames,
    ) -> BridgeAnswer {
        let written = match (self.facts.own.hosts(), &request.network) {
            (None, Some(_)) => Ok(()),
            (hosts, _) => names::write(hosts, &request.hosts),
        };
        if let Some(network) = &request.network {
            self.link.set_network(network)?;
        }
        written?;
        call.done()
    }

    /// Requests without a body of their own.
    pub(super) fn system_call(&mut self, rpc: Rpc, call: &BridgeCall) -> BridgeAnswer {
        match rpc {
            Rpc::DumpStacks => call.answer(&DumpStacksResponse {
                base: call.base(),
                guest_stacks: self.describe(),
            }),
            // A container's agent is ready when it can be asked. After a shutdown that not all processes obeyed, this
            // withdraws it: processes may be started again.
            _ => {
                self.shutting_down = false;
                self.may_leave = false;
                call.done()
            }
        }
    }

    /// Sends `signals` to everything but the agent; from now on nothing is started. When the last process has ended and
    /// the host has all answers, the agent ends too. A stopped process cannot hear the first of them, so SIGCONT
    /// follows it.
    pub(super) fn shut_down(
        &mut self,
        rpc: Rpc,
        call: &BridgeCall,
        request: &ShutDown,
    ) -> BridgeAnswer {
        let name = self.take_naming(&request.naming)?;
        if self.role == Role::Service {
            return self.end_guest(rpc, call, name);
        }
        let gentle = [asked_signal(request)?, SIGCONT];
        let signals: &[i32] = match rpc {
            // Told already: the host is another than the one that asked first.
            _ if self.shutting_down && self.calls.get(name).is_some() => &[],
            Rpc::ShutdownForced => &[SIGKILL],
            _ => &gentle,
        };
        self.shutting_down = true;
        for signal in signals {
            signals::send_to_all(*signal).map_err(|errno| {
                errno::failed(
                    &format!("signal {signal} cannot be sent to all processes"),
                    errno,
                )
            })?;
        }
        self.calls.done(name, None);
        self.may_leave = true;
        self.reap();
        call.done()
    }

    /// Has the guest's own init end everything, with the agent.
    fn end_guest(&mut self, rpc: Rpc, call: &BridgeCall, name: &str) -> BridgeAnswer {
        if self.calls.get(name).is_none() {
            machine::end_guest(rpc == Rpc::ShutdownForced)?;
            self.calls.done(name, None);
        }
        self.shutting_down = true;
        call.done()
    }

    /// Everything about a container that can be changed while it runs is changed by the host.
    pub(super) fn modify_settings(
        &mut self,
        call: &BridgeCall,
        request: &ModifySettings,
    ) -> BridgeAnswer {
        if let Some(changed) = self.link.change(&request.request) {
            return changed.and_then(|()| call.done());
        }
        let resource = request
            .request
            .get("ResourceType")
            .cloned()
            .unwrap_or_default();
        let message =
            format!("the guest has no setting of ResourceType {resource} that can be changed");
        Err(Failure::new(HResult::NOT_SUPPORTED, message))
    }

    /// What the agent is busy with, for people.
    fn describe(&self) -> String {
        let (unclaimed, claimed) = self.exits.counts();
        let mut text = format!(
            "hcs-agent {}, up {} s, {} turns\n{} processes, {} consoles, {} relays, {} outputs, {} waits, {unclaimed} exits unclaimed, {claimed} kept\n\
             {} bytes unsent, shutting down: {}\n",
            env!("CARGO_PKG_VERSION"),
            self.began.elapsed().as_secs(),
            self.turns,
            self.processes.len(),
            self.consoles.len(),
            self.relays.len(),
            self.outputs.len(),
            self.waits.len(),
            self.stream
                .as_ref()
                .map_or(0, crate::stream::Stream::unsent),
            self.shutting_down,
        );
        for (pid, process) in &self.processes {
            let console = if process.console.is_some() {
                ", console"
            } else {
                ""
            };
            text += &format!("process {pid}: {}{console}\n", process.image);
        }
        text
    }
}

/// The signal that the host asks processes to end by.
///
/// # Errors
/// It is none.
fn asked_signal(request: &ShutDown) -> Result<i32, Failure> {
    match request.signal {
        None => Ok(SIGTERM),
        Some(signal @ 1..=64) => Ok(signal.into()),
        Some(other) => {
            let message = format!("the shutdown names the signal {other}; expected 1 to 64");
            Err(Failure::new(HResult::E_INVALIDARG, message))
        }
    }
}

/// The abilities of the agent, over a link that passes descriptors or not, with a file for names or without. A link
/// that does not is a virtual machine's.
fn capabilities(passes_descriptors: bool, has_hosts: bool) -> GcsCapabilities {
    GcsCapabilities {
        send_host_create_message: false,
        send_host_start_message: false,
        supported_schema_versions: vec![SchemaVersion { major: 2, minor: 1 }],
        runtime_os_type: "Linux".to_owned(),
        guest_defined_capabilities: GuestDefinedCapabilities {
            signal_process_supported: true,
            dump_stacks_supported: true,
            delete_container_state_supported: false,
            descriptor_stdio_supported: passes_descriptors,
            execute_and_wait_supported: true,
            system_process_calls_supported: true,
            large_messages_supported: true,
            fetch_stdio_supported: passes_descriptors,
            named_calls_supported: true,
            detached_processes_supported: true,
            renewal_supported: !passes_descriptors,
            // A virtual machine is told of its cards along with names.
            names_supported: has_hosts || !passes_descriptors,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_container_without_a_file_for_names_is_not_told_of_networks() {
        for (passes_descriptors, has_hosts, expected) in [
            (true, true, true),
            (true, false, false),
            (false, true, true),
            (false, false, true),
        ] {
            let able = capabilities(passes_descriptors, has_hosts).guest_defined_capabilities;
            assert_eq!(
                able.names_supported, expected,
                "{passes_descriptors} {has_hosts}"
            );
        }
    }
}
