//! What the fuzz targets (`fuzz/`) reach: readers of files that may be damaged and of what an agent says.
//!
//! Compiled with `--cfg fuzzing` only.

use std::path::Path;

use hcs_wire::guest::{
    Decoder, ExecuteProcessResponse, Frame, GetPropertiesResponse, MessageType,
    NegotiateProtocolResponse, ResponseBase, Rpc, WaitForProcessResponse,
};
use serde::Deserialize;

use crate::{
    record::state::{Record, journal::Journal},
    system::guest_link::answers,
    upkeep::config::Config,
};

/// `state.json`.
pub fn state(text: &str) {
    if let Err(error) = Record::parse(Path::new("state.json"), text) {
        assert!(!error.to_string().is_empty());
    }
}

/// `processes.jsonl`.
pub fn journal(bytes: &[u8]) {
    let lines = bytes.iter().filter(|byte| **byte == b'\n').count() + 1;
    assert!(Journal::parse(bytes).len() <= lines);
}

/// `hcsd.toml`: a mistake is told with a line that the file has.
pub fn config(text: &str) {
    if let Err(error) = Config::parse(Path::new("hcsd.toml"), text) {
        assert!(!error.to_string().is_empty());
    }
}

/// The stream of an agent: every answer is put into the words of the host's side, bounded.
pub fn answers(data: &[u8]) {
    let Some((cut, stream)) = data.split_first() else {
        return;
    };
    let cut = usize::from(*cut).min(stream.len());
    let mut decoder = Decoder::default();
    for part in [&stream[..cut], &stream[cut..]] {
        decoder.feed(part);
        while let Ok(Some(frame)) = decoder.next_frame() {
            answer(&frame);
        }
    }
}

fn answer(frame: &Frame) {
    let base = match frame.kind {
        MessageType::Response(Rpc::NegotiateProtocol) => {
            read::<NegotiateProtocolResponse>(frame).map(|it| it.base)
        }
        MessageType::Response(Rpc::ExecuteProcess) => {
            read::<ExecuteProcessResponse>(frame).map(|it| it.base)
        }
        MessageType::Response(Rpc::WaitForProcess) => {
            read::<WaitForProcessResponse>(frame).map(|it| it.base)
        }
        MessageType::Response(Rpc::GetProperties) => {
            read::<GetPropertiesResponse>(frame).map(|it| it.base)
        }
        _ => read::<ResponseBase>(frame),
    };
    let Some(failure) = base.and_then(|base| answers::reported(&base, "it failed")) else {
        return;
    };
    assert!(!failure.hresult.is_success() && !failure.message.is_empty());
    let mut texts = vec![&failure.message];
    texts.extend(failure.causes.iter().map(|cause| &cause.message));
    assert!(texts.len() <= 64);
    for text in texts {
        assert!(text.len() <= 16 << 10 && !text.chars().any(char::is_control));
    }
    assert!(!failure.to_document().is_empty());
}

fn read<T: for<'de> Deserialize<'de>>(frame: &Frame) -> Option<T> {
    answers::body(frame).ok()
}
