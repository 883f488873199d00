//! What a client may send to the service, and a service to a client: cut at any place, nonsense anywhere.

#![no_main]

use hcs_wire::service::{Call, Decoder, Event, Kind, Reply};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((cut, stream)) = data.split_first() else { return };
    let cut = usize::from(*cut).min(stream.len());
    let mut decoder = Decoder::default();
    for part in [&stream[..cut], &stream[cut..]] {
        decoder.feed(part);
        while let Ok(Some(frame)) = decoder.next_frame() {
            assert!(frame.descriptors.is_empty());
            match frame.kind {
                Kind::Request | Kind::Repeat => drop(frame.parse::<Call>("request")),
                Kind::Reply => drop(frame.parse::<Reply>("reply")),
                Kind::Event => drop(frame.parse::<Event>("event")),
            }
        }
    }
});
