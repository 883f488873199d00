//! `-kernel`, `-initrd`, `-append`: boot of a kernel without firmware of the document's choice.

use std::os::fd::RawFd;

use super::Switch;

pub(super) struct Kernel {
    pub(super) kernel: RawFd,
    pub(super) initrd: Option<RawFd>,
    pub(super) command_line: String,
}

impl Switch for Kernel {
    fn words(&self) -> Vec<String> {
        let mut words = vec!["-kernel".to_owned(), format!("/dev/fd/{}", self.kernel)];
        if !self.command_line.is_empty() {
            words.extend(["-append".to_owned(), self.command_line.clone()]);
        }
        if let Some(initrd) = self.initrd {
            words.extend(["-initrd".to_owned(), format!("/dev/fd/{initrd}")]);
        }
        words
    }
}
