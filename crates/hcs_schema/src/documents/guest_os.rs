//! [`GuestOs`].

document! {
    /// What the processes of a container see as their operating system.
    GuestOs, checked by crate::rules::system::guest_os {
        /// The host name inside; at most 64 bytes. On Linux it also goes into the container's `/etc/hostname` view of
        /// the UTS namespace.
        host_name: String = "HostName", 2.0;
    }
}
