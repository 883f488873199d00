//! From what is there to what is wanted, in the kernel. Runs on a thread that may wait.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    os::fd::{AsFd as _, BorrowedFd, OwnedFd},
    sync::Arc,
};

use engine_network::{
    Card, Former, Forwarding, Host, Part as _, Rules, Stray, adapters, attach, attach_card,
    attach_new, card_rules_are_there, clear_access, counters_on_adapter, detach,
    detach_from_adapter, forget, forget_misled, is_on_adapter, make_network, release,
    remove_network, set_card_rules, strays, survey, sweep, write_rules,
};
use hcn::{
    Counters, Guid, Surroundings,
    intent::{EndpointIntent, Intent},
};
use hcs_engine::engine::{self, Lease, Machine};
use hcs_schema::{Failure, HResult};
use hcs_wire::environment::is_root;
use tracing::warn;

use super::{clearing::Left, hosts::Hosts, private, repairs::Plugging, store::Store};

/// A change to be made.
#[derive(Debug)]
pub(super) struct Change {
    pub(super) hosts: Arc<Hosts>,
    pub(super) store: Store,
    pub(super) before: Intent,
    pub(super) after: Intent,
    /// Endpoints whose links are there.
    pub(super) attached: BTreeSet<Guid>,
    /// Endpoints whose links were to be there before, which may have failed.
    pub(super) was_wanted: BTreeSet<Guid>,
    /// Endpoints whose links are to be there.
    pub(super) wanted: BTreeSet<Guid>,
    /// Endpoints of containers that are kept ready, before the change.
    pub(super) spares: BTreeSet<Guid>,
    /// Endpoints of containers that have ended, after the change: nothing is done to them.
    pub(super) lingering: BTreeSet<Guid>,
    /// Those before the change.
    pub(super) lingered: BTreeSet<Guid>,
    /// Those of them of which there is no connection that the kernel has to forget.
    pub(super) silent: BTreeSet<Guid>,
    /// Namespaces with network namespaces that nothing was ever put into.
    pub(super) new_spaces: BTreeSet<Guid>,
    /// The network namespaces of containers that are kept ready, and their namespaces.
    pub(super) spaces: Vec<(Guid, Arc<OwnedFd>)>,
    /// Machines, by the namespace whose network they have.
    pub(super) machines: Vec<(Guid, Arc<dyn Machine>)>,
    /// The text of `/etc/resolv.conf` of machines, by namespace.
    pub(super) resolvers: BTreeMap<Guid, String>,
    pub(super) former: Vec<Former>,
}

/// What came of a change.
#[derive(Debug)]
pub(super) struct Made {
    /// Former settings of the host.
    pub(super) former: Vec<Former>,
    /// What is left of machines that have ended: see [`Left`].
    pub(super) left: Left,
}

impl Change {
    /// Makes it so.
    ///
    /// # Errors
    /// What the host refused; what was done until then stays.
    pub(super) fn follow(self) -> Result<Made, Failure> {
        match is_root() {
            true => self.make(),
            false => self.connect(),
        }
    }

    fn make(self) -> Result<Made, Failure> {
        let hosts = Arc::clone(&self.hosts);
        hosts.change(|host| self.make_at(host))
    }

    /// The same for the service of an ordinary user: what it may do is connect containers that have not begun to run.
    ///
    /// # Errors
    /// The endpoint has what it cannot have, or the host refused.
    fn connect(self) -> Result<Made, Failure> {
        for endpoint in &self.after.endpoints {
            let is_made = self.attached.contains(&endpoint.id);
            if is_made || !self.wanted.contains(&endpoint.id) {
                continue;
            }
            if let Some(machine) = self.machine_of(endpoint) {
                machine.connect(&private::outside(endpoint)?)?;
            }
        }
        Ok(Made {
            former: self.former,
            left: Left::default(),
        })
    }

