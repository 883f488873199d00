//! What an administrator decides for all containers.

use std::path::{Path, PathBuf};

use hcs_wire::{
    places::{self, Places},
    trust::Untrusted,
};

pub use crate::spec::ScratchLimit;
use crate::{apparmor::Profile, user_namespace::UserNamespaces};

/// Name of the engine, for logs and state files.
pub const NAME: &str = "container";

/// Configuration of the engine. The default is that of the service for the whole machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineConfig {
    /// Path of the control group, in each hierarchy, that containers' groups are made in: `hcs`, `hcs/<something>`.
    /// Groups in it whose name is a GUID belong to this engine.
    pub cgroup_root: String,
    /// Directory that containers' scratch directories are made in. Entries whose name is a GUID belong to this engine.
    pub scratch_root: PathBuf,
    /// How many processes and threads a container may have; `None` for no limit.
    pub pids_limit: Option<u64>,
    /// How much a container may write whose document does not say so.
    pub scratch_limit: Option<ScratchLimit>,
    /// Directories of the host that a container which sees the host's root must not see, besides the scratch root: the
    /// service's own.
    pub hidden: Vec<PathBuf>,
    /// The directory of the service's socket, which no container must see, unless it is one that all users share
    /// (`/tmp`).
    pub socket_directory: Option<PathBuf>,
    /// What a container without layers does not see of the host.
    pub host_view: HostView,
    /// The users that containers are on the host. Only for a service that runs as root.
    pub user_namespaces: UserNamespaces,
    /// Directory in which all services of the host write down which ids their containers have. It is made where there
    /// is none; has to be root's own.
    pub ids_in_use: PathBuf,
    /// Directory in which services tell each other which directories are theirs ([`hcs_wire::places`]).
    pub places: PathBuf,
    /// The AppArmor profile of containers, or why they have none.
    pub profile: Result<Profile, String>,
}

impl EngineConfig {
    /// The directories of the service's own that no container sees: nothing in them may be mapped.
    pub(crate) fn own_directories(&self) -> impl Iterator<Item = &PathBuf> {
        let own = [&self.scratch_root, &self.ids_in_use, &self.places];
        self.hidden.iter().chain(own)
    }

    /// Tells other services which directories are this one's.
    ///
    /// # Errors
    /// The directory for that is not the service's own, or cannot be written.
    pub fn publish_places(&self, state_root: &Path) -> Result<(), Untrusted> {
        let own = Places {
            root: state_root.to_owned(),
            whole: self.own_directories().cloned().collect(),
            socket: self.socket_directory.clone(),
        };
        own.publish(&self.places)
    }
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self {
            cgroup_root: "hcs".to_owned(),
            scratch_root: PathBuf::from("/var/lib/hcs/scratch"),
            pids_limit: Some(4096),
            scratch_limit: None,
            hidden: Vec::new(),
            socket_directory: None,
            host_view: HostView::default(),
            user_namespaces: UserNamespaces::default(),
            ids_in_use: PathBuf::from("/run/hcs-ids"),
            places: PathBuf::from(places::OF_ROOT),
            profile: Err("none was loaded".to_owned()),
        }
    }
}

/// What the default view of the host's files leaves out: the view of a container without layers, for code that is not
/// trusted. Both lists have absolute paths, in which `*` stands for any part of one name, and a leading `~` for each
/// home: `/root`, those in `/etc/passwd` of root, of users from 1000 on and of the service's own user, and those in
/// `/home`. Symbolic links are followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostView {
    /// Directories that are empty and can be written to. A directory strictly below one of them is shown when the
    /// document asks for it (`Storage.HostDirectory`).
    pub empty: Vec<String>,
    /// Files that are absent and directories that are empty, whatever the document asks for.
    pub hidden: Vec<String>,
}

/// The default of [`HostView::empty`]: where users, services and programs that run keep what is theirs.
const EMPTY: [&str; 15] = [
    "/home",
    "/root",
    "~",
    "/run",
    "/tmp",
    "/var/tmp",
    "/var/run",
    "/var/lock",
    "/media",
    "/mnt",
    "/var/mail",
    "/var/spool",
    "/var/log",
    "/var/backups",
    "/var/www",
];

