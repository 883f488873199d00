//! What an untrusted agent may send to the service, and the requests an agent gets.

#![no_main]

use hcs_wire::guest::{self, Decoder, MessageType, Rpc};
use libfuzzer_sys::fuzz_target;

fn parse<T: for<'de> serde::Deserialize<'de>>(body: &[u8]) {
    drop(serde_json::from_slice::<T>(body));
}

fuzz_target!(|data: &[u8]| {
    let Some((cut, stream)) = data.split_first() else { return };
    let cut = usize::from(*cut).min(stream.len());
    let mut decoder = Decoder::default();
    for part in [&stream[..cut], &stream[cut..]] {
        decoder.feed(part);
        while let Ok(Some(frame)) = decoder.next_frame() {
            assert!(frame.body.len() < guest::MAX_MESSAGE_BYTES as usize);
            let body = &frame.body;
            match frame.kind {
                MessageType::Request(Rpc::ExecuteProcess) => parse::<guest::ExecuteProcess>(body),
                MessageType::Request(Rpc::WaitForProcess) => parse::<guest::WaitForProcess>(body),
                MessageType::Request(Rpc::SignalProcess) => parse::<guest::SignalProcess>(body),
                MessageType::Request(_) => parse::<guest::RequestBase>(body),
                MessageType::Response(Rpc::NegotiateProtocol) => parse::<guest::NegotiateProtocolResponse>(body),
                MessageType::Response(Rpc::ExecuteProcess) => parse::<guest::ExecuteProcessResponse>(body),
                MessageType::Response(Rpc::WaitForProcess) => parse::<guest::WaitForProcessResponse>(body),
                MessageType::Response(Rpc::GetProperties) => parse::<guest::GetPropertiesResponse>(body),
                MessageType::Response(_) => parse::<guest::ResponseBase>(body),
                MessageType::Notification => parse::<guest::ContainerNotification>(body),
                MessageType::UnknownRequest(_) => {}
            }
        }
    }
});