    fn make_at(mut self, host: &mut Host) -> Result<Made, Failure> {
        // What is there already goes on, whatever the host is set to by now.
        if !balanced(&self.before).1 {
            Forwarding::can_lead_6(&self.after)?;
        }
        let links = self.detach_gone(host)?;
        for network in &self.before.networks {
            if !self.after.networks.iter().any(|one| one.id == network.id) {
                remove_network(host, network)?;
            }
        }
        for network in &self.after.networks {
            if !self.before.networks.contains(network) {
                make_network(host, network)?;
            }
        }
        // What the host is set to hangs on networks, and on whether load balancers lead to endpoints of theirs.
        let is_set = self.before.networks == self.after.networks
            && balanced(&self.before) == balanced(&self.after)
            && !self.after.networks.is_empty();
        match is_set {
            true => self.write_rules_only(host, &Forwarding::default())?,
            false => self.write_rules(host)?,
        }
        forget_misled(host, &self.before, &self.after)?;
        let mut plugging = Plugging::default();
        for endpoint in &self.after.endpoints {
            if self.is_to_be_made(endpoint)
                && !self.waits_for_a_check(host, endpoint, &mut plugging)
            {
                self.make_endpoint(host, endpoint)?;
            }
        }
        let addresses = self.forget(host)?;
        Ok(Made {
            former: self.former,
            left: Left { links, addresses },
        })
    }

    /// Whether something is to be done to an endpoint. What is attached as it was stays as it is; of what has changed
    /// the settings are made anew.
    fn is_to_be_made(&self, endpoint: &EndpointIntent) -> bool {
        let is_made = self.attached.contains(&endpoint.id)
            && self.before.endpoints.contains(endpoint)
            && !self.is_taken_spare(endpoint)
            && !self.is_again(endpoint);
        let lingers = self.lingering.contains(&endpoint.id);
        self.wanted.contains(&endpoint.id) && !is_made && !lingers
    }

    fn make_endpoint(&self, host: &mut Host, endpoint: &EndpointIntent) -> Result<(), Failure> {
        let is_as_before = is_as_before(&self.before.endpoints, endpoint);
        let is_set_inside =
            endpoint.adapter.is_none() && is_set_inside(&self.before.endpoints, endpoint);
        let attached = match is_set_inside && self.attached.contains(&endpoint.id) {
            true => self.set_port(host, endpoint),
            false => self.attach(host, endpoint),
        };
        // What failed before this change, as a container can bring about in its own namespace, fails no other one.
        let may_fail = self.was_wanted.contains(&endpoint.id)
            && is_as_before
            && !self.is_taken_spare(endpoint)
            && !self.is_again(endpoint);
        match attached {
            Err(failure) if may_fail => {
                warn!("an endpoint is not attached: {}", failure.log_line());
                Ok(())
            }
            attached => attached,
        }
    }

    /// Takes endpoints out that are gone, or elsewhere; tells links that are left of machines that have ended.
    fn detach_gone(&self, host: &mut Host) -> Result<Vec<Stray>, Failure> {
        let gone = |endpoint: &&EndpointIntent| {
            let stays = self.wanted.contains(&endpoint.id)
                && !self.is_again(endpoint)
                && (self.after.endpoints.iter())
                    .any(|one| one.id == endpoint.id && one.namespace == endpoint.namespace);
            // An endpoint that could not be attached as a whole may have its port all the same.
            let may_be_there =
                self.attached.contains(&endpoint.id) || self.was_wanted.contains(&endpoint.id);
            may_be_there && !stays
        };
        // A link may outlive the machine that had it: a socket is enough to keep a network namespace. Its port would be
        // held to no rules once its address is given back. So it is taken out of its network at once; removing it,
        // which takes the kernel some 30 ms, can wait.
        let (mut had_access, mut left) = (BTreeSet::new(), Vec::new());
        for endpoint in self.before.endpoints.iter().filter(gone) {
            let is_spare = self.spares.contains(&endpoint.id);
            // A link that is there would be in the way of the one that is to have its name.
            let may_wait = !is_spare && !self.is_again(endpoint);
            if self.has_ended(endpoint) && endpoint.adapter.is_none() && may_wait {
                left.extend(release(host, endpoint)?);
                continue;
            }
            if !self.lingered.contains(&endpoint.id) {
                self.unplug(endpoint);
            }
            self.detach(host, endpoint)?;
            if endpoint.has_rules() || endpoint.adapter.is_some() {
                had_access.insert(endpoint.namespace);
            }
        }
        for namespace in had_access {
            self.clear_access(host, namespace);
        }
        Ok(left)
    }

