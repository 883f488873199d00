//! How fast a link sends, as messages of rtnetlink: a bucket of tokens that fills at the rate (`linux/pkt_sched.h`).

use crate::netlink::{Batch, flag};

const NEWQDISC: u16 = 36;
const DELQDISC: u16 = 37;

/// The kind of the queue.
pub(crate) const KIND: &str = "tbf";

const ROOT: u32 = u32::MAX;
const KIND_OF: u16 = 1;
const OPTIONS: u16 = 2;

/// Bytes that may go at once: those of ten milliseconds, and at least the longest packet with its header, as the queue
/// drops what is longer.
const LEAST_BURST: u64 = 128 << 10;
/// Bytes that may wait: those of a tenth of a second, and at least some bursts.
const LEAST_WAITING: u64 = 4 * LEAST_BURST;

fn header(link: u32) -> [u8; 20] {
    let mut header = [0; 20];
    header[4..8].copy_from_slice(&link.to_ne_bytes());
    header[12..16].copy_from_slice(&ROOT.to_ne_bytes());
    header
}

/// Limits what a link sends, in bytes a second.
pub(crate) fn limit(batch: &mut Batch, name: &str, link: u32, rate: u64) {
    const PARAMETERS: u16 = 1;
    const RATE_64: u16 = 4;
    const BURST: u16 = 6;
    let most = |bytes: u64| u32::try_from(bytes).unwrap_or(u32::MAX);
    let what = format!("limiting what the link {name} sends to {rate} bytes a second");
    let flags = flag::ACK | flag::CREATE | flag::REPLACE;
    batch.message(what, NEWQDISC, flags, &header(link), |batch| {
        batch.text(KIND_OF, KIND).nest(OPTIONS, |batch| {
            // struct tc_tbf_qopt: the rate, that of peaks, bytes that may wait, and two that the attributes below say.
            let mut options = [0; 36];
            const ETHERNET: u8 = 1;
            options[1] = ETHERNET;
            options[8..12].copy_from_slice(&most(rate).to_ne_bytes());
            let waiting = most((rate / 10).max(LEAST_WAITING));
            options[24..28].copy_from_slice(&waiting.to_ne_bytes());
            batch.bytes(PARAMETERS, &options);
            if rate > u32::MAX.into() {
                batch.bytes(RATE_64, &rate.to_ne_bytes());
            }
            batch.number(BURST, most((rate / 100).max(LEAST_BURST)));
        });
    });
}

/// Ends that.
pub(crate) fn unlimit(batch: &mut Batch, name: &str, link: u32) {
    let what = format!("ending the limit of what the link {name} sends");
    batch.message(what, DELQDISC, flag::ACK, &header(link), |_| {});
}
