//! Rules of endpoints for what they may send and receive, and where to, and the sets of their networks that these
//! name: how many there may be, and that no set is taken away which a rule names.

use std::collections::BTreeSet;

use hcs_schema::{Failure, HResult, fault::quote, win32};

use super::proxy::Proxy;
use super::{
    Endpoint, Lease, MOST_ACCESS_RULES, MOST_ACCESS_RULES_OF_ALL, MOST_MEMBERS_OF_ALL, Network,
    State, Terms,
};
use crate::{
    access::{AccessRule, access_rule, tier},
    documents::{EndpointPolicy, EndpointPolicyType},
    guid::Guid,
    reading::refused,
};

impl Terms {
    /// The rules, of whichever tier.
    pub(super) fn rules(&self) -> impl Iterator<Item = &AccessRule> {
        let of_tiers = self.tiers.iter().flat_map(|tier| &tier.rules);
        self.access.iter().chain(of_tiers)
    }

    fn combinations(&self) -> usize {
        let of_proxies: usize = self.proxies.iter().map(Proxy::rules).sum();
        self.rules().map(AccessRule::combinations).sum::<usize>() + of_proxies
    }

    /// The sets that its rules name, and those of its network.
    pub(crate) fn sets<'a>(&'a self, network: &'a Network) -> BTreeSet<&'a str> {
        let rules = self.rules().chain(&network.access);
        rules.flat_map(AccessRule::sets).collect()
    }

    /// What the kernel is to hold of it: combinations of rules, and members of the sets that these name, as each set is
    /// written once for each endpoint.
    fn weight(&self, network: &Network) -> [usize; 2] {
        let of_proxies: usize = network.proxies.iter().map(Proxy::rules).sum();
        let of_network: usize = network.access.iter().map(AccessRule::combinations).sum();
        let named = self.sets(network).into_iter();
        let members = named.filter_map(|id| network.sets.get(id)).map(Vec::len);
        [self.combinations() + of_network + of_proxies, members.sum()]
    }

    /// A proxy in an endpoint would get its own connections back.
    pub(super) fn have_proxies_elsewhere(&self, leases: &[Lease]) -> Result<(), Failure> {
        let is_own = |proxy: &&Proxy| leases.iter().any(|lease| lease.address == proxy.address);
        match self.proxies.iter().find(is_own) {
            None => Ok(()),
            Some(proxy) => {
                let what = format!(
                    "{} is the endpoint's own address: a proxy in it would get its own connections back",
                    proxy.address
                );
                Err(refused(HResult::HCN_E_INVALID_IP, "/Policies", what))
            }
        }
    }

    /// Adds what a policy of type ACL, TierAcl or L4Proxy says; `pointer` is that of its settings.
    pub(super) fn read_rules(
        &mut self,
        network: &Network,
        policy: &EndpointPolicy,
        pointer: &str,
    ) -> Result<(), Failure> {
        match policy.kind {
            Some(EndpointPolicyType::TierAcl) => {
                self.tiers.push(tier(policy, &network.sets, pointer)?);
            }
            Some(EndpointPolicyType::L4Proxy) => {
                let settings = policy.settings.as_ref();
                let proxy = Proxy::read(settings, network.is_translated(), pointer)?;
                self.proxies.push(proxy);
            }
            _ => self.access.push(access_rule(
                policy.settings.as_ref(),
                &network.sets,
                pointer,
            )?),
        }
        if self.combinations() <= MOST_ACCESS_RULES && self.tiers.len() <= MOST_ACCESS_RULES {
            return Ok(());
        }
        let what = format!(
            "the lists of an endpoint's rules have up to {MOST_ACCESS_RULES} combinations in all"
        );
        Err(refused(HResult::HCN_E_INVALID_POLICY, pointer, what))
    }

    /// Those that decide first come before the others.
    pub(super) fn sort_rules(&mut self) {
        self.access.sort_by_key(|rule| rule.priority);
        self.tiers.sort_by_key(|tier| tier.order);
    }
}

impl State {
    /// Refuses the terms of the endpoint `id` in a network, where the kernel is to hold too much of them and those of
    /// all others.
    pub(super) fn have_room(
        &self,
        id: Guid,
        network: &Network,
        own: &Terms,
    ) -> Result<(), Failure> {
        let own = own.weight(network);
        if own == [0; 2] {
            return Ok(());
        }
        let others = self.weights(|other, _| *other != id);
        are_bounded(own, others, "/Policies")
    }

    /// Refuses a network as it would be with its endpoints: where a rule names a set that it has not, or where the
    /// kernel is to hold too much of rules.
    pub(super) fn endpoints_can_have(&self, id: Guid, after: &Network) -> Result<(), Failure> {
        const POINTER: &str = "/Settings/Policies";
        let mut own = [0; 2];
        for (other, endpoint) in self.endpoints_of(id) {
            let mut named = endpoint.terms.rules().flat_map(AccessRule::sets);
            if let Some(set) = named.find(|set| !after.sets.contains_key(*set)) {
                let what = format!(
                    "a rule of the endpoint {other} names the set {}; take the rule away first",
                    quote(set)
                );
                return Err(refused(HResult::HCN_E_ENTITY_HAS_REFERENCES, POINTER, what));
            }
            own = sum(own, endpoint.terms.weight(after));
        }
        let others = self.weights(|_, endpoint| endpoint.network != id);
        are_bounded(own, others, POINTER)
    }

    /// What the kernel is to hold of an endpoint: combinations of rules, and members of the sets that they name.
    #[must_use]
    pub fn weight_of(&self, id: Guid) -> [usize; 2] {
        let weight = |one: &Endpoint| Some(one.terms.weight(self.networks.get(&one.network)?));
        let endpoint = self.endpoints.get(&id);
        endpoint.and_then(|one| weight(one)).unwrap_or_default()
    }

    /// What the kernel is to hold of endpoints.
    fn weights(&self, of: impl Fn(&Guid, &Endpoint) -> bool) -> [usize; 2] {
        let endpoints = self.endpoints.iter().filter(|(id, one)| of(id, one));
        let weights = endpoints.filter_map(|(_, one)| {
            let network = self.networks.get(&one.network)?;
            Some(one.terms.weight(network))
        });
        weights.fold([0; 2], sum)
    }
}

fn sum([rules, members]: [usize; 2], [more_rules, more_members]: [usize; 2]) -> [usize; 2] {
    [rules + more_rules, members + more_members]
}

fn are_bounded(own: [usize; 2], others: [usize; 2], pointer: &str) -> Result<(), Failure> {
    let [rules, members] = sum(own, others);
    let code = HResult::from_win32(win32::ERROR_NO_SYSTEM_RESOURCES);
    if own[0] > 0 && rules > MOST_ACCESS_RULES_OF_ALL {
        let what = format!(
            "rules of all endpoints have up to {MOST_ACCESS_RULES_OF_ALL} combinations, not {rules}"
        );
        return Err(refused(code, pointer, what));
    }
    if own[1] > 0 && members > MOST_MEMBERS_OF_ALL {
        let what = format!(
            "the sets that rules of endpoints name have up to {MOST_MEMBERS_OF_ALL} members, each counted for each \
             endpoint, not {members}"
        );
        return Err(refused(code, pointer, what));
    }
    Ok(())
}
