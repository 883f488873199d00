//! [`GuestOs`].

document! {
    /// The operating system as the processes of a container see it.
    GuestOs, checked by crate::rules::system::guest_os {
        /// The host name inside; at most 64 bytes. On Linux also in `/etc/hosts` and `/etc/hostname`.
        host_name: String = "HostName", 2.0;
        /// Whether `/etc/hosts`, `/etc/hostname` and `/etc/resolv.conf` stay as the layers have them (our extension).
        /// Otherwise the first is completed with `localhost` and the host name; the second has the host name, and the
        /// third is the host's, or that of the network namespace in `/etc/netns`.
        keep_name_files: bool = "KeepNameFiles", "extension";
    }
}