    /// Takes an endpoint out of its namespace. A link on an adapter of the host is in the namespace alone: with a
    /// container that has ended it has gone.
    fn detach(&self, host: &mut Host, endpoint: &EndpointIntent) -> Result<(), Failure> {
        if endpoint.adapter.is_none() {
            return detach(host, endpoint);
        }
        let Some(network) = self.network_of(endpoint) else {
            return Ok(());
        };
        detach_from_adapter(host, endpoint, network.as_fd())
    }

    /// The network namespace of an endpoint's container, while that lives.
    fn network_of(&self, endpoint: &EndpointIntent) -> Option<OwnedFd> {
        let machine = self.machine_of(endpoint)?;
        machine.network().ok().filter(|_| !machine.has_cards())
    }

    /// Endpoints on adapters of the host that are not there as they are wanted, of containers that live.
    fn not_on_adapters(&self, host: &Host) -> Vec<Guid> {
        let on_adapters = (self.after.endpoints.iter()).filter(|one| one.adapter.is_some());
        let missing = on_adapters.filter(|endpoint| {
            let network = self.network_of(endpoint);
            // What cannot be looked at is attached again.
            network.is_some_and(|network| {
                !is_on_adapter(host, endpoint, network.as_fd()).unwrap_or(false)
            })
        });
        missing.map(|endpoint| endpoint.id).collect()
    }

    pub(super) fn machine_of(&self, endpoint: &EndpointIntent) -> Option<&Arc<dyn Machine>> {
        let mut machines = self.machines.iter();
        let of = machines.find(|(namespace, _)| *namespace == endpoint.namespace);
        of.map(|(_, machine)| machine)
    }

    /// Whether the machine has ended that an endpoint was in before the change. Its namespace may have another one.
    fn has_ended(&self, endpoint: &EndpointIntent) -> bool {
        self.lingered.contains(&endpoint.id) || self.machine_of(endpoint).is_none()
    }

    /// Whether an endpoint has come back under the id of one that lingered: that is another one, with a link of its
    /// own.
    fn is_again(&self, endpoint: &EndpointIntent) -> bool {
        self.lingered.contains(&endpoint.id) && !self.lingering.contains(&endpoint.id)
    }

    /// Takes the card of an endpoint from its machine, where it has one. It may have ended: then the card is gone
    /// anyway.
    fn unplug(&self, endpoint: &EndpointIntent) {
        let machine = self.machine_of(endpoint);
        if let Some(machine) = machine.filter(|machine| machine.has_cards())
            && let Err(failure) = machine.unplug(&endpoint.link)
        {
            // Its link is removed all the same.
            warn!("a network adapter stays: {}", failure.log_line());
        }
    }

    /// Takes a card from whichever machine has it: an earlier service may not have come to that. A machine whose link
    /// is removed would never rest.
    fn forget_card(&self, link: &str) {
        let machines = self.machines.iter().map(|(_, machine)| machine);
        for machine in machines.filter(|machine| machine.has_cards()) {
            if let Err(failure) = machine.unplug(link) {
                warn!("a network adapter stays: {}", failure.log_line());
            }
        }
    }

    /// Removes what is left of endpoints in the namespace of a container that lives.
    fn clear_access(&self, host: &Host, namespace: Guid) {
        let mut machines = self.machines.iter();
        let machine = machines.find(|(id, machine)| *id == namespace && !machine.has_cards());
        let Some((_, machine)) = machine else { return };
        let stays =
            |one: &&EndpointIntent| one.namespace == namespace && self.wanted.contains(&one.id);
        let stay: Vec<_> = self.after.endpoints.iter().filter(stays).collect();
        let cleared =
            (machine.network()).and_then(|network| clear_access(host, network.as_fd(), &stay));
        // Where the container has just ended, they are gone with it.
        if let Err(failure) = cleared {
            warn!("rules in a container stay: {}", failure.log_line());
        }
    }

