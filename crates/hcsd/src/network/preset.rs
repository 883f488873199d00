//! The network of containers for which none is named: `nat`, which a client makes when it is first used.
//!
//! Where it could not be made, that is remembered: each container would try it again otherwise, and take milliseconds
//! to fail.

use std::cell::RefCell;

use hcs_schema::{Failure, HResult};
use hcs_wire::network::NAT;
use serde_json::Value;

use super::{Held, Networks};

/// What is known of that network besides what it is.
#[derive(Debug, Default)]
pub(super) struct Preset {
    /// Whether there is to be one.
    wanted: bool,
    /// Why it could not be made.
    failed: RefCell<Option<String>>,
}

impl Preset {
    pub(super) fn new(wanted: bool) -> Self {
        Self {
            wanted,
            failed: RefCell::default(),
        }
    }

    /// The id of the network in `held`, "" where there is to be none.
    ///
    /// # Errors
    /// It is still to be made, or could not be.
    fn find(&self, held: &Held) -> Result<String, Failure> {
        if !self.wanted {
            return Ok(String::new());
        }
        let mut networks = held.state.networks();
        if let Some((id, _)) = networks.find(|(_, network)| network.name() == NAT) {
            return Ok(id.to_string());
        }
        Err(match &*self.failed.borrow() {
            Some(why) => Failure::new(HResult::HCN_E_REQUEST_UNSUPPORTED, why.clone()),
            None => Failure::new(
                HResult::HCN_E_NETWORK_NOT_FOUND,
                "the network nat is not made yet",
            ),
        })
    }

    /// Remembers how the making of a network of `settings` ended. What the settings are at fault of says nothing.
    pub(super) fn note(&self, settings: &str, made: Result<(), &Failure>) {
        let document: Value = serde_json::from_str(settings).unwrap_or_default();
        if document.get("Name").and_then(Value::as_str) != Some(NAT) {
            return;
        }
        match made {
            Ok(()) => drop(self.failed.take()),
            Err(failure) if is_of_host(failure.hresult) => {
                self.failed.replace(Some(failure.message.to_string()));
            }
            Err(_) => {}
        }
    }
}

/// Whether a network was refused by the host, which will refuse the next one as well.
fn is_of_host(hresult: HResult) -> bool {
    [
        HResult::NOT_SUPPORTED,
        HResult::E_ACCESSDENIED,
        HResult::E_FAIL,
    ]
    .contains(&hresult)
}

impl Networks {
    /// The id of the network of containers for which none is named: see [`hcs_wire::network::DEFAULT_NETWORK`].
    ///
    /// # Errors
    /// As told there.
    pub(super) fn preset(&self) -> Result<String, Failure> {
        self.preset.find(&self.held.borrow())
    }
}

#[cfg(test)]
mod tests {
    use hcn::{Guid, Surroundings};

    use super::*;

    #[test]
    fn what_the_host_refused_is_told_until_it_is_made() {
        let settings = r#"{"Name": "nat", "Type": "NAT"}"#;
        let (preset, mut held) = (Preset::new(true), Held::default());
        let code = |held: &Held| preset.find(held).map_err(|failure| failure.hresult);
        assert_eq!(code(&held), Err(HResult::HCN_E_NETWORK_NOT_FOUND));
        let failure = |hresult| Failure::new(hresult, "why");
        // Another network, and what is no fault of the host's.
        preset.note(r#"{"Name": "web"}"#, Err(&failure(HResult::NOT_SUPPORTED)));
        preset.note(settings, Err(&failure(HResult::HCN_E_INVALID_JSON)));
        assert_eq!(code(&held), Err(HResult::HCN_E_NETWORK_NOT_FOUND));
        preset.note(settings, Err(&failure(HResult::NOT_SUPPORTED)));
        assert_eq!(code(&held), Err(HResult::HCN_E_REQUEST_UNSUPPORTED));
        preset.note(settings, Ok(()));
        assert_eq!(code(&held), Err(HResult::HCN_E_NETWORK_NOT_FOUND));
        let surroundings = Surroundings::default();
        let made = held
            .state
            .create_network(Guid(7), settings, &surroundings)
            .unwrap();
        assert_eq!(code(&held), Ok(made.id.to_string()));
        assert_eq!(Preset::new(false).find(&held), Ok(String::new()));
    }
}
