//! [`Forwarding`]: interfaces that have to forward, and what they were set to before.
//!
//! The host as a whole is left as it is: only the bridges of networks that are translated forward, and the interfaces
//! of default routes, where answers come in. Of those that did not forward before, the rules drop what comes in and is
//! for no network of ours (`Rules::guarded`): the host does not become a router for its neighbours.

use std::{collections::BTreeSet, fs, io::ErrorKind, path::PathBuf};

use hcn::intent::Intent;
use hcs_schema::{Failure, HResult};

use crate::host::Host;

/// Settings of the calling thread's network namespace.
const SETTINGS: &str = "/proc/sys/net/ipv4/conf";

/// A setting as it was before. It belongs into a record: nothing else knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Former {
    /// The interface.
    pub interface: String,
    /// The setting.
    pub setting: String,
    /// Its value.
    pub value: String,
}

/// Interfaces that have to forward.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Forwarding {
    /// Bridges: they forward, and 127.0.0.0/8 is routed on them, so that the host reaches published ports there.
    pub bridges: BTreeSet<String>,
    /// Interfaces of default routes.
    pub uplinks: BTreeSet<String>,
}

impl Forwarding {
    /// What an intent needs on this host.
    ///
    /// # Errors
    /// The kernel does not tell its routes.
    pub fn of(host: &mut Host, intent: &Intent) -> Result<Self, Failure> {
        let translated = intent.networks.iter().filter(|network| network.translated);
        let bridges: BTreeSet<String> = translated.map(|network| network.link.clone()).collect();
        if bridges.is_empty() {
            return Ok(Self::default());
        }
        let links = host.links()?;
        let routes = host
            .routes()?
            .into_iter()
            .filter(|route| route.to.is_all() && route.to.is_ipv4());
        let uplinks =
            routes.filter_map(|route| links.iter().find(|link| Some(link.index) == route.link));
        let uplinks = uplinks.map(|link| link.name.clone()).collect();
        Ok(Self { bridges, uplinks })
    }

    /// The settings, each with the value that is needed.
    fn wanted(&self) -> impl Iterator<Item = (&String, &'static str)> {
        let bridges = self
            .bridges
            .iter()
            .flat_map(|link| [(link, "forwarding"), (link, "route_localnet")]);
        bridges.chain(self.uplinks.iter().map(|link| (link, "forwarding")))
    }

    /// What [`Forwarding::apply`] would change, as it is now. It has to be recorded before, as nothing else knows it. Runs
    /// on a thread of the host's namespace, as the others here.
    ///
    /// # Errors
    /// A setting cannot be read.
    pub fn check(&self) -> Result<Vec<Former>, Failure> {
        let mut former = Vec::new();
        for (link, setting) in self.wanted() {
            let value = read(link, setting)?;
            if value != "1" {
                former.push(Former {
                    interface: link.clone(),
                    setting: setting.to_owned(),
                    value,
                });
            }
        }
        Ok(former)
    }

    /// Sets what is needed.
    ///
    /// # Errors
    /// The setting that could not be made; [`Forwarding::undo`] puts those before it back.
    pub fn apply(&self) -> Result<(), Failure> {
        for former in self.check()? {
            write(&former.interface, &former.setting, "1")?;
        }
        Ok(())
    }

    /// Puts settings back to what they were. An interface that is gone took its settings along.
    ///
    /// # Errors
    /// The first that could not be put back; the others were tried.
    pub fn undo(former: &[Former]) -> Result<(), Failure> {
        let mut result = Ok(());
        for one in former {
            if path(&one.interface, &one.setting).exists() {
                let back = write(&one.interface, &one.setting, &one.value);
                result = result.and(back);
            }
        }
        result
    }

    /// Interfaces that forward only because of us, of what was recorded.
    #[must_use]
    pub fn guarded(&self, former: &[Former]) -> BTreeSet<String> {
        let changed = former.iter().filter(|one| one.setting == "forwarding");
        let uplinks = changed.filter(|one| !one.interface.starts_with("hcb"));
        uplinks.map(|one| one.interface.clone()).collect()
    }
}

/// Names of interfaces hold no slash and are neither `.` nor `..`; what a record says is checked all the same.
fn path(link: &str, setting: &str) -> PathBuf {
    let plain = |name: &str| !name.contains('/') && !matches!(name, "" | "." | "..");
    let link = if plain(link) { link } else { "-" };
    let setting = if plain(setting) { setting } else { "-" };
    [SETTINGS, link, setting].iter().collect()
}

fn read(link: &str, setting: &str) -> Result<String, Failure> {
    let path = path(link, setting);
    let value = fs::read_to_string(&path).map_err(|error| {
        let message = format!("the setting {} cannot be read", path.display());
        Failure::new(HResult::E_FAIL, message).because(&error)
    })?;
    Ok(value.trim().to_owned())
}

fn write(link: &str, setting: &str, value: &str) -> Result<(), Failure> {
    let path = path(link, setting);
    fs::write(&path, value).map_err(|error| {
        let code = match error.kind() {
            ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => HResult::E_ACCESSDENIED,
            _ => HResult::E_FAIL,
        };
        let message = format!("the setting {} cannot be set to {value}", path.display());
        Failure::new(code, message).because(&error)
    })
}