    /// Puts an endpoint into its machine.
    pub(super) fn attach(&self, host: &mut Host, endpoint: &EndpointIntent) -> Result<(), Failure> {
        let Some(machine) = self.machine_of(endpoint) else {
            let mut spaces = self.spaces.iter();
            let space = spaces.find(|(namespace, _)| *namespace == endpoint.namespace);
            return space.map_or(Ok(()), |(_, space)| {
                self.attach_in(host, endpoint, space.as_fd())
            });
        };
        if machine.has_cards() {
            let resolver = self.resolvers.get(&endpoint.namespace);
            let resolver = resolver.map_or("", String::as_str);
            return plug(&**machine, host, endpoint, resolver);
        }
        let network = machine.network()?;
        self.attach_in(host, endpoint, network.as_fd())
    }

    fn attach_in(
        &self,
        host: &mut Host,
        endpoint: &EndpointIntent,
        space: BorrowedFd<'_>,
    ) -> Result<(), Failure> {
        match self.new_spaces.contains(&endpoint.namespace) {
            true => attach_new(host, endpoint, space),
            false => attach(host, endpoint, space),
        }
    }

    /// Settings and rules of the host. Former settings are written down before they are changed.
    fn write_rules(&mut self, host: &mut Host) -> Result<(), Failure> {
        let forwarding = Forwarding::of(host, &self.after)?;
        let known = self.former.len();
        for former in forwarding.check()? {
            let known =
                |one: &Former| one.interface == former.interface && one.setting == former.setting;
            if !self.former.iter().any(known) {
                self.former.push(former);
            }
        }
        // What ends needs no room on the disk.
        if self.former.len() > known {
            self.store.write_former(&self.former)?;
        }
        // At no moment is there forwarding that rules do not guard: it goes before them, and comes after them.
        let unneeded = forwarding.unneeded(&self.former);
        if !unneeded.is_empty() {
            Forwarding::undo(host, &unneeded)?;
            self.former.retain(|one| !unneeded.contains(one));
            self.store.write_former(&self.former)?;
        }
        self.write_rules_only(host, &forwarding)?;
        forwarding.apply()
    }

    fn write_rules_only(&self, host: &mut Host, forwarding: &Forwarding) -> Result<(), Failure> {
        let rules = Rules::of(&self.after, forwarding.guarded(&self.former));
        write_rules(host, &self.after, &rules)?;
        set_card_rules(host, &self.after, &self.cards())
    }

    /// The endpoints that are cards of machines.
    fn cards(&self) -> Vec<&EndpointIntent> {
        let is_card = |endpoint: &&EndpointIntent| {
            let machine = self.machine_of(endpoint);
            machine.is_some_and(|machine| machine.has_cards())
        };
        self.after.endpoints.iter().filter(is_card).collect()
    }

    /// What the kernel remembers of addresses that are given back is forgotten. Those of machines that have ended are
    /// told, for later, unless they are given to others now.
    fn forget(&self, host: &mut Host) -> Result<Vec<IpAddr>, Failure> {
        let left = |one: &&EndpointIntent| {
            let mut after = self.after.endpoints.iter();
            // An id may have come back while its endpoint lingered: with other addresses, or the same ones.
            let is_gone = self.is_again(one) || !after.any(|other| other.id == one.id);
            is_gone && !self.silent.contains(&one.id)
        };
        let used = self.after.endpoints.iter().flat_map(|one| &one.addresses);
        let used: BTreeSet<IpAddr> = used.map(|(address, _)| *address).collect();
        let (mut now, mut later) = (Vec::new(), Vec::new());
        for endpoint in self.before.endpoints.iter().filter(left) {
            let has_ended = self.has_ended(endpoint);
            for (address, _) in &endpoint.addresses {
                match has_ended && !used.contains(address) {
                    true => later.push(*address),
                    false => now.push(*address),
                }
            }
        }
        if !now.is_empty() {
            forget(host, &now)?;
        }
        Ok(later)
    }
}

