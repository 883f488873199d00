//! The network of containers for which none is named: `nat`, which a client makes when it is first used.
//!
//! Where the host refused it, that is remembered for a while: each container would try it again otherwise, and take
//! milliseconds to fail.

use std::{
    cell::RefCell,
    time::{Duration, Instant},
};

use hcn::documents::NetworkType;
use hcs_schema::{Failure, HResult};
use hcs_wire::network::NAT;
use serde_json::Value;

use super::{Held, Networks};

/// How long a refusal is remembered: what the host lacked may be there by then.
const REMEMBERED: Duration = Duration::from_secs(30);

/// What is known of that network besides what it is.
#[derive(Debug, Default)]
pub(super) struct Preset {
    /// Whether there is to be one.
    wanted: bool,
    /// Why it could not be made, and when that was.
    failed: RefCell<Option<(String, Instant)>>,
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
    fn find(&self, held: &Held, now: Instant) -> Result<String, Failure> {
        if !self.wanted {
            return Ok(String::new());
        }
        let mut networks = held.state.networks();
        if let Some((id, network)) = networks.find(|(_, network)| network.name() == NAT) {
            // Another type of that name is a client's own: not each container of root is meant to be in it.
            return Ok(match network.kind() {
                NetworkType::Nat => id.to_string(),
                _ => String::new(),
            });
        }
        let is_recent =
            |(_, at): &&(String, Instant)| now.saturating_duration_since(*at) < REMEMBERED;
        Err(match self.failed.borrow().as_ref().filter(is_recent) {
            Some((why, _)) => Failure::new(HResult::HCN_E_REQUEST_UNSUPPORTED, why.clone()),
            None => Failure::new(
                HResult::HCN_E_NETWORK_NOT_FOUND,
                "the network nat is not made yet",
            ),
        })
    }

    /// Remembers how the making of a network of `settings` ended, `now`. What the settings are at fault of says
    /// nothing, and what became of a network of another type says nothing of this one.
    pub(super) fn note(&self, settings: &str, made: Result<(), &Failure>, now: Instant) {
        let document: Value = serde_json::from_str(settings).unwrap_or_default();
        let text = |property: &str| document.get(property).and_then(Value::as_str);
        let is_nat = text("Type").is_none_or(|kind| kind.eq_ignore_ascii_case(NAT));
        if text("Name") != Some(NAT) || !is_nat {
            return;
        }
        match made {
            Ok(()) => drop(self.failed.take()),
            Err(failure) if is_of_host(failure.hresult) => {
                let why = failure.message.to_string();
                self.failed.replace(Some((why, now)));
            }
            Err(_) => {}
        }
    }
}

/// Whether a network was refused by the host, which will refuse the next one as well. Another failure may pass.
fn is_of_host(hresult: HResult) -> bool {
    [HResult::NOT_SUPPORTED, HResult::E_ACCESSDENIED].contains(&hresult)
}

impl Networks {
    /// The id of the network of containers for which none is named: see [`hcs_wire::network::DEFAULT_NETWORK`].
    ///
    /// # Errors
    /// As told there.
    pub(super) fn preset(&self) -> Result<String, Failure> {
        self.preset.find(&self.held.borrow(), Instant::now())
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
        let start = Instant::now();
        let code_at = |held: &Held, now| preset.find(held, now).map_err(|failure| failure.hresult);
        let code = |held: &Held| code_at(held, start);
        assert_eq!(code(&held), Err(HResult::HCN_E_NETWORK_NOT_FOUND));
        let failure = |hresult| Failure::new(hresult, "why");
        let unsupported = failure(HResult::NOT_SUPPORTED);
        // Another network, one of another type, what is no fault of the host's, and what may pass.
        preset.note(r#"{"Name": "web"}"#, Err(&unsupported), start);
        let overlay = r#"{"Name": "nat", "Type": "Overlay"}"#;
        preset.note(overlay, Err(&unsupported), start);
        for hresult in [HResult::HCN_E_INVALID_JSON, HResult::E_FAIL] {
            preset.note(settings, Err(&failure(hresult)), start);
        }
        assert_eq!(code(&held), Err(HResult::HCN_E_NETWORK_NOT_FOUND));
        preset.note(settings, Err(&unsupported), start);
        assert_eq!(code(&held), Err(HResult::HCN_E_REQUEST_UNSUPPORTED));
        assert_eq!(
            code_at(&held, start + REMEMBERED),
            Err(HResult::HCN_E_NETWORK_NOT_FOUND),
            "it is tried again"
        );
        preset.note(settings, Ok(()), start);
        assert_eq!(code(&held), Err(HResult::HCN_E_NETWORK_NOT_FOUND));
        let surroundings = Surroundings::default();
        let made = held
            .state
            .create_network(Guid(7), settings, &surroundings)
            .unwrap();
        assert_eq!(code(&held), Ok(made.id.to_string()));
        let mut other = Held::default();
        let private = r#"{"Name": "nat", "Type": "Private"}"#;
        let surroundings = Surroundings::default();
        let made = other.state.create_network(Guid(8), private, &surroundings);
        made.unwrap();
        assert_eq!(code(&other), Ok(String::new()), "a network of another type");
        assert_eq!(Preset::new(false).find(&held, start), Ok(String::new()));
    }
}
