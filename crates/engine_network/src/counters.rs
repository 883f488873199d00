//! [`counters`]: what went through the link of an endpoint.

use std::os::fd::BorrowedFd;

use hcn::{Counters, intent::EndpointIntent};
use hcs_schema::Failure;

use crate::{
    failure::failed,
    host::Host,
    link,
    namespace::sockets_in,
    netlink::{
        Batch,
        parse::{Attributes, Message},
    },
    parts::{adapter, port},
};

/// What went through the link of an endpoint since that was made; nothing where it is gone. The container or the
/// machine behind it cannot change the numbers.
///
/// # Errors
/// The kernel does not tell; the link is another program's.
pub fn counters(host: &mut Host, endpoint: &EndpointIntent) -> Result<Counters, Failure> {
    if port::found(host, endpoint)?.is_none() {
        return Ok(Counters::default());
    }
    let mut batch = Batch::default();
    link::look_at(&mut batch, &endpoint.link);
    let doing = format!("counting what went through the link {}", endpoint.link);
    let told = host.route.get(batch, read);
    let told = told.map_err(|error| failed(&doing, "counters of links", &error))?;
    Ok(told.unwrap_or_default())
}

/// As [`counters`], for an endpoint on an adapter, whose link is in its namespace.
///
/// # Errors
/// The kernel does not tell, or the namespace has ended.
pub fn counters_on_adapter(
    host: &Host,
    endpoint: &EndpointIntent,
    namespace: BorrowedFd<'_>,
) -> Result<Counters, Failure> {
    let [mut socket, _] = sockets_in(namespace)?;
    if adapter::found(&mut socket, &host.owner, endpoint)?.is_none() {
        return Ok(Counters::default());
    }
    let mut batch = Batch::default();
    link::look_at(&mut batch, &endpoint.inner);
    let doing = format!("counting what went through the link {}", endpoint.inner);
    let told = socket.get(batch, read);
    let told = told.map_err(|error| failed(&doing, "counters of links", &error))?;
    // Here it is the endpoint that sends what its link sends.
    Ok(told.unwrap_or_default().of_the_other_end())
}

/// The host's end receives what the endpoint sends.
pub(crate) fn read(message: &Message<'_>) -> Option<Counters> {
    const LENGTH_OF_HEADER: usize = 16;
    const COUNTERS: u16 = 23;
    let attributes = Attributes::behind(message.body, LENGTH_OF_HEADER).ok()?;
    let counters = attributes.find(COUNTERS)?;
    let at = |place: usize| {
        let bytes = counters.get(place * 8..place * 8 + 8)?;
        bytes.try_into().ok().map(u64::from_ne_bytes)
    };
    Some(Counters {
        packets_sent: at(0)?,
        packets_received: at(1)?,
        bytes_sent: at(2)?,
        bytes_received: at(3)?,
        dropped_outgoing: at(6)?,
        dropped_incoming: at(7)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_that_are_cut_off_are_none() {
        let numbers: Vec<u8> = (1..=8_u64).flat_map(u64::to_ne_bytes).collect();
        let read = |counters: &[u8]| {
            let length = u16::try_from(4 + counters.len()).unwrap();
            let body = [
                &[0; 16],
                &length.to_ne_bytes()[..],
                &23_u16.to_ne_bytes(),
                counters,
            ]
            .concat();
            read(&Message {
                kind: 16,
                flags: 0,
                sequence: 1,
                body: &body,
            })
        };
        let counters = read(&numbers).unwrap();
        assert_eq!((counters.packets_sent, counters.packets_received), (1, 2));
        assert_eq!((counters.bytes_sent, counters.bytes_received), (3, 4));
        assert_eq!(
            (counters.dropped_outgoing, counters.dropped_incoming),
            (7, 8)
        );
        assert_eq!(read(&numbers[..60]), None);
        assert_eq!(read(&[]), None);
    }
}
