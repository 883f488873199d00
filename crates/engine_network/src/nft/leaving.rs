//! Endpoints on adapters of the host, held to their own addresses where all leaves their links: a table of the family
//! `netdev` in their namespace, which the container cannot change unless its document gives it CAP_NET_ADMIN.
//!
//! The rules are those of ports of bridges. There the kernel reads what kind of frame it is from the frame. Here a
//! program that makes up frames tells it beside them (`sll_protocol`), so both have to agree first.

use std::collections::BTreeMap;

use hcn::intent::EndpointIntent;

use super::{
    Rules, contents, own,
    tables::{
        BEGIN, ETHERTYPE_ARP, ETHERTYPE_IPV4, ETHERTYPE_IPV6, NETDEV, Table, Way, control, finish,
        ports,
    },
};
use crate::netlink::{Batch, NetlinkError, Socket};

/// Writes the rules of an endpoint in the place of those that are there; `socket` is of its namespace, where its link
/// is.
pub(crate) fn hold(
    socket: &mut Socket,
    owner: &str,
    endpoint: &EndpointIntent,
) -> Result<(), NetlinkError> {
    let name = name(owner, endpoint);
    let mut batch = Batch::default();
    control(&mut batch, BEGIN);
    let mut sets = 0;
    let mut table = Table::of(NETDEV, &name, &mut sets);
    fill(&mut table, endpoint);
    table.replace(&mut batch);
    finish(&mut batch, NETDEV, &name);
    socket.run(batch)
}

/// Whether they are there.
pub(crate) fn is_held(
    socket: &mut Socket,
    owner: &str,
    endpoint: &EndpointIntent,
) -> Result<bool, NetlinkError> {
    let name = name(owner, endpoint);
    let mut sets = 0;
    let mut table = Table::of(NETDEV, &name, &mut sets);
    fill(&mut table, endpoint);
    contents::is_as(socket, NETDEV, &name, table.digest())
}

fn name(owner: &str, endpoint: &EndpointIntent) -> String {
    format!("{owner}_{}", endpoint.inner)
}

fn fill(table: &mut Table<'_>, endpoint: &EndpointIntent) {
    let rules = Rules {
        ports: BTreeMap::from([(endpoint.inner.clone(), own(endpoint))]),
        ..Rules::default()
    };
    ports(table, &rules, Way::Out(&endpoint.inner));
}

/// Drops frames of another kind than their sender says.
pub(super) fn kinds_agree(table: &mut Table<'_>, chain: &str) {
    for kind in [ETHERTYPE_IPV4, ETHERTYPE_ARP, ETHERTYPE_IPV6] {
        table.rule(chain, |rule| rule.frame_is(kind).header_is_not(kind).drop());
        table.rule(chain, |rule| rule.header_is(kind).frame_is_not(kind).drop());
    }
}
