//! [`CimMount`].

use crate::shape::format::Guid;

document! {
    /// A composite image to mount in a Windows guest.
    CimMount {
        /// Directory of the image.
        image_path: String = "ImagePath", 2.3;
        /// Name of the file system in the image.
        file_system_name: String = "FileSystemName", 2.3;
        /// GUID of the volume it becomes.
        volume_guid: String as Guid = "VolumeGuid", 2.3;
        /// Flags of the image file system's mount call.
        mount_flags: u32 = "MountFlags", 2.5;
    }
}
