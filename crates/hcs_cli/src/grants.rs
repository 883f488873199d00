//! Files that are granted to a virtual machine because the command line, or the document it names, gives them to it.
//!
//! `hcs` does with the rights of its user what that user might do by `HcsGrantVmAccess`. What it may not grant, or need
//! not, stays as it is: the service decides whether the machine may use a file, and names the one that it refuses.

use std::path::Path;

use hcs::{
    Endpoint, TemporaryGrant,
    documents::{AttachmentType, ComputeSystem},
};

/// What was granted to a machine and was not granted before. A drop takes it back.
#[derive(Debug, Default)]
pub(crate) struct Grants(Vec<TemporaryGrant>);

impl Grants {
    /// Grants the files that `document` names to the machine `id` that is to be made of it.
    pub(crate) fn give(id: &str, document: &ComputeSystem) -> Self {
        let files = files(document);
        if files.is_empty() {
            return Self::default();
        }
        // A service that cannot be reached is told by the call that comes next.
        let Ok(endpoint) = Endpoint::from_environment() else {
            return Self::default();
        };
        let lend = |(path, read_only)| endpoint.lend_to_vm(id, path, read_only).ok().flatten();
        Self(files.into_iter().filter_map(lend).collect())
    }

    /// Leaves them as they are, where the machine `stays`.
    pub(crate) fn stay_if(&mut self, stays: bool) {
        if stays {
            self.0.clear();
        }
    }
}

impl Drop for Grants {
    fn drop(&mut self) {
        for grant in self.0.drain(..) {
            // The machine has ended, so its rights do no harm.
            let _kept = grant.end();
        }
    }
}

/// The files of `document` that a machine needs a grant for, and whether it only reads them.
fn files(document: &ComputeSystem) -> Vec<(&Path, bool)> {
    let Some(machine) = &document.virtual_machine else {
        return Vec::new();
    };
    let devices = machine.devices.as_ref();
    let controllers = devices.and_then(|devices| devices.scsi.as_ref());
    let attachments = controllers
        .into_iter()
        .flat_map(|controllers| controllers.values())
        .filter_map(|controller| controller.attachments.as_ref())
        .flat_map(|attachments| attachments.values());
    let disks = attachments.filter_map(|disk| {
        let is_iso = disk.r#type == Some(AttachmentType::Iso);
        let read_only = is_iso || disk.read_only == Some(true);
        Some((Path::new(disk.path.as_ref()?), read_only))
    });
    let persistent = devices.and_then(|devices| devices.virtual_pmem.as_ref());
    let images = persistent.and_then(|memory| memory.devices.as_ref());
    let images = images
        .into_iter()
        .flat_map(|devices| devices.values())
        .filter_map(|device| Some((Path::new(device.host_path.as_ref()?), true)));
    let state = machine.guest_state.as_ref().and_then(|state| {
        let read_only = state.force_transient_state == Some(true);
        Some((Path::new(state.guest_state_file_path.as_ref()?), read_only))
    });
    disks
        .chain(images)
        .chain(state)
        .filter(|(path, _)| path.is_absolute())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn disks_and_the_state_are_granted_for_what_is_done_with_them() {
        let document = r#"{"VirtualMachine": {
            "Chipset": {"LinuxKernelDirect": {"KernelFilePath": "/k"}},
            "Devices": {"Scsi": {"0": {"Attachments": {
                "0": {"Type": "VirtualDisk", "Path": "/a.vhdx"},
                "1": {"Type": "VirtualDisk", "Path": "/b.vhdx", "ReadOnly": true},
                "2": {"Type": "Iso", "Path": "/c.iso"},
                "3": {"Type": "VirtualDisk", "Path": "relative"},
                "4": {}
            }}}, "VirtualPMem": {"Devices": {"0": {"HostPath": "/d.vhd"}}}},
            "GuestState": {"GuestStateFilePath": "/s.vmgs"}
        }}"#;
        let document: ComputeSystem = hcs_schema::parse(document).unwrap();
        let expected = [
            ("/a.vhdx", false),
            ("/b.vhdx", true),
            ("/c.iso", true),
            ("/d.vhd", true),
            ("/s.vmgs", false),
        ];
        let expected = expected.map(|(path, read_only)| (Path::new(path), read_only));
        assert_eq!(files(&document), expected);
        assert!(files(&ComputeSystem::default()).is_empty());
    }
}
