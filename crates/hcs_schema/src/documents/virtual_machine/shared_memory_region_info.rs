//! [`SharedMemoryRegionInfo`].

document! {
    /// Where a shared region lies in the guest.
    SharedMemoryRegionInfo {
        /// Name of the host's memory object.
        section_name: String = "SectionName", 2.1;
        /// Its address in the guest.
        guest_physical_address: u64 = "GuestPhysicalAddress", 2.1;
    }
}
