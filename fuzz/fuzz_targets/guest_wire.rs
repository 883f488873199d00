//! What an untrusted agent may send to the service, and into the pipe of a reader of kept output, and the requests an
//! agent gets.

#![no_main]

use hcs_wire::{
    guest::{self, Decoder, MessageType, Rpc},
    output,
};
use libfuzzer_sys::fuzz_target;

fn parse<T: for<'de> serde::Deserialize<'de>>(body: &[u8]) {
    drop(serde_json::from_slice::<T>(body));
}

fuzz_target!(|data: &[u8]| {
    let Some((cut, stream)) = data.split_first() else { return };
    let cut = usize::from(*cut).min(stream.len());
    let mut records = output::Decoder::default();
    let mut decoder = Decoder::default();
    for part in [&stream[..cut], &stream[cut..]] {
        records.feed(part);
        while let Ok(Some((_, record))) = records.next_record() {
            if let output::Record::Stdout(bytes) | output::Record::Stderr(bytes) = record {
                assert!(bytes.len() <= output::MAX_RECORD_BYTES);
            }
        }
        decoder.feed(part);
        while let Ok(Some(frame)) = decoder.next_frame() {
            assert!(frame.body.len() < guest::MAX_MESSAGE_BYTES as usize);
            let body = &frame.body;
            match frame.kind {
                MessageType::Request(Rpc::ExecuteProcess) => parse::<guest::ExecuteProcess>(body),
                MessageType::Request(Rpc::WaitForProcess) => parse::<guest::WaitForProcess>(body),
                MessageType::Request(Rpc::SignalProcess) => parse::<guest::SignalProcess>(body),
                MessageType::Request(Rpc::ReadOutput) => parse::<guest::ReadOutput>(body),
                MessageType::Request(Rpc::Renew) => parse::<guest::Renew>(body),
                MessageType::Request(Rpc::UpdateNames) => parse::<guest::UpdateNames>(body),
                MessageType::Request(_) => parse::<guest::RequestBase>(body),
                MessageType::Response(Rpc::NegotiateProtocol) => parse::<guest::NegotiateProtocolResponse>(body),
                MessageType::Response(Rpc::ExecuteProcess) => parse::<guest::ExecuteProcessResponse>(body),
                MessageType::Response(Rpc::WaitForProcess) => parse::<guest::WaitForProcessResponse>(body),
                MessageType::Response(Rpc::GetProperties) => parse::<guest::GetPropertiesResponse>(body),
                MessageType::Response(Rpc::ReadOutput) => parse::<guest::ReadOutputResponse>(body),
                MessageType::Response(_) => parse::<guest::ResponseBase>(body),
                MessageType::Notification => parse::<guest::ContainerNotification>(body),
                MessageType::UnknownRequest(_) => {}
            }
        }
    }
});
