//! [`SharedMemoryRegion`].

document! {
    /// A region of memory that a virtual machine shares with its host.
    SharedMemoryRegion {
        /// Name of the host's memory object.
        section_name: String = "SectionName", 2.0;
        /// Where in the object it starts, in bytes.
        start_offset: u64 = "StartOffset", 2.0;
        /// Its length in bytes.
        length: u64 = "Length", 2.0;
        /// Whether the guest may write.
        allow_guest_write: bool = "AllowGuestWrite", 2.0;
        /// Whether the guest is not told of it.
        hidden_from_guest: bool = "HiddenFromGuest", 2.0;
    }
}
