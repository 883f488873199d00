//! The network of containers for which none is named: `nat`, which a client makes when it is first used.
//!
//! Where the host refused it, that is remembered for a while: each container would try it again otherwise, and take
//! milliseconds to fail.

use std::{
    cell::RefCell,
    time::{Duration, Instant},
};

use hcn::{Guid, documents::NetworkType};
use hcs_schema::{Failure, HResult};
use hcs_wire::network::NAT;
use serde_json::Value;

use super::{Held, Networks, shares};
use crate::thread::rounds::Who;

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
            return match network.kind() {
                NetworkType::Nat => Ok(id.to_string()),
                // Another type of that name is a client's own: not each container of root is meant to be in it.
                other => Err(another_type(other)),
            };
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

fn another_type(kind: NetworkType) -> Failure {
    let message = format!(
        "the network {NAT} is of type {kind}, where containers for which no network is named are in one of type NAT: delete \
         it, or name a network"
    );
    Failure::new(HResult::HCN_E_REQUEST_UNSUPPORTED, message)
}

/// Refuses a network of the name that the one of all containers has, where a user other than root makes it otherwise
/// than these containers' clients do.
///
/// # Errors
/// As told, by JSON pointer.
pub(super) fn check_new(settings: &str, who: Who) -> Result<(), Failure> {
    const PLAIN: [&str; 5] = ["ID", "Name", "Owner", "SchemaVersion", "Type"];
    let document: Value = serde_json::from_str(settings).unwrap_or_default();
    let text = |property: &str| document.get(property).and_then(Value::as_str);
    if text("Name") != Some(NAT) || shares::is_spared(who) {
        return Ok(());
    }
    let is_nat = text("Type").is_none_or(|kind| kind.eq_ignore_ascii_case(NAT));
    let mut properties = document.as_object().into_iter().flatten();
    if is_nat && properties.all(|(name, value)| PLAIN.contains(&&**name) || value.is_null()) {
        return Ok(());
    }
    Err(roots_alone("/Name"))
}

/// Refuses a change of that network by a user other than root.
///
/// # Errors
/// As told, by JSON pointer.
pub(super) fn check_change(held: &Held, id: Guid, who: Who) -> Result<(), Failure> {
    let network = held.state.network(id);
    match network.is_ok_and(|network| network.name() == NAT) && !shares::is_spared(who) {
        true => Err(roots_alone("/Settings")),
        false => Ok(()),
    }
}

fn roots_alone(pointer: &str) -> Failure {
    let message = format!(
        "containers of all users are in the network {NAT}, so root alone says more of it than its name and its type, which \
         is NAT: choose another name, and put containers into that network by it"
    );
    Failure::new(HResult::E_ACCESSDENIED, message.clone()).cause_at(pointer.to_owned(), message)
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
    use hcn::Surroundings;

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
        let told = preset.find(&other, start).unwrap_err();
        assert_eq!(told.hresult, HResult::HCN_E_REQUEST_UNSUPPORTED);
        assert!(told.message.contains("Private"), "{}", told.message);
        assert_eq!(Preset::new(false).find(&held, start), Ok(String::new()));
    }
    #[test]
    fn root_alone_makes_the_network_of_all_containers_another_one() {
        let (user, root) = (Who::of_user(u32::MAX - 7), Who::of_user(0));
        for plain in [
            r#"{"Name": "nat"}"#,
            r#"{"Name": "nat", "Type": "nat", "Owner": "one", "SchemaVersion": {"Major": 2}, "Policies": null}"#,
            r#"{"Name": "other", "Type": "Private", "Dns": {"ServerList": ["192.0.2.1"]}}"#,
        ] {
            for who in [user, root, Who::SERVICE] {
                check_new(plain, who).unwrap();
            }
        }
        for other in [
            r#"{"Name": "nat", "Type": "Private"}"#,
            r#"{"Name": "nat", "Dns": {"ServerList": ["192.0.2.1"]}}"#,
            r#"{"Name": "nat", "Policies": []}"#,
        ] {
            check_new(other, root).unwrap();
            let refused = check_new(other, user).unwrap_err();
            assert_eq!(refused.hresult, HResult::E_ACCESSDENIED, "{other}");
        }
        let mut held = Held::default();
        for (id, name) in [(1, "nat"), (2, "other")] {
            let settings = format!(r#"{{"Name": "{name}"}}"#);
            let surroundings = Surroundings::default();
            let made = held
                .state
                .create_network(Guid(id << 80), &settings, &surroundings);
            made.unwrap();
        }
        check_change(&held, Guid(1 << 80), root).unwrap();
        check_change(&held, Guid(2 << 80), user).unwrap();
        check_change(&held, Guid(1 << 80), user).unwrap_err();
    }
}
