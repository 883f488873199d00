//! Containers: their documents, layers and storage.

mod combined_layers;
#[expect(
    clippy::module_inception,
    reason = "the document is called as its folder is"
)]
mod container;
mod container_hv_socket;
mod container_image;
mod container_memory;
mod container_processor;
mod device;
mod device_type;
mod export_layer_options;
mod filesystem_layer;
mod guest_os;
mod layer;
mod layer_data;
mod mapped_device;
mod mapped_directory;
mod mapped_pipe;
mod mapped_virtual_disk;
mod os_layer_options;
mod path_type;
mod resource_limit;
mod storage;
mod temporary_directory;

pub use combined_layers::CombinedLayers;
pub use container::Container;
pub use container_hv_socket::ContainerHvSocket;
pub use container_image::ContainerImage;
pub use container_memory::ContainerMemory;
pub use container_processor::ContainerProcessor;
pub use device::Device;
pub use device_type::DeviceType;
pub use export_layer_options::ExportLayerOptions;
pub use filesystem_layer::FilesystemLayer;
pub use guest_os::GuestOs;
pub use layer::{CacheMode, Layer};
pub use layer_data::{FileSystemFilterType, LayerData};
pub use mapped_device::MappedDevice;
pub use mapped_directory::MappedDirectory;
pub use mapped_pipe::{MappedPipe, MappedPipePathType};
pub use mapped_virtual_disk::MappedVirtualDisk;
pub use os_layer_options::{OsLayerOptions, OsLayerType};
pub use path_type::PathType;
pub use resource_limit::ResourceLimit;
pub use storage::Storage;
pub use temporary_directory::TemporaryDirectory;
