//! What is for 127.0.0.0/8 stays in a network namespace: a table of its own, which goes with the namespace.
//!
//! The kernel sends such a packet by any link that a socket is bound to (`SO_BINDTODEVICE`). A program at the other end
//! of that link may take it to loopback of its own host.

use super::tables::{BEGIN, Hook, INET, Table, control, finish, interface};
use crate::netlink::{Batch, NetlinkError, Socket};

const NAME: &str = "hcs_loopback";
const CHAIN: &str = "sending";

/// Writes the table in the place of what has its name; `socket` is of the namespace.
pub(crate) fn keep_inside(socket: &mut Socket) -> Result<(), NetlinkError> {
    let mut batch = Batch::default();
    control(&mut batch, BEGIN);
    let mut sets = 0;
    let mut table = Table::of(INET, NAME, &mut sets);
    let hook = Hook::filter(3, 0);
    table.chain(CHAIN, &hook);
    table.rule(CHAIN, |rule| rule.is_at(&interface("lo"), true).accept());
    table.rule(CHAIN, |rule| {
        rule.is_of(true).destination_is_loopback().drop()
    });
    table.replace(&mut batch);
    finish(&mut batch, INET, NAME);
    socket.run(batch)
}
