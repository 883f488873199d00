//! Sets of capabilities, and their names (`capabilities(7)`).

use std::fmt;

use serde::{Deserialize, Serialize};

/// The names of all capabilities, each at its number, without the `CAP_` they begin with.
const NAMES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

/// The name that stands for all of them in a list of names.
const ALL: &str = "ALL";

/// A set of capabilities.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Capabilities(u64);

impl Capabilities {
    /// None.
    pub const NONE: Self = Self(0);

    /// All that have a name.
    pub const ALL: Self = Self((1 << NAMES.len()) - 1);

    /// The capabilities of root in a container that names none: the set of Podman's defaults.
    pub const USUAL: Self = Self::CHOWN
        .union(Self::DAC_OVERRIDE)
        .union(Self::FOWNER)
        .union(Self::FSETID)
        .union(Self::KILL)
        .union(Self::NET_BIND_SERVICE)
        .union(Self::SETFCAP)
        .union(Self::SETGID)
        .union(Self::SETPCAP)
        .union(Self::SETUID)
        .union(Self::SYS_CHROOT);

    /// The set of the capability with this number.
    #[must_use]
    pub const fn of_number(number: u32) -> Self {
        Self(1 << number)
    }

    /// The set with a bit for each number, as the kernel has it.
    #[must_use]
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// A bit for each number.
    #[must_use]
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// Whether it has all of `other`.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether it has none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Those of both.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Those that both have.
    #[must_use]
    pub const fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Those that `other` has not.
    #[must_use]
    pub const fn difference(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Those that a list of names names: each with or without `CAP_`, in capital or small letters, or `ALL`.
    ///
    /// # Errors
    /// The first name that is none.
    pub fn named<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<Self, UnknownCapability> {
        names
            .into_iter()
            .try_fold(Self::NONE, |all, name| Ok(all.union(Self::one(name)?)))
    }

    fn one(name: &str) -> Result<Self, UnknownCapability> {
        let upper = name.to_ascii_uppercase();
        if upper == ALL {
            return Ok(Self::ALL);
        }
        let plain = upper.strip_prefix("CAP_").unwrap_or(&upper);
        let mut numbered = (0..).zip(NAMES);
        numbered
            .find(|(_, known)| *known == plain)
            .map(|(number, _)| Self::of_number(number))
            .ok_or_else(|| UnknownCapability {
                name: name.to_owned(),
            })
    }

    /// All names, as a message lists them.
    #[must_use]
    pub fn known_names() -> String {
        Self::ALL.to_string()
    }
}

macro_rules! constants {
    ($($name:ident = $number:literal),* $(,)?) => {
        #[expect(missing_docs, reason = "the kernel's names")]
        impl Capabilities {
            $(pub const $name: Self = Self::of_number($number);)*
        }
    };
}

constants! {
    CHOWN = 0, DAC_OVERRIDE = 1, DAC_READ_SEARCH = 2, FOWNER = 3, FSETID = 4, KILL = 5, SETGID = 6, SETUID = 7,
    SETPCAP = 8, LINUX_IMMUTABLE = 9, NET_BIND_SERVICE = 10, NET_ADMIN = 12, NET_RAW = 13, IPC_LOCK = 14, SYS_MODULE = 16, SYS_RAWIO = 17, SYS_CHROOT = 18,
    SYS_PTRACE = 19, SYS_PACCT = 20, SYS_ADMIN = 21, SYS_BOOT = 22, SYS_NICE = 23, SYS_RESOURCE = 24, SYS_TIME = 25,
    SYS_TTY_CONFIG = 26, MKNOD = 27, AUDIT_WRITE = 29, AUDIT_CONTROL = 30, SETFCAP = 31, MAC_OVERRIDE = 32, MAC_ADMIN = 33, SYSLOG = 34, WAKE_ALARM = 35, AUDIT_READ = 37, PERFMON = 38,
    BPF = 39, CHECKPOINT_RESTORE = 40,
}

/// The names, in the order of their numbers: `CAP_CHOWN, CAP_KILL`.
impl fmt::Display for Capabilities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for (number, name) in (0..).zip(NAMES) {
            if self.contains(Self::of_number(number)) {
                write!(f, "{separator}CAP_{name}")?;
                separator = ", ";
            }
        }
        Ok(())
    }
}

/// A name that is not that of a capability.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownCapability {
    /// The name that was given.
    pub name: String,
}

impl UnknownCapability {
    /// The known name that is most like it, if one is.
    #[must_use]
    pub fn likely(&self) -> Option<String> {
        let upper = self.name.to_ascii_uppercase();
        let plain = upper.strip_prefix("CAP_").unwrap_or(&upper);
        let similar = |name: &&str| strsim::jaro_winkler(name, plain);
        let best = NAMES
            .iter()
            .max_by(|a, b| similar(a).total_cmp(&similar(b)));
        best.filter(|name| similar(name) > 0.85)
            .map(|name| format!("CAP_{name}"))
    }
}

impl fmt::Display for UnknownCapability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is not the name of a capability", self.name)?;
        match self.likely() {
            Some(likely) => write!(f, "; did you mean {likely}?"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for UnknownCapability {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_people_write_them() {
        let named = |names: &[&str]| Capabilities::named(names.iter().copied());
        let both = Capabilities::NET_RAW.union(Capabilities::SYS_ADMIN);
        assert_eq!(named(&["CAP_NET_RAW", "sys_admin"]), Ok(both));
        assert_eq!(named(&["cap_net_raw", "SYS_ADMIN"]), Ok(both));
        assert_eq!(named(&["all"]), Ok(Capabilities::ALL));
        assert_eq!(named(&[]), Ok(Capabilities::NONE));
        assert_eq!(both.to_string(), "CAP_NET_RAW, CAP_SYS_ADMIN");
    }

    #[test]
    fn an_unknown_name_gets_a_guess() {
        let error = Capabilities::named(["CAP_NETRAW"]).unwrap_err();
        let message = "\"CAP_NETRAW\" is not the name of a capability; did you mean CAP_NET_RAW?";
        assert_eq!(error.to_string(), message);
        assert_eq!(Capabilities::named(["x"]).unwrap_err().likely(), None);
    }

    #[test]
    fn constants_have_the_numbers_of_their_names() {
        for (one, name) in [
            (Capabilities::CHOWN, "CHOWN"),
            (Capabilities::SETPCAP, "SETPCAP"),
            (Capabilities::NET_BIND_SERVICE, "NET_BIND_SERVICE"),
            (Capabilities::SYS_CHROOT, "SYS_CHROOT"),
            (Capabilities::SYS_TTY_CONFIG, "SYS_TTY_CONFIG"),
            (Capabilities::AUDIT_WRITE, "AUDIT_WRITE"),
            (Capabilities::SETFCAP, "SETFCAP"),
            (Capabilities::SYSLOG, "SYSLOG"),
            (Capabilities::CHECKPOINT_RESTORE, "CHECKPOINT_RESTORE"),
        ] {
            assert_eq!(one.to_string(), format!("CAP_{name}"));
        }
        assert_eq!(Capabilities::USUAL.bits(), 0x8004_05fb);
    }
}
