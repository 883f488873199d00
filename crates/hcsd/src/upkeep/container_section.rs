//! The section `[container]` of the configuration, and where its settings stood before: at the top of the file and in
//! `[host_view]`. Files that have them there still say the same; the log tells once where they belong.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::config::{Config, HostViewLists, Ids};
use crate::engines::{HostView, ScratchLimit};

/// Two: one to be taken while the other is being made, which is as fast as one client can ask. More only help when
/// several ask at the same instant, and each takes some memory and is a process in the host's list.
pub(super) const WARM_SLOTS: usize = 2;
/// More would be a mistake, or a denial of service against oneself.
const MOST_WARM_SLOTS: usize = 256;

/// How containers are made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Container {
    /// Directory for what containers without a `Storage.Path` write.
    pub scratch_root: Option<PathBuf>,
    /// The most that a container may write whose document does not say so, in megabytes; 0 for no limit.
    pub scratch_size_in_mb: Option<u64>,
    /// The most files and directories that it may make; 0 for as many as fit.
    pub scratch_inodes: Option<u64>,
    /// How many processes and threads a container may have whose document does not say; 0 for as many as the host
    /// allows.
    pub processes_per_container: Option<u64>,
    /// Whether containers whose document does not say so get a user namespace.
    pub user_namespaces: Option<bool>,
    /// Ids of the host that containers with user namespaces have, users and groups alike.
    pub user_namespace_ids: Option<Ids>,
    /// How many containers are kept ready, without a name, for systems to come, of those with and of those without a
    /// user namespace, once one such was created; 0 for none.
    pub warm_slots: Option<usize>,
    /// What containers without layers do not see of the host.
    pub host_view: Option<HostViewLists>,
}

impl Container {
    /// [`Container::warm_slots`], or the default.
    pub(crate) fn warm_slots(&self) -> usize {
        self.warm_slots.unwrap_or(WARM_SLOTS)
    }

    /// [`Container::host_view`] in the words of the engine, with its defaults.
    pub(crate) fn view(&self) -> HostView {
        self.host_view.clone().unwrap_or_default().view()
    }

    /// [`Container::scratch_size_in_mb`] and [`Container::scratch_inodes`], if they limit anything.
    pub(crate) fn scratch_limit(&self) -> Option<ScratchLimit> {
        let megabytes = self.scratch_size_in_mb.filter(|size| *size != 0)?;
        Some(ScratchLimit {
            bytes: megabytes.saturating_mul(1 << 20),
            inodes: self.scratch_inodes.filter(|inodes| *inodes != 0),
        })
    }

    /// The first setting whose value makes no sense, with the reason.
    pub(super) fn mistake(&self) -> Option<(&'static str, &'static str)> {
        if self.scratch_root.as_ref().is_some_and(|p| !p.is_absolute()) {
            return Some(("scratch_root", "expected an absolute path"));
        }
        if self
            .user_namespace_ids
            .is_some_and(|ids| !ids.range().is_sound())
        {
            return Some((
                "user_namespace_ids",
                "expected a first id of at least 1000 and a count of at least 1, within 32 bits",
            ));
        }
        if self.warm_slots() > MOST_WARM_SLOTS {
            return Some(("warm_slots", "expected at most 256"));
        }
        self.scratch_mistake()
            .or_else(|| self.host_view.as_ref()?.mistake())
    }

    fn scratch_mistake(&self) -> Option<(&'static str, &'static str)> {
        match self.scratch_limit() {
            None if self.scratch_inodes.is_some_and(|inodes| inodes != 0) => Some((
                "scratch_inodes",
                "files are limited together with the size only; expected a scratch_size_in_mb, too",
            )),
            Some(limit) if !ScratchLimit::BYTES.contains(&limit.bytes) => {
                Some(("scratch_size_in_mb", "expected 4 to 16777216 megabytes"))
            }
            Some(ScratchLimit {
                inodes: Some(inodes),
                ..
            }) if !ScratchLimit::INODES.contains(&inodes) => {
                Some(("scratch_inodes", "expected 16 to 4294966272"))
            }
            _ => None,
        }
    }
}

/// What is wrong with a setting that stands in both places.
pub(super) const TWICE: &str =
    "it stands in [container], too; expected it there only, not at the top of the file";

/// Moves what stands at the top of the file into its section. Returns the names of what was moved.
///
/// # Errors
/// The name of a setting that stands in both places.
pub(super) fn gather(config: &mut Config) -> Result<Vec<&'static str>, &'static str> {
    let mut moved = Vec::new();
    macro_rules! gather {
        ($($key:ident),+ $(,)?) => {
            $(if let Some(old) = config.$key.take() {
                if config.container.$key.replace(old).is_some() {
                    return Err(stringify!($key));
                }
                moved.push(stringify!($key));
            })+
        };
    }
    gather!(
        scratch_root,
        scratch_size_in_mb,
        scratch_inodes,
        processes_per_container,
        user_namespaces,
        user_namespace_ids,
        warm_slots,
        host_view,
    );
    // A table with nothing in it says nothing.
    let said = |view: &HostViewLists| *view != HostViewLists::default();
    config.container.host_view = config.container.host_view.take().filter(said);
    Ok(moved)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn parse(text: &str) -> Result<Config, String> {
        Config::parse(Path::new("/c.toml"), text).map_err(|e| e.to_string())
    }

    #[test]
    fn the_places_of_before_say_the_same() {
        let old = parse(
            "scratch_root = \"/x\"\nscratch_size_in_mb = 64\nscratch_inodes = 100\nprocesses_per_container = 5\n\
             user_namespaces = true\nuser_namespace_ids = { first = 5000, count = 9 }\nwarm_slots = 3\n\
             [host_view]\nempty = [\"/y\"]\n",
        );
        let new = parse(
            "[container]\nscratch_root = \"/x\"\nscratch_size_in_mb = 64\nscratch_inodes = 100\n\
             processes_per_container = 5\nuser_namespaces = true\n\
             user_namespace_ids = { first = 5000, count = 9 }\nwarm_slots = 3\n\
             [container.host_view]\nempty = [\"/y\"]\n",
        );
        let (old, new) = (old.unwrap(), new.unwrap());
        assert_eq!(old.container, new.container);
        assert!(old.is_as(&new));
        assert_eq!((old.moved.len(), new.moved.len()), (8, 0));
    }

    #[test]
    fn a_setting_in_both_places_is_refused() {
        let both = parse("warm_slots = 3\n[container]\nwarm_slots = 3\n").unwrap_err();
        assert!(
            both.contains("line 1: warm_slots: it stands in [container]"),
            "{both}"
        );
    }
}