/// Whether an endpoint is one of `before`, but for load balancers: whether one leads to it concerns its port alone.
fn is_as_before(before: &[EndpointIntent], endpoint: &EndpointIntent) -> bool {
    let mut before = before.iter().filter(|one| one.id == endpoint.id);
    before.any(|one| {
        let balanced = endpoint.balanced;
        *endpoint
            == EndpointIntent {
                balanced,
                ..one.clone()
            }
    })
}

/// Whether an endpoint is one of `before` as far as its namespace is concerned: ports of the host that lead to it
/// concern its port alone.
fn is_set_inside(before: &[EndpointIntent], endpoint: &EndpointIntent) -> bool {
    let before = before.iter().filter(|one| one.id == endpoint.id);
    let before = before.map(|one| EndpointIntent {
        mappings: endpoint.mappings.clone(),
        ..one.clone()
    });
    is_as_before(&before.collect::<Vec<_>>(), endpoint)
}

/// The networks that have endpoints to which load balancers lead, and whether one leads connections of IPv6.
fn balanced(intent: &Intent) -> (BTreeSet<Guid>, bool) {
    let balanced = intent.endpoints.iter().filter(|one| one.balanced);
    let leads_6 = intent.balancers.iter().any(|one| !one.is_ipv4);
    (balanced.map(|one| one.network).collect(), leads_6)
}

/// What a guest without an agent is told of its card, where that has an address of IPv4.
fn lease(endpoint: &EndpointIntent, resolver: &str) -> Option<Lease> {
    let v4 = |address: IpAddr| match address {
        IpAddr::V4(address) => Some(address),
        IpAddr::V6(_) => None,
    };
    let mut addresses = endpoint.addresses.iter();
    let (address, length) =
        addresses.find_map(|(address, length)| Some((v4(*address)?, *length)))?;
    let mut routes = endpoint.routes.iter();
    let router = routes.find_map(|(to, router, _)| to.is_all().then(|| v4(*router))?);
    let named = resolver.lines().filter_map(|line| {
        let (word, server) = line.split_once(char::is_whitespace)?;
        (word == "nameserver").then(|| server.trim().parse().ok())?
    });
    Some(Lease {
        address,
        length,
        router,
        resolvers: named.collect(),
        mtu: endpoint.mtu.and_then(|mtu| u16::try_from(mtu).ok()),
    })
}

/// What a client reads of an endpoint with proxies that is to be a card.
const PROXIES: &str = "proxies of a policy of type L4Proxy are for containers";

/// Plugs the card of an endpoint into its machine, or sets up what there is of it.
fn plug(
    machine: &dyn Machine,
    host: &mut Host,
    endpoint: &EndpointIntent,
    resolver: &str,
) -> Result<(), Failure> {
    if let Some(proxy) = endpoint.proxies.first() {
        let message = format!(
            "the proxy {} of a policy of type L4Proxy is for containers: what a guest begins is not translated at its port; \
             take the policy out of the endpoint {} or its network, or give the machine an endpoint of another one",
            proxy.address, endpoint.id
        );
        return Err(Failure::new(HResult::NOT_SUPPORTED, message).on_record(PROXIES));
    }
    let card = Card(endpoint);
    // Before the machine is changed.
    card.check(host)?;
    let was_there = card.is_there(host)?;
    let wanted = engine::Card {
        link: endpoint.link.clone(),
        mac: endpoint.mac.0,
        lease: lease(endpoint, resolver),
    };
    if was_there {
        // A service that ended in between may have given none.
        machine.lease(&wanted)?;
    } else {
        machine.plug(&wanted)?;
    }
    attach_card(host, endpoint).inspect_err(|_| {
        if !was_there && let Err(also) = machine.unplug(&endpoint.link) {
            warn!("a network adapter stays: {}", also.log_line());
        }
    })
}

/// What came of what an earlier service left.
#[derive(Debug)]
pub(super) struct Restored {
    /// Endpoints whose links are there.
    pub(super) attached: BTreeSet<Guid>,
    pub(super) former: Vec<Former>,
    /// What concerns one endpoint only, or a link that nothing asks for.
    pub(super) faults: Vec<Failure>,
}