/// The default of [`HostView::hidden`]: keys, passwords, data of services, other systems.
const HIDDEN: [&str; 110] = [
    "/boot",
    "/efi",
    "/lost+found",
    "/swapfile",
    "/swap.img",
    "/.snapshots",
    "/etc/shadow",
    "/etc/shadow-",
    // Written, and renamed, by the programs that change them.
    "/etc/shadow+",
    "/etc/gshadow+",
    "/etc/shadow.edit",
    "/etc/gshadow.edit",
    "/etc/sudoers.tmp",
    "/etc/shadow*",
    "/etc/gshadow",
    "/etc/gshadow-",
    "/etc/gshadow*",
    "/etc/nshadow",
    "/etc/.pwd.lock",
    "/etc/security/opasswd",
    "/etc/sudoers",
    "/etc/sudoers*",
    "/etc/sudoers.d",
    "/etc/ssh/ssh_host_rsa_key",
    "/etc/ssh/ssh_host_ecdsa_key",
    "/etc/ssh/ssh_host_ed25519_key",
    "/etc/ssh/ssh_host_*_key",
    "/etc/ssl/private",
    "/etc/pki/tls/private",
    "/etc/pki/CA/private",
    "/etc/letsencrypt",
    "/etc/wireguard",
    "/etc/openvpn",
    "/etc/ipsec.secrets",
    "/etc/ipsec.d/private",
    "/etc/swanctl",
    "/etc/ppp",
    "/etc/NetworkManager/system-connections",
    "/etc/netplan",
    "/etc/wpa_supplicant",
    "/etc/iwd",
    "/etc/krb5.keytab",
    "/etc/cifs*",
    "/etc/samba",
    "/etc/mysql/debian.cnf",
    "/etc/docker",
    "/etc/containers/auth.json",
    "/etc/apt/auth.conf",
    "/etc/apt/auth.conf.d",
    "/etc/gitlab-runner",
    "/etc/munge",
    "/etc/postfix/sasl_passwd",
    "/etc/postfix/sasl_passwd.db",
    "/etc/postgresql",
    "/etc/salt/pki",
    "/etc/puppetlabs",
    "/etc/ceph",
    "/etc/kubernetes",
    "/etc/rancher",
    "/etc/crypttab",
    "/etc/cryptsetup-keys.d",
    "/etc/credstore",
    "/etc/credstore.encrypted",
    "/etc/hcs",
    "/var/cache/debconf/passwords.dat*",
    "/var/crash",
    "/var/db/sudo",
    "/var/snap",
    "/var/lib/hcs",
    "/var/lib/private",
    "/var/lib/systemd",
    "/var/lib/cloud",
    "/var/lib/tailscale",
    "/var/lib/jenkins",
    "/var/lib/vault",
    "/var/lib/tor",
    "/var/lib/caddy",
    "/var/lib/ceph",
    "/var/lib/docker",
    "/var/lib/containerd",
    "/var/lib/containers",
    "/var/lib/kubelet",
    "/var/lib/rancher",
    "/var/lib/etcd",
    "/var/lib/machines",
    "/var/lib/lxc",
    "/var/lib/lxd",
    "/var/lib/incus",
    "/var/lib/libvirt",
    "/var/lib/mysql",
    "/var/lib/postgresql",
    "/var/lib/pgsql",
    "/var/lib/mongodb",
    "/var/lib/redis",
    "/var/lib/samba",
    "/var/lib/sss",
    "/var/lib/sudo",
    "/var/lib/NetworkManager",
    "/var/lib/bluetooth",
    "/var/lib/iwd",
    "/var/lib/AccountsService",
    "~/.ssh",
    "~/.gnupg",
    "~/.aws",
    "~/.azure",
    "~/.kube",
    "~/.docker",
    "~/.password-store",
    "~/.config",
    "~/.local",
];

/// Where a host may have a file system of its own that belongs to the view of its root.
pub(crate) const PARTS_OF_A_SYSTEM: [&str; 14] = [
    "/bin",
    "/etc",
    "/gnu/store",
    "/home",
    "/lib",
    "/nix/store",
    "/opt",
    "/root",
    "/sbin",
    "/srv",
    "/usr",
    "/usr/local",
    "/var",
    "/var/lib",
];

impl HostView {
    /// Where a file system of the host's own is part of a view of its files; elsewhere the directory below it is seen.
    #[must_use]
    pub const fn file_systems() -> &'static [&'static str] {
        &PARTS_OF_A_SYSTEM
    }
}

impl Default for HostView {
    fn default() -> Self {
        let owned = |list: &[&str]| list.iter().map(|path| (*path).to_owned()).collect();
        Self {
            empty: owned(&EMPTY),
            hidden: owned(&HIDDEN),
        }
    }
}
