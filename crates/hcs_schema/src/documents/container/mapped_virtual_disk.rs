//! [`MappedVirtualDisk`].

document! {
    /// A disk of a virtual machine that appears in a container inside.
    MappedVirtualDisk {
        /// Where it appears.
        container_path: String = "ContainerPath", 2.1;
        /// Its number on the controller.
        lun: u8 = "Lun", 2.1;
    }
}