impl Restored {
    /// Of an ordinary user: what connects a container ends with it, and not before.
    pub(super) fn as_it_is(attached: BTreeSet<Guid>) -> Self {
        Self {
            attached,
            former: Vec::new(),
            faults: Vec::new(),
        }
    }
}

/// What an earlier service left: what is missing is made, what no record asks for is removed.
///
/// # Errors
/// What the host refused.
pub(super) fn restore(change: Change) -> Result<Restored, Failure> {
    let hosts = Arc::clone(&change.hosts);
    hosts.change(|host| restore_at(change, host))
}

fn restore_at(mut change: Change, host: &mut Host) -> Result<Restored, Failure> {
    let mut found = survey(host, &change.after)?;
    found.endpoints.extend(change.not_on_adapters(host));
    let mut faults = Vec::new();
    for stray in &found.strays {
        change.forget_card(&stray.link.name);
    }
    faults.extend(sweep(host, &found.strays).err());
    for network in &change.after.networks {
        if !found.networks.contains(&network.id) {
            continue;
        }
        match make_network(host, network) {
            // An adapter that is gone is no reason to leave other networks as they are.
            Err(failure) if network.adapter.is_some() || network.tunnel.is_some() => {
                faults.push(failure);
            }
            made => made?,
        }
    }
    change.write_rules(host)?;
    forget_misled(host, &Intent::default(), &change.after)?;
    // Of endpoints that were being cleared away no record tells.
    faults.extend(engine_network::forget_unused(host, &change.after).err());
    for (namespace, _) in &change.machines {
        change.clear_access(host, *namespace);
    }
    let mut attached = BTreeSet::new();
    for endpoint in &change.after.endpoints {
        let wanted = change.wanted.contains(&endpoint.id);
        let is_sound = wanted && !found.endpoints.contains(&endpoint.id);
        // What is there may be half of it, or that of a machine that has just ended. The host's side is sound before
        // the other one is made, so that is looked at in any case. The link of a card is that of a machine that lives,
        // and is repaired in place.
        let machine = change.machine_of(endpoint).filter(|_| wanted);
        let is_card = machine.is_some_and(|machine| machine.has_cards());
        let cleared = match is_sound || is_card {
            true => Ok(()),
            false => change.detach(host, endpoint),
        };
        let made = cleared.and_then(|()| match wanted {
            true => change.attach(host, endpoint),
            false => Ok(()),
        });
        match made {
            Ok(()) if wanted => drop(attached.insert(endpoint.id)),
            Ok(()) => {}
            Err(failure) => faults.push(failure),
        }
    }
    Ok(Restored {
        attached,
        former: change.former,
        faults,
    })
}

/// What another program had changed, and what came of it.
#[derive(Debug)]
pub(super) struct Kept {
    /// What is as it was again.
    pub(super) repaired: Vec<String>,
    pub(super) former: Vec<Former>,
    /// What concerns one network or one endpoint only.
    pub(super) faults: Vec<Failure>,
}

/// Makes bridges, ports, settings and rules of networks again, where another program has changed them. `None` where
/// all is as it was. `round` counts the checks.
///
/// # Errors
/// What the host refused.
pub(super) fn keep(change: Change, round: usize) -> Result<Option<Kept>, Failure> {
    let hosts = Arc::clone(&change.hosts);
    hosts.change(|host| keep_at(change, host, round))
}

fn keep_at(mut change: Change, host: &mut Host, round: usize) -> Result<Option<Kept>, Failure> {
    // A value that has written no rules cannot tell those of the one before from others: no other program is blamed.
    let knows_rules = host.knows_rules();
    let mut found = survey(host, &change.after)?;
    found.endpoints.extend(change.not_on_adapters(host));
    // What cannot be read is written again.
    let of_cards = card_rules_are_there(host, &change.cards()).unwrap_or(false);
    let rules = found.rules && of_cards;
    let (mut repaired, mut faults) = (Vec::new(), Vec::new());
    let mut note = |done: Result<(), Failure>, what: String| match done {
        Ok(()) => repaired.push(what),
        Err(failure) => faults.push(failure),
    };
    for network in &change.after.networks {
        if found.networks.contains(&network.id) {
            note(
                make_network(host, network),
                match &network.adapter {
                    Some(adapter) => format!("the adapter {adapter}"),
                    None => format!("the bridge {}", network.link),
                },
            );
        }
    }
    // A bridge that is made again has settings of its own.
    let forwards = Forwarding::of(host, &change.after)?.holds(&change.former)?;
    if !forwards {
        note(Ok(()), "which interfaces forward".to_owned());
    }
    if !of_cards || !found.rules && knows_rules {
        note(Ok(()), "the rules of networks".to_owned());
    }
    if !forwards || !rules {
        change.write_rules(host)?;
        // Meanwhile ports may have led nowhere.
        forget_misled(host, &Intent::default(), &change.after)?;
    }
    for endpoint in change.to_be_repaired(host, &found.endpoints, round) {
        note(
            change.attach(host, endpoint),
            format!("the link {}", endpoint.link),
        );
    }
    // What was written may be other settings of the host than before.
    let is_sound = rules && repaired.is_empty() && faults.is_empty();
    Ok((!is_sound).then_some(Kept {
        repaired,
        former: change.former,
        faults,
    }))
}

/// What went through the link of an endpoint; nothing where the link is gone by now.
///
/// # Errors
/// The host cannot be asked.
pub(super) fn counters(
    hosts: &Hosts,
    endpoint: &EndpointIntent,
    machine: Option<&dyn Machine>,
) -> Result<Counters, Failure> {
    hosts.look(|host| {
        if endpoint.adapter.is_none() {
            return engine_network::counters(host, endpoint);
        }
        match machine.and_then(|machine| machine.network().ok()) {
            Some(network) => counters_on_adapter(host, endpoint, network.as_fd()),
            None => Ok(Counters::default()),
        }
    })
}

/// What a new network has to know of the host: its adapters, and its routes but those of the service's own networks,
/// which `known` are.
///
/// # Errors
/// The host cannot be asked.
pub(super) fn surroundings(hosts: &Hosts, known: &BTreeSet<Guid>) -> Result<Surroundings, Failure> {
    hosts.look(|host| {
        Ok(Surroundings {
            routes: host.foreign_routes(known)?,
            adapters: adapters(host)?,
        })
    })
}

/// Removes what an earlier service left in this network namespace, where no record asks for anything. Its records may
/// have been removed by one that ran in another namespace. Where a container or a machine is attached there, another
/// service with the same names lives, in mounts or in a container of its own: all of it stays.
///
/// # Errors
/// The host cannot be asked, or what it refused.
pub(super) fn sweep_unknown(hosts: &Hosts) -> Result<(), Failure> {
    hosts.change(|host| {
        let nothing = Intent::default();
        let found = strays(host, &nothing)?;
        if found.is_empty() || found.iter().any(Stray::is_of_endpoint) {
            return Ok(());
        }
        let swept = sweep(host, &found);
        swept.and(write_rules(host, &nothing, &Rules::default()))
    })
}

#[cfg(test)]
mod tests {
    use hcn::State;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_load_balancer_changes_the_port_of_an_endpoint_alone() {
        let mut state = State::default();
        let version = json!({"Major": 2, "Minor": 0});
        let network = json!({"SchemaVersion": version, "Type": "NAT"}).to_string();
        let endpoint = json!({ "SchemaVersion": version }).to_string();
        state
            .create_network(Guid(1), &network, &Surroundings::default())
            .unwrap();
        state.create_endpoint(Guid(1), Guid(2), &endpoint).unwrap();
        let resources = json!([{"Type": "Endpoint", "Data": {"Id": Guid(2)}}]);
        let namespace = json!({ "Resources": resources }).to_string();
        state.create_namespace(Guid(3), &namespace).unwrap();
        let before = state.intent().endpoints;
        let mut balanced = before[0].clone();
        balanced.balanced = !balanced.balanced;
        assert!(is_as_before(&before, &balanced) && is_as_before(&before, &before[0]));
        balanced.isolated = !balanced.isolated;
        assert!(!is_as_before(&before, &balanced) && !is_as_before(&[], &before[0]));
    }
}
